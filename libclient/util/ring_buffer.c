#include "ring_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ring_buffer {
	int total;		/* bytes of data[] */
	int begin;		/* where data begins */
	int used;		/* bytes of data */
	unsigned int cumulated;	/* bytes ever added */
	u_char data[];
};

ring_buffer *InitBuffer(int size)
{
	ring_buffer *b;

	if (size <= 0)
		return NULL;
	b = calloc(1, sizeof(*b) + (size_t)size);
	if (b)
		b->total = size;
	return b;
}

int GetTotSizeRBuffer(ring_buffer *r_buff)
{
	return r_buff->total;
}

int GetDataSizeRBuffer(ring_buffer *r_buff)
{
	return r_buff->used;
}

int GetCumSizeRBuffer(ring_buffer *r_buff)
{
	return (int)r_buff->cumulated;
}

int GetRemainBufferSize(ring_buffer *r_buff)
{
	return r_buff->total - r_buff->used;
}

int CheckAvailableSize(ring_buffer *r_buff, int size)
{
	return size >= 0 && size <= GetRemainBufferSize(r_buff);
}

u_char *GetDataPoint(ring_buffer *r_buff)
{
	return r_buff->data + r_buff->begin;
}

u_char *GetInputPoint(ring_buffer *r_buff)
{
	if (r_buff->begin) {
		memmove(r_buff->data, GetDataPoint(r_buff),
			(size_t)r_buff->used);
		r_buff->begin = 0;
	}
	return r_buff->data + r_buff->used;
}

int RemoveDataFromBuffer(ring_buffer *r_buff, int size)
{
	if (size < 0 || size > r_buff->used)
		return -1;
	r_buff->used -= size;
	r_buff->begin = r_buff->used ? r_buff->begin + size : 0;
	return size;
}

int AddDataLen(ring_buffer *r_buff, int size)
{
	int end = r_buff->begin + r_buff->used;

	if (size < 0 || size > r_buff->total - end)
		return -1;
	r_buff->used += size;
	r_buff->cumulated += (unsigned int)size;
	return size;
}

int CopyData(ring_buffer *dest_buff, ring_buffer *src_buff, int len)
{
	if (len > src_buff->used)
		len = src_buff->used;
	if (len > GetRemainBufferSize(dest_buff))
		len = GetRemainBufferSize(dest_buff);
	if (len <= 0)
		return 0;
	memmove(GetInputPoint(dest_buff), GetDataPoint(src_buff), (size_t)len);
	return AddDataLen(dest_buff, len);
}

int MoveData(ring_buffer *dest_buff, ring_buffer *src_buff, int len)
{
	return RemoveDataFromBuffer(src_buff,
				    CopyData(dest_buff, src_buff, len));
}

int MoveToREPData(ring_buffer *dest_buff, ring_buffer *src_buff, int len)
{
	int room = MAX_REP_LEN - dest_buff->used;

	return MoveData(dest_buff, src_buff, len < room ? len : room);
}

int MtcpWriteFromBuffer(mctx_t mtcp, int fid, ring_buffer *r_buff)
{
	ssize_t n;

	if (!r_buff->used)
		return 0;
	n = mtcp_write(mtcp, fid, (const char *)GetDataPoint(r_buff),
		       (size_t)r_buff->used);
	return n > 0 ? RemoveDataFromBuffer(r_buff, (int)n) : (int)n;
}

int MtcpReadFromBuffer(mctx_t mtcp, int fid, ring_buffer *r_buff)
{
	int room = GetRemainBufferSize(r_buff);
	ssize_t n;

	if (!room) {
		errno = ENOBUFS;
		return -1;
	}
	n = mtcp_read(mtcp, fid, (char *)GetInputPoint(r_buff), (size_t)room);
	return n > 0 ? AddDataLen(r_buff, (int)n) : (int)n;
}
