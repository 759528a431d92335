mtcpd_unit_test(ring mtcpd_shm)
mtcpd_unit_test(block mtcpd_mem)
