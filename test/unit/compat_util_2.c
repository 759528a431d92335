/* The headers once more, in another order and with all that prints. */
#define DBGERR
#define DBGMSG
#define INFO
#define EPOLL
#define DBGFUNC
#include "debug.h"
#include "ring_buffer.h"
#include "tdate_parse.h"
#include "netlib.h"
#include <time.h>
#include "http_parsing.h"
#include "rss.h"
#include "cpu.h"
#include <mtcp_epoll.h>

int second_unit(void);

int second_unit(void)
{
	TRACE_ERROR("shown %d\n", 1);
	TRACE_DBG("shown\n");
	TRACE_INFO("shown %s\n", "too");
	TRACE_EPOLL("shown\n");
	TRACE_FUNC("name", "shown %d\n", 2);
	return GetNumCPUs() > 0 ? 0 : 1;
}
