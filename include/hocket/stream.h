/* SPDX-License-Identifier: MIT */
/*
 * Buffered streams over a handle, or over any pair of read and write functions (TLS,
 * a decompressor, a test). One task reads, one writes, at a time: else -EBUSY.
 *
 * Cancel: reads keep what they have buffered, the next read sees it; writes keep what
 * was not yet flushed.
 */
#ifndef HOCKET_STREAM_H
#define HOCKET_STREAM_H

#include <hocket/fd.h>

HK_BEGIN_DECLS

/*
 * How a stream moves bytes: by the contract of hk_read and hk_write, so -ECANCELED
 * means that nothing moved. They may wait. NULL: that direction gives -EBADF.
 */
typedef struct hk_stream_io {
    ssize_t (*read)(void *ctx, void *buf, size_t len);
    ssize_t (*write)(void *ctx, const void *buf, size_t len);
} hk_stream_io;

typedef struct hk_stream hk_stream;

/*
 * A stream over `fd`, which stays the caller's to close. Buffers of 16 KiB each are
 * allocated on first use. Returns 0 or -ENOMEM. Owns: hk_stream_free.
 */
HK_API int hk_stream_new(hk_fd fd, hk_stream **out);
HK_API int hk_stream_new_io(const hk_stream_io *io, void *ctx, hk_stream **out);
/* Frees it; what was not flushed is dropped. NULL is fine. While a task is inside a
 * call it panics. */
HK_API void hk_stream_free(hk_stream *stream);

/* Up to `len` bytes: > 0, 0 at the end, or an error. */
HK_API HK_WARN_UNUSED ssize_t hk_stream_read(hk_stream *stream, void *buf, size_t len);

/* Exactly `len` bytes: 0; -ENODATA (end, nothing read), -EPROTO (end inside), or an
 * error. On failure all that came stays buffered, and `buf` is undefined. */
HK_API HK_WARN_UNUSED int hk_stream_read_exactly(hk_stream *stream, void *buf,
                                                 size_t len);

/*
 * Reads up to and including `delimiter` (1 to 16 bytes, else -EINVAL). `*out_data`
 * points into the buffer, valid until the next read. Returns the length with the
 * delimiter, at most `limit_bytes`; 0 at a clean end; -EPROTO at an end inside (what
 * came stays buffered); -EMSGSIZE when `limit_bytes` bytes came without all of the
 * delimiter (they stay buffered); or an error. The answer does not depend on the pieces
 * in which the bytes arrive.
 */
HK_API HK_WARN_UNUSED ssize_t hk_stream_read_until(hk_stream *stream,
                                                   const char *delimiter,
                                                   size_t delimiter_len,
                                                   size_t limit_bytes,
                                                   const char **out_data);

/* A line without its "\n" or "\r\n" (which count for the limit), NUL-terminated, in the
 * buffer until the next read. `out_len` may be NULL. Returns 1; 0 at the end; errors as
 * above. A last line without newline counts: for texts. */
HK_API HK_WARN_UNUSED int hk_stream_read_line(hk_stream *stream, size_t limit_bytes,
                                              char **out_line, size_t *out_len);
/* The same for protocols: a last line without newline was cut, and gives -EPROTO; what
 * came stays buffered. */
HK_API HK_WARN_UNUSED int hk_stream_read_whole_line(hk_stream *stream,
                                                    size_t limit_bytes, char **out_line,
                                                    size_t *out_len);

/* What is buffered, without reading: `*out_data` is valid until the next read. For the
 * task that reads. Never blocks. */
HK_API size_t hk_stream_peek(hk_stream *stream, const char **out_data);

/*
 * Buffers all bytes, and writes when the buffer is full. 0 or an error; after an error
 * of the write function the stream's output is undefined and every later write and
 * flush returns the same error. -ECANCELED, -EBUSY and -ENOMEM (no buffer) lose
 * nothing: bytes that did not fit were not taken. `*out_done` (may be NULL) is set to
 * how many were, whatever is returned.
 */
HK_API HK_WARN_UNUSED int hk_stream_write(hk_stream *stream, const void *buf,
                                          size_t len, size_t *out_done);
/* The same with text: all of it is taken, or, on -ECANCELED, none. -EINVAL (format). */
HK_API HK_WARN_UNUSED int hk_stream_printf(hk_stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes everything that is buffered. 0 or an error; after -ECANCELED call it again. */
HK_API HK_WARN_UNUSED int hk_stream_flush(hk_stream *stream);

HK_END_DECLS

#endif
