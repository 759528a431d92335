/*
 * netlib.h - mTCP's helpers for small network programs
 *
 * The socket functions make kernel sockets, as mTCP's do: for a program's
 * side channel, or to run the same program on the kernel.
 *
 * struct Options is a type here and nothing else.  mTCP's header also defines
 * a variable of that name in every file that includes it, which does not link
 * with a compiler of today.
 *
 * Errors    Descriptors and counts: -1 and errno.  mystrtol() and
 *           ParseOptions() are for command lines: they say what is wrong on
 *           stderr and end the program.
 * Threads   Any; AffinitizeThreadToCore() moves the calling thread.
 */
#ifndef MTCP_UTIL_NETLIB_H
#define MTCP_UTIL_NETLIB_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TRUE
#define TRUE	1
#endif
#ifndef FALSE
#define FALSE	0
#endif
#ifndef MAX
#define MAX(a, b)	((a) > (b) ? (a) : (b))
#endif
#ifndef MIN
#define MIN(a, b)	((a) < (b) ? (a) : (b))
#endif
#ifndef VERIFY
#define VERIFY(x)							\
	do {								\
		if (!(x)) {						\
			fprintf(stderr, "%s:%d: not true: %s\n",	\
				__FILE__, __LINE__, #x);		\
			abort();					\
		}							\
	} while (0)
#endif
#ifndef FREE
#define FREE(x)								\
	do {								\
		free(x);						\
		(x) = NULL;						\
	} while (0)
#endif

int GetNumCPUCores(void);
int AffinitizeThreadToCore(int core);

/* A listening kernel socket on every address; @port in host order. */
int CreateServerSocket(int port, int isNonBlocking);

/* @addr in network order, @port in host order.  Not blocking: the connection
 * may still be under way when the descriptor is returned. */
int CreateConnectionSocket(in_addr_t addr, int port, int isNonBlocking);

/* A whole number in @base; ends the program if @nptr is anything else. */
int mystrtol(const char *nptr, int base);

/* One option that takes a value; a table of them ends with op_name NULL. */
struct Options {
	char *op_name;		/* "-p" */
	char **op_varptr;	/* where a pointer to the value is stored */
	char *op_comment;	/* for PrintOptions() */
};

/* Values stay in @argv.  An unknown option or a missing value ends the
 * program with the table printed. */
void ParseOptions(int argc, const char **argv, struct Options *ops);
void PrintOptions(const struct Options *ops, int printVal);

/* The value of @header in the header block @buf, within @buf and not
 * terminated; NULL if there is none.  @hdrsize: strlen(@header). */
char *GetHeaderString(const char *buf, const char *header, int hdrsize);

/* TRUE and the value in @val, or FALSE. */
int GetHeaderLong(const char *buf, const char *header, int hdrsize,
		  long int *val);

#ifdef __cplusplus
}
#endif

#endif
