/*
 * mTCP's helper headers, included in the order of its epserver and epwget and
 * built with their flags: every name with exactly mTCP's type, and what
 * programs expect of it.  compat_util_2.c includes them a second time, so a
 * header that defines anything does not link.
 */
#undef NDEBUG		/* assert() is the test */
#include <mtcp_api.h>
#include <mtcp_epoll.h>
#include "cpu.h"
#include "rss.h"
#include "http_parsing.h"
#include "netlib.h"
#define APP
#include "debug.h"
#include "tdate_parse.h"
#include "ring_buffer.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pointer of mTCP's type to each: a wrong prototype does not compile. */
static int (*const num_cpus)(void) = GetNumCPUs;
static int (*const affinitize)(int) = CoreAffinitize;
static uint32_t (*const rss_hash)(in_addr_t, in_addr_t, in_port_t,
				  in_port_t) = GetRSSHash;
static int (*const rss_core)(in_addr_t, in_addr_t, in_port_t, in_port_t,
			     int) = GetRSSCPUCore;
static int (*const num_cores)(void) = GetNumCPUCores;
static int (*const thread_to_core)(int) = AffinitizeThreadToCore;
static int (*const server_socket)(int, int) = CreateServerSocket;
static int (*const client_socket)(in_addr_t, int, int) =
	CreateConnectionSocket;
static int (*const str_to_int)(const char *, int) = mystrtol;
static void (*const parse_options)(int, const char **, struct Options *) =
	ParseOptions;
static void (*const print_options)(const struct Options *, int) =
	PrintOptions;
static char *(*const header_string)(const char *, const char *, int) =
	GetHeaderString;
static int (*const header_long)(const char *, const char *, int, long int *) =
	GetHeaderLong;
static int (*const find_header)(char *, int) = find_http_header;
static int (*const is_response)(char *, int) = is_http_response;
static int (*const is_request)(char *, int) = is_http_request;
static char *(*const str_val)(const char *, const char *, const int, char *,
			      int) = http_header_str_val;
static long int (*const long_val)(const char *, const char *, int) =
	http_header_long_val;
static char *(*const resp_version)(char *, int, char *, int) =
	http_get_http_version_resp;
static char *(*const get_url)(char *, int, char *, int) = http_get_url;
static int (*const status_code)(void *) = http_get_status_code;
static int (*const max_age)(char *, int) = http_get_maxage;
static time_t (*const header_date)(const char *, const char *, int) =
	http_header_date;
static int (*const first_line)(const char *, int, int *, int *) =
	http_parse_first_resp_line;
static int (*const check_field)(const char *, const char *) =
	http_check_header_field;
static time_t (*const from_date)(const char *) = httpdate_to_timet;
static int (*const to_date)(time_t, char *, int) = timet_to_httpdate;

static void cores(void)
{
	assert(num_cpus() > 0 && num_cores() == num_cpus());
	assert(affinitize(0) == 0 && thread_to_core(0) == 0);
	/* The published vector of Microsoft's RSS specification, host order */
	assert(rss_core(ntohl(inet_addr("66.9.149.187")),
			ntohl(inet_addr("161.142.100.80")), 2794, 1766, 1) ==
	       0);
	assert(rss_hash(1, 2, 3, 4) == GetRSSHash(1, 2, 3, 4));
	assert(rss_core(1, 2, 3, 4, 4) >= 0 && rss_core(1, 2, 3, 4, 4) < 4);
}

static void macros(void)
{
	int *p = malloc(sizeof(*p));

	VERIFY(p != NULL);
	FREE(p);
	assert(!p && TRUE == 1 && FALSE == 0);
	assert(MAX(1, 2) == 2 && MIN(1, 2) == 1);
	UNUSED(p);
	TRACE_CONFIG("%s %d\n", "a line", 1);
	TRACE_CONFIG("a line alone\n");
	TRACE_ERROR("not shown %d\n", 1);
	TRACE_DBG("not shown\n");
	TRACE_INFO("not shown %s\n", "either");
	TRACE_EPOLL("not shown\n");
	TRACE_APP("shown %d\n", 3);
	TRACE_FUNC("name", "not shown %d\n", 1);
}

