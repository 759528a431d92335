# Programs as they are, under mtcp-run
system_test(programs_basic 120 sys_programs_basic)
