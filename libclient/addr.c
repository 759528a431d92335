#include "libclient/client.h"

#include <errno.h>
#include <string.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

void addr_from_v4(uint8_t addr[16], uint32_t v4)
{
	memcpy(addr, mapped, 12);
	memcpy(addr + 12, &v4, 4);
}

uint32_t addr_v4(const uint8_t addr[16])
{
	uint32_t v4;

	memcpy(&v4, addr + 12, 4);
	return v4;
}

bool addr_is_any(const uint8_t addr[16])
{
	return addr_v4(addr) == 0;
}

int addr_from(const struct sockaddr *sa, socklen_t len, uint8_t addr[16],
	      uint16_t *port)
{
	struct sockaddr_in in;

	if (!sa || len < sizeof(in))
		return -EINVAL;
	memcpy(&in, sa, sizeof(in));
	if (in.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	addr_from_v4(addr, in.sin_addr.s_addr);
	*port = in.sin_port;
	return 0;
}

/* Like the kernel: cut to *@len, *@len is then the whole length. */
int addr_to(const uint8_t addr[16], uint16_t port, struct sockaddr *sa,
	    socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };

	if (!sa || !len)
		return -EFAULT;
	in.sin_addr.s_addr = addr_v4(addr);
	memcpy(sa, &in, *len < sizeof(in) ? *len : sizeof(in));
	*len = sizeof(in);
	return 0;
}
