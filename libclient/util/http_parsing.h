/*
 * http_parsing.h - mTCP's small HTTP parser
 *
 *	find_http_header()      is the header block whole?  terminates it
 *	is_http_request() ...   what is it, which URL, which status
 *	http_header_str_val()   one header's value by its name
 *
 * Header names are given as the *_HDR strings: they begin with the line feed
 * before the name, so that a name is not found within another's value.  All
 * functions but find_http_header() want a terminated string.
 *
 * Trust     The bytes may come from anybody; lengths are obeyed, values that
 *           do not fit are cut.
 * Threads   Pure functions on the caller's memory.
 */
#ifndef MTCP_UTIL_HTTP_PARSING_H
#define MTCP_UTIL_HTTP_PARSING_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HTTP_STR		"HTTP"
#define HTTPV0_STR		"HTTP/1.0"
#define HTTPV1_STR		"HTTP/1.1"
#define HTTP_GET		"GET"
#define HTTP_POST		"POST"
#define HTTP_CLOSE		"Close"
#define HTTP_KEEP_ALIVE		"Keep-Alive"

#define HOST_HDR		"\nHost:"
#define CONTENT_LENGTH_HDR	"\nContent-Length:"
#define CONTENT_TYPE_HDR	"\nContent-Type:"
#define CACHE_CONTROL_HDR	"\nCache-Control:"
#define CONNECTION_HDR		"\nConnection:"
#define DATE_HDR		"\nDate:"
#define EXPIRES_HDR		"\nExpires:"
#define AGE_HDR			"\nAge:"
#define LAST_MODIFIED_HDR	"\nLast-Modified:"
#define IF_MODIFIED_SINCE_HDR	"\nIf-Modified-Since:"
#define PRAGMA_HDR		"\nPragma:"
#define RANGE_HDR		"\nRange:"
#define IF_RANGE_HDR		"\nIf-Range:"
#define ETAG_HDR		"\nETag:"

enum { GET = 1, POST };
enum { HTTP_09, HTTP_10, HTTP_11 };

/*
 * The length of the header block in @data[0 .. @len - 1], with its empty line;
 * its last byte becomes NUL.  0 if it is not whole yet, @data then unchanged.
 */
int find_http_header(char *data, int len);

/* GET, POST, or 0. */
int is_http_request(char *data, int len);
/* 1 or 0. */
int is_http_response(char *data, int len);

/* Copies the value of @key to @value; NULL and "" if there is none. */
char *http_header_str_val(const char *buf, const char *key, const int key_len,
			  char *value, int value_len);
/* The value as a number, or -1. */
long int http_header_long_val(const char *buf, const char *key, int key_len);
/* The value as a date, or -1. */
time_t http_header_date(const char *data, const char *field, int len);
/* 1 if @field occurs. */
int http_check_header_field(const char *data, const char *field);

/* "HTTP/1.1" of a response into @value; NULL if it is none. */
char *http_get_http_version_resp(char *data, int len, char *value,
				 int value_len);
/* Copies a request's URL to @value.  Returns where it begins in @data, or NULL
 * and "" if @data is no request. */
char *http_get_url(char *data, int data_len, char *value, int value_len);
/* The status of a response, or -1. */
int http_get_status_code(void *response);
/* max-age, else s-maxage, of a Cache-Control value, or -1. */
int http_get_maxage(char *cache_ctl, int len);
/* 1 with *@scode and *@ver (HTTP_09 .. HTTP_11), or 0. */
int http_parse_first_resp_line(const char *data, int len, int *scode,
			       int *ver);

#ifdef __cplusplus
}
#endif

#endif
