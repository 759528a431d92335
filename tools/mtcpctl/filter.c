#include <arpa/inet.h>
#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/mtcpctl/filter.h"

#define ERR_BYTES	256
#define TEXT_BYTES	4096	/* of a whole expression */
#define DEPTH_MAX	64	/* of parentheses and nots */

enum kind { ALL, AND, OR, NOT, STATE, HOST, NUMBER, CLIENT, ID };
enum op { EQ, NE, LT, LE, GT, GE };

struct filter {
	enum kind kind;
	struct filter *a, *b;		/* AND, OR; NOT: a */
	enum op op;
	const char *field;		/* HOST, NUMBER: of the JSON */
	const char *field2;		/* NUMBER: or this one (port) */
	double number;
	uint8_t addr[16];
	unsigned int bits;		/* that must be equal; IPv4: + 96 */
	int port;			/* HOST: -1: any */
	uint32_t states;		/* STATE: bit a name */
	char text[64];			/* CLIENT, ID */
};

struct parser {
	char words[TEXT_BYTES];		/* separated by NULs, ends with two */
	const char *at;
	unsigned int depth;
	char *err;
};

/* ---- words ---- */

static struct filter *complain(struct parser *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static struct filter *complain(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!p->err[0])
		vsnprintf(p->err, ERR_BYTES, fmt, ap);
	va_end(ap);
	return NULL;
}

/* Length of the operator or parenthesis that @s begins with, 0: none. */
static size_t symbol(const char *s)
{
	static const char *const all[] = { "==", "!=", "<=", ">=", "&&", "||",
		"=", "<", ">", "(", ")", "&", "|", "!" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strncmp(s, all[i], strlen(all[i])))
			return strlen(all[i]);
	return 0;
}

/* Appends the words of @s to p->words + @used; the new end, 0: no room. */
static size_t split(struct parser *p, size_t used, const char *s)
{
	while (*s) {
		size_t n = symbol(s);

		if (isspace((unsigned char)*s)) {
			s++;
			continue;
		}
		if (!n)
			while (s[n] && !isspace((unsigned char)s[n]) &&
			       !symbol(s + n))
				n++;
		if (used + n + 2 > TEXT_BYTES)
			return 0;
		memcpy(p->words + used, s, n);
		used += n;
		p->words[used++] = '\0';
		s += n;
	}
	return used;
}

static const char *peek(const struct parser *p)
{
	return *p->at ? p->at : NULL;
}

static const char *next(struct parser *p)
{
	const char *word = peek(p);

	if (word)
		p->at += strlen(word) + 1;
	return word;
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; word && *list; list++)
		if (!strcasecmp(word, *list))
			return true;
	return false;
}

static bool accept_word(struct parser *p, const char *const *list)
{
	if (!is_one_of(peek(p), list))
		return false;
	next(p);
	return true;
}

static struct filter *node(struct parser *p, enum kind kind)
{
	struct filter *f = calloc(1, sizeof(*f));

	if (!f)
		return complain(p, "no memory");
	f->kind = kind;
	return f;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	filter_free(f->a);
	filter_free(f->b);
	free(f);
}

/* ---- terms ---- */

static const char *const state_names[] = { "CLOSED", "LISTEN", "SYN_SENT",
	"SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
	"CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT" };
#define STATES	(sizeof(state_names) / sizeof(state_names[0]))

static const struct {
	const char *name;
	uint32_t bits;
} state_groups[] = {
	{ "all", 0x7ff }, { "listening", 1 << 1 }, { "syn-recv", 1 << 3 },
	{ "connected", 0x7fc }, { "synchronized", 0x7f0 },
	{ "estab", 1 << 4 }, { "bucket", 1 << 3 | 1 << 10 },
	{ "big", 0x3f6 },
};

/* '-' and '_' are one; 0: no such state. */
static uint32_t states_of(const char *word)
{
	char name[32];
	size_t n = strlen(word);

	for (size_t i = 0; i < sizeof(state_groups) / sizeof(state_groups[0]);
	     i++)
		if (!strcasecmp(word, state_groups[i].name))
			return state_groups[i].bits;
	if (n >= sizeof(name))
		return 0;
	for (size_t i = 0; i <= n; i++)
		name[i] = word[i] == '-' ? '_' : word[i];
	for (size_t i = 0; i < STATES; i++)
		if (!strcasecmp(name, state_names[i]))
			return 1u << i;
	return 0;
}

