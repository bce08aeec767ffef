/* SPDX-License-Identifier: MIT */
/*
 * The operating system as hocket sees it: clock, memory, random bits, threads. Every
 * function that can fail returns a negative errno value; errno is seen in sys/os*.c
 * alone.
 */
#ifndef HKI_SYS_OS_H
#define HKI_SYS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds on the monotonic clock. */
int64_t hki_os_now_ns(void);

uint64_t hki_os_random(void);

/* Address space that costs memory only where it is touched: no huge pages. NULL when it
 * cannot be had. */
void *hki_os_reserve(size_t size_bytes);
void hki_os_release(void *address, size_t size_bytes);
/* Gives the memory back, the address space stays. */
void hki_os_discard(void *address, size_t size_bytes);

/* True when guard pages cost no mapping (MADV_GUARD_INSTALL, Linux 6.13). */
bool hki_os_has_cheap_guards(void);
/* Makes every access to these pages fault. */
int hki_os_guard(void *address, size_t size_bytes);

size_t hki_os_page_size(void);

/* The caller's kernel thread id; its stack's bounds. */
int hki_os_thread_id(void);
void hki_os_yield(void);
void hki_os_thread_stack(const void **out_low, size_t *out_size);
/* At most 15 bytes are kept. */
void hki_os_thread_name(const char *name);
/* Sends a signal to one thread of this process. */
int hki_os_thread_signal(int thread_id, int signo);

/* Threads of this process by /proc, kernel helpers (iou-*) left out, and on demand
 * those that block all signals; 0: unknown. */
unsigned hki_os_thread_count(bool with_deaf);

/* What descriptor `fd` is, as the kernel calls it: a path, "socket:[123]"; "?". */
void hki_os_fd_file(int fd, char *text, size_t size);

/* An eventfd: close-on-exec, non-blocking. */
int hki_os_eventfd(void);
void hki_os_eventfd_signal(int fd);
void hki_os_eventfd_clear(int fd);

/*
 * Waits until `fd` has one of `events`, or `other_fd` is readable, until the monotonic
 * `deadline_ns` (INT64_MAX: for ever). Returns the ready events of fd, 0 when there are
 * none, or an error.
 */
int hki_os_poll_two(int fd, short events, int other_fd, int64_t deadline_ns);

/* A program started without standard streams must not find our descriptors there. */
void hki_os_occupy_standard(void);

int hki_os_close(int fd);
int hki_os_set_nonblocking(int fd);
/* Of what can be opened by a path: a FIFO or a character device, or something that is
 * never "ready". */
int hki_os_is_stream(int fd, bool *out);
/* All of it, or what write(2) said. */
int hki_os_write_all(int fd, const void *text, size_t len);

/* SIGPIPE is ignored while any runtime runs, if its disposition was the default. */
void hki_sigpipe_ignore(void);
void hki_sigpipe_restore(void);
/* True while it is us who ignore it: children must get the default back. */
bool hki_sigpipe_was_default(void);

const char *hki_os_error_text(int error);
const char *hki_os_environment(const char *name);

#endif
