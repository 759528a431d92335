#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

static uint64_t size_unit(const char *suffix)
{
	if (!*suffix)
		return 1;
	if (suffix[1])
		return 0;
	switch (*suffix) {
	case 'K': case 'k': return 1u << 10;
	case 'M': case 'm': return 1u << 20;
	case 'G': case 'g': return 1u << 30;
	}
	return 0;
}

int text_uint(const char *text, uint64_t min, uint64_t max, bool size,
	      uint64_t *out)
{
	unsigned long long n;
	uint64_t unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	unit = size ? size_unit(end) : *end == '\0';
	if (errno || !unit || n > UINT64_MAX / unit)
		return -EINVAL;
	n *= unit;
	if (n < min || n > max)
		return -EINVAL;
	*out = n;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int text_mac(const char *text, uint8_t mac[6])
{
	for (int i = 0; i < 6; i++) {
		int high = hex_digit(text[0]), low;

		if (high < 0)
			return -EINVAL;
		low = hex_digit(text[1]);
		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
		text += 3;
	}
	return 0;
}

int text_net(const char *text, unsigned int len_default, struct ip_addr *addr,
	     uint8_t *prefix)
{
	const char *slash = strchr(text, '/');
	size_t bytes = slash ? (size_t)(slash - text) : strlen(text);
	char quad[ADDR_TEXT_BYTES];
	uint64_t len = len_default;

	if ((!slash && !len_default) || bytes >= sizeof(quad))
		return -EINVAL;
	memcpy(quad, text, bytes);
	quad[bytes] = '\0';
	if (addr_parse(addr, quad) < 0 || !addr_is_v4(addr))
		return -EINVAL;
	if (slash && text_uint(slash + 1, 0, 32, false, &len) < 0)
		return -EINVAL;
	*prefix = (uint8_t)(96 + len);
	return 0;
}

/* One core or a range of cores; appends. */
static int add_cores(const char *item, uint32_t *cores, uint32_t max,
		     uint32_t *count)
{
	const char *dash = strchr(item, '-');
	uint64_t first, last;
	char text[16];
	size_t bytes = dash ? (size_t)(dash - item) : strlen(item);

	if (bytes >= sizeof(text))
		return -EINVAL;
	memcpy(text, item, bytes);
	text[bytes] = '\0';
	if (text_uint(text, 0, 4095, false, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && text_uint(dash + 1, first, 4095, false, &last) < 0)
		return -EINVAL;
	for (uint64_t c = first; c <= last; c++) {
		for (uint32_t i = 0; i < *count; i++)
			if (cores[i] == c)
				return -EINVAL;
		if (*count == max)
			return -EINVAL;
		cores[(*count)++] = (uint32_t)c;
	}
	return 0;
}

int text_cores(const char *text, uint32_t *cores, uint32_t max,
	       uint32_t *count)
{
	*count = 0;
	while (*text) {
		size_t bytes = strcspn(text, ",");
		size_t skip = strspn(text, " \t");
		char item[32];

		if (skip > bytes || bytes - skip >= sizeof(item))
			return -EINVAL;
		memcpy(item, text + skip, bytes - skip);
		item[bytes - skip] = '\0';
		item[strcspn(item, " \t")] = '\0';
		if (add_cores(item, cores, max, count) < 0)
			return -EINVAL;
		text += bytes;
		if (*text && !*++text)
			return -EINVAL;		/* a comma at the end */
	}
	return *count ? 0 : -EINVAL;
}
