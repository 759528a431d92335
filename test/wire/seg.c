#include "seg.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/hdr.h"

static const struct {
	char letter;
	uint16_t flag;
} flag_letters[] = {
	{ 'S', TCP_SYN }, { 'F', TCP_FIN }, { 'R', TCP_RST }, { 'P', TCP_PSH },
	{ 'A', TCP_ACK }, { 'U', TCP_URG }, { 'E', TCP_ECE }, { 'C', TCP_CWR },
	{ 'N', TCP_AE },
};
#define FLAG_LETTERS (sizeof(flag_letters) / sizeof(flag_letters[0]))

/* ---- reading ---- */

static int read_flags(struct seg *s, const char *word)
{
	if (strcmp(word, "-") == 0)
		return 0;
	for (; *word; word++) {
		size_t i = 0;

		while (i < FLAG_LETTERS && flag_letters[i].letter != *word)
			i++;
		if (i == FLAG_LETTERS)
			return -EINVAL;
		s->flags |= flag_letters[i].flag;
	}
	return 0;
}

/* "name=number": true when @word has this name. */
static bool read_number(const char *word, const char *name, uint32_t *out)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0 || word[n] != '=')
		return false;
	*out = (uint32_t)strtoll(word + n + 1, NULL, 0);
	return true;
}

static int read_field(struct seg *s, const char *word)
{
	uint32_t v = 0;

	if (read_number(word, "seq", &s->seq))
		s->has |= SEG_SEQ;
	else if (read_number(word, "ack", &s->ack))
		s->has |= SEG_ACK;
	else if (read_number(word, "len", &s->len))
		s->has |= SEG_LEN;
	else if (read_number(word, "win", &s->win))
		s->has |= SEG_WIN;
	else if (read_number(word, "ecn", &v))
		s->has |= SEG_ECN, s->ecn = (uint8_t)v;
	else if (read_number(word, "cut", &s->cut))
		s->has |= SEG_CUT;
	else if (read_number(word, "doff", &v))
		s->has |= SEG_DOFF, s->doff = (uint8_t)v;
	else if (strcmp(word, "badsum") == 0)
		s->bad_sum = true;
	else if (strcmp(word, "junk") == 0)
		s->junk = true;
	else
		return -EINVAL;
	return 0;
}

static void read_timestamps(struct seg *s, const char *text)
{
	char val[16] = "", ecr[16] = "";

	if (sscanf(text, "ts %15s %15s", val, ecr) < 1)
		return;
	s->opts |= SEG_O_TS;
	if (strcmp(val, "any") == 0)
		s->opts |= SEG_O_TS_ANY;
	if (strncmp(ecr, "last", 4) == 0)
		s->opts |= SEG_O_ECR_LAST;
	if (strcmp(ecr, "any") == 0)
		s->opts |= SEG_O_ECR_ANY;
	s->ts_val = (uint32_t)strtoul(val, NULL, 0);
	s->ts_ecr = (uint32_t)strtoul(s->opts & SEG_O_ECR_LAST ? ecr + 4 : ecr,
				      NULL, 0);
}

static int read_raw(struct seg *s, const char *hex)
{
	for (; hex[0] && hex[1]; hex += 2) {
		unsigned int byte;

		if (s->raw_len == SEG_RAW_MAX || sscanf(hex, "%2x", &byte) != 1)
			return -EINVAL;
		s->raw[s->raw_len++] = (uint8_t)byte;
	}
	return *hex ? -EINVAL : 0;
}

/* What follows `tfo`. */
static int read_tfo(struct seg *s, const char *text)
{
	unsigned int byte;

	s->opts |= SEG_O_TFO;
	while (*text == ' ')
		text++;
	if (strcmp(text, "any") == 0)
		s->opts |= SEG_O_TFO_ANY;
	else if (strcmp(text, "last") == 0)
		s->opts |= SEG_O_TFO_LAST;
	else
		for (; text[0] && text[1]; text += 2) {
			if (s->tfo_len == 16 || sscanf(text, "%2x", &byte) != 1)
				return -EINVAL;
			s->tfo[s->tfo_len++] = (uint8_t)byte;
		}
	return 0;
}

