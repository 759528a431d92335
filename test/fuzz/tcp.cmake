mtcpd_fuzz_test(tcp_in mtcpd_tcp)
