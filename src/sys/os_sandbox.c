/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0 /* no filter is known for it: the sandbox says -ENOSYS */
#endif

#ifndef FIOSETOWN /* of asm/sockios.h, as the next */
#define FIOSETOWN 0x8901
#define SIOCSPGRP 0x8902
#endif

#ifndef SYS_fchmodat2 /* Linux 6.6 */
#define SYS_fchmodat2 452
#endif

enum { X32_BIT = 0x40000000 }; /* the other set of system calls of x86-64 */

/* ---- system calls ---- */

/* Calls that fail. io_uring's say that there is no such thing, so that whoever can do
 * without does; so do those whose flags are in memory, where a filter cannot look, and
 * those that are newer than this list. And what the first version of Landlock lets
 * through: to cut a file short, and to change what is known of it. A pair of datagram
 * sockets can send to any socket that has a name. */
static const struct {
    int number, error;
} refused[] = {
    {SYS_io_uring_setup, ENOSYS},
    {SYS_io_uring_enter, ENOSYS},
    {SYS_io_uring_register, ENOSYS},
    {SYS_clone3, ENOSYS},
    {SYS_openat2, ENOSYS},
    {SYS_truncate, EPERM},
#ifdef SYS_chmod /* x86-64 */
    {SYS_chmod, EPERM},
    {SYS_chown, EPERM},
    {SYS_lchown, EPERM},
    {SYS_utime, EPERM},
    {SYS_utimes, EPERM},
    {SYS_futimesat, EPERM},
#endif
    {SYS_fchmod, EPERM},
    {SYS_fchmodat, EPERM},
    {SYS_fchmodat2, EPERM},
    {SYS_fchown, EPERM},
    {SYS_fchownat, EPERM},
    {SYS_utimensat, EPERM},
    {SYS_setxattr, EPERM},
    {SYS_lsetxattr, EPERM},
    {SYS_fsetxattr, EPERM},
    {SYS_removexattr, EPERM},
    {SYS_lremovexattr, EPERM},
    {SYS_fremovexattr, EPERM},
    {SYS_open_by_handle_at, EPERM},
    {SYS_socket, EPERM},
    {SYS_socketpair, EPERM},
    {SYS_mq_open, EPERM},
    {SYS_mq_unlink, EPERM},
    {SYS_shmget, EPERM},
    {SYS_semget, EPERM},
    {SYS_msgget, EPERM},
    {SYS_execve, EPERM},
    {SYS_execveat, EPERM},
    {SYS_ptrace, EPERM},
    {SYS_process_vm_readv, EPERM},
    {SYS_process_vm_writev, EPERM},
    {SYS_process_madvise, EPERM},
    {SYS_migrate_pages, EPERM},
    {SYS_move_pages, EPERM},
    {SYS_pidfd_getfd, EPERM},
    {SYS_pidfd_send_signal, EPERM},
    {SYS_rt_sigqueueinfo, EPERM},
    {SYS_rt_tgsigqueueinfo, EPERM},
    {SYS_tkill, EPERM},
    {SYS_unshare, EPERM},
    {SYS_setns, EPERM},
    {SYS_mount, EPERM},
    {SYS_umount2, EPERM},
    {SYS_pivot_root, EPERM},
    {SYS_chroot, EPERM},
    {SYS_bpf, EPERM},
    {SYS_perf_event_open, EPERM},
    {SYS_userfaultfd, EPERM},
    {SYS_keyctl, EPERM},
    {SYS_add_key, EPERM},
    {SYS_request_key, EPERM},
    {SYS_init_module, EPERM},
    {SYS_finit_module, EPERM},
    {SYS_kexec_load, EPERM},
    {SYS_mount_setattr, EPERM}, /* these need the rights of root */
    {SYS_delete_module, EPERM},
    {SYS_reboot, EPERM},
    {SYS_swapon, EPERM},
    {SYS_swapoff, EPERM},
    {SYS_settimeofday, EPERM},
    {SYS_clock_settime, EPERM},
    {SYS_clock_adjtime, EPERM},
    {SYS_adjtimex, EPERM},
    {SYS_sethostname, EPERM},
    {SYS_setdomainname, EPERM},
    {SYS_acct, EPERM},
    {SYS_quotactl, EPERM},
    {SYS_syslog, EPERM},
};

enum { NEWEST_KNOWN = 462 }; /* mseal; from 424 on all processors count alike */

/* Calls whose first argument says which process: only this one. */
static const int for_self[] = {SYS_kill, SYS_tgkill, SYS_prlimit64};

/* Who owns a descriptor gets its signals, which is a way to send one to anybody; as is
 * what a terminal is made to read, which its shell reads, too. */