static void net(void)
{
	static char *port, *folder;
	static struct Options ops[] = {
		{ "-p", &port, "a port" }, { "-w", &folder, "a folder" },
		{ NULL, NULL, NULL } };
	const char *argv[] = { "prog", "-p", "80", "-w", "/srv", NULL };
	const char *text = "GET / HTTP/1.0\r\nHost: a.b\r\n"
			   "Content-Length: 42\r\n\r\n";
	long int n = 0;
	int fd;

	parse_options(5, argv, ops);
	assert(strcmp(port, "80") == 0 && strcmp(folder, "/srv") == 0);
	print_options(ops, TRUE);
	assert(str_to_int("77", 10) == 77);
	assert(header_string(text, "Host:", 5) != NULL);
	assert(header_long(text, "Content-Length:", 15, &n) == TRUE &&
	       n == 42);
	fd = server_socket(0, TRUE);
	assert(fd >= 0 && client_socket != NULL);
	close(fd);
}

static void http(void)
{
	char req[] = "GET /a/b HTTP/1.1\r\nHost: a.b\r\n"
		     "Connection: keep-alive\r\nContent-Length: 7\r\n"
		     "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
	char resp[] = "HTTP/1.1 404 Not Found\r\n\r\n";
	char age[] = "max-age=60";
	char value[64];
	const char *const names[] = {
		HTTP_STR, HTTPV0_STR, HTTPV1_STR, HTTP_GET, HTTP_POST,
		HTTP_CLOSE, HTTP_KEEP_ALIVE, HOST_HDR, CONTENT_LENGTH_HDR,
		CONTENT_TYPE_HDR, CACHE_CONTROL_HDR, CONNECTION_HDR, DATE_HDR,
		EXPIRES_HDR, AGE_HDR, LAST_MODIFIED_HDR, IF_MODIFIED_SINCE_HDR,
		PRAGMA_HDR, RANGE_HDR, IF_RANGE_HDR, ETAG_HDR };
	int len = (int)strlen(req), code = 0, ver = -1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert(names[i][0] != '\0');
	assert(GET == 1 && POST == 2 && HTTP_09 == 0 && HTTP_11 == 2 &&
	       HTTP_10 == 1);
	assert(find_header(req, len) == len);
	assert(is_request(req, len) == GET && is_response(resp, 26));
	assert(get_url(req, len, value, sizeof(value)) == req + 4);
	assert(strcmp(value, "/a/b") == 0);
	assert(strcmp(str_val(req, HOST_HDR, sizeof(HOST_HDR) - 1, value,
			      sizeof(value)), "a.b") == 0);
	assert(long_val(req, CONTENT_LENGTH_HDR,
			sizeof(CONTENT_LENGTH_HDR) - 1) == 7);
	assert(header_date(req, DATE_HDR, sizeof(DATE_HDR) - 1) ==
	       784111777);
	assert(check_field(req, CONNECTION_HDR));
	assert(resp_version(resp, 26, value, sizeof(value)) != NULL);
	assert(status_code(resp) == 404 && max_age(age, 10) == 60);
	assert(first_line(resp, 26, &code, &ver) && code == 404 &&
	       ver == HTTP_11);
}

static void dates(void)
{
	char text[64];

	to_date(784111777, text, sizeof(text));
	assert(strcmp(text, "Sun, 06 Nov 1994 08:49:37 GMT") == 0);
	assert(from_date(text) == 784111777);
}

static void rings(void)
{
	ring_buffer *a = InitBuffer(64), *b = InitBuffer(64);

	assert(a && b && GetTotSizeRBuffer(a) == 64);
	memcpy(GetInputPoint(a), "hello", 5);
	AddDataLen(a, 5);
	assert(GetDataSizeRBuffer(a) == 5 && GetCumSizeRBuffer(a) == 5);
	assert(GetRemainBufferSize(a) == 59 && CheckAvailableSize(a, 59));
	assert(!CheckAvailableSize(a, 60));
	assert(memcmp(GetDataPoint(a), "hello", 5) == 0);
	CopyData(b, a, 2);
	MoveData(b, a, 3);
	assert(GetDataSizeRBuffer(a) == 2 && GetDataSizeRBuffer(b) == 5);
	assert(memcmp(GetDataPoint(b), "hehel", 5) == 0);
	MoveToREPData(b, a, 2);
	RemoveDataFromBuffer(b, 1);
	assert(MtcpWriteFromBuffer(NULL, 0, b) < 0);
	assert(MtcpReadFromBuffer(NULL, 0, a) < 0);
	free(a);
	free(b);
}

int second_unit(void);

int main(void)
{
	cores();
	macros();
	net();
	http();
	dates();
	rings();
	return second_unit();
}
