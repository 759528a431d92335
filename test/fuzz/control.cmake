mtcpd_fuzz_test(config mtcpd_control)
