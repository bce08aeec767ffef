/* SPDX-License-Identifier: MIT */
/* errno is read here and in os.c; see os.h. */
#include "sys/os_net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

int hki_os_socket(int family, int type)
{
    return result(socket(family, type | SOCK_CLOEXEC, 0));
}

void hki_os_set_blocking(int fd)
{
    (void)fcntl(fd, F_SETFL, O_RDWR); /* takes only flags away: cannot fail */
}

int hki_os_socket_pair(int out[2])
{
    return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out));
}

int hki_os_bind(int fd, const struct sockaddr *addr, unsigned addr_len)
{
    return result(bind(fd, addr, addr_len));
}

int hki_os_listen(int fd, int backlog)
{
    return result(listen(fd, backlog));
}

int hki_os_connect(int fd, const struct sockaddr *addr, unsigned addr_len)
{
    int rc;

    do
        rc = result(connect(fd, addr, addr_len));
    while (rc == -EINTR);
    return rc;
}

int hki_os_shutdown(int fd, int how)
{
    return result(shutdown(fd, how));
}

int hki_os_socket_name(int fd, struct sockaddr *out, unsigned *inout_len)
{
    return result(getsockname(fd, out, inout_len));
}

int hki_os_peer_name(int fd, struct sockaddr *out, unsigned *inout_len)
{
    return result(getpeername(fd, out, inout_len));
}

int hki_os_socket_set(int fd, int level, int option, int value)
{
    return result(setsockopt(fd, level, option, &value, sizeof(value)));
}

int hki_os_socket_get(int fd, int level, int option, int *out)
{
    int value = 0;
    socklen_t size = sizeof(value);
    int rc = result(getsockopt(fd, level, option, &value, &size));

    if (rc == 0)
        *out = value;
    return rc;
}

unsigned hki_os_interface_number(const char *name)
{
    return if_nametoindex(name);
}

int hki_os_interface_name(unsigned number, char out[16])
{
    char name[IF_NAMESIZE];

    if (!if_indextoname(number, name))
        return -errno;
    snprintf(out, 16, "%.15s", name);
    return 0;
}

int hki_os_pipe(int out[2])
{
    return result(pipe2(out, O_CLOEXEC));
}

int hki_os_stat(int fd, struct stat *out)
{
    /* Not libc's, which asks by an empty path: that costs a quarter more. */
#if defined(SYS_fstat) && __SIZEOF_POINTER__ == 8
    return result((int)syscall(SYS_fstat, fd, out));
#else
    return result(fstat(fd, out));
#endif
}

int hki_os_mkdir(const char *path, unsigned mode)
{
    int rc;

    do
        rc = result(mkdir(path, mode));
    while (rc == -EINTR);
    return rc;
}

int hki_os_unlink(const char *path)
{
    int rc;

    do
        rc = result(unlink(path));
    while (rc == -EINTR);
    return rc;
}

int hki_os_rename(const char *from, const char *to)
{
    int rc;

    do
        rc = result(rename(from, to));
    while (rc == -EINTR);
    return rc;
}

ssize_t hki_os_read_dir(int fd, void *buf, size_t size_bytes)
{
    long rc;

    do
        rc = syscall(SYS_getdents64, fd, buf, size_bytes);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}
