/* SPDX-License-Identifier: MIT */
/*
 * The bank, three ways. Five customers sit in a circle; each sends one coin a hundred
 * times to the next one. A transfer reads two balances, asks the fraud department,
 * which takes its time, and writes them back: whoever asks may find that another task
 * has changed a balance meanwhile, although all of them share one thread.
 *
 * Unsafe, that update is lost, and money with it. One lock for the whole bank is right,
 * and lets one transfer in at a time. A lock for each account lets all in that do not
 * touch the same ones; taken one after the other in each customer's own order they
 * would deadlock (everybody holds his own account and waits for the next), so
 * hk_lock_many takes them in an order of its own.
 *
 * Built with -Db_sanitize=thread it says so, too, of the first way and of no other; the
 * "threads" of the report are tasks:
 *
 *     WARNING: ThreadSanitizer: data race
 *       Write of size 8 at 0x7fff5045c1c8 by thread T3:
 *         #0 move_a_coin examples/bank.c
 *         #1 customer examples/bank.c
 *       Previous read of size 8 at 0x7fff5045c1c8 by thread T7:
 *         #0 move_a_coin examples/bank.c
 *         #1 customer examples/bank.c
 *
 * Prints:
 *   unsafe:     5000 coins have become 4700, at most 5 transfers at a time
 *   one lock:   5000 coins have become 5000, at most 1 transfers at a time
 *   many locks: 5000 coins have become 5000, at most 2 transfers at a time
 */
#include <hocket.h>

#include <stdio.h>

enum { CUSTOMERS = 5, TRANSFERS = 100, COINS = 1000 };

struct account {
    hk_mutex lock;
    long balance;
};

struct bank;

typedef int transfer_fn(struct bank *bank, struct account *from, struct account *to);

struct bank {
    transfer_fn *transfer;
    struct account accounts[CUSTOMERS];
    hk_mutex lock;
    int next_customer; /* atomic, as the other two */
    int asking, asking_max;
};

/* The fraud department: it never objects, but others run meanwhile. */
static int ask(struct bank *bank)
{
    int asking = __atomic_add_fetch(&bank->asking, 1, __ATOMIC_RELAXED);
    int rc;

    if (asking > __atomic_load_n(&bank->asking_max, __ATOMIC_RELAXED))
        __atomic_store_n(&bank->asking_max, asking, __ATOMIC_RELAXED);
    rc = hk_yield();
    __atomic_sub_fetch(&bank->asking, 1, __ATOMIC_RELAXED);
    return rc;
}

static int move_a_coin(struct bank *bank, struct account *from, struct account *to)
{
    long from_balance = from->balance;
    long to_balance = to->balance;
    int rc = ask(bank);

    if (rc < 0)
        return rc;
    from->balance = from_balance - 1;
    to->balance = to_balance + 1;
    return 0;
}

/* ---- three ways ---- */

static int with_one_lock(struct bank *bank, struct account *from, struct account *to)
{
    int rc = hk_mutex_lock(&bank->lock);

    if (rc < 0)
        return rc;
    rc = move_a_coin(bank, from, to);
    hk_mutex_unlock(&bank->lock);
    return rc;
}

static int with_many_locks(struct bank *bank, struct account *from, struct account *to)
{
    hk_mutex *both[] = {&from->lock, &to->lock};
    int rc = hk_lock_many(both, 2);

    if (rc < 0)
        return rc;
    rc = move_a_coin(bank, from, to);
    hk_unlock_many(both, 2);
    return rc;
}

/* ---- customers ---- */

static int customer(void *arg)
{
    struct bank *bank = arg;
    int me = __atomic_fetch_add(&bank->next_customer, 1, __ATOMIC_RELAXED);
    struct account *mine = &bank->accounts[me];
    struct account *next = &bank->accounts[(me + 1) % CUSTOMERS];
    int rc = 0;

    for (int i = 0; i < TRANSFERS && rc == 0; i++)
        rc = bank->transfer(bank, mine, next);
    return rc;
}

static int open_for_a_day(void *arg)
{
    hk_scope day;

    hk_scope_open(&day);
    for (int i = 0; i < CUSTOMERS; i++)
        hk_spawn(&day, customer, arg);
    return hk_scope_join(&day);
}

static int show(const char *how, transfer_fn *transfer)
{
    struct bank bank = {.transfer = transfer};
    long coins = 0;
    int rc;

    for (int i = 0; i < CUSTOMERS; i++)
        bank.accounts[i].balance = COINS;
    rc = hk_run(open_for_a_day, &bank, NULL);
    for (int i = 0; i < CUSTOMERS; i++)
        coins += bank.accounts[i].balance;
    printf("%-11s %d coins have become %ld, at most %d transfers at a time\n", how,
           CUSTOMERS * COINS, coins, bank.asking_max);
    return rc;
}

int main(void)
{
    int rc = show("unsafe:", move_a_coin);

    if (rc == 0)
        rc = show("one lock:", with_one_lock);
    if (rc == 0)
        rc = show("many locks:", with_many_locks);
    return rc < 0;
}
