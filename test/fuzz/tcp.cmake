mtcpd_fuzz_test(tcp_in mtcpd_tcp)
mtcpd_fuzz_test(tcp_opt mtcpd_tcp)
