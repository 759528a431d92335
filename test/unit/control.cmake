mtcpd_unit_test(config mtcpd_control)
target_compile_definitions(unit_config PRIVATE
  SHIPPED_CONF="${CMAKE_SOURCE_DIR}/etc/mtcpd.conf")
mtcpd_unit_test(server mtcpd_control)
mtcpd_unit_test(hole mtcpd_control)
mtcpd_unit_test(attach_hostile mtcpd_control)
mtcpd_unit_test(config_live mtcpd_control)
target_sources(unit_config_live PRIVATE
  ${CMAKE_SOURCE_DIR}/tools/mtcpctl/conf_file.c)
mtcpd_unit_test(policy mtcpd_control)
mtcpd_unit_test(netlink mtcpd_control)
mtcpd_unit_test(claim mtcpd_control)
