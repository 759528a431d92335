#include <arpa/inet.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/control.h"

/* One counter of a struct of counters. */
struct field {
	const char *name;
	size_t at;
};

#define E(f)	{ #f, offsetof(struct engine_stats, f) }
static const struct field engine_fields[] = {
	E(loops), E(busy_loops), E(sleeps), E(wakes_sent), E(wakes_received),
	E(port_wakes), E(timer_wakes),
	E(commands), E(events), E(stale_handles), E(rings_full), E(send_stalls),
	E(handed_over), E(handed_in), E(handover_full), E(accepted),
	E(accept_waits), E(given_back), E(accept_looks), E(clients),
	E(contexts), E(frame_dropped),
	E(policy_denied), E(policy_connect_rate), E(policy_accept_rate),
	E(policy_connections), E(access_denied), E(cpu_us),
};
#undef E

#define T(f)	{ #f, offsetof(struct tcp_stats, f) }
static const struct field tcp_fields[] = {
	T(segs_in), T(segs_out), T(bytes_in), T(bytes_out), T(retrans_segs),
	T(rsts_in), T(rsts_out), T(dup_acks_in), T(fast_retransmits),
	T(sacks_in), T(sacks_out), T(sacks_bad), T(dsacks_in), T(dsacks_out),
	T(sack_recoveries), T(sack_reneged), T(sack_forgotten),
	T(rack_lost), T(lost_retransmits), T(reordered), T(tlp_probes),
	T(tlp_recoveries), T(undo_frto), T(undo_eifel), T(undo_dsack),
	T(timeouts), T(syns_in), T(passive_opens), T(active_opens),
	T(connect_failures), T(resets), T(out_of_order),
	T(zero_window_probes), T(challenge_acks), T(time_wait_reused),
	T(time_wait_evicted), T(syn_evicted), T(conns), T(listeners),
	T(ecn_negotiated), T(ecn_fallbacks), T(ce_in), T(ece_in), T(cwr_out), T(paced),
	T(time_wait), T(syn_received), T(hystart_exits), T(idle_restarts),
	T(icmp_pmtu), T(icmp_soft), T(icmp_refused), T(icmp_unknown),
	T(icmp_stale), T(icmp_ignored), T(pmtu_black_holes), T(pmtu_probes),
	T(pmtu_probes_good), T(pmtu_probes_lost),
	T(tfo_asked), T(tfo_bad), T(tfo_full), T(tfo_passive),
	T(tfo_active), T(tfo_refused), T(tfo_black_holes), T(tfo_paused),
	T(syncookies_sent), T(syncookies_accepted), T(syncookies_bad),
	T(segs_merged), T(ooo_given_up),
};
#undef T

#define N(f)	{ #f, offsetof(struct net_stats, f) }
static const struct field net_fields[] = {
	N(rx_ip), N(rx_arp), N(rx_icmp), N(rx_fragments), N(reassembled),
	N(tx_arp_requests), N(tx_arp_replies), N(tx_icmp), N(neigh_learnt),
	N(neigh_changed), N(neigh_evicted),
};
#undef N

#define P(f)	{ #f, offsetof(struct port_stats, f) }
static const struct field port_fields[] = {
	P(rx_frames), P(rx_bytes), P(tx_frames), P(tx_bytes), P(rx_dropped),
	P(rx_oversize), P(tx_dropped), P(no_frame), P(syscalls), P(tx_lent_bytes),
};
#undef P

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put(json_t *to, const char *name, uint64_t n)
{
	json_object_set_new(to, name, number(n));
}

static json_t *counters(const struct field *f, size_t count, const void *from)
{
	json_t *out = json_object();

	for (size_t i = 0; i < count; i++)
		put(out, f[i].name, counter_get((const counter_t *)
			((const uint8_t *)from + f[i].at)));
	return out;
}

/* Adds the counters of @from to those of the same names in @total. */
static void add_up(json_t *total, json_t *from)
{
	const char *name;
	json_t *value;

	json_object_foreach(from, name, value) {
		json_int_t sum = json_integer_value(value) +
			json_integer_value(json_object_get(total, name));

		json_object_set_new(total, name, json_integer(sum));
	}
}

