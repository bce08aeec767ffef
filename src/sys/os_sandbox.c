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
#include <linux/sockios.h>
#include <sched.h>
#include <stdbool.h>
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

enum { X32_BIT = 0x40000000 }; /* the other set of system calls of x86-64 */

/* ---- system calls ---- */

/* Calls that fail. Those that are newer than this list do, too: nobody has looked at
 * what they can do. io_uring's say that there is no such thing, so that whoever can do
 * without does; as do those whose flags are in memory, where a filter cannot look. */
static const struct {
    int number, error;
} refused[] = {
    {SYS_io_uring_setup, ENOSYS},
    {SYS_io_uring_enter, ENOSYS},
    {SYS_io_uring_register, ENOSYS},
    {SYS_clone3, ENOSYS},
    {SYS_openat2, ENOSYS},
    /* The network, and who else can be talked to. A pair of datagram sockets could send
     * to any other. */
    {SYS_socket, EPERM},
    {SYS_socketpair, EPERM},
    {SYS_mq_open, EPERM},
    {SYS_mq_unlink, EPERM},
    {SYS_shmget, EPERM},
    {SYS_semget, EPERM},
    {SYS_msgget, EPERM},
    {SYS_keyctl, EPERM},
    {SYS_add_key, EPERM},
    {SYS_request_key, EPERM},
    /* Other programs and processes. */
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
    /* What Landlock lets through: changes of files that are not written to. */
    {SYS_truncate, EPERM},
    {SYS_fchmod, EPERM},
    {SYS_fchmodat, EPERM},
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
#ifdef SYS_chmod /* the old ones, which new processors do not have */
    {SYS_chmod, EPERM},
    {SYS_chown, EPERM},
    {SYS_lchown, EPERM},
    {SYS_utime, EPERM},
    {SYS_utimes, EPERM},
    {SYS_futimesat, EPERM},
#endif
    /* The machine, for those who run as root. */
    {SYS_unshare, EPERM},
    {SYS_setns, EPERM},
    {SYS_mount, EPERM},
    {SYS_umount2, EPERM},
    {SYS_pivot_root, EPERM},
    {SYS_chroot, EPERM},
    {SYS_mount_setattr, EPERM},
    {SYS_bpf, EPERM},
    {SYS_perf_event_open, EPERM},
    {SYS_userfaultfd, EPERM},
    {SYS_init_module, EPERM},
    {SYS_finit_module, EPERM},
    {SYS_delete_module, EPERM},
    {SYS_kexec_load, EPERM},
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
    {452, ENOSYS}, /* fchmodat2, which Debian 12 has no name for */
};

enum { NEWEST_KNOWN = 462 }; /* mseal; from 424 on all processors count alike */

/* Calls whose first argument says which process: only this one. 0 is this one, too,
 * but for kill. */
static const int for_self[] = {SYS_kill, SYS_tgkill, SYS_prlimit64};

/* Calls that fail with some values of an argument: with this value, or with any of
 * these bits. */
static const struct {
    int number, argument;
    uint32_t value;
    bool are_bits;
} refused_with[] = {
    {SYS_clone, 0,
     CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
         CLONE_NEWUTS | CLONE_NEWCGROUP,
     true},
    {SYS_openat, 2, O_TRUNC, true},
#ifdef SYS_open
    {SYS_open, 1, O_TRUNC, true},
#endif
    /* A descriptor with news may send a signal, to anybody. */
    {SYS_fcntl, 1, F_SETOWN, false},
    {SYS_fcntl, 1, F_SETOWN_EX, false},
    {SYS_ioctl, 1, FIOSETOWN, false},
    {SYS_ioctl, 1, SIOCSPGRP, false},
    /* The program's terminal: what is put there comes as if it were typed. */
    {SYS_ioctl, 1, TIOCSTI, false},
    {SYS_ioctl, 1, TIOCLINUX, false},
    {SYS_ioctl, 1, (uint32_t)FS_IOC_SETFLAGS, false},
    {SYS_ioctl, 1, (uint32_t)FS_IOC_FSSETXATTR, false},
};

enum {
    REFUSED = sizeof(refused) / sizeof(refused[0]),
    FOR_SELF = sizeof(for_self) / sizeof(for_self[0]),
    REFUSED_WITH = sizeof(refused_with) / sizeof(refused_with[0]),
    PROGRAM_MAX = 16 + 2 * REFUSED + 7 * FOR_SELF + 5 * REFUSED_WITH,
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

static void load_argument(struct program *program, int which)
{
    load(program, offsetof(struct seccomp_data, args) +
                      (size_t)which * sizeof(((struct seccomp_data *)0)->args[0]));
}

/* Refuses the call, unless its first argument is `self`. A small one: its upper half is
 * not looked at, nor by the kernel. */
static void only_for_self(struct program *program, int number, uint32_t self)
{
    const bool may_be_0 = number == SYS_prlimit64;

    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, may_be_0 ? 6 : 4);
    load_argument(program, 0);
    when(program, self, SECCOMP_RET_ALLOW);
    if (may_be_0)
        when(program, 0, SECCOMP_RET_ALLOW);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

/* The number is loaded before and afterwards. */
static void refuse_with(struct program *program, int which)
{
    const uint16_t test = refused_with[which].are_bits ? BPF_JSET : BPF_JEQ;

    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused_with[which].number, 0, 4);
    load_argument(program, refused_with[which].argument);
    add(program, BPF_JMP | test | BPF_K, refused_with[which].value, 0, 1);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    load(program, offsetof(struct seccomp_data, nr));
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
    for (int i = 0; i < REFUSED; i++)
        when(&program, (uint32_t)refused[i].number,
             SECCOMP_RET_ERRNO | (uint32_t)refused[i].error);
    for (int i = 0; i < FOR_SELF; i++)
        only_for_self(&program, for_self[i], (uint32_t)getpid());
    for (int i = 0; i < REFUSED_WITH; i++)
        refuse_with(&program, i);
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
