/* SPDX-License-Identifier: MIT */
/* What kind of handle a descriptor makes is asked of the kernel, never guessed. */
#include "io/handle.h"

#include "sys/os.h"
#include "sys/os_net.h"

#include <sys/socket.h>
#include <sys/stat.h>

/* Listeners and datagram sockets serve any number of tasks; a connection, one. */
static int socket_kind(int fd)
{
    int type, listens;
    int rc = hki_os_socket_get(fd, SOL_SOCKET, SO_TYPE, &type);

    if (rc < 0)
        return rc;
    rc = hki_os_socket_get(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
    if (rc < 0)
        return rc;
    return type == SOCK_STREAM && !listens ? HK_FD_SOCKET | HK_FD_STREAM : HK_FD_SOCKET;
}

int hki_handle_kind(int fd, struct stat *out_stat)
{
    struct stat st;
    int rc = hki_os_stat(fd, &st);

    if (rc < 0)
        return rc;
    if (S_ISSOCK(st.st_mode))
        rc = socket_kind(fd);
    else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        rc = HK_FD_STREAM;
    else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
        rc = HK_FD_FILE;
    else
        rc = 0; /* eventfd, timerfd, ...: pollable, shared */
    if (rc >= 0 && out_stat)
        *out_stat = st;
    return rc;
}

int hki_handle_adopt(int fd, unsigned flags, hk_fd *out)
{
    int rc = hk_fd_adopt(fd, flags, out);

    if (rc < 0)
        (void)hki_os_close(fd); /* nothing was written to it: the first error counts */
    return rc;
}

int hki_handle_adopt_pair(const int fds[2], unsigned flags, hk_fd out[2])
{
    hk_fd pair[2];
    int rc = hki_handle_adopt(fds[0], flags, &pair[0]);

    if (rc < 0) {
        (void)hki_os_close(fds[1]); /* as above */
        return rc;
    }
    rc = hki_handle_adopt(fds[1], flags, &pair[1]);
    if (rc < 0) {
        hki_handle_drop(pair[0]);
        return rc;
    }
    out[0] = pair[0];
    out[1] = pair[1];
    return 0;
}

void hki_handle_drop(hk_fd fd)
{
    int number = hk_fd_release(fd);

    if (number >= 0)
        (void)hki_os_close(number); /* nobody has seen it */
}
