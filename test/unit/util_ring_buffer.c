/*
 * util_ring_buffer.c - the relay buffer, over a stand-in for the library
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring_buffer.h"

/* The peer takes and gives at most this many bytes a call. */
static size_t peer_bytes;
static char peer_got[64];
static size_t peer_got_bytes;

ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len)
{
	size_t n = len < peer_bytes ? len : peer_bytes;

	(void)mctx;
	(void)sockid;
	if (!n) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(peer_got + peer_got_bytes, buf, n);
	peer_got_bytes += n;
	return (ssize_t)n;
}

ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len)
{
	size_t n = len < peer_bytes ? len : peer_bytes;

	(void)mctx;
	(void)sockid;
	memset(buf, 'r', n);
	return (ssize_t)n;
}

static void put(ring_buffer *b, const char *text)
{
	memcpy(GetInputPoint(b), text, strlen(text));
	assert_int_equal(AddDataLen(b, (int)strlen(text)), strlen(text));
}

static void bytes_stay_in_order(void **state)
{
	ring_buffer *b = InitBuffer(8);

	(void)state;
	assert_null(InitBuffer(0));
	assert_null(InitBuffer(-1));
	put(b, "abcdef");
	assert_int_equal(RemoveDataFromBuffer(b, 4), 4);
	assert_int_equal(GetRemainBufferSize(b), 6);
	put(b, "ghijkl");
	assert_int_equal(GetDataSizeRBuffer(b), 8);
	assert_memory_equal(GetDataPoint(b), "efghijkl", 8);
	assert_int_equal(GetCumSizeRBuffer(b), 12);
	assert_int_equal(GetTotSizeRBuffer(b), 8);
	assert_false(CheckAvailableSize(b, 1));
	assert_true(CheckAvailableSize(b, 0));
	assert_false(CheckAvailableSize(b, -1));
	assert_int_equal(AddDataLen(b, 1), -1);
	assert_int_equal(AddDataLen(b, -1), -1);
	assert_int_equal(RemoveDataFromBuffer(b, 9), -1);
	assert_int_equal(RemoveDataFromBuffer(b, -1), -1);
	free(b);
}

static void from_buffer_to_buffer(void **state)
{
	ring_buffer *a = InitBuffer(8), *b = InitBuffer(4);

	(void)state;
	put(a, "abcdef");
	assert_int_equal(CopyData(b, a, 2), 2);
	assert_int_equal(GetDataSizeRBuffer(a), 6);
	assert_int_equal(MoveData(b, a, 100), 2);
	assert_memory_equal(GetDataPoint(b), "abab", 4);
	assert_memory_equal(GetDataPoint(a), "cdef", 4);
	assert_int_equal(MoveToREPData(b, a, 3), 0);
	assert_int_equal(MoveData(b, a, -1), 0);
	free(a);
	free(b);
}

static void to_and_from_sockets(void **state)
{
	ring_buffer *b = InitBuffer(8);

	(void)state;
	put(b, "abcdef");
	peer_bytes = 4;
	assert_int_equal(MtcpWriteFromBuffer(NULL, 0, b), 4);
	assert_int_equal(MtcpWriteFromBuffer(NULL, 0, b), 2);
	assert_int_equal(MtcpWriteFromBuffer(NULL, 0, b), 0);
	assert_memory_equal(peer_got, "abcdef", 6);
	assert_int_equal(MtcpReadFromBuffer(NULL, 0, b), 4);
	assert_int_equal(MtcpReadFromBuffer(NULL, 0, b), 4);
	assert_int_equal(MtcpReadFromBuffer(NULL, 0, b), -1);
	assert_int_equal(errno, ENOBUFS);
	peer_bytes = 0;
	assert_int_equal(MtcpWriteFromBuffer(NULL, 0, b), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(GetDataSizeRBuffer(b), 8);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_stay_in_order),
		cmocka_unit_test(from_buffer_to_buffer),
		cmocka_unit_test(to_and_from_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
