/*
 * conn_log.c - the life of connections, for `mtcpctl log debug tcp`
 *
 * At the default level one comparison a connection; at debug a line each, of
 * which the log leaves out what is more than it says in a second.
 */
#include <arpa/inet.h>

#include "base/log.h"
#include "engine/engine_state.h"

void conn_log(const struct engine *e, uint32_t conn, const char *what)
{
	char local[ADDR_TEXT_BYTES], remote[ADDR_TEXT_BYTES];
	struct tcp_info i;

	if (!log_wants(LOG_FAC_TCP, LOG_LEVEL_DEBUG))
		return;
	tcp_describe(e->tcp, conn, &i);
	log_at(LOG_FAC_TCP, LOG_LEVEL_DEBUG, 0, "%u/%u: %s: %s:%u - %s:%u, "
	       "client %u, %s", e->cfg.index, conn, what,
	       addr_text(&i.local, local), ntohs(i.lport),
	       addr_text(&i.remote, remote), ntohs(i.rport), i.client,
	       tcp_state_name(i.state));
}
