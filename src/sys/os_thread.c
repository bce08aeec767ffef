/* SPDX-License-Identifier: MIT */
#include "sys/os_thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

static int set_cpus(pthread_attr_t *attr, const uint32_t *cpus, uint32_t count)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (uint32_t i = 0; i < count; i++) {
        if (cpus[i] >= CPU_SETSIZE)
            return EINVAL;
        CPU_SET(cpus[i], &set);
    }
    return pthread_attr_setaffinity_np(attr, sizeof(set), &set);
}

static int set_attributes(pthread_attr_t *attr, const struct hki_thread_spec *spec)
{
    int rc = 0;

    if (spec->stack_size_bytes)
        rc = pthread_attr_setstacksize(attr, spec->stack_size_bytes);
    if (rc == 0 && spec->cpu_count)
        rc = set_cpus(attr, spec->cpus, spec->cpu_count);
    if (rc == 0 && spec->is_detached)
        rc = pthread_attr_setdetachstate(attr, PTHREAD_CREATE_DETACHED);
    return rc;
}

/* A blocked signal of a fault would end the process before its handler could say why.
 */
static void fill_deaf_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};

    sigfillset(mask);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(mask, faults[i]);
}

/* The thread inherits the mask. */
static int create_deaf(pthread_t *thread, const pthread_attr_t *attr,
                       void *(*fn)(void *), void *arg)
{
    sigset_t deaf, before;
    int rc;

    fill_deaf_mask(&deaf);
    pthread_sigmask(SIG_SETMASK, &deaf, &before);
    rc = pthread_create(thread, attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* ---- helpers ---- */

static unsigned helpers; /* atomic: that run, or are about to */

/* What a helper was started for. By malloc: it is given back when the helper comes to
 * run, which no ledger waits for. */
struct helper {
    void *(*fn)(void *);
    void *arg;
};

static void *helper_main(void *arg)
{
    const struct helper helper = *(struct helper *)arg;
    void *result;

    free(arg);
    result = helper.fn(helper.arg);
    __atomic_sub_fetch(&helpers, 1, __ATOMIC_SEQ_CST);
    return result;
}

/* In a child of fork there are none. */
static void forget_helpers(void)
{
    helpers = 0;
}

static void register_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget_helpers);
}

static int create_helper(pthread_t *thread, const pthread_attr_t *attr,
                         void *(*fn)(void *), void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct helper *helper = malloc(sizeof(*helper));
    int rc;

    if (!helper)
        return ENOMEM;
    pthread_once(&once, register_fork);
    *helper = (struct helper){.fn = fn, .arg = arg};
    __atomic_add_fetch(&helpers, 1, __ATOMIC_SEQ_CST);
    rc = create_deaf(thread, attr, helper_main, helper);
    if (rc != 0) {
        __atomic_sub_fetch(&helpers, 1, __ATOMIC_SEQ_CST);
        free(helper);
    }
    return rc;
}

unsigned hki_os_helper_count(void)
{
    return __atomic_load_n(&helpers, __ATOMIC_SEQ_CST);
}

/* ---- starting ---- */

static int create(pthread_t *thread, const pthread_attr_t *attr,
                  const struct hki_thread_spec *spec, void *(*fn)(void *), void *arg)
{
    if (spec->is_deaf && spec->is_detached)
        return create_helper(thread, attr, fn, arg);
    return spec->is_deaf ? create_deaf(thread, attr, fn, arg)
                         : pthread_create(thread, attr, fn, arg);
}

int hki_os_thread_start(const struct hki_thread_spec *spec, void *(*fn)(void *),
                        void *arg, pthread_t *out)
{
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    rc = set_attributes(&attr, spec);
    if (rc == 0)
        rc = create(&thread, &attr, spec, fn, arg);
    pthread_attr_destroy(&attr);
    if (rc == 0 && out)
        *out = thread;
    return -rc;
}

unsigned hki_os_cpu_count(void)
{
    cpu_set_t set;
    int count = 0;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

uint32_t hki_os_processor_here(void)
{
    int number = sched_getcpu(); /* -1, on a kernel without: then all share one */

    return (uint32_t)number;
}
