mtcpd_unit_test(engine_bpf mtcpd_engine PkgConfig::PCAP)
mtcpd_unit_test(ctl_filter mtcpd_flags PkgConfig::JANSSON)
target_sources(unit_ctl_filter PRIVATE
  ${CMAKE_SOURCE_DIR}/tools/mtcpctl/filter.c)
