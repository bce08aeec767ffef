/* SPDX-License-Identifier: MIT */
/*
 * Mutex, semaphore and event under the schedule explorer: never two holders, never more
 * out than permits, and every waiter ends, whoever is cancelled at whatever moment.
 *
 * Run: once
 */
#include "explore_kit.h"

enum { ROUNDS = 2 };

/* ---- mutex ---- */

struct room {
    hk_mutex mutex;
    int inside; /* guarded by mutex, and this is what is tested */
    int visits;
};

static int stay_inside(struct room *room)
{
    int rc;

    EXPECT(++room->inside == 1);
    rc = dawdle();
    EXPECT(--room->inside == 0);
    room->visits++;
    return rc;
}

static int leave(struct room *room, int rc)
{
    hk_mutex_unlock(&room->mutex);
    hk_explore_point();
    return rc;
}

static int visit(void *arg)
{
    struct room *room = arg;

    for (int i = 0; i < ROUNDS; i++) {
        TRY(hk_mutex_lock(&room->mutex));
        TRY(leave(room, stay_inside(room)));
    }
    return 0;
}

static int visit_by_trying(void *arg)
{
    struct room *room = arg;

    for (int i = 0; i < ROUNDS;) {
        TRY(hk_yield());
        if (hk_mutex_try_lock(&room->mutex) < 0)
            continue;
        TRY(leave(room, stay_inside(room)));
        i++;
    }
    return 0;
}

static int visit_shielded(void *arg)
{
    struct room *room = arg;
    int rc = dawdle();

    hk_mutex_lock_shielded(&room->mutex);
    EXPECT(hk_mutex_is_held(&room->mutex));
    EXPECT(++room->inside == 1);
    room->inside--;
    room->visits++;
    return leave(room, rc);
}

static int visit_within_a_moment(void *arg)
{
    struct room *room = arg;
    hk_scope s;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 1 + hk_explore_choice(3));
    rc = hk_mutex_lock(&room->mutex);
    if (rc == 0) {
        EXPECT(++room->inside == 1);
        (void)hk_sleep(1 + hk_explore_choice(2)); /* is cut short by the deadline */
        room->inside--;
        hk_mutex_unlock(&room->mutex);
    }
    rc = hk_scope_end(&s, rc);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int visit_all(hk_task_fn *first, hk_task_fn *others, int visits_wanted)
{
    struct room room = {.inside = 0};
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, first, &room);
    for (int i = 1; i < MANY; i++)
        hk_spawn(&s, others, &room);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(room.inside == 0);
    EXPECT(visits_wanted < 0 || room.visits == visits_wanted);
    EXPECT(hk_mutex_try_lock(&room.mutex) == 0);
    hk_mutex_unlock(&room.mutex);
    return 0;
}

static int mutex_excludes(void *arg)
{
    (void)arg;
    return visit_all(visit, visit, MANY * ROUNDS);
}

static int mutex_excludes_when_cancelled(void *arg)
{
    (void)arg;
    return visit_all(visit, visit, -1);
}

static int mutex_excludes_who_only_tries(void *arg)
{
    (void)arg;
    return visit_all(visit_by_trying, visit, MANY * ROUNDS);
}

static int mutex_is_always_had_shielded(void *arg)
{
    (void)arg;
    return visit_all(visit, visit_shielded, -1);
}

static int mutex_waits_up_to_a_deadline(void *arg)
{
    (void)arg;
    return visit_all(visit_within_a_moment, visit_within_a_moment, -1);
}

struct pair {
    struct room a, b;
};

static int visit_both(void *arg)
{
    struct pair *pair = arg;
    int rc;

    TRY(hk_mutex_lock(&pair->a.mutex));
    rc = hk_mutex_lock(&pair->b.mutex);
    if (rc == 0) {
        rc = stay_inside(&pair->b);
        hk_mutex_unlock(&pair->b.mutex);
    }
    return leave(&pair->a, rc);
}

static int visit_second(void *arg)
{
    return visit(&((struct pair *)arg)->b);
}

