/* addr.c - addresses to text and back, and prefixes */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool addr_is_v4(const struct ip_addr *a)
{
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

bool addr_is_any(const struct ip_addr *a)
{
	static const struct ip_addr v6_any;

	return addr_eq(a, &v6_any) || (addr_is_v4(a) && addr_v4(a) == 0);
}

bool addr_in_prefix(const struct ip_addr *a, const struct ip_addr *net,
		    unsigned int prefix)
{
	unsigned int whole, rest;

	if (prefix > 128)
		prefix = 128;
	whole = prefix / 8;
	rest = prefix % 8;
	if (memcmp(a->b, net->b, whole) != 0)
		return false;
	return rest == 0 || (a->b[whole] ^ net->b[whole]) >> (8 - rest) == 0;
}

int addr_parse(struct ip_addr *out, const char *text)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = addr_from_v4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(out->b, &v6, sizeof(out->b));
		return 0;
	}
	return -EINVAL;
}

const char *addr_text(const struct ip_addr *a, char *buf)
{
	const char *text;

	if (addr_is_v4(a))
		text = inet_ntop(AF_INET, a->b + 12, buf, ADDR_TEXT_BYTES);
	else
		text = inet_ntop(AF_INET6, a->b, buf, ADDR_TEXT_BYTES);
	return text ? text : "?";
}
