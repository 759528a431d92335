/*
 * filter.h - which connections are meant
 *
 *	expr  := and { ("or" | "|" | "||") and }
 *	and   := not { ["and" | "&" | "&&"] not }	side by side is "and"
 *	not   := ("not" | "!") not | "(" expr ")" | term
 *	term  := state NAME			established, listening, all ...
 *	       | src HOST | dst HOST		ADDRESS[/BITS][:PORT], :PORT, *
 *	       | (sport | dport | port) [OP] PORT
 *	       | client (ID | NAME)		* in a name: anything
 *	       | FIELD [OP] NUMBER[UNIT]	any number of the JSON; rtt
 *	       | id E/C/G			one connection, as conns -i has it
 *	OP    := = == eq  != ne  < lt  <= le  > gt  >= ge	without: =
 *
 * As ss(8) has it, so that one's fingers know it.  UNIT: us ms s of times, k m
 * g (1024) of bytes.
 *
 * Ownership  filter_parse() allocates, filter_free() frees.
 */
#ifndef TOOLS_MTCPCTL_FILTER_H
#define TOOLS_MTCPCTL_FILTER_H

#include <jansson.h>
#include <stdbool.h>

struct filter;

/* The words of a command line.  NULL with a sentence in @err (256 bytes);
 * without words everything matches. */
struct filter *filter_parse(char *const *words, int count, char *err);
bool filter_match(const struct filter *f, const json_t *conn);
void filter_free(struct filter *f);

/* Removes from the array @conns what does not match. */
void filter_apply(const struct filter *f, json_t *conns);

#endif
