mtcpd_fuzz_test(config mtcpd_control)
mtcpd_fuzz_test(sockets mtcpd_control)