/* What follows `sack`: FROM-TO, up to four of them. */
static int read_sack(struct seg *s, const char *text)
{
	int from, to, used;

	for (; sscanf(text, " %d-%d%n", &from, &to, &used) == 2; text += used) {
		if (s->sacks == SEG_SACK_MAX)
			return -EINVAL;
		s->sack[s->sacks][0] = (uint32_t)from;
		s->sack[s->sacks++][1] = (uint32_t)to;
	}
	s->opts |= SEG_O_SACK;
	return *text || !s->sacks ? -EINVAL : 0;
}

static int read_option(struct seg *s, const char *text)
{
	unsigned int v;

	if (sscanf(text, "mss %u", &v) == 1)
		s->opts |= SEG_O_MSS, s->mss = (uint16_t)v;
	else if (sscanf(text, "ws %u", &v) == 1)
		s->opts |= SEG_O_WS, s->ws = (uint8_t)v;
	else if (sscanf(text, "accecn %u %u %u", &s->accecn[0],
			&s->accecn[1], &s->accecn[2]) == 3)
		s->opts |= SEG_O_ACCECN;
	else if (strcmp(text, "sackOK") == 0)
		s->opts |= SEG_O_SACK_OK;
	else if (strcmp(text, "...") == 0)
		s->has |= SEG_MORE_OPTS;
	else if (strncmp(text, "ts ", 3) == 0)
		read_timestamps(s, text);
	else if (strncmp(text, "tfo", 3) == 0)
		return read_tfo(s, text + 3);
	else if (strncmp(text, "sack ", 5) == 0)
		return read_sack(s, text + 5);
	else if (strncmp(text, "raw ", 4) == 0)
		return read_raw(s, text + 4);
	else
		return -EINVAL;
	return 0;
}

/* @list is what stood between < and >; it is cut up. */
static int read_options(struct seg *s, char *list, char *err)
{
	char *save = NULL;

	s->has |= SEG_OPTS;
	for (char *o = strtok_r(list, ",", &save); o;
	     o = strtok_r(NULL, ",", &save)) {
		while (isspace((unsigned char)*o))
			o++;
		if (read_option(s, o) == 0)
			continue;
		snprintf(err, SEG_TEXT_BYTES, "unknown option '%s'", o);
		return -EINVAL;
	}
	return 0;
}

int seg_parse(struct seg *s, const char *text, char *err)
{
	char copy[SEG_TEXT_BYTES], *open, *close, *save = NULL, *word;

	memset(s, 0, sizeof(*s));
	snprintf(copy, sizeof(copy), "%s", text);
	open = strchr(copy, '<');
	if (open) {
		close = strchr(open, '>');
		if (!close) {
			snprintf(err, SEG_TEXT_BYTES, "'<' without '>'");
			return -EINVAL;
		}
		*open = *close = '\0';
		if (read_options(s, open + 1, err))
			return -EINVAL;
	}
	word = strtok_r(copy, " \t", &save);
	if (!word || read_flags(s, word)) {
		snprintf(err, SEG_TEXT_BYTES, "no flags: want letters of SFRPAUECN");
		return -EINVAL;
	}
	while ((word = strtok_r(NULL, " \t", &save)))
		if (read_field(s, word)) {
			snprintf(err, SEG_TEXT_BYTES, "unknown field '%s'", word);
			return -EINVAL;
		}
	return 0;
}

/* ---- writing ---- */

static int put_options(const struct seg *s, char *buf, size_t room)
{
	int n = 0;
	const char *comma = "";

	if (s->opts & SEG_O_MSS)
		n += snprintf(buf + n, room - (size_t)n, "mss %u", s->mss),
			comma = ",";
	if (s->opts & SEG_O_SACK_OK)
		n += snprintf(buf + n, room - (size_t)n, "%ssackOK", comma),
			comma = ",";
	if (s->opts & SEG_O_TS)
		n += snprintf(buf + n, room - (size_t)n, "%sts %u %u", comma,
			      s->ts_val, s->ts_ecr), comma = ",";
	if (s->opts & SEG_O_WS)
		n += snprintf(buf + n, room - (size_t)n, "%sws %u", comma,
			      s->ws), comma = ",";
	if (s->opts & SEG_O_TFO) {
		n += snprintf(buf + n, room - (size_t)n, "%stfo ", comma);
		for (int i = 0; i < s->tfo_len; i++)
			n += snprintf(buf + n, room - (size_t)n, "%02x",
				      s->tfo[i]);
		comma = ",";
	}
	if (s->opts & SEG_O_ACCECN)
		n += snprintf(buf + n, room - (size_t)n, "%saccecn %u %u %u",
			      comma, s->accecn[0], s->accecn[1], s->accecn[2]),
			comma = ",";
	if (s->opts & SEG_O_SACK) {
		n += snprintf(buf + n, room - (size_t)n, "%ssack", comma);
		for (uint32_t i = 0; i < s->sacks; i++)
			n += snprintf(buf + n, room - (size_t)n, " %d-%d",
				      (int)s->sack[i][0], (int)s->sack[i][1]);
		comma = ",";
	}
	if (s->has & SEG_MORE_OPTS)
		n += snprintf(buf + n, room - (size_t)n, "%s...", comma);
	return n;
}