static struct filter *state_term(struct parser *p)
{
	const char *word = next(p);
	struct filter *f;

	if (!word || !states_of(word))
		return complain(p, "state: a name such as established, "
				"syn-sent, time-wait, listening, all; not %s",
				word ? word : "nothing");
	f = node(p, STATE);
	if (f)
		f->states = states_of(word);
	return f;
}

static bool port_of(const char *text, int *port)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || n > 65535)
		return false;
	*port = (int)n;
	return true;
}

/* 16 bytes, IPv4 mapped; how many bits it has, 0: no address. */
static unsigned int addr_of(const char *text, uint8_t addr[16])
{
	memset(addr, 0, 16);
	addr[10] = addr[11] = 0xff;
	if (inet_pton(AF_INET, text, addr + 12) == 1)
		return 32;
	return inet_pton(AF_INET6, text, addr) == 1 ? 128 : 0;
}

/* ADDRESS[/BITS][:PORT]; IPv6 with a port in [ ]. */
static bool host_of(const char *word, struct filter *f)
{
	char text[64], *colon, *slash, *addr = text;
	unsigned int full;
	int bits = -1;

	if (strlen(word) >= sizeof(text))
		return false;
	strcpy(text, word);
	f->port = -1;
	colon = strrchr(text, ':');
	if (colon && (strchr(text, ':') == colon || colon[-1] == ']')) {
		if (strcmp(colon + 1, "*") && !port_of(colon + 1, &f->port))
			return false;
		*colon = '\0';
	}
	if (*addr == '[' && addr[strlen(addr) - 1] == ']') {
		addr[strlen(addr) - 1] = '\0';
		addr++;
	}
	if (!*addr || !strcmp(addr, "*"))
		return true;
	slash = strchr(addr, '/');
	if (slash) {
		*slash = '\0';
		if (!port_of(slash + 1, &bits))
			return false;
	}
	full = addr_of(addr, f->addr);
	if (!full || bits > (int)full)
		return false;
	f->bits = 128 - full + (bits < 0 ? full : (unsigned int)bits);
	return true;
}

static struct filter *host_term(struct parser *p, const char *field)
{
	const char *word = next(p);
	struct filter *f = node(p, HOST);

	if (!f)
		return NULL;
	f->field = field;
	if (word && host_of(word, f))
		return f;
	filter_free(f);
	return complain(p, "an address such as 10.0.0.2, 10.0.0.0/8, "
			"10.0.0.2:80 or :80; not %s", word ? word : "nothing");
}

static enum op op_of(struct parser *p)
{
	static const char *const names[][4] = {
		[EQ] = { "=", "==", "eq", NULL }, [NE] = { "!=", "ne", NULL },
		[LT] = { "<", "lt", NULL }, [LE] = { "<=", "le", NULL },
		[GT] = { ">", "gt", NULL }, [GE] = { ">=", "ge", NULL } };

	for (int op = EQ; op <= GE; op++)
		if (accept_word(p, names[op]))
			return (enum op)op;
	return EQ;
}

static bool number_of(const char *word, double *out)
{
	static const struct {
		const char *unit;
		double by;
	} units[] = { { "", 1 }, { "us", 1 }, { "ms", 1e3 }, { "s", 1e6 },
		      { "k", 1024 }, { "m", 1048576 }, { "g", 1073741824 } };
	char *end;
	double n = strtod(word, &end);

	if (!isdigit((unsigned char)word[0]))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(end, units[i].unit))
			continue;
		*out = n * units[i].by;
		return true;
	}
	return false;
}

