/*
 * util_http.c - mTCP's HTTP helpers: what they find, and what they refuse
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_parsing.h"
#include "tdate_parse.h"

static const char request[] =
	"GET /a/b?c=d HTTP/1.1\r\n"
	"host: example.net\r\n"
	"X-Fake: Content-Length: 9\r\n"
	"Content-Length: 42\r\n"
	"Connection:\tKeep-Alive\r\n"
	"Empty:\r\n"
	"\r\n";

static void header_is_whole_or_not(void **state)
{
	size_t len = sizeof(request) - 1;
	char buf[512];

	(void)state;
	for (size_t n = 0; n < len; n++) {
		memcpy(buf, request, sizeof(request));
		assert_int_equal(find_http_header(buf, (int)n), 0);
		assert_memory_equal(buf, request, len);
	}
	memcpy(buf, request, sizeof(request));
	assert_int_equal(find_http_header(buf, (int)len), len);
	assert_int_equal(strlen(buf), len - 1);
}

/* No byte beyond the given length is read or written: run under asan. */
static void header_stays_in_its_bytes(void **state)
{
	static const char *const bare[] = { "", "\n", "\r\n\r", "a\n\n", "x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bare) / sizeof(*bare); i++) {
		size_t n = strlen(bare[i]);
		char *exact = malloc(n + !n);

		memcpy(exact, bare[i], n);
		assert_int_equal(find_http_header(exact, (int)n),
				 i == 3 ? 3 : 0);
		free(exact);
	}
	assert_int_equal(find_http_header(NULL, 0), 0);
}

static void values_by_name(void **state)
{
	char v[64];

	(void)state;
	assert_string_equal(http_header_str_val(request, HOST_HDR,
			    sizeof(HOST_HDR) - 1, v, sizeof(v)),
			    "example.net");
	assert_string_equal(http_header_str_val(request, CONNECTION_HDR,
			    sizeof(CONNECTION_HDR) - 1, v, sizeof(v)),
			    "Keep-Alive");
	assert_int_equal(http_header_long_val(request, CONTENT_LENGTH_HDR,
			 sizeof(CONTENT_LENGTH_HDR) - 1), 42);
	assert_null(http_header_str_val(request, "\nEmpty:", 7, v, sizeof(v)));
	assert_string_equal(v, "");
	assert_null(http_header_str_val(request, AGE_HDR, sizeof(AGE_HDR) - 1,
					v, sizeof(v)));
	assert_int_equal(http_header_long_val(request, HOST_HDR,
			 sizeof(HOST_HDR) - 1), -1);
	assert_string_equal(http_header_str_val(request, HOST_HDR,
			    sizeof(HOST_HDR) - 1, v, 5), "exam");
	assert_true(http_check_header_field(request, "\nhOsT:"));
	assert_false(http_check_header_field(request, "\nAge:"));
}

static void request_line(void **state)
{
	char buf[sizeof(request)], v[64];

	(void)state;
	memcpy(buf, request, sizeof(request));
	assert_int_equal(is_http_request(buf, sizeof(buf)), GET);
	assert_int_equal(is_http_request(buf, 2), 0);
	assert_ptr_equal(http_get_url(buf, sizeof(buf), v, sizeof(v)), buf + 4);
	assert_string_equal(v, "/a/b?c=d");
	assert_ptr_equal(http_get_url(buf, sizeof(buf), v, 4), buf + 4);
	assert_string_equal(v, "/a/");
	assert_null(http_get_url((char[]){ "PUT / HTTP/1.1" }, 14, v, 64));
	assert_null(http_get_url((char[]){ "GET" }, 3, v, 64));
	assert_int_equal(is_http_request((char[]){ "POST /" }, 6), POST);
}

static void response_line(void **state)
{
	char ok[] = "HTTP/1.1 200 OK\r\n", v[64];
	int code = 0, ver = -1;

	(void)state;
	assert_true(is_http_response(ok, sizeof(ok)));
	assert_false(is_http_response(ok, 3));
	assert_int_equal(http_get_status_code(ok), 200);
	assert_int_equal(http_get_status_code((char[]){ "HTTP/1.1" }), -1);
	assert_int_equal(http_get_status_code((char[]){ "" }), -1);
	assert_string_equal(http_get_http_version_resp(ok, sizeof(ok), v, 64),
			    "HTTP/1.1");
	assert_true(http_parse_first_resp_line(ok, sizeof(ok), &code, &ver));
	assert_int_equal(code, 200);
	assert_int_equal(ver, HTTP_11);
	assert_true(http_parse_first_resp_line("HTTP/1.0 404 no", 15, &code,
					       &ver));
	assert_int_equal(code, 404);
	assert_int_equal(ver, HTTP_10);
	assert_false(http_parse_first_resp_line("HTTP/1.0", 8, &code, &ver));
	assert_false(http_parse_first_resp_line("", 0, &code, &ver));
}

static void cache_control(void **state)
{
	char both[] = "private, max-age=60", shared[] = "s-maxage=7", not[] = "no";

	(void)state;
	assert_int_equal(http_get_maxage(both, sizeof(both)), 60);
	assert_int_equal(http_get_maxage(shared, sizeof(shared)), 7);
	assert_int_equal(http_get_maxage(not, sizeof(not)), -1);
	assert_int_equal(http_get_maxage((char[]){ "max-age=x" }, 9), -1);
	assert_int_equal(http_get_maxage(not, 0), -1);
}

static void dates(void **state)
{
	/* the example of RFC 9110 5.6.7, in its three forms */
	static const char *const forms[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
	};
	static const char *const not[] = {
		"", "never", "Sun, 32 Nov 1994 08:49:37 GMT",
		"Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994", "Sun, 99999999999 Nov 1994 08:49:37 GMT",
	};
	char text[30];

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		assert_int_equal(httpdate_to_timet(forms[i]), 784111777);
	for (size_t i = 0; i < sizeof(not) / sizeof(*not); i++)
		assert_int_equal(httpdate_to_timet(not[i]), -1);
	assert_int_equal(timet_to_httpdate(784111777, text, sizeof(text)), 0);
	assert_string_equal(text, forms[0]);
	assert_int_equal(timet_to_httpdate(784111777, text, 29), -1);
	assert_int_equal(timet_to_httpdate(0, text, 0), -1);
	assert_int_equal(http_header_date(
		"\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n", DATE_HDR,
		sizeof(DATE_HDR) - 1), 784111777);
	assert_int_equal(http_header_date("\nAge: 1", DATE_HDR,
					  sizeof(DATE_HDR) - 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_whole_or_not),
		cmocka_unit_test(header_stays_in_its_bytes),
		cmocka_unit_test(values_by_name),
		cmocka_unit_test(request_line),
		cmocka_unit_test(response_line),
		cmocka_unit_test(cache_control),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
