/* SPDX-License-Identifier: MIT */
/*
 * System calls of sockets, pipes and directories that io/ makes itself, because they
 * never wait (socket, bind, getsockname) or run on the blocking pool (rename). A part
 * of os.h: every function returns >= 0 or a negative errno value, never -EINTR; new
 * descriptors are close-on-exec.
 */
#ifndef HKI_SYS_OS_NET_H
#define HKI_SYS_OS_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sockaddr;
struct stat;

/* ---- sockets; lengths are socklen_t ---- */

int hki_os_socket(int family, int type); /* SOCK_NONBLOCK may be in `type` */
/* Takes O_NONBLOCK away from a socket. */
void hki_os_set_blocking(int fd);
int hki_os_socket_pair(int out[2]); /* Unix, stream */
int hki_os_bind(int fd, const struct sockaddr *addr, unsigned addr_len);
int hki_os_listen(int fd, int backlog);
/* For sockets that connect at once: datagrams. */
int hki_os_connect(int fd, const struct sockaddr *addr, unsigned addr_len);
int hki_os_shutdown(int fd, int how);
/* `*inout_len` is the room, then the length of the address. */
int hki_os_socket_name(int fd, struct sockaddr *out, unsigned *inout_len);
int hki_os_peer_name(int fd, struct sockaddr *out, unsigned *inout_len);
int hki_os_socket_set(int fd, int level, int option, int value);
int hki_os_socket_get(int fd, int level, int option, int *out);

/* A network interface's number by name: > 0, or 0 when there is none. */
unsigned hki_os_interface_number(const char *name);
/* Its name, at most 15 bytes and NUL; -ENXIO when there is none. */
int hki_os_interface_name(unsigned number, char out[16]);

/* ---- pipes, files, directories ---- */

int hki_os_pipe(int out[2]);
int hki_os_stat(int fd, struct stat *out);
int hki_os_mkdir(const char *path, unsigned mode);
int hki_os_unlink(const char *path);
int hki_os_rename(const char *from, const char *to);

/* One record of hki_os_read_dir, `size_bytes` after the one before. */
struct hki_os_dirent {
    uint64_t inode;
    int64_t next;
    uint16_t size_bytes;
    uint8_t type; /* DT_REG, ... of <dirent.h> */
    char name[];
};

/* Fills `buf` (aligned to 8) with records: their bytes, 0 at the end. */
ssize_t hki_os_read_dir(int fd, void *buf, size_t size_bytes);

#endif
