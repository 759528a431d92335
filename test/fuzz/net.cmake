mtcpd_fuzz_test(net_in mtcpd_net)
