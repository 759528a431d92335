/*
 * debug.h - mTCP's trace macros
 *
 * TRACE_CONFIG always prints, to stdout.  The others print to stderr when the
 * program defines their switch before including this file, and are nothing
 * otherwise; their arguments are checked by the compiler either way.
 *
 *	DBGERR TRACE_ERROR    DBGMSG TRACE_DBG    INFO TRACE_INFO
 *	EPOLL TRACE_EPOLL     APP TRACE_APP       DBGFUNC TRACE_FUNC
 */
#ifndef MTCP_UTIL_DEBUG_H
#define MTCP_UTIL_DEBUG_H

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define MTCP_TRACE(on, what, f, m...)					\
	do {								\
		if (on) {						\
			fprintf(stderr, "[%10s:%4d] " what f,		\
				__func__, __LINE__, ##m);		\
		}							\
	} while (0)

#define TRACE_CONFIG(f, m...) fprintf(stdout, f, ##m)

#ifdef DBGERR
#define TRACE_ERROR(f, m...) MTCP_TRACE(1, "ERROR: ", f, ##m)
#else
#define TRACE_ERROR(f, m...) MTCP_TRACE(0, "ERROR: ", f, ##m)
#endif

#ifdef DBGMSG
#define TRACE_DBG(f, m...) MTCP_TRACE(1, "", f, ##m)
#else
#define TRACE_DBG(f, m...) MTCP_TRACE(0, "", f, ##m)
#endif

#ifdef INFO
#define TRACE_INFO(f, m...) MTCP_TRACE(1, "", f, ##m)
#else
#define TRACE_INFO(f, m...) MTCP_TRACE(0, "", f, ##m)
#endif

#ifdef EPOLL
#define TRACE_EPOLL(f, m...) MTCP_TRACE(1, "", f, ##m)
#else
#define TRACE_EPOLL(f, m...) MTCP_TRACE(0, "", f, ##m)
#endif

#ifdef APP
#define TRACE_APP(f, m...) MTCP_TRACE(1, "", f, ##m)
#else
#define TRACE_APP(f, m...) MTCP_TRACE(0, "", f, ##m)
#endif

#ifdef DBGFUNC
#define TRACE_FUNC(n, f, m...) MTCP_TRACE(1, n ": ", f, ##m)
#else
#define TRACE_FUNC(n, f, m...) MTCP_TRACE(0, n ": ", f, ##m)
#endif

#endif
