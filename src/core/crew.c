/* SPDX-License-Identifier: MIT */
/*
 * A crew: all jobs of one scope that one runtime for jobs (core/workers.h) has. The
 * scope knows one guest for them, made at the first and kept until its join, and counts
 * one remote child while the crew has a count. So a job costs an addition, and its end
 * a part of a subtraction, where a remote child costs the scope's lock twice.
 *
 *     count     jobs that have not ended, but for those of the scope's owner: he puts
 *               MANY on top at his first job, and takes it away when he joins, less
 *     by_owner  the jobs that he has added meanwhile, which costs him no atomic
 *               operation
 *
 * Whoever brings the count up from 0 adds a remote child, whoever brings it down to 0
 * takes one away, each after its change of the count. Between the two changes of a new
 * one the scope lives because of who makes them, who is inside of it; and nobody comes
 * down to 0 before they are done, since his own job is in the count. So the scope may
 * count a crew twice for a moment, but never too few.
 */
#include "core/crew.h"

#include "base/alloc.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/workers.h"

#include <errno.h>

struct hki_crew {
    struct hki_guest guest;
    struct hki_crew *next;       /* of the scope; immutable */
    struct hki_runtime *runtime; /* immutable; may be gone once it has no job of ours */
    uint64_t count;              /* atomic */
    char apart[64];              /* for each job the owner writes into the same line: */
    uint64_t by_owner;           /* atomic; written by the owner */
    bool owner_counts;           /* MANY are in the count; owner only */
};

#define MANY (UINT64_C(1) << 62)

static void recheck(struct hki_runtime *runtime, void *ctx)
{
    if (runtime == ctx)
        hki_workers_recheck(runtime);
}

/* With the registry locked, so that it does not go meanwhile. If it is gone, and there
 * is another at this place, that one looks in vain. */
static void crew_cancelled(struct hki_guest *guest)
{
    hki_runtimes_visit(recheck, ((struct hki_crew *)(void *)guest)->runtime);
}

static struct hki_crew *find(const hk_scope *scope, const struct hki_runtime *runtime)
{
    struct hki_crew *crew = __atomic_load_n(&scope->hki_crews, __ATOMIC_ACQUIRE);

    while (HKI_UNLIKELY(crew && crew->runtime != runtime))
        crew = crew->next;
    return crew;
}

/* With the lock. */
static struct hki_crew *make(hk_scope *scope, struct hki_runtime *runtime)
{
    struct hki_crew *crew = hki_alloc(sizeof(*crew));

    if (!crew)
        return NULL;
    crew->runtime = runtime;
    crew->guest.scope = scope;
    crew->guest.name = "jobs of a pool of threads";
    crew->guest.cancel = crew_cancelled;
    hki_guest_link(&crew->guest);
    crew->next = scope->hki_crews;
    __atomic_store_n(&scope->hki_crews, crew, __ATOMIC_RELEASE);
    return crew;
}

static struct hki_crew *find_or_make(hk_scope *scope, struct hki_runtime *runtime)
{
    struct hki_crew *crew;

    hki_lock_acquire(&scope->hki_lock);
    crew = find(scope, runtime);
    if (!crew)
        crew = make(scope, runtime);
    hki_lock_release(&scope->hki_lock);
    return crew;
}

static void add(struct hki_crew *crew, uint64_t jobs)
{
    if (HKI_UNLIKELY(__atomic_fetch_add(&crew->count, jobs, __ATOMIC_ACQ_REL) == 0))
        hki_scope_add_remote_count(crew->guest.scope);
}

static void subtract(struct hki_crew *crew, uint64_t jobs)
{
    hk_scope *scope = crew->guest.scope;

    if (__atomic_sub_fetch(&crew->count, jobs, __ATOMIC_ACQ_REL) == 0)
        hki_scope_release_remote(scope);
}

static struct hki_crew *crew_of(hk_scope *scope, struct hki_runtime *runtime)
{
    struct hki_crew *crew = find(scope, runtime);

    if (HKI_UNLIKELY(!crew))
        crew = find_or_make(scope, runtime);
    if (HKI_UNLIKELY(!crew))
        return NULL;
    return crew;
}

static void add_by_owner(struct hki_crew *crew)
{
    uint64_t before = __atomic_load_n(&crew->by_owner, __ATOMIC_RELAXED);

    if (HKI_UNLIKELY(!crew->owner_counts)) {
        crew->owner_counts = true;
        add(crew, MANY);
    }
    __atomic_store_n(&crew->by_owner, before + 1, __ATOMIC_RELAXED);
}

int hki_crew_attach(hk_scope *scope, struct hki_runtime *runtime)
{
    return crew_of(scope, runtime) ? 0 : -ENOMEM;
}

int hki_crew_enter(hk_scope *scope, struct hki_runtime *runtime)
{
    struct hki_crew *crew = crew_of(scope, runtime);

    if (HKI_UNLIKELY(!crew))
        return -ENOMEM;
    if (scope->hki_owner == hki_self_current)
        add_by_owner(crew);
    else
        add(crew, 1);
    return 0;
}

void hki_crew_leave(hk_scope *scope, struct hki_runtime *runtime, uint64_t jobs)
{
    subtract(find(scope, runtime), jobs);
}

/* ---- for the scope ---- */

void hki_crews_join(hk_scope *scope)
{
    struct hki_crew *crew = __atomic_load_n(&scope->hki_crews, __ATOMIC_ACQUIRE);

    for (; crew; crew = crew->next) {
        if (!crew->owner_counts)
            continue;
        crew->owner_counts = false;
        subtract(crew, MANY - crew->by_owner);
    }
}

/* With the lock, for who cancels the scope at this very moment. */
static struct hki_crew *take_all(hk_scope *scope)
{
    struct hki_crew *crews;

    hki_lock_acquire(&scope->hki_lock);
    crews = scope->hki_crews;
    __atomic_store_n(&scope->hki_crews, NULL, __ATOMIC_RELAXED);
    scope->hki_guests = NULL;
    hki_lock_release(&scope->hki_lock);
    return crews;
}

void hki_crews_free(hk_scope *scope)
{
    struct hki_crew *next;

    for (struct hki_crew *crew = take_all(scope); crew; crew = next) {
        next = crew->next;
        hki_free(crew);
    }
}

/* They are counted apart, so it may be late, but never wrong when all is quiet. */
static uint64_t jobs_of(const struct hki_crew *crew)
{
    uint64_t count = __atomic_load_n(&crew->count, __ATOMIC_RELAXED);

    return crew->owner_counts
               ? count - MANY + __atomic_load_n(&crew->by_owner, __ATOMIC_RELAXED)
               : count;
}

/* Those of the crews less the one that each is counted as. */
int64_t hki_crews_jobs(const hk_scope *scope)
{
    const struct hki_crew *crew = __atomic_load_n(&scope->hki_crews, __ATOMIC_ACQUIRE);
    int64_t jobs = 0;

    for (; crew; crew = crew->next) {
        jobs += (int64_t)jobs_of(crew) -
                (__atomic_load_n(&crew->count, __ATOMIC_RELAXED) > 0);
    }
    return jobs;
}

bool hki_guest_is_crew(const struct hki_guest *guest, uint64_t *out_jobs)
{
    const struct hki_crew *crew = (const struct hki_crew *)(const void *)guest;

    if (guest->cancel != crew_cancelled)
        return false;
    *out_jobs = jobs_of(crew);
    return true;
}