const char *seg_text(const struct seg *s, char *buf)
{
	const size_t size = SEG_TEXT_BYTES;
	size_t n = 0;

	for (size_t i = 0; i < FLAG_LETTERS; i++)
		if (s->flags & flag_letters[i].flag)
			buf[n++] = flag_letters[i].letter;
	if (!n)
		buf[n++] = '-';
	buf[n] = '\0';
	if (s->has & SEG_SEQ)
		n += (size_t)snprintf(buf + n, size - n, " seq=%d", (int)s->seq);
	if (s->has & SEG_ACK)
		n += (size_t)snprintf(buf + n, size - n, " ack=%d", (int)s->ack);
	if (s->has & SEG_LEN)
		n += (size_t)snprintf(buf + n, size - n, " len=%u", s->len);
	if (s->has & SEG_WIN)
		n += (size_t)snprintf(buf + n, size - n, " win=%u", s->win);
	if (s->has & SEG_ECN)
		n += (size_t)snprintf(buf + n, size - n, " ecn=%u", s->ecn);
	if (s->has & SEG_OPTS) {
		n += (size_t)snprintf(buf + n, size - n, " <");
		n += (size_t)put_options(s, buf + n, size - n);
		snprintf(buf + n, size - n, ">");
	}
	return buf;
}

/* ---- comparing ---- */

static bool timestamps_match(const struct seg *want, const struct seg *got)
{
	if (!(want->opts & SEG_O_TS))
		return true;
	if (!(want->opts & SEG_O_TS_ANY) && want->ts_val != got->ts_val)
		return false;
	return (want->opts & SEG_O_ECR_ANY) || want->ts_ecr == got->ts_ecr;
}

static bool tfo_matches(const struct seg *want, const struct seg *got)
{
	if (!(want->opts & SEG_O_TFO))
		return true;
	if (want->opts & SEG_O_TFO_ANY)
		return got->tfo_len > 0;
	return want->tfo_len == got->tfo_len &&
	       !memcmp(want->tfo, got->tfo, got->tfo_len);
}

static bool sack_matches(const struct seg *want, const struct seg *got)
{
	return !(want->opts & SEG_O_SACK) ||
	       (want->sacks == got->sacks &&
		!memcmp(want->sack, got->sack, want->sacks * sizeof(want->sack[0])));
}

static bool options_match(const struct seg *want, const struct seg *got)
{
	const uint32_t kinds = SEG_O_MSS | SEG_O_WS | SEG_O_SACK_OK | SEG_O_TS |
			       SEG_O_TFO | SEG_O_ACCECN | SEG_O_SACK;
	uint32_t w = want->opts & kinds, g = got->opts & kinds;

	if (!(want->has & SEG_OPTS))
		return true;
	if ((want->has & SEG_MORE_OPTS) ? (w & ~g) != 0 : w != g)
		return false;
	if ((w & SEG_O_MSS) && want->mss != got->mss)
		return false;
	if ((w & SEG_O_WS) && want->ws != got->ws)
		return false;
	if ((w & SEG_O_ACCECN) &&
	    memcmp(want->accecn, got->accecn, sizeof(got->accecn)) != 0)
		return false;
	return timestamps_match(want, got) && tfo_matches(want, got) &&
	       sack_matches(want, got);
}

bool seg_matches(const struct seg *want, const struct seg *got)
{
	uint16_t differ = want->flags ^ got->flags;

	if (!(want->flags & TCP_PSH))
		differ &= (uint16_t)~TCP_PSH;
	if (differ)
		return false;
	if ((want->has & SEG_SEQ) && want->seq != got->seq)
		return false;
	if ((want->has & SEG_ACK) && want->ack != got->ack)
		return false;
	if ((want->has & SEG_ECN) && want->ecn != got->ecn)
		return false;
	if ((want->has & SEG_WIN) && want->win != got->win)
		return false;
	/* Not said: no payload. */
	if (want->len != got->len)
		return false;
	return options_match(want, got);
}

