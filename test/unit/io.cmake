mtcpd_unit_test(port_wire mtcpd_io)
mtcpd_unit_test(port_shm mtcpd_io)
mtcpd_unit_test(psio_frames mtcpd_io mtcpd_net mtcpd_ps)
mtcpd_unit_test(psio_lend mtcpd_io mtcpd_ps)
target_sources(unit_psio_lend PRIVATE ${PROJECT_SOURCE_DIR}/test/driver/l0/ps_fake.c)
target_link_options(unit_psio_lend PRIVATE
  -Wl,--wrap=open,--wrap=close,--wrap=ioctl,--wrap=mmap,--wrap=munmap)
