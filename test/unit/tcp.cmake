mtcpd_unit_test(tcp_loop mtcpd_tcp)
mtcpd_unit_test(tcp_opt mtcpd_tcp)
mtcpd_unit_test(tcp_rtt mtcpd_tcp m)
mtcpd_unit_test(tcp_seq mtcpd_tcp)
