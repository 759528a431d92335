#include "inside.h"

#include "engine/engine_state.h"

const struct tcp_env *inside_tcp(const struct engine *e)
{
	return e->tcp;
}

mono_t inside_due(const struct engine *e)
{
	mono_t due = tcp_next_due(e->tcp), next = net_next_due(e->net);

	if (mono_before(next, due))
		due = next;
	next = client_next_due(e);
	return mono_before(next, due) ? next : due;
}