static struct filter *number_term(struct parser *p, const char *field,
				  const char *field2, bool port)
{
	struct filter *f = node(p, NUMBER);
	const char *word;
	int n;

	if (!f)
		return NULL;
	f->field = field;
	f->field2 = field2;
	f->op = op_of(p);
	word = next(p);
	if (word && port && word[0] == ':')
		word++;
	if (word && port ? port_of(word, &n) : false) {
		f->number = n;
		return f;
	}
	if (word && !port && number_of(word, &f->number))
		return f;
	filter_free(f);
	return complain(p, "%s: a %s, not %s", port ? "port" : field,
			port ? "port from 0 to 65535" : "number",
			word ? word : "nothing");
}

static struct filter *text_term(struct parser *p, enum kind kind)
{
	const char *word = next(p);
	struct filter *f = node(p, kind);

	if (!f)
		return NULL;
	if (word && strlen(word) < sizeof(f->text)) {
		strcpy(f->text, word);
		return f;
	}
	filter_free(f);
	return complain(p, kind == ID ? "id: ENGINE/NUMBER/GENERATION" :
			"client: its number or name");
}

/* Words of people beside names of the JSON. */
static const struct {
	const char *word, *field;
} fields[] = {
	{ "engine", "engine" }, { "context", "context" },
	{ "recv-q", "recv_q" }, { "recv_q", "recv_q" },
	{ "send-q", "send_q" }, { "send_q", "send_q" },
	{ "unsent", "unsent" }, { "cwnd", "cwnd" },
	{ "ssthresh", "ssthresh" }, { "snd_wnd", "snd_wnd" },
	{ "rcv_wnd", "rcv_wnd" }, { "rtt", "srtt_us" },
	{ "srtt_us", "srtt_us" }, { "rto", "rto_us" }, { "rto_us", "rto_us" },
	{ "mss", "mss" }, { "retrans", "retransmits" },
	{ "retransmits", "retransmits" },
};

static struct filter *term(struct parser *p)
{
	const char *word = next(p);

	if (!word)
		return complain(p, "the expression ends too early");
	if (!strcmp(word, "state"))
		return state_term(p);
	if (!strcmp(word, "src"))
		return host_term(p, "local");
	if (!strcmp(word, "dst"))
		return host_term(p, "remote");
	if (!strcmp(word, "sport"))
		return number_term(p, "lport", NULL, true);
	if (!strcmp(word, "dport"))
		return number_term(p, "rport", NULL, true);
	if (!strcmp(word, "port"))
		return number_term(p, "lport", "rport", true);
	if (!strcmp(word, "client"))
		return text_term(p, CLIENT);
	if (!strcmp(word, "id"))
		return text_term(p, ID);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!strcmp(word, fields[i].word))
			return number_term(p, fields[i].field, NULL, false);
	return complain(p, "\"%s\" begins no term; there are: state, src, dst, "
			"sport, dport, port, client, id, engine, rtt, send-q, "
			"recv-q, retrans ... (mtcpctl(1))", word);
}

/* ---- expressions ---- */

static struct filter *or_expr(struct parser *p);

static struct filter *pair(struct parser *p, enum kind kind, struct filter *a,
			   struct filter *b)
{
	struct filter *f = a && b ? node(p, kind) : NULL;

	if (!f) {
		filter_free(a);
		filter_free(b);
		return NULL;
	}
	f->a = a;
	f->b = b;
	return f;
}

static struct filter *not_expr(struct parser *p)
{
	static const char *const nots[] = { "not", "!", NULL };
	static const char *const open[] = { "(", NULL };
	static const char *const shut[] = { ")", NULL };
	struct filter *f, *a;

	if (++p->depth > DEPTH_MAX)
		return complain(p, "more than %d parentheses deep", DEPTH_MAX);
	if (accept_word(p, nots)) {
		a = not_expr(p);
		f = a ? node(p, NOT) : NULL;
		if (f)
			f->a = a;
		else
			filter_free(a);
	} else if (accept_word(p, open)) {
		f = or_expr(p);
		if (f && !accept_word(p, shut)) {
			filter_free(f);
			f = complain(p, "a ) is missing");
		}
	} else {
		f = term(p);
	}
	p->depth--;
	return f;
}

static struct filter *and_expr(struct parser *p)
{
	static const char *const ands[] = { "and", "&", "&&", NULL };
	static const char *const ends[] = { "or", "|", "||", ")", NULL };
	struct filter *f = not_expr(p);

