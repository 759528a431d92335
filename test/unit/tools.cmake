mtcpd_unit_test(engine_bpf mtcpd_engine PkgConfig::PCAP)
mtcpd_unit_test(ctl_filter mtcpd_flags PkgConfig::JANSSON)
target_sources(unit_ctl_filter PRIVATE
  ${CMAKE_SOURCE_DIR}/tools/mtcpctl/filter.c)

add_test(NAME unit_man
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/man.py
    ${CMAKE_SOURCE_DIR})
set_tests_properties(unit_man PROPERTIES LABELS unit TIMEOUT 120)

# The compiler's debugging information is compared: gcc's alone, unsanitized.
if(TARGET mtcpclient AND CMAKE_C_COMPILER_ID STREQUAL GNU AND
   NOT MTCPD_SANITIZE)
  add_test(NAME unit_abi
    COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/test/abi/abi.py
      ${CMAKE_SOURCE_DIR} $<TARGET_FILE:mtcpclient>)
  set_tests_properties(unit_abi PROPERTIES
    LABELS unit TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()