static int mutexes_nest_in_order(void *arg)
{
    struct pair pair = {.a = {.inside = 0}};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, visit_both, &pair);
    hk_spawn(&s, visit_both, &pair);
    hk_spawn(&s, visit_second, &pair);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(hk_mutex_try_lock(&pair.a.mutex) == 0);
    hk_mutex_unlock(&pair.a.mutex);
    return 0;
}

/* The one who has unlocked last frees it. */
struct shared_room {
    struct room room;
    int users;
};

static int last_one_frees(void *arg)
{
    struct shared_room *shared = arg;
    bool last;

    hk_mutex_lock_shielded(&shared->room.mutex);
    last = --shared->users == 0;
    hk_mutex_unlock(&shared->room.mutex);
    if (last)
        free(shared);
    return 0;
}

static int mutex_is_freed_by_its_last_holder(void *arg)
{
    struct shared_room *shared = calloc(1, sizeof(*shared));
    hk_scope s;

    (void)arg;
    EXPECT(shared);
    shared->users = MANY;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, last_one_frees, shared);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

/* ---- semaphore ---- */

struct lot {
    hk_sem sem;
    int parked, permits;
};

static int park_there(void *arg)
{
    struct lot *lot = arg;
    int rc;

    TRY(hk_sem_acquire(&lot->sem));
    EXPECT(add_to(&lot->parked, 1) <= lot->permits);
    rc = dawdle();
    add_to(&lot->parked, -1);
    hk_sem_release(&lot->sem, 1);
    hk_explore_point();
    return rc;
}

static int park_there_for_a_moment(void *arg)
{
    hk_scope s;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 1);
    rc = hk_scope_end(&s, park_there(arg));
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int fill_lot(hk_task_fn *fn, int permits)
{
    struct lot lot = {.permits = permits};
    hk_scope s;

    hk_sem_init(&lot.sem, (uint32_t)permits);
    hk_scope_open(&s);
    for (int i = 0; i < MANY + 1; i++)
        hk_spawn(&s, fn, &lot);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(lot.parked == 0 && hk_sem_available(&lot.sem) == (uint32_t)permits);
    return 0;
}

static int semaphore_of_one_excludes(void *arg)
{
    (void)arg;
    return fill_lot(park_there, 1);
}

static int semaphore_of_two_lets_two_in(void *arg)
{
    (void)arg;
    return fill_lot(park_there, 2);
}

static int semaphore_waits_up_to_a_deadline(void *arg)
{
    (void)arg;
    return fill_lot(park_there_for_a_moment, 1);
}

static int acquire_once(void *arg)
{
    struct lot *lot = arg;

    TRY(hk_sem_acquire(&lot->sem));
    add_to(&lot->parked, 1);
    return 0;
}

static int release_in_bulk(void *arg)
{
    struct lot *lot = arg;

    TRY(dawdle());
    hk_sem_release(&lot->sem, 1);
    TRY(dawdle());
    hk_sem_release(&lot->sem, MANY);
    return 0;
}

static int permits_are_neither_lost_nor_made(void *arg)
{
    struct lot lot = {.permits = 0};
    hk_scope s, inner;

    (void)arg;
    hk_sem_init(&lot.sem, 0);
    hk_scope_open(&s);
    hk_scope_open_with(&inner, HK_SCOPE_SHIELDED, NULL);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&inner, acquire_once, &lot);
    /* Not in a task that may be cancelled: all is released for sure. */
    EXPECT(release_in_bulk(&lot) == 0);
    EXPECT(hk_scope_join(&inner) == 0);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(lot.parked + (int)hk_sem_available(&lot.sem) == MANY + 1);
    return 0;
}

static int select_two_semaphores(void *arg)
{
    hk_sem *sems = arg;
    hk_case cases[] = {HK_CASE_SEM(&sems[0]), HK_CASE_SEM(&sems[1])};
    int i = hk_select(cases, 2);

    TRY(i);
    TRY(cases[i].result);
    int rc = dawdle();
    hk_sem_release(&sems[i], 1);
    return rc;
}

static int select_takes_one_permit(void *arg)
{
    hk_sem sems[2];
    hk_scope s;

    (void)arg;
    hk_sem_init(&sems[0], 1);
    hk_sem_init(&sems[1], 1);
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, select_two_semaphores, sems);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(hk_sem_available(&sems[0]) == 1 && hk_sem_available(&sems[1]) == 1);
    return 0;
}