	while (f && peek(p) && !is_one_of(peek(p), ends)) {
		accept_word(p, ands);
		f = pair(p, AND, f, not_expr(p));
	}
	return f;
}

static struct filter *or_expr(struct parser *p)
{
	static const char *const ors[] = { "or", "|", "||", NULL };
	struct filter *f = and_expr(p);

	while (f && accept_word(p, ors))
		f = pair(p, OR, f, and_expr(p));
	return f;
}

struct filter *filter_parse(char *const *words, int count, char *err)
{
	struct parser p = { .err = err };
	struct filter *f;
	size_t used = 0;

	err[0] = '\0';
	for (int i = 0; i < count; i++) {
		size_t more = split(&p, used, words[i]);

		if (!more && words[i][0])
			return complain(&p, "the filter is too long");
		used = more ? more : used;
	}
	p.words[used] = '\0';
	p.at = p.words;
	if (!peek(&p))
		return node(&p, ALL);
	f = or_expr(&p);
	if (f && peek(&p)) {
		complain(&p, "unexpected: %s", peek(&p));
		filter_free(f);
		return NULL;
	}
	return f;
}

/* ---- matching ---- */

static const char *text(const json_t *from, const char *name)
{
	const char *s = json_string_value(json_object_get(from, name));

	return s ? s : "";
}

static bool compare(double a, enum op op, double b)
{
	switch (op) {
	case EQ: return a == b;
	case NE: return a != b;
	case LT: return a < b;
	case LE: return a <= b;
	case GT: return a > b;
	case GE: return a >= b;
	}
	return false;
}

static bool match_number(const struct filter *f, const json_t *conn)
{
	double a = json_number_value(json_object_get(conn, f->field));
	double b = f->field2 ?
		   json_number_value(json_object_get(conn, f->field2)) : a;
	bool first = compare(a, f->op, f->number);
	bool second = compare(b, f->op, f->number);

	/* "port != 80": neither is */
	return f->op == NE ? first && second : first || second;
}

static bool match_host(const struct filter *f, const json_t *conn)
{
	bool local = !strcmp(f->field, "local");
	json_t *port = json_object_get(conn, local ? "lport" : "rport");
	uint8_t addr[16];
	unsigned int whole = f->bits / 8, rest = f->bits % 8;

	if (f->port >= 0 && f->port != json_integer_value(port))
		return false;
	if (!f->bits)
		return true;
	if (!addr_of(text(conn, f->field), addr) ||
	    memcmp(addr, f->addr, whole))
		return false;
	return !rest || !((addr[whole] ^ f->addr[whole]) >> (8 - rest));
}

static bool match_state(const struct filter *f, const json_t *conn)
{
	return (states_of(text(conn, "state")) & f->states) != 0;
}

static bool match_client(const struct filter *f, const json_t *conn)
{
	char id[24];

	snprintf(id, sizeof(id), "%lld", (long long)
		 json_integer_value(json_object_get(conn, "client")));
	return !strcmp(id, f->text) ||
	       !fnmatch(f->text, text(conn, "client_name"), 0);
}

bool filter_match(const struct filter *f, const json_t *conn)
{
	switch (f->kind) {
	case ALL: return true;
	case AND: return filter_match(f->a, conn) && filter_match(f->b, conn);
	case OR: return filter_match(f->a, conn) || filter_match(f->b, conn);
	case NOT: return !filter_match(f->a, conn);
	case STATE: return match_state(f, conn);
	case HOST: return match_host(f, conn);
	case NUMBER: return match_number(f, conn);
	case CLIENT: return match_client(f, conn);
	case ID: return !strcmp(f->text, text(conn, "id"));
	}
	return false;
}

void filter_apply(const struct filter *f, json_t *conns)
{
	size_t kept = 0, count = json_array_size(conns);

	for (size_t i = 0; i < count; i++) {
		json_t *conn = json_array_get(conns, i);

		if (filter_match(f, conn))
			json_array_set(conns, kept++, conn);
	}
	while (json_array_size(conns) > kept)
		json_array_remove(conns, json_array_size(conns) - 1);
}
