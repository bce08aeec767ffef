/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
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

/* Calls that fail. io_uring's say that there is no such thing, so that whoever can do
 * without does. */
static const struct {
    int number, error;
} refused[] = {
    {SYS_io_uring_setup, ENOSYS},
    {SYS_io_uring_enter, ENOSYS},
    {SYS_io_uring_register, ENOSYS},
    {SYS_socket, EPERM},
    {SYS_execve, EPERM},
    {SYS_execveat, EPERM},
    {SYS_ptrace, EPERM},
    {SYS_process_vm_readv, EPERM},
    {SYS_process_vm_writev, EPERM},
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
};

/* Calls whose first argument says which process: only this one. */
static const int for_self[] = {SYS_kill, SYS_tgkill};

enum {
    REFUSED = sizeof(refused) / sizeof(refused[0]),
    FOR_SELF = sizeof(for_self) / sizeof(for_self[0]),
    PROGRAM_MAX = 16 + 2 * REFUSED + 5 * FOR_SELF,
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

/* Refuses the call, unless its first argument is `self`. A small one: its upper half is
 * not looked at, nor by the kernel. */
static void only_for_self(struct program *program, int number, uint32_t self)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4);
    load(program, offsetof(struct seccomp_data, args[0]));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, self, 0, 1);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
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
    for (int i = 0; i < REFUSED; i++)
        when(&program, (uint32_t)refused[i].number,
             SECCOMP_RET_ERRNO | (uint32_t)refused[i].error);
    for (int i = 0; i < FOR_SELF; i++)
        only_for_self(&program, for_self[i], (uint32_t)getpid());
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
    return rc < 0 ? rc : filter_calls();
}