/* ---- event ---- */

struct news {
    hk_event event;
    int told, heard;
};

static int hear(void *arg)
{
    struct news *news = arg;

    TRY(hk_event_wait(&news->event));
    EXPECT(hk_event_is_set(&news->event));
    EXPECT(__atomic_load_n(&news->told, __ATOMIC_ACQUIRE));
    add_to(&news->heard, 1);
    return 0;
}

static int an_event_wakes_all(void *arg)
{
    struct news news = {.told = 0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, hear, &news);
    EXPECT(dawdle() == 0);
    __atomic_store_n(&news.told, 1, __ATOMIC_RELEASE);
    hk_event_set(&news.event);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

/* Each event is on the stack of who waits for it. */

static int ask_once(void *arg)
{
    hk_event answered = HK_EVENT_INIT, *mine = &answered;

    TRY(hk_chan_send(arg, &mine));
    /* It must stay until it was answered: shielded. */
    hk_scope s;
    hk_scope_open_with(&s, HK_SCOPE_SHIELDED, NULL);
    EXPECT(hk_event_wait(&answered) == 0);
    EXPECT(hk_scope_join(&s) == 0);
    memset(&answered, 0xa5, sizeof(answered));
    return 0;
}

static int answer_all(void *arg)
{
    hk_event *asked;

    while (hk_chan_recv(arg, &asked) == 0)
        hk_event_set(asked);
    return 0;
}

static int an_event_lives_where_it_is_awaited(void *arg)
{
    hk_scope s, askers;
    hk_chan *calls;

    (void)arg;
    TRY(hk_chan_new(sizeof(hk_event *), 1, &calls));
    hk_scope_open(&s);
    hk_spawn(&s, answer_all, calls);
    hk_scope_open(&askers);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&askers, ask_once, calls);
    EXPECT(hk_scope_join(&askers) == 0);
    hk_chan_close(calls);
    EXPECT(hk_scope_join(&s) == 0);
    hk_chan_free(calls);
    return 0;
}

static int hear_or_give_up(void *arg)
{
    struct news *news = arg;
    hk_case cases[] = {
        HK_CASE_EVENT(&news->event),
        HK_CASE_DEADLINE(hk_now() + 1),
    };
    int i = hk_select(cases, 2);

    TRY(i);
    EXPECT(i == 1 || hk_event_is_set(&news->event));
    return 0;
}

static int an_event_meets_a_deadline(void *arg)
{
    struct news news = {.told = 0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, hear_or_give_up, &news);
    EXPECT(hk_sleep(1) == 0);
    hk_event_set(&news.event);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

static const struct scenario scenarios[] = {
    {"mutex_excludes", mutex_excludes, 0, false},
    {"mutex_excludes_when_cancelled", mutex_excludes_when_cancelled, 3, false},
    {"mutex_excludes_who_only_tries", mutex_excludes_who_only_tries, 0, false},
    {"mutex_is_always_had_shielded", mutex_is_always_had_shielded, 2, false},
    {"mutex_waits_up_to_a_deadline", mutex_waits_up_to_a_deadline, 1, false},
    {"mutexes_nest_in_order", mutexes_nest_in_order, 2, false},
    {"mutex_is_freed_by_its_last_holder", mutex_is_freed_by_its_last_holder, 0, false},
    {"semaphore_of_one_excludes", semaphore_of_one_excludes, 2, false},
    {"semaphore_of_two_lets_two_in", semaphore_of_two_lets_two_in, 2, false},
    {"semaphore_waits_up_to_a_deadline", semaphore_waits_up_to_a_deadline, 1, false},
    {"permits_are_neither_lost_nor_made", permits_are_neither_lost_nor_made, 2, false},
    {"select_takes_one_permit", select_takes_one_permit, 2, false},
    {"an_event_wakes_all", an_event_wakes_all, 1, false},
    {"an_event_lives_where_it_is_awaited", an_event_lives_where_it_is_awaited, 0,
     false},
    {"an_event_meets_a_deadline", an_event_meets_a_deadline, 1, false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