static const uint32_t refused_fcntls[] = {F_SETOWN, F_SETOWN_EX};
static const uint32_t refused_ioctls[] = {
    TIOCSTI,   TIOCLINUX, (uint32_t)FS_IOC_SETFLAGS, (uint32_t)FS_IOC_FSSETXATTR,
    FIOSETOWN, SIOCSPGRP,
};

/* Calls that fail when an argument has one of these bits. */
static const struct {
    int number, argument;
    uint32_t bits;
} refused_bits[] = {
    {SYS_clone, 0,
     CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
         CLONE_NEWUTS | CLONE_NEWCGROUP},
    {SYS_openat, 2, O_TRUNC},
#ifdef SYS_open /* x86-64 */
    {SYS_open, 1, O_TRUNC},
#endif
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { /* instructions */
       PROGRAM_MAX = 16 + 2 * COUNT_OF(refused) + 7 * COUNT_OF(for_self) +
                     (3 + 2 * COUNT_OF(refused_fcntls)) +
                     (3 + 2 * COUNT_OF(refused_ioctls)) + 5 * COUNT_OF(refused_bits),
};

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short length;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t if_true,
                uint8_t if_false)
{
    program->code[program->length++] =
        (struct sock_filter){.code = code, .jt = if_true, .jf = if_false, .k = k};
}

static void load(struct program *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Ends with `verdict` if what was loaded is `value`. */
static void when(struct program *program, uint32_t value, uint32_t verdict)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    add(program, BPF_RET | BPF_K, verdict, 0, 0);
}

/* Arguments here are small: their upper half is not looked at, nor by the kernel. */
static void load_argument(struct program *program, int argument)
{
    load(program, offsetof(struct seccomp_data, args) +
                      (size_t)argument * sizeof(((struct seccomp_data *)0)->args[0]));
}

/* Ends the call with `verdict` if its argument is one of the values, else with
 * `otherwise`. */
static void judge(struct program *program, int number, int argument,
                  const uint32_t *values, size_t count, uint32_t verdict,
                  uint32_t otherwise)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0,
        (uint8_t)(2 + 2 * count));
    load_argument(program, argument);
    for (size_t i = 0; i < count; i++)
        when(program, values[i], verdict);
    add(program, BPF_RET | BPF_K, otherwise, 0, 0);
}

static void refuse_bits(struct program *program, int number, int argument,
                        uint32_t bits)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4);
    load_argument(program, argument);
    add(program, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* What depends on the arguments. */
static void filter_arguments(struct program *program)
{
    const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM, allow = SECCOMP_RET_ALLOW;
    const uint32_t self[] = {(uint32_t)getpid(), 0}; /* 0 is a group, but of prlimit */

    for (size_t i = 0; i < COUNT_OF(for_self); i++)
        judge(program, for_self[i], 0, self, for_self[i] == SYS_prlimit64 ? 2 : 1,
              allow, refuse);
    judge(program, SYS_fcntl, 1, refused_fcntls, COUNT_OF(refused_fcntls), refuse,
          allow);
    judge(program, SYS_ioctl, 1, refused_ioctls, COUNT_OF(refused_ioctls), refuse,
          allow);
    for (size_t i = 0; i < COUNT_OF(refused_bits); i++)
        refuse_bits(program, refused_bits[i].number, refused_bits[i].argument,
                    refused_bits[i].bits);
}

static int filter_calls(void)
{
    struct program program = {.length = 0};
    struct sock_fprog filter = {.filter = program.code};

    if (OUR_ARCH == 0)
        return -ENOSYS;
    load(&program, offsetof(struct seccomp_data, arch));
    add(&program, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    add(&program, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    load(&program, offsetof(struct seccomp_data, nr));
    add(&program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    add(&program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    add(&program, BPF_JMP | BPF_JGT | BPF_K, NEWEST_KNOWN, 0, 1);
    add(&program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        when(&program, (uint32_t)refused[i].number,
             SECCOMP_RET_ERRNO | (uint32_t)refused[i].error);
    filter_arguments(&program);
    add(&program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    filter.len = program.length;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? -ENOSYS : 0;
}

/* ---- files ---- */

/* Every right of the first version that changes something. */
static const uint64_t changes =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;

static int restrict_files(void)
{
    const struct landlock_ruleset_attr rules = {.handled_access_fs = changes};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    long rc;

    if (fd < 0)
        return -ENOSYS; /* no kernel with it, or it was switched off */
    rc = syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return rc < 0 ? -errno : 0;
}

int hki_os_sandbox_enter(void)
{
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -ENOSYS;
    rc = restrict_files();
    if (rc == 0)
        rc = filter_calls();
    if (rc == 0) /* whoever was told to use io_uring cannot be obeyed any more */
        (void)setenv("HOCKET_POLLER", "epoll", 1);
    return rc;
}
