#include "tdate_parse.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char days[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
};

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

static int month_number(const char *name)
{
	for (int i = 0; i < 12; i++)
		if (!strcasecmp(name, months[i]))
			return i;
	return -1;
}

/* RFC 9110 5.6.7: a two-digit year that seems to lie more than 50 years ahead
 * is the last century's.  With 1970 as the first year, 70..99 are. */
static int full_year(int year)
{
	if (year >= 100)
		return year - 1900;
	return year < 70 ? year + 100 : year;
}

static bool in_range(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 &&
	       tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec <= 60 &&
	       tm->tm_year >= 0;
}

static bool scan(const char *str, struct tm *tm)
{
	char month[4];
	int year;
	bool found;

	found = sscanf(str, "%*[A-Za-z], %d %3[A-Za-z] %d %d:%d:%d",
		       &tm->tm_mday, month, &year, &tm->tm_hour, &tm->tm_min,
		       &tm->tm_sec) == 6 ||
		sscanf(str, "%*[A-Za-z], %d-%3[A-Za-z]-%d %d:%d:%d",
		       &tm->tm_mday, month, &year, &tm->tm_hour, &tm->tm_min,
		       &tm->tm_sec) == 6 ||
		sscanf(str, "%*[A-Za-z] %3[A-Za-z] %d %d:%d:%d %d",
		       month, &tm->tm_mday, &tm->tm_hour, &tm->tm_min,
		       &tm->tm_sec, &year) == 6;
	if (!found || year < 0 || year > 9999)
		return false;
	tm->tm_mon = month_number(month);
	tm->tm_year = full_year(year);
	return in_range(tm);
}

time_t httpdate_to_timet(const char *str)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	while (*str == ' ' || *str == '\t')
		str++;
	return scan(str, &tm) ? timegm(&tm) : (time_t)-1;
}

int timet_to_httpdate(time_t t, char *str, int strlen)
{
	struct tm tm;
	int n;

	if (strlen <= 0 || !gmtime_r(&t, &tm))
		return -1;
	n = snprintf(str, (size_t)strlen, "%s, %02d %s %04d %02d:%02d:%02d GMT",
		     days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		     tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return n < strlen ? 0 : -1;
}
