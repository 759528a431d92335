mtcpd_unit_test(addr mtcpd_base)
mtcpd_unit_test(siphash mtcpd_base)
mtcpd_unit_test(wheel mtcpd_base)
mtcpd_unit_test(log mtcpd_base)
