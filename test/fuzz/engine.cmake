mtcpd_fuzz_test(records mtcpd_engine cmocka)
target_sources(fuzz_records PRIVATE ${CMAKE_SOURCE_DIR}/test/unit/engine_fake.c)
target_include_directories(fuzz_records PRIVATE ${CMAKE_SOURCE_DIR}/test)
