mtcpd_unit_test(tcp_loop mtcpd_tcp)
