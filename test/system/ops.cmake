# Service, configuration, policy, the kernel's neighbours
system_test(config 120 sys_config)
system_test(service 120 sys_service)
