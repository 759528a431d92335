/*
 * tdate_parse.h - HTTP dates
 *
 * Reads the three forms of RFC 9110 5.6.7, writes the first:
 *
 *	Sun, 06 Nov 1994 08:49:37 GMT	IMF-fixdate
 *	Sunday, 06-Nov-94 08:49:37 GMT	RFC 850
 *	Sun Nov  6 08:49:37 1994	asctime()
 *
 * Threads   Any; the program's locale plays no part.
 */
#ifndef MTCP_UTIL_TDATE_PARSE_H
#define MTCP_UTIL_TDATE_PARSE_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Seconds since 1970, or (time_t)-1 when @str is no date. */
time_t httpdate_to_timet(const char *str);

/* Writes @t with its NUL (30 bytes) to @str.  0, or -1 if it does not fit. */
int timet_to_httpdate(time_t t, char *str, int strlen);

#ifdef __cplusplus
}
#endif

#endif
