/*
 * packet_out.c - the way out
 *
 *	tcp_next_dirty -> tcp_out -> build -> net_out -> burst -> port_tx
 *	      |                        |          \-> waits for ARP (net's now)
 *	      \-> event_announce       \-> headers, payload copied and summed
 *	                                   in one pass, or summed by the port,
 *	                                   or lent to it and not read at all
 *	tcp_next_reply -> the same, without a connection
 *
 * A frame is taken before TCP is asked for a segment: what tcp_out() returns
 * counts as sent.  Without a frame the connection stays dirty for the next
 * turn, so nothing is lost and the port's shortage is no retransmission.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "engine/engine_state.h"

#define SEGMENTS	64u	/* a connection and turn */
#define REPLIES		256u	/* a turn */
#define READY_BATCH	16
#define DEFAULT_MTU	1500u
#define ICMP_UNREACHABLE 3
#define ICMP_NET	0
#define ICMP_HOST	1

_Static_assert(sizeof(struct net_path) <= TCP_PATH_BYTES, "kept in the tcb");

/* ---- bursts ---- */

static void send_burst(struct engine *e, struct port_side *p)
{
	if (p->tx_count == 0)
		return;
	if (e->capture)
		capture_frames(e->capture, e->cfg.index, p->tx, p->tx_count,
			       CAPTURE_OUT, e->now);
	port_tx(p->queue, p->tx, p->tx_count, e->now);
	p->tx_count = 0;
	p->sent = true;
}

static void queue_on(struct engine *e, struct port_side *p, struct frame *f)
{
	p->tx[p->tx_count++] = f;
	if (p->tx_count == PORT_BURST)
		send_burst(e, p);
}

static struct port_side *side_of(struct engine *e, uint8_t port)
{
	for (uint32_t i = 0; i < e->port_count; i++)
		if (e->ports[i].port->id == port)
			return &e->ports[i];
	return NULL;
}

void packet_queue(struct engine *e, struct frame *f)
{
	queue_on(e, side_of(e, f->port), f);
}

/* An empty frame, or NULL: the port has none now. */
static struct frame *take_frame(struct engine *e, struct port_side *p)
{
	if (p->spares == 0) {
		p->spares = port_alloc(p->queue, p->spare, PORT_BURST);
		if (p->spares <= 0) {
			p->spares = 0;
			count(&e->stats.frame_dropped);
			return NULL;
		}
	}
	return p->spare[--p->spares];
}

static void put_frame(struct port_side *p, struct frame *f)
{
	port_free(p->queue, &f, 1);
}

/* ---- building ---- */

/* Payload behind the header, summed on the way (RFC 1071 for odd pieces). */
static uint64_t copy_summed(uint64_t sum, uint8_t *at, const struct tcp_tx *tx)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < tx->pieces; i++) {
		uint32_t len = tx->piece[i].len;

		if (done & 1)
			sum = csum_fold(sum) +
			      csum_swap(csum_fold(csum_copy(0, at + done,
							    tx->piece[i].bytes,
							    len)));
		else
			sum = csum_copy(sum, at + done, tx->piece[i].bytes,
					len);
		done += len;
	}
	return sum;
}

/* Payload behind the header in @f, for a port that sums. */
static void put_payload(struct engine *e, const struct port_side *p,
			struct frame *f, const struct tcp_tx *tx)
{
	uint8_t *at = f->data + f->len;

	if (p->port->caps & PORT_LENDS && lend_payload(e, p, f, tx))
		return;
	f->len += tx->payload_len;
	for (uint32_t i = 0; i < tx->pieces; i++) {
		memcpy(at, tx->piece[i].bytes, tx->piece[i].len);
		at += tx->piece[i].len;
	}
}

/* Header and options (RFC 9293 3.1) with a sum of 0; returns their length. */
static uint32_t put_header(uint8_t *at, const struct tcp_tx *tx)
{
	struct hdr_tcp *h = (struct hdr_tcp *)at;
	uint32_t len = TCP_BYTES + tx->opt_len;

	h->sport = tx->sport;
	h->dport = tx->dport;
	h->seq = htonl(tx->seq);
	h->ack = htonl(tx->ack);
	h->data_off = (uint8_t)(len / 4 << 4 | tx->flags >> 8);
	h->flags = (uint8_t)tx->flags;
	h->wnd = htons(tx->wnd);
	h->csum = 0;
	h->urp = 0;
	memcpy(at + TCP_BYTES, tx->opts, tx->opt_len);
	return len;
}

