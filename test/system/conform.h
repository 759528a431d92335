/*
 * conform.h - what the parts of conform.c share
 *
 * Each part prints lines that must be the same on the kernel and under
 * mtcp-run: no number in them depends on time, buffer sizes or port numbers.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

extern struct sockaddr_in peer;

/* One line: what was done, what came back, or errno's name if below 0. */
long say(const char *what, long n);
/* What poll() says of @fd now. */
void bits(const char *what, int fd);
/* Waits, at most 3 s, until poll() has one of @events. */
void settle(int fd, short events);
int opened(int flags);
/* A connection to the peer, which was told @wish. */
int joined(char wish);
void so_error(const char *what, int fd);
/* Bytes that can be read, once there are @n of them. */
int arrived(int fd, int n);
/* What the peer saw of the connection from our port @port: e(of), r(eset). */
char peer_saw(uint16_t port, long *bytes);
uint16_t port_of(int fd);
/* The peer connects to our @port @count times; c: and closes, h: says hi and
 * closes, k: keeps open and echoes, r: resets.  How many it got. */
int peer_calls(uint16_t port, int count, char how);

void conform_data(const char *address);
void conform_msg(const char *address);
void conform_stdio(const char *address);
void conform_wait(const char *address);
void conform_epoll(const char *address);
void conform_life(const char *address);
void conform_fork(const char *address);
void conform_servers(const char *address);

#endif
