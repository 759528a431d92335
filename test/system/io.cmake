# The ports alone, with a small program that answers ARP and ping.
add_executable(port_echo ${CMAKE_CURRENT_LIST_DIR}/port_echo.c)
target_link_libraries(port_echo PRIVATE mtcpd_io Threads::Threads)
foreach(name port_xdp port_tap)
  add_test(NAME system_${name}
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/${name}.sh)
  set_tests_properties(system_${name} PROPERTIES
    LABELS system TIMEOUT 120 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE
    ENVIRONMENT MTCPD_BUILD=${CMAKE_BINARY_DIR})
endforeach()
system_test(wire_pair 180 sys_wire_pair)