static json_t *tcp_drops(const struct engine *e)
{
	json_t *out = json_object();
	const struct tcp_stats *s = engine_tcp_stats(e);

	for (int d = TCP_DROP_NONE + 1; d < TCP_DROPS; d++)
		put(out, tcp_drop_name((enum tcp_drop)d),
		    counter_get(&s->drops[d]));
	return out;
}

static json_t *net_drops(const struct engine *e)
{
	json_t *out = json_object();
	const struct net_stats *s = engine_net_stats(e);

	for (int d = NET_DROP_NONE + 1; d < NET_DROPS; d++)
		put(out, net_drop_name((enum net_drop)d),
		    counter_get(&s->drops[d]));
	return out;
}

json_t *stats_engines(const struct control *c)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < c->engine_count; i++) {
		const struct engine *e = c->engines[i];
		const struct engine_config *cfg = engine_config(e);
		json_t *one = counters(engine_fields, COUNT(engine_fields),
				       engine_stats(e));

		put(one, "engine", i);
		json_object_set_new(one, "core", json_integer(cfg->cpu));
		json_object_set_new(one, "numa_node",
				    json_integer(cfg->numa_node));
		put(one, "spin_us", cfg->spin_us);
		json_object_set_new(one, "tcp",
			counters(tcp_fields, COUNT(tcp_fields),
				 engine_tcp_stats(e)));
		json_object_set_new(one, "tcp_drops", tcp_drops(e));
		json_object_set_new(one, "net",
			counters(net_fields, COUNT(net_fields),
				 engine_net_stats(e)));
		json_object_set_new(one, "net_drops", net_drops(e));
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *mac_text(const uint8_t mac[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			    mac[2], mac[3], mac[4], mac[5]);
}

static json_t *port_addrs(const struct config_port *p)
{
	json_t *all = json_array();
	char text[ADDR_TEXT_BYTES];

	for (unsigned int i = 0; i < p->io.addr_count; i++)
		json_array_append_new(all, json_sprintf("%s/%u",
			addr_text(&p->io.addrs[i], text), p->prefix[i] - 96u));
	return all;
}

json_t *stats_ports(const struct control *c)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < c->port_count; i++) {
		const struct port *p = c->ports[i];
		json_t *one = json_object();
		bool up = !p->ops->link_up ||
			  p->ops->link_up((struct port *)p);

		json_object_set_new(one, "name", json_string(p->name));
		json_object_set_new(one, "driver", json_string(p->ops->driver));
		json_object_set_new(one, "device", json_string(p->device));
		json_object_set_new(one, "mode", json_string(p->mode));
		json_object_set_new(one, "mac", mac_text(p->mac));
		json_object_set_new(one, "addresses",
				    port_addrs(&c->cfg->ports[i]));
		put(one, "mtu", p->mtu);
		if (p->ops->heard_lost)
			json_object_set_new(one, "heard_lost", json_integer(
				(json_int_t)p->ops->heard_lost(
					(struct port *)p)));
		json_object_set_new(one, "link_up", json_boolean(up));
		json_object_set_new(one, "shared",
				    json_boolean(share_ports(c) & 1u << i));
		put(one, "queues", p->queue_count);
		for (uint32_t q = 0; q < p->queue_count; q++) {
			json_t *part = counters(port_fields,
						COUNT(port_fields),
						&p->queues[q]->stats);

			add_up(one, part);
			json_decref(part);
		}
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *control_counters(const struct control *c)
{
	const struct control_counters *n = &c->counters;
	json_t *out = json_object(), *why = json_object();

	put(out, "accepted", n->accepted);
	put(out, "attached", n->attached);
	put(out, "detached", n->detached);
	put(out, "refused", n->refused);
	put(out, "evicted", n->evicted);
	put(out, "bad_requests", n->bad_requests);
	put(out, "slabs_denied", n->slabs_denied);
	put(out, "clients", c->client_count);
	put(out, "pending", c->pending_count);
	for (int r = DETACH_NONE + 1; r < DETACH_REASONS; r++)
		put(why, detach_reason_name((uint32_t)r),
		    n->detach_reasons[r]);
	json_object_set_new(out, "detach_reasons", why);
	return out;
}

json_t *stats_all(const struct control *c)
{
	static const char *const sums[] = { "tcp", "tcp_drops", "net",
					    "net_drops" };
	json_t *all = json_object(), *engines = stats_engines(c), *one;
	size_t i;

	json_object_set_new(all, "version", json_string(c->version));
	put(all, "pid", (uint64_t)getpid());
	put(all, "uptime_us", (uint64_t)mono_diff_us(c->start, mono_now()));
	for (size_t k = 0; k < COUNT(sums); k++) {
		json_t *total = json_object();

		json_array_foreach(engines, i, one)
			add_up(total, json_object_get(one, sums[k]));
		json_object_set_new(all, sums[k], total);
	}
	json_object_set_new(all, "engines", engines);
	json_object_set_new(all, "ports", stats_ports(c));
	json_object_set_new(all, "control", control_counters(c));
	return all;
}

void stats_client_bytes(const struct control *c, uint32_t slot, uint64_t *in,
			uint64_t *out)
{
	*in = *out = 0;
	for (uint32_t i = 0; i < c->engine_count; i++) {
		const struct tcp_client_stats *s =
			engine_client_stats(c->engines[i], slot);

		*in += counter_get(&s->bytes_in);
		*out += counter_get(&s->bytes_out);
	}
}

static const char *state_text(const struct client *cl)
{
	static const char *const names[] = {
		[CLIENT_NEW] = "connecting", [CLIENT_ATTACHED] = "attached",
		[CLIENT_LEAVING] = "leaving" };

	return names[cl->state];
}

json_t *stats_clients(const struct control *c,
			const uint32_t conns[TCP_CLIENTS_MAX])
{
	json_t *all = json_array();

	for (const struct client *cl = c->clients; cl; cl = cl->next) {
		json_t *one = json_object();
		uint64_t in, out;

		if (cl->state == CLIENT_NEW) {
			json_decref(one);
			continue;
		}
		put(one, "id", cl->slot);
		put(one, "pid", (uint64_t)cl->pid);
		put(one, "uid", cl->uid);
		json_object_set_new(one, "name", json_string(cl->name));
		json_object_set_new(one, "state", json_string(state_text(cl)));
		json_object_set_new(one, "policy", json_string(cl->policy_name));
		put(one, "contexts", cl->context_count);
		put(one, "connections", conns[cl->slot]);
		put(one, "memory_bytes", (uint64_t)cl->segment.used * SLAB_BYTES);
		put(one, "quota_bytes", (uint64_t)cl->segment.slabs * SLAB_BYTES);
		json_object_set_new(one, "huge_pages",
				    json_boolean(cl->segment.huge));
		stats_client_bytes(c, cl->slot, &in, &out);
		put(one, "bytes_in", in - cl->base_in);
		put(one, "bytes_out", out - cl->base_out);
		put(one, "slabs_denied", cl->slabs_denied);
		put(one, "age_us", (uint64_t)mono_diff_us(cl->since, mono_now()));
		json_array_append_new(all, one);
	}
	return all;
}

json_t *stats_listeners(const struct control *c)
{
	json_t *all = json_array();
	char text[ADDR_TEXT_BYTES];

	for (const struct listener *l = c->listeners; l; l = l->next) {
		json_t *one = json_object(), *members = json_array();

		for (uint32_t i = 0; i < l->member_count; i++) {
			json_t *m = json_object();

			put(m, "client", l->members[i].client->slot);
			put(m, "context", l->members[i].context);
			json_array_append_new(members, m);
		}
		json_object_set_new(one, "address",
				    json_string(addr_text(&l->addr, text)));
		put(one, "port", ntohs(l->port));
		put(one, "backlog", l->backlog);
		json_object_set_new(one, "shared", json_boolean(
			(l->flags & CTL_LISTEN_SHARED) != 0));
		json_object_set_new(one, "members", members);
		json_array_append_new(all, one);
	}
	return all;
}
