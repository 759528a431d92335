system_test(badinput 120 sys_badinput)
