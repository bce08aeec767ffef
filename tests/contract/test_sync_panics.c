/* SPDX-License-Identifier: MIT */
/*
 * Shows that misuse of sync/ ends the process with one sentence that names the call,
 * the object and both parties. The program runs itself anew with the number of a
 * misuse, and the parent reads what that wrote and how it died.
 */
#include "sync_kit.h"

#include "support/emulator.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

static hk_mutex mutex = {.name = "ledger"};
static hk_chan *chan;

static int lock_twice(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    return hk_mutex_lock(&mutex);
}

static int lock_twice_when_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    return hk_mutex_lock(&mutex);
}

static int lock_twice_shielded(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_mutex_lock_shielded(&mutex);
    return 0;
}

static int unlock_what_is_free(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    hk_mutex_unlock(&mutex);
    return 0;
}

static int unlock_as_the_thief(void *arg)
{
    (void)arg;
    hk_mutex_unlock(&mutex);
    return 0;
}

static int unlock_what_another_holds(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, "thief", unlock_as_the_thief, NULL, NULL), 0);
    return hk_scope_join(&s);
}

static int close_twice(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_chan_new(8, 1, &chan), 0);
    hk_chan_set_name(chan, "jobs");
    hk_chan_close(chan);
    hk_chan_close(chan);
    return 0;
}

static int receive_from_chan(void *arg)
{
    uint64_t item;

    (void)arg;
    return hk_chan_recv(chan, &item);
}

static int send_to_chan(void *arg)
{
    uint64_t item = 1;

    (void)arg;
    return hk_chan_send(chan, &item);
}

static int free_while(hk_task_fn *waits)
{
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_chan_new(8, 0, &chan), 0);
    hk_chan_set_name(chan, "jobs");
    hk_task_rename("thief");
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, "clerk", waits, NULL, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_chan_free(chan);
    return hk_scope_join(&s);
}

static int free_while_one_receives(void *arg)
{
    (void)arg;
    return free_while(receive_from_chan);
}

static int free_while_one_sends(void *arg)
{
    (void)arg;
    return free_while(send_to_chan);
}

/* ---- ending what is in use: the waiters are told by their number ---- */

static hk_event event = {.name = "bell"};
static hk_sem sem = {.name = "desks"};
static hk_barrier barrier = HK_BARRIER_INIT(3);
static hk_wait_group group = {.name = "rooms"};
static hk_limiter limiter = HK_LIMITER_INIT(1);
static hk_once once = {.name = "opening"};

/* Runs `fini` as "clerk" while a child waits. */
static int end_while(hk_task_fn *waits, void (*fini)(void))
{
    hk_scope s;

    hk_task_rename("clerk");
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, waits, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    fini();
    return hk_scope_join(&s);
}

static int wait_for_event(void *arg)
{
    (void)arg;
    return hk_event_wait(&event);
}

static void event_fini(void)
{
    hk_event_fini(&event);
}

static int end_an_event(void *arg)
{
    (void)arg;
    return end_while(wait_for_event, event_fini);
}

static int wait_for_sem(void *arg)
{
    (void)arg;
    return hk_sem_acquire(&sem);
}

static void sem_fini(void)
{
    hk_sem_fini(&sem);
}

static int end_a_sem(void *arg)
{
    (void)arg;
    return end_while(wait_for_sem, sem_fini);
}

static int wait_at_barrier(void *arg)
{
    (void)arg;
    return hk_barrier_wait(&barrier);
}

static void barrier_fini(void)
{
    barrier.name = "gate";
    hk_barrier_fini(&barrier);
}

static int end_a_barrier(void *arg)
{
    (void)arg;
    return end_while(wait_at_barrier, barrier_fini);
}

static int wait_for_group(void *arg)
{
    (void)arg;
    hk_wait_group_add(&group, 2);
    return hk_wait_group_wait(&group);
}

static void group_fini(void)
{
    hk_wait_group_fini(&group);
}

static int end_a_group(void *arg)
{
    (void)arg;
    return end_while(wait_for_group, group_fini);
}

static int borrow(void *arg)
{
    (void)arg;
    limiter.name = "till";
    CHECK_EQ(hk_limiter_acquire(&limiter), 0);
    return hk_sleep(HK_NEVER);
}

static void limiter_fini(void)
{
    hk_limiter_fini(&limiter);
}

static int end_a_limiter(void *arg)
{
    (void)arg;
    return end_while(borrow, limiter_fini);
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    return hk_sleep(HK_NEVER);
}

static int run_once(void *arg)
{
    (void)arg;
    return hk_once_run(&once, wait_for_ever, NULL);
}

static void once_fini(void)
{
    hk_once_fini(&once);
}

static int end_a_once(void *arg)
{
    (void)arg;
    return end_while(run_once, once_fini);
}

/* ---- giving what one has not got ---- */

static int return_what_was_not_borrowed(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    limiter.name = "till";
    hk_limiter_release(&limiter);
    return 0;
}

static int return_for_who_has_not_borrowed(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    limiter.name = "till";
    CHECK_EQ(hk_limiter_acquire(&limiter), 0);
    hk_limiter_release_for(&limiter, &mutex);
    return 0;
}

static int be_done_with_too_much(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    hk_wait_group_add(&group, 1);
    hk_wait_group_done(&group);
    hk_wait_group_done(&group);
    return 0;
}

