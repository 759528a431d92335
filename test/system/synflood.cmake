add_executable(synflood synflood.c)
target_link_libraries(synflood PRIVATE mtcpd_flags)
system_test(synflood 120 sys_synflood)
system_test(synflood_2 120 sys_synflood 2)