static void build(struct engine *e, const struct port_side *p,
		  struct frame *f, const struct tcp_tx *tx)
{
	struct hdr_tcp *h = (struct hdr_tcp *)f->data;
	uint32_t head = put_header(f->data, tx), len = head + tx->payload_len;
	uint64_t sum = csum_pseudo(&tx->src, &tx->dst, IPPROTO_TCP, len);

	f->len = head;
	f->flags = 0;
	f->gso_size = tx->payload_len > tx->mss ? tx->mss : 0;
	if (p->port->caps & PORT_TX_CSUM) {
		put_payload(e, p, f, tx);
		h->csum = csum_fold(sum);
		f->flags = FRAME_CSUM_PARTIAL;
		f->csum_start = 0;
		f->csum_offset = offsetof(struct hdr_tcp, csum);
		return;
	}
	f->len = len;
	sum = csum_add(sum, f->data, head);
	h->csum = csum_finish(copy_summed(sum, f->data + head, tx));
}

/* ---- failures ---- */

/* Nobody at the other end of the wire: as if a router had said so. */
static void unreachable(struct engine *e, const struct ip_addr *src,
			const struct ip_addr *dst, const uint8_t *ports_seq,
			uint8_t code)
{
	struct tcp_icmp in = {
		.src = *src, .dst = *dst, .type = ICMP_UNREACHABLE,
		.code = code,
	};
	uint32_t seq;

	memcpy(&in.sport, ports_seq, 2);
	memcpy(&in.dport, ports_seq + 2, 2);
	memcpy(&seq, ports_seq + 4, 4);
	in.seq = ntohl(seq);
	tcp_icmp_in(e->tcp, &in, e->now);
}

/* A frame of ours whose neighbour did not answer, headers complete. */
static void neighbour_failed(struct engine *e, const struct frame *f)
{
	const struct hdr_ip4 *ip = (const struct hdr_ip4 *)(f->data + ETH_BYTES);
	struct ip_addr src, dst;

	if (f->len < ETH_BYTES + IP4_BYTES + TCP_BYTES ||
	    ip->version_ihl != 0x45 || ip->proto != IPPROTO_TCP)
		return;
	src = addr_from_v4(ip->src);
	dst = addr_from_v4(ip->dst);
	unreachable(e, &src, &dst, (const uint8_t *)(ip + 1), ICMP_HOST);
}

/* ---- segments ---- */

/* Gives a built frame to the network. */
static void emit(struct engine *e, struct port_side *p, struct net_path *path,
		 const struct tcp_tx *tx, struct frame *f)
{
	struct net_tx out = {
		.src = tx->src, .dst = tx->dst, .proto = IPPROTO_TCP,
		.tos = tx->tos, .ttl = tx->ttl, .dont_fragment = tx->df,
	};
	int err;

	build(e, p, f, tx);
	err = net_out(e->net, path, &out, f, e->now);
	if (err == 0) {
		queue_on(e, p, f);
	} else if (err != -EINPROGRESS) {
		if (err == -EHOSTUNREACH && tx->conn)
			unreachable(e, &tx->src, &tx->dst, f->data, ICMP_HOST);
		put_frame(p, f);
	}
}

/* Where this connection goes; looked up again when routes have changed. */
static struct port_side *path_of(struct engine *e, uint32_t conn,
				 struct net_path **path)
{
	struct net_path *pa = tcp_path(e->tcp, conn);
	struct tcp_info info;

	*path = pa;
	if (!net_path_valid(e->net, pa)) {
		tcp_describe(e->tcp, conn, &info);
		if (net_lookup(e->net, &info.local, &info.remote, pa)) {
			memset(pa, 0, sizeof(*pa));
			return NULL;
		}
	}
	return side_of(e, pa->port);
}

/* No way there: segments count as sent and lost; the retransmission timer
 * tries again, a connection that is only beginning ends (RFC 1122 4.2.3.9). */
