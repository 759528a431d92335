system_test(mtcpctl 120 sys_mtcpctl)