static int run_once_again(void *arg)
{
    hk_task_rename("clerk");
    return hk_once_run(&once, run_once_again, arg);
}

static int wait_at_no_barrier(void *arg)
{
    hk_barrier zeroed = {.name = "gate"};

    (void)arg;
    hk_task_rename("clerk");
    return hk_barrier_wait(&zeroed);
}

/* The words that the sentence must contain. */
struct misuse {
    const char *name;
    hk_task_fn *fn;
    const char *words[4];
};

static const struct misuse misuses[] = {
    {"locking_what_one_holds_panics",
     lock_twice,
     {"hk_mutex_lock", "ledger", "clerk", "already holds"}},
    {"locking_what_one_holds_panics_also_when_cancelled",
     lock_twice_when_cancelled,
     {"hk_mutex_lock", "ledger", "clerk", "already holds"}},
    {"locking_shielded_what_one_holds_panics",
     lock_twice_shielded,
     {"hk_mutex_lock", "ledger", "clerk", "already holds"}},
    {"unlocking_what_is_free_panics",
     unlock_what_is_free,
     {"hk_mutex_unlock", "ledger", "clerk", "nobody holds"}},
    {"unlocking_what_another_holds_panics",
     unlock_what_another_holds,
     {"hk_mutex_unlock", "ledger", "thief", "clerk"}},
    {"closing_twice_panics",
     close_twice,
     {"hk_chan_close", "jobs", "clerk", "which is closed"}},
    {"freeing_a_channel_that_is_received_from_panics",
     free_while_one_receives,
     {"hk_chan_free", "jobs", "'thief' frees", "'clerk' waits in a channel receive"}},
    {"freeing_a_channel_that_is_sent_to_panics",
     free_while_one_sends,
     {"hk_chan_free", "jobs", "'thief' frees", "'clerk' waits in a channel send"}},
    {"ending_an_event_that_is_waited_for_panics",
     end_an_event,
     {"hk_event_fini", "bell", "clerk", "1 wait for"}},
    {"ending_a_semaphore_that_is_waited_for_panics",
     end_a_sem,
     {"hk_sem_fini", "desks", "clerk", "1 wait for"}},
    {"ending_a_barrier_that_is_waited_at_panics",
     end_a_barrier,
     {"hk_barrier_fini", "gate", "clerk", "1 of 3"}},
    {"ending_a_wait_group_that_is_not_done_panics",
     end_a_group,
     {"hk_wait_group_fini", "rooms", "clerk", "2 under way"}},
    {"ending_a_limiter_that_is_borrowed_from_panics",
     end_a_limiter,
     {"hk_limiter_fini", "till", "clerk", "1 tokens are borrowed"}},
    {"ending_a_once_that_is_run_panics",
     end_a_once,
     {"hk_once_fini", "opening", "clerk", "runs"}},
    {"giving_back_what_was_not_borrowed_panics",
     return_what_was_not_borrowed,
     {"hk_limiter_release", "till", "clerk", "has borrowed none"}},
    {"giving_back_for_who_has_not_borrowed_panics",
     return_for_who_has_not_borrowed,
     {"hk_limiter_release_for", "till", "clerk", "has borrowed none"}},
    {"being_done_with_more_than_was_added_panics",
     be_done_with_too_much,
     {"hk_wait_group_done", "rooms", "clerk", "more than was added"}},
    {"running_a_once_from_inside_panics",
     run_once_again,
     {"hk_once_run", "opening", "clerk", "wait for itself"}},
    {"waiting_at_a_barrier_of_no_parties_panics",
     wait_at_no_barrier,
     {"hk_barrier_wait", "gate", "clerk", "no parties"}},
};

enum { MISUSES = sizeof(misuses) / sizeof(*misuses), TEXT_SIZE = 8192 };

/* In the child. */
static int misuse_now(const char *number)
{
    struct rlimit no_core = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)hk_run(misuses[atoi(number)].fn, NULL, NULL);
    return 0; /* it should have panicked */
}

static void read_to_the_end(int fd, char *text)
{
    size_t used = 0;
    ssize_t n;

    while ((n = read(fd, text + used, TEXT_SIZE - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
}

static void run_misuse(void **state)
{
    const struct misuse *misuse = *state;
    char number[16], self[] = "/proc/self/exe", text[TEXT_SIZE];
    char *args[] = {self, number, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    pid_t child;

    skip_if_emulated("cannot start this program anew");
    snprintf(number, sizeof(number), "%d", (int)(misuse - misuses));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    assert_int_equal(posix_spawn(&child, self, &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    read_to_the_end(ends[0], text);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        printf("# status %#x: %s\n", (unsigned)status, text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    for (int i = 0; i < 4; i++)
        if (!strstr(text, misuse->words[i])) {
            printf("# no \"%s\" in: %s\n", misuse->words[i], text);
            fail();
        }
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[MISUSES];

    if (argc > 1)
        return misuse_now(argv[1]);
    for (size_t i = 0; i < MISUSES; i++)
        tests[i] = (struct CMUnitTest){misuses[i].name, run_misuse, NULL, NULL,
                                       (void *)(uintptr_t)&misuses[i]};
    return cmocka_run_group_tests_name("sync panics", tests, NULL, NULL);
}
