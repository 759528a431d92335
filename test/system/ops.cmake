# Service, configuration, policy, the kernel's neighbours
system_test(config 120 sys_config)
system_test(service 120 sys_service)
if(TARGET mtcpclient AND TARGET mtcp_util)
  add_executable(asker ${CMAKE_CURRENT_LIST_DIR}/asker.c)
  target_link_libraries(asker PRIVATE mtcpclient mtcp_util)
endif()
system_test(policy 120 sys_policy)
