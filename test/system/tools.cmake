system_test(mtcpctl 120 sys_mtcpctl)
system_test(why 120 sys_why)
system_test(top 120 sys_top)
system_test(metrics 120 sys_metrics)
