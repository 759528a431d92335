# The client library, against a daemon of paper (client_fake.h).
mtcpd_unit_test(client_sockid mtcpclient_static mtcpd_flags)
mtcpd_unit_test(client_conn mtcpclient_static mtcpd_flags)
mtcpd_unit_test(client_conf mtcpclient_static mtcpd_flags)

add_library(client_fake STATIC client_fake.c client_kit.c)
target_link_libraries(client_fake PUBLIC mtcpd_flags Threads::Threads
  PRIVATE PkgConfig::CMOCKA)
target_compile_options(client_fake PRIVATE -Wno-conversion)
foreach(name client_socket client_sockopt client_stock client_share client_epoll
    client_restart)
  mtcpd_unit_test(${name} client_fake mtcpclient_static mtcpd_flags)
endforeach()

# The POSIX face, linked in, against the same daemon.
foreach(name preload_wait preload_cost preload_homes preload_listen)
  mtcpd_unit_test(${name} $<TARGET_OBJECTS:mtcppreload_objects> client_fake
    mtcpclient_static mtcpd_flags)
endforeach()

# Both sides of the memory as threads of one process.
mtcpd_unit_test(together mtcpd_control mtcpd_flags Threads::Threads
  ${CMAKE_DL_LIBS})
target_sources(unit_together PRIVATE together_kit.c)
target_compile_definitions(unit_together PRIVATE
  MTCP_LIBRARY="$<TARGET_FILE:mtcpclient>")
add_dependencies(unit_together mtcpclient)

# Programs written for mTCP are built like this.
add_executable(unit_compat_api compat_api.c)
target_compile_options(unit_compat_api PRIVATE -Wall -Werror -fgnu89-inline)
target_link_libraries(unit_compat_api PRIVATE mtcpclient)
add_test(NAME unit_compat_api COMMAND unit_compat_api)
set_tests_properties(unit_compat_api PROPERTIES LABELS unit TIMEOUT 60)
if(TARGET mtcp_util)
  add_executable(unit_compat_util compat_util.c compat_util_2.c)
  target_compile_options(unit_compat_util PRIVATE -Wall -Werror -fgnu89-inline)
  target_link_libraries(unit_compat_util PRIVATE mtcp_util mtcpclient)
  add_test(NAME unit_compat_util COMMAND unit_compat_util)
  set_tests_properties(unit_compat_util PROPERTIES LABELS unit TIMEOUT 60)
endif()
