/*
 * ring_buffer.h - mTCP's byte buffer between two sockets
 *
 *	| taken |   data   |     room     |    data is always contiguous:
 *	        ^          ^              ^    taken space is reclaimed by
 *	   data point   input point    total   moving when room runs out
 *
 * Units     Bytes.
 * Errors    Counts; -1 when there is not so much data or room.  The two socket
 *           functions: as mtcp_write() and mtcp_read(), with its errno.
 * Ownership InitBuffer() gives, free() takes.
 * Threads   One at a time.
 */
#ifndef MTCP_UTIL_RING_BUFFER_H
#define MTCP_UTIL_RING_BUFFER_H

#include <mtcp_api.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAX_REP_LEN	(10 * 1024)	/* MoveToREPData() moves no more */

typedef struct ring_buffer ring_buffer;

/* NULL when there is no memory or @size is not positive. */
ring_buffer *InitBuffer(int size);

int GetTotSizeRBuffer(ring_buffer *r_buff);
int GetDataSizeRBuffer(ring_buffer *r_buff);
/* All bytes that were ever added. */
int GetCumSizeRBuffer(ring_buffer *r_buff);
int GetRemainBufferSize(ring_buffer *r_buff);
/* 1 if @size more bytes fit. */
int CheckAvailableSize(ring_buffer *r_buff, int size);

u_char *GetDataPoint(ring_buffer *r_buff);
/* Where GetRemainBufferSize() bytes may be written; then AddDataLen(). */
u_char *GetInputPoint(ring_buffer *r_buff);

int RemoveDataFromBuffer(ring_buffer *r_buff, int size);
int AddDataLen(ring_buffer *r_buff, int size);

/* At most @len bytes as far as they are there and fit; returns how many. */
int CopyData(ring_buffer *dest_buff, ring_buffer *src_buff, int len);
int MoveData(ring_buffer *dest_buff, ring_buffer *src_buff, int len);
int MoveToREPData(ring_buffer *dest_buff, ring_buffer *src_buff, int len);

int MtcpWriteFromBuffer(mctx_t mtcp, int fid, ring_buffer *r_buff);
int MtcpReadFromBuffer(mctx_t mtcp, int fid, ring_buffer *r_buff);

#ifdef __cplusplus
}
#endif

#endif
