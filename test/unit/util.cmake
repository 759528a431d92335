if(TARGET mtcp_util)
  mtcpd_unit_test(util_http mtcp_util)
  mtcpd_unit_test(util_net mtcp_util)
  mtcpd_unit_test(util_ring_buffer mtcp_util)
endif()
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME unit_layers
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/layers.py
      ${CMAKE_SOURCE_DIR})
  add_test(NAME unit_style
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/style.py
      ${CMAKE_SOURCE_DIR} ${CMAKE_C_COMPILER})
  set_tests_properties(unit_layers unit_style PROPERTIES
    LABELS unit TIMEOUT 120)
endif()
