# Programs as they are, under mtcp-run; socket calls beside the kernel's
add_executable(conform ${CMAKE_CURRENT_LIST_DIR}/conform.c)
target_compile_definitions(conform PRIVATE _GNU_SOURCE)
target_compile_options(conform PRIVATE -Wall -Wextra -Wno-unused-result)
target_link_libraries(conform PRIVATE Threads::Threads)
system_test(programs_basic 120 sys_programs_basic)
system_test(programs_more 180 sys_programs_more)
system_test(programs_life 180 sys_programs_life)
system_test(conform 150 sys_conform)
