#include "libclient/preload/preload.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * mtcp-run hands the rules over in MTCP_RUN_RULES, as run.conf has them, with
 * ';' between: `mtcpd|kernel listen|connect|any ADDRESS[/BITS]|* PORT[-PORT]|*`.
 * The first that fits decides.  Without one, loopback, multicast and addresses
 * that the kernel has are the kernel's, all else is mtcpd's.
 */

#define RULES_MAX	64
/* Contexts, where nobody said how many: two a processor, since threads of one
 * that wake each other cost twice, and those that do little take one as well. */
#define DEFAULT_LEAST	4
#define DEFAULT_MOST	8

struct rule {
	bool mtcpd, listen, connect;
	uint32_t addr, mask;		/* host order */
	uint16_t first, last;
};

static struct rule rules[RULES_MAX];
static int count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool parse_addr(const char *s, struct rule *r)
{
	char text[64];
	char *bits;
	struct in_addr a;
	int n = 32;

	if (!strcmp(s, "*"))
		return true;
	snprintf(text, sizeof(text), "%s", s);
	bits = strchr(text, '/');
	if (bits) {
		*bits++ = 0;
		n = atoi(bits);
	}
	if (n < 0 || n > 32 || inet_pton(AF_INET, text, &a) != 1)
		return false;
	r->mask = n ? ~0u << (32 - n) : 0;
	r->addr = ntohl(a.s_addr) & r->mask;
	return true;
}

static bool parse_port(const char *s, struct rule *r)
{
	unsigned int a, b;
	int n;

	r->last = UINT16_MAX;
	if (!strcmp(s, "*"))
		return true;
	n = sscanf(s, "%u-%u", &a, &b);
	if (n == 1)
		b = a;
	if (n < 1 || a > b || b > UINT16_MAX)
		return false;
	r->first = (uint16_t)a;
	r->last = (uint16_t)b;
	return true;
}

static bool parse(const char *line, struct rule *r)
{
	char side[16], way[16], addr[64], port[16];

	*r = (struct rule){ 0 };
	if (sscanf(line, "%15s %15s %63s %15s", side, way, addr, port) != 4)
		return false;
	r->mtcpd = !strcmp(side, "mtcpd");
	r->listen = strcmp(way, "connect") != 0;
	r->connect = strcmp(way, "listen") != 0;
	return parse_addr(addr, r) && parse_port(port, r);
}

/* mtcp-run has refused what is wrong; here it is passed over. */
static void load(void)
{
	const char *env = getenv("MTCP_RUN_RULES");
	char line[160];

	while (env && *env && count < RULES_MAX) {
		size_t n = strcspn(env, ";");

		snprintf(line, sizeof(line), "%.*s", (int)n, env);
		if (parse(line, &rules[count]))
			count++;
		env += n + (env[n] == ';');
	}
}

static const struct rule *find(const struct sockaddr_in *in, bool connect)
{
	uint32_t addr = ntohl(in->sin_addr.s_addr);
	uint16_t port = ntohs(in->sin_port);

	pthread_once(&once, load);
	for (int i = 0; i < count; i++) {
		const struct rule *r = &rules[i];

		if ((connect ? r->connect : r->listen) &&
		    (addr & r->mask) == r->addr &&
		    port >= r->first && port <= r->last)
			return r;
	}
	return NULL;
}

static bool kernel_has(uint32_t addr)
{
	struct ifaddrs *list, *i;
	bool found = false;

	if (getifaddrs(&list))
		return false;
	for (i = list; i && !found; i = i->ifa_next) {
		struct sockaddr_in in;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&in, i->ifa_addr, sizeof(in));
		found = in.sin_addr.s_addr == addr;
	}
	freeifaddrs(list);
	return found;
}

static bool decide(const struct sockaddr_in *in, bool connect,
		   const char **why)
{
	const struct rule *r = find(in, connect);
	uint32_t addr = ntohl(in->sin_addr.s_addr);

	if (r) {
		*why = "a rule";
		return r->mtcpd;
	}
	*why = "loopback or multicast";
	if (addr >> 24 == 127 || addr >> 28 >= 14 || (connect && !addr))
		return false;
	*why = "the wildcard address";
	if (!addr)
		return true;
	*why = "an address that the kernel has";
	if (kernel_has(in->sin_addr.s_addr))
		return false;
	*why = connect ? "not on this host" : "not the kernel's address";
	return true;
}

bool policy_listen(const struct sockaddr_in *in, const char **why)
{
	return decide(in, false, why);
}

bool policy_connect(const struct sockaddr_in *in, const char **why)
{
	return decide(in, true, why);
}

bool policy_fallback(void)
{
	return getenv("MTCP_RUN_FALLBACK") != NULL;
}

/* As mtcp-run read it; without, by processors. */
uint32_t policy_contexts(void)
{
	const char *env = getenv("MTCP_RUN_CONTEXTS");
	unsigned long n = env ? strtoul(env, NULL, 10) : 0;
	long two = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	if (n >= 1 && n <= HOMES_MAX)
		return (uint32_t)n;
	return two < DEFAULT_LEAST ? DEFAULT_LEAST :
	       two > DEFAULT_MOST ? DEFAULT_MOST : (uint32_t)two;
}

void explain(int fd, const char *call, const struct sockaddr_in *in,
	     bool mtcpd, const char *why)
{
	char addr[INET_ADDRSTRLEN], line[200];
	ssize_t n;

	if (!getenv("MTCP_RUN_EXPLAIN"))
		return;
	inet_ntop(AF_INET, &in->sin_addr, addr, sizeof(addr));
	n = snprintf(line, sizeof(line),
		     "mtcp-run: descriptor %d: %s %s:%u: %s (%s)\n", fd, call,
		     addr, ntohs(in->sin_port), mtcpd ? "mtcpd" : "kernel",
		     why);
	n = real()->write(2, line, (size_t)n);
	(void)n;
}

void explain_homes(int fd, const char *what, uint32_t a, uint32_t b)
{
	char line[200];
	ssize_t n;

	if (!getenv("MTCP_RUN_EXPLAIN"))
		return;
	n = snprintf(line, sizeof(line),
		     "mtcp-run: descriptor %d: contexts %u and %u %s\n", fd, a,
		     b, what);
	n = real()->write(2, line, (size_t)n);
	(void)n;
}
