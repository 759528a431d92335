#include "http_parsing.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tdate_parse.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_line_end(char c)
{
	return c == '\0' || c == '\r' || c == '\n';
}

static bool begins_with(const char *data, int len, const char *word)
{
	size_t n = strlen(word);

	return len >= 0 && (size_t)len >= n && !memcmp(data, word, n);
}

/* Copies up to the first byte for which @ends holds, cut to @value_len. */
static char *copy_until(const char *from, bool (*ends)(char), char *value,
			int value_len)
{
	int n = 0;

	if (value_len <= 0)
		return NULL;
	while (n < value_len - 1 && !ends(from[n])) {
		value[n] = from[n];
		n++;
	}
	value[n] = '\0';
	return n ? value : NULL;
}

static bool ends_word(char c)
{
	return is_blank(c) || is_line_end(c);
}

/* A whole number of at most @max at the start of @text, or -1. */
static long number(const char *text, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return errno || end == text || n < 0 || n > max ? -1 : n;
}

int find_http_header(char *data, int len)
{
	for (int i = 0; i < len; i++) {
		int next = i + 1;

		if (data[i] != '\n')
			continue;
		if (next < len && data[next] == '\r')
			next++;
		if (next < len && data[next] == '\n') {
			data[next] = '\0';
			return next + 1;
		}
	}
	return 0;
}

int is_http_request(char *data, int len)
{
	if (begins_with(data, len, HTTP_GET))
		return GET;
	return begins_with(data, len, HTTP_POST) ? POST : 0;
}

int is_http_response(char *data, int len)
{
	return begins_with(data, len, HTTP_STR);
}

char *http_header_str_val(const char *buf, const char *key, const int key_len,
			  char *value, int value_len)
{
	const char *found = strcasestr(buf, key);

	if (value_len > 0)
		*value = '\0';
	if (!found || key_len < 0 || (size_t)key_len > strlen(key))
		return NULL;
	found += key_len;
	while (is_blank(*found))
		found++;
	return copy_until(found, is_line_end, value, value_len);
}

long int http_header_long_val(const char *buf, const char *key, int key_len)
{
	char value[32];

	if (!http_header_str_val(buf, key, key_len, value, sizeof(value)))
		return -1;
	return number(value, LONG_MAX);
}

time_t http_header_date(const char *data, const char *field, int len)
{
	char value[64];

	if (!http_header_str_val(data, field, len, value, sizeof(value)))
		return (time_t)-1;
	return httpdate_to_timet(value);
}

int http_check_header_field(const char *data, const char *field)
{
	return strcasestr(data, field) != NULL;
}

char *http_get_http_version_resp(char *data, int len, char *value,
				 int value_len)
{
	if (value_len > 0)
		*value = '\0';
	if (!is_http_response(data, len))
		return NULL;
	return copy_until(data, ends_word, value, value_len);
}

char *http_get_url(char *data, int data_len, char *value, int value_len)
{
	int method = is_http_request(data, data_len);
	char *url;

	if (value_len > 0)
		*value = '\0';
	if (!method)
		return NULL;
	url = data + strlen(method == GET ? HTTP_GET : HTTP_POST);
	if (!is_blank(*url))
		return NULL;
	while (is_blank(*url))
		url++;
	copy_until(url, ends_word, value, value_len);
	return url;
}

int http_get_status_code(void *response)
{
	const char *text = response;

	while (!ends_word(*text))
		text++;
	return (int)number(text, 999);
}

int http_get_maxage(char *cache_ctl, int len)
{
	static const char *const names[] = { "max-age=", "s-maxage=" };

	if (len <= 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		const char *found = strcasestr(cache_ctl, names[i]);

		if (found)
			return (int)number(found + strlen(names[i]), INT_MAX);
	}
	return -1;
}

int http_parse_first_resp_line(const char *data, int len, int *scode, int *ver)
{
	long code;

	if (!begins_with(data, len, "HTTP/"))
		return 0;
	if (begins_with(data, len, HTTPV1_STR))
		*ver = HTTP_11;
	else
		*ver = begins_with(data, len, HTTPV0_STR) ? HTTP_10 : HTTP_09;
	while (!ends_word(*data))
		data++;
	code = number(data, 999);
	if (code < 0)
		return 0;
	*scode = (int)code;
	return 1;
}
