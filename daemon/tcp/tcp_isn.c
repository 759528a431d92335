#include <string.h>

#include "base/siphash.h"
#include "tcp/env.h"

/* RFC 6528 3: ISN = M + F(tuple, secret), M a clock of 4 us. */
seq_t tcp_isn(const struct tcp_env *env, const struct flow_tuple *tuple)
{
	struct { struct flow_tuple tuple; uint32_t use; } in;

	memset(&in, 0, sizeof(in));
	in.tuple = *tuple;
	in.use = 0x6973736e;	/* another function than the flow table's */
	return (seq_t)siphash(env->cfg.secret, &in, sizeof(in)) +
	       (seq_t)(env->now.us / 4);
}

/* RFC 7323 5.4 and 7.1: milliseconds, from a start of each flow's own. */
uint32_t tcp_ts_now(const struct tcp_env *env, uint32_t hash)
{
	return now_ms(env) + (hash >> 7) * 0x9e3779b1u;
}
