#include "tcp/cc.h"
#include "tcp/tcp.h"

#include <string.h>

static const struct cc_ops *const algorithms[CMD_CCS] = {
	[CMD_CC_RENO] = &cc_reno,
	[CMD_CC_CUBIC] = &cc_cubic,
	[CMD_CC_DCTCP] = &cc_dctcp,
	[CMD_CC_BBR] = &cc_bbr,
};

const struct cc_ops *cc_at(uint32_t number)
{
	return number < CMD_CCS ? algorithms[number] : NULL;
}

int cc_find(const char *name)
{
	if (!name[0])
		return CMD_CC_CUBIC;
	for (int i = 0; i < CMD_CCS; i++)
		if (algorithms[i] && !strcmp(name, algorithms[i]->name))
			return i;
	return -1;
}

int tcp_cc_find(const char *name)
{
	return name[0] ? cc_find(name) : -1;
}

void cc_slow_start(struct cc_window *w, uint32_t acked)
{
	uint32_t most = w->ssthresh == CC_SSTHRESH_NONE ? 8 * w->mss :
							  2 * w->mss;

	if (!w->paced && acked > most)
		acked = most;
	w->cwnd += acked < CC_CWND_MAX ? acked : CC_CWND_MAX;
	if (w->cwnd > CC_CWND_MAX)
		w->cwnd = CC_CWND_MAX;
}
