#include "control/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES	32768
#define PACKETS_MAX	65536	/* of one answer */

#define HEAD		sizeof(struct nlmsghdr)

/* Messages and attributes begin at multiples of four. */
static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

int netlink_open(int protocol, uint32_t groups)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK,
				  .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			protocol), rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int netlink_ask(int fd, uint16_t type, const void *body, size_t bytes)
{
	struct {
		struct nlmsghdr head;
		uint8_t body[256];
	} m = { .head = { .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			  .nlmsg_seq = 1 } };

	if (bytes > sizeof(m.body))
		return -EMSGSIZE;
	m.head.nlmsg_len = (uint32_t)(HEAD + bytes);
	memcpy(m.body, body, bytes);
	return send(fd, &m, m.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

const void *netlink_body(const struct nlmsghdr *m, size_t bytes)
{
	return m->nlmsg_len >= HEAD + bytes ?
	       (const uint8_t *)m + HEAD : NULL;
}

const void *netlink_attr(const struct nlmsghdr *m, size_t body, uint16_t type,
			 size_t bytes)
{
	const uint8_t *at = (const uint8_t *)m, *end = at + m->nlmsg_len;
	struct nlattr a;

	at += HEAD + aligned(body);
	while (at < end && (size_t)(end - at) >= sizeof(a)) {
		memcpy(&a, at, sizeof(a));
		if (a.nla_len < sizeof(a) || a.nla_len > (size_t)(end - at))
			return NULL;
		if ((a.nla_type & NLA_TYPE_MASK) == type)
			return a.nla_len == sizeof(a) + bytes ?
			       at + sizeof(a) : NULL;
		if (aligned(a.nla_len) > (size_t)(end - at))
			return NULL;
		at += aligned(a.nla_len);
	}
	return NULL;
}

void netlink_each(const void *buf, size_t bytes,
		  void (*take)(void *arg, const struct nlmsghdr *m), void *arg)
{
	const uint8_t *at = buf;

	while (bytes >= HEAD) {
		const struct nlmsghdr *m = (const void *)at;
		size_t step = aligned(m->nlmsg_len);

		if (m->nlmsg_len < HEAD || m->nlmsg_len > bytes)
			return;
		take(arg, m);
		if (step >= bytes)
			return;
		at += step;
		bytes -= step;
	}
}

struct answer {
	void (*take)(void *arg, const struct nlmsghdr *m);
	void *arg;
	bool done;
	int error;
};

static void one(void *arg, const struct nlmsghdr *m)
{
	struct answer *a = arg;
	const struct nlmsgerr *e;

	if (m->nlmsg_type == NLMSG_DONE) {
		a->done = true;
	} else if (m->nlmsg_type == NLMSG_ERROR) {
		e = netlink_body(m, sizeof(*e));
		a->error = e && e->error < 0 ? e->error : -EPROTO;
		a->done = true;
	} else if (!a->done) {
		a->take(a->arg, m);
	}
}

int netlink_answer(int fd, void (*take)(void *arg, const struct nlmsghdr *m),
		   void *arg)
{
	struct answer a = { .take = take, .arg = arg };
	_Alignas(8) char buf[BUFFER_BYTES];

	for (int i = 0; i < PACKETS_MAX && !a.done; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		netlink_each(buf, (size_t)n, one, &a);
	}
	return a.error;
}
