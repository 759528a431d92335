#include "libclient/preload/preload.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * syscall(): programs that pass libc by still mean our sockets (libuv closes
 * by it).  The calls of libc give the same values and errno.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define P(n)	((void *)a[n])
#define I(n)	((int)a[n])
#define U(n)	((unsigned int)a[n])
#define Z(n)	((size_t)a[n])

static bool descriptor_call(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_close:
		*r = close(I(0));
		break;
	case SYS_close_range:
		*r = close_range(U(0), U(1), I(2));
		break;
	case SYS_dup:
		*r = dup(I(0));
		break;
	case SYS_dup3:
		*r = dup3(I(0), I(1), I(2));
		break;
	case SYS_fcntl:
		*r = fcntl(I(0), I(1), a[2]);
		break;
	case SYS_ioctl:
		*r = ioctl(I(0), (unsigned long)a[1], P(2));
		break;
	default:
		return false;
	}
	return true;
}

static bool data_call(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_read:
		*r = read(I(0), P(1), Z(2));
		break;
	case SYS_write:
		*r = write(I(0), P(1), Z(2));
		break;
	case SYS_readv:
		*r = readv(I(0), P(1), I(2));
		break;
	case SYS_writev:
		*r = writev(I(0), P(1), I(2));
		break;
	case SYS_recvfrom:
		*r = recvfrom(I(0), P(1), Z(2), I(3), P(4), P(5));
		break;
	case SYS_sendto:
		*r = sendto(I(0), P(1), Z(2), I(3), P(4), (socklen_t)a[5]);
		break;
	case SYS_recvmsg:
		*r = recvmsg(I(0), P(1), I(2));
		break;
	case SYS_sendmsg:
		*r = sendmsg(I(0), P(1), I(2));
		break;
	case SYS_recvmmsg:
		*r = recvmmsg(I(0), P(1), U(2), I(3), P(4));
		break;
	case SYS_sendmmsg:
		*r = sendmmsg(I(0), P(1), U(2), I(3));
		break;
	case SYS_sendfile:
		*r = sendfile(I(0), I(1), P(2), Z(3));
		break;
	case SYS_splice:
		*r = splice(I(0), P(1), I(2), P(3), Z(4), U(5));
		break;
	default:
		return false;
	}
	return true;
}

static bool socket_call(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_bind:
		*r = bind(I(0), P(1), (socklen_t)a[2]);
		break;
	case SYS_listen:
		*r = listen(I(0), I(1));
		break;
	case SYS_connect:
		*r = connect(I(0), P(1), (socklen_t)a[2]);
		break;
	case SYS_accept4:
		*r = accept4(I(0), P(1), P(2), I(3));
		break;
	case SYS_shutdown:
		*r = shutdown(I(0), I(1));
		break;
	case SYS_getsockname:
		*r = getsockname(I(0), P(1), P(2));
		break;
	case SYS_getpeername:
		*r = getpeername(I(0), P(1), P(2));
		break;
	case SYS_getsockopt:
		*r = getsockopt(I(0), I(1), I(2), P(3), P(4));
		break;
	case SYS_setsockopt:
		*r = setsockopt(I(0), I(1), I(2), P(3), (socklen_t)a[4]);
		break;
	default:
		return false;
	}
	return true;
}

/* The mask of pselect6 comes with its size. */
struct sized_mask { const sigset_t *mask; size_t size; };

static bool wait_call(long number, const long *a, long *r)
{
	const struct sized_mask *m = P(5);

	switch (number) {
	case SYS_ppoll:
		*r = ppoll(P(0), (nfds_t)a[1], P(2), P(3));
		break;
	case SYS_pselect6:
		*r = pselect(I(0), P(1), P(2), P(3), P(4), m ? m->mask : NULL);
		break;
	case SYS_epoll_create1:
		*r = epoll_create1(I(0));
		break;
	case SYS_epoll_ctl:
		*r = epoll_ctl(I(0), I(1), I(2), P(3));
		break;
	case SYS_epoll_pwait:
		*r = epoll_pwait(I(0), P(1), I(2), I(3), P(4));
		break;
	default:
		return false;
	}
	return true;
}

#ifdef SYS_poll		/* newer architectures are without the old forms */
static bool old_call(long number, const long *a, long *r)
{
	switch (number) {
	case SYS_dup2:
		*r = dup2(I(0), I(1));
		break;
	case SYS_accept:
		*r = accept(I(0), P(1), P(2));
		break;
	case SYS_poll:
		*r = poll(P(0), (nfds_t)a[1], I(2));
		break;
	case SYS_select:
		*r = select(I(0), P(1), P(2), P(3), P(4));
		break;
	case SYS_epoll_create:
		*r = epoll_create(I(0));
		break;
	case SYS_epoll_wait:
		*r = epoll_wait(I(0), P(1), I(2), I(3));
		break;
	default:
		return false;
	}
	return true;
}
#else
static bool old_call(long number, const long *a, long *r)
{
	if (number != SYS_accept)
		return false;
	*r = accept(I(0), P(1), P(2));
	return true;
}
#endif

PUBLIC long syscall(long number, ...)
{
	long a[6], r;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (descriptor_call(number, a, &r) || data_call(number, a, &r) ||
	    socket_call(number, a, &r) || wait_call(number, a, &r) ||
	    old_call(number, a, &r))
		return r;
	return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
