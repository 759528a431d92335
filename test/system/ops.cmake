# Service, configuration, policy, the kernel's neighbours
system_test(config 120 sys_config)