/* ---- options on the wire ---- */

static uint32_t put_u32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
	return 4;
}

static uint32_t put_u24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
	return 3;
}

uint32_t seg_opts_build(const struct seg *s, uint8_t out[SEG_RAW_MAX])
{
	uint32_t n = 0;

	memset(out, 0, SEG_RAW_MAX);
	if (s->raw_len) {
		memcpy(out, s->raw, s->raw_len);
		return (s->raw_len + 3u) & ~3u;
	}
	if (s->opts & SEG_O_MSS) {
		out[n++] = 2, out[n++] = 4;
		out[n++] = (uint8_t)(s->mss >> 8), out[n++] = (uint8_t)s->mss;
	}
	if (s->opts & SEG_O_SACK_OK)
		out[n++] = 4, out[n++] = 2;
	if (s->opts & SEG_O_TS) {
		if (n == 0)		/* RFC 7323 appendix A */
			out[n++] = 1, out[n++] = 1;
		out[n++] = 8, out[n++] = 10;
		n += put_u32(out + n, s->ts_val);
		n += put_u32(out + n, s->ts_ecr);
	}
	if (s->opts & SEG_O_SACK) {
		out[n++] = 5, out[n++] = (uint8_t)(2 + 8 * s->sacks);
		for (uint32_t i = 0; i < s->sacks; i++) {
			n += put_u32(out + n, s->sack[i][0]);
			n += put_u32(out + n, s->sack[i][1]);
		}
	}
	if (s->opts & SEG_O_WS)
		out[n++] = 3, out[n++] = 3, out[n++] = s->ws;
	if (s->opts & SEG_O_TFO) {
		out[n++] = 34, out[n++] = (uint8_t)(2 + s->tfo_len);
		memcpy(out + n, s->tfo, s->tfo_len);
		n += s->tfo_len;
	}
	if (s->opts & SEG_O_ACCECN) {
		out[n++] = 172, out[n++] = 11;
		for (int i = 0; i < 3; i++)
			n += put_u24(out + n, s->accecn[i]);
	}
	return (n + 3) & ~3u;
}

static void take_sack(struct seg *s, const uint8_t *p)
{
	uint32_t v[2];

	s->opts |= SEG_O_SACK;
	for (uint32_t i = 2; i + 8 <= p[1] && s->sacks < SEG_SACK_MAX; i += 8) {
		memcpy(v, p + i, 8);
		s->sack[s->sacks][0] = ntohl(v[0]);
		s->sack[s->sacks++][1] = ntohl(v[1]);
	}
}

static void take_option(struct seg *s, const uint8_t *p)
{
	uint32_t v[2];

	if (p[0] == 2 && p[1] == 4)
		s->opts |= SEG_O_MSS, s->mss = (uint16_t)(p[2] << 8 | p[3]);
	if (p[0] == 3 && p[1] == 3)
		s->opts |= SEG_O_WS, s->ws = p[2];
	if (p[0] == 4 && p[1] == 2)
		s->opts |= SEG_O_SACK_OK;
	if (p[0] == 5)
		take_sack(s, p);
	if (p[0] == 34 && p[1] <= 18) {
		s->opts |= SEG_O_TFO;
		s->tfo_len = (uint8_t)(p[1] - 2);
		memcpy(s->tfo, p + 2, s->tfo_len);
	}
	if (p[0] == 172 && p[1] == 11) {
		s->opts |= SEG_O_ACCECN;
		for (int i = 0; i < 3; i++)
			s->accecn[i] = (uint32_t)p[2 + 3 * i] << 16 |
				       (uint32_t)p[3 + 3 * i] << 8 |
				       p[4 + 3 * i];
	}
	if (p[0] == 8 && p[1] == 10) {
		memcpy(v, p + 2, 8);
		s->opts |= SEG_O_TS;
		s->ts_val = ntohl(v[0]);
		s->ts_ecr = ntohl(v[1]);
	}
}

bool seg_opts_read(struct seg *s, const uint8_t *p, uint32_t len)
{
	s->has |= SEG_OPTS;
	for (uint32_t i = 0; i < len && p[i] != 0;) {
		if (p[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || p[i + 1] < 2 || i + p[i + 1] > len)
			return false;
		take_option(s, p + i);
		i += p[i + 1];
	}
	return true;
}