static void send_nowhere(struct engine *e, uint32_t conn)
{
	struct tcp_tx_limits lim = { .mtu = DEFAULT_MTU };
	struct tcp_tx tx;
	uint8_t ports_seq[8];
	uint32_t seq;

	for (uint32_t i = 0; i < SEGMENTS; i++) {
		if (!tcp_out(e->tcp, conn, &lim, &tx, e->now))
			return;
		seq = htonl(tx.seq);
		memcpy(ports_seq, &tx.sport, 2);
		memcpy(ports_seq + 2, &tx.dport, 2);
		memcpy(ports_seq + 4, &seq, 4);
		unreachable(e, &tx.src, &tx.dst, ports_seq, ICMP_NET);
	}
}

/* Sends what @conn may; false: it must be asked again next turn. */
static bool send_conn(struct engine *e, uint32_t conn)
{
	struct net_path *path;
	struct port_side *p = path_of(e, conn, &path);
	struct tcp_tx_limits lim;
	struct tcp_tx tx;

	if (!p) {
		send_nowhere(e, conn);
		return true;
	}
	lim = p->limits;
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		struct frame *f = take_frame(e, p);

		if (!f)
			return false;
		if (!tcp_out(e->tcp, conn, &lim, &tx, e->now)) {
			p->spare[p->spares++] = f;
			return true;
		}
		emit(e, p, path, &tx, f);
	}
	return false;
}

static uint32_t send_dirty(struct engine *e)
{
	uint32_t conn, done = 0;

	while (e->deferred_count < DEFERRED_MAX &&
	       (conn = tcp_next_dirty(e->tcp)) != 0) {
		/* announcing comes last: EVENT_CLOSED may be its end */
		if (!send_conn(e, conn))
			e->deferred[e->deferred_count++] = conn;
		event_announce(e, conn);
		done++;
	}
	for (uint32_t i = 0; i < e->deferred_count; i++)
		tcp_mark_dirty(e->tcp, e->deferred[i]);
	e->deferred_count = 0;
	return done;
}

static uint32_t send_replies(struct engine *e)
{
	struct net_path path = { .epoch = 0 };
	struct tcp_tx tx;
	uint32_t n = 0;

	for (; n < REPLIES && tcp_next_reply(e->tcp, &tx); n++) {
		struct port_side *p;
		struct frame *f;

		if (net_lookup(e->net, &tx.src, &tx.dst, &path))
			continue;	/* net has counted it */
		p = side_of(e, path.port);
		f = p ? take_frame(e, p) : NULL;
		if (f)		/* else it is lost, as on any wire */
			emit(e, p, &path, &tx, f);
	}
	return n;
}

/* ---- ARP's frames ---- */

bool packet_send_bytes(struct engine *e, uint8_t port, const void *bytes,
		       uint32_t len)
{
	struct port_side *p = side_of(e, port);
	struct frame *f = p ? take_frame(e, p) : NULL;

	if (!f)
		return false;
	if (f->room < len) {
		put_frame(p, f);
		return false;
	}
	memcpy(f->data, bytes, len);
	f->len = len;
	f->flags = f->gso_size = 0;
	queue_on(e, p, f);
	return true;
}

static void send_neighbours(struct engine *e)
{
	struct frame *f[READY_BATCH];
	uint8_t buf[64], port;
	int n;

	while ((n = net_ready(e->net, f, READY_BATCH)) > 0)
		for (int i = 0; i < n; i++)
			packet_queue(e, f[i]);
	while ((n = net_failed(e->net, f, READY_BATCH)) > 0)
		for (int i = 0; i < n; i++) {
			neighbour_failed(e, f[i]);
			put_frame(side_of(e, f[i]->port), f[i]);
		}
	while ((n = net_request(e->net, e->now, buf, &port)) > 0)
		if (!packet_send_bytes(e, port, buf, (uint32_t)n))
			break;	/* asked again when it is not answered */
}

uint32_t packet_out(struct engine *e)
{
	uint32_t n = send_dirty(e);

	n += send_replies(e);
	send_neighbours(e);
	for (uint32_t i = 0; i < e->port_count; i++) {
		struct port_side *p = &e->ports[i];

		send_burst(e, p);
		if (p->sent)
			port_flush(p->queue, e->now);
		p->sent = false;
	}
	return n;
}
