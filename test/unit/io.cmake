mtcpd_unit_test(port_wire mtcpd_io)
mtcpd_unit_test(port_shm mtcpd_io)
mtcpd_unit_test(psio_frames mtcpd_io mtcpd_net mtcpd_ps)
