/*
 * netlink.h - asking the kernel, and reading what it says
 *
 * Messages come from the kernel and are checked all the same: lengths before
 * contents, attributes by their own length.  Nothing here waits: the kernel
 * answers a question within the call that asks it.
 *
 * Threads   Control.
 */
#ifndef CONTROL_NETLINK_H
#define CONTROL_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A socket of @protocol (NETLINK_ROUTE ...), told of @groups.  Or -errno. */
int netlink_open(int protocol, uint32_t groups);

/* Sends the question for a dump. */
int netlink_ask(int fd, uint16_t type, const void *body, size_t bytes);

/* The whole answer of a dump, each message to @take.  0 or -errno. */
int netlink_answer(int fd, void (*take)(void *arg, const struct nlmsghdr *m),
		   void *arg);

/* The messages of a buffer; those that do not fit end it. */
void netlink_each(const void *buf, size_t bytes,
		  void (*take)(void *arg, const struct nlmsghdr *m), void *arg);

/* A message's body of at least @bytes, or NULL; attributes follow it. */
const void *netlink_body(const struct nlmsghdr *m, size_t bytes);

/*
 * The attribute @type behind a body of @body bytes: its payload when it has
 * @bytes of them exactly, or NULL.  Not aligned: copy it out.
 */
const void *netlink_attr(const struct nlmsghdr *m, size_t body, uint16_t type,
			 size_t bytes);

#endif
