/* SPDX-License-Identifier: MIT */
/* For the tests of rules about processes: bodies that run in a child. */
#ifndef TESTS_UNIT_RULES_CHILD_TEST_H
#define TESTS_UNIT_RULES_CHILD_TEST_H

#include "support/core_test.h"

/* The body that follows runs in a child process, which must end with `code`. */
#define CHILD_TEST(name, code)                                                         \
    static int name##_body(void *unused_arg);                                          \
    static void name(void **state)                                                     \
    {                                                                                  \
        char text[4096];                                                               \
        int status = run_in_child(name##_body, text, sizeof(text));                    \
                                                                                       \
        (void)state;                                                                   \
        if (!WIFEXITED(status) || WEXITSTATUS(status) != (code))                       \
            printf("# status %#x, said: %s\n", status, text);                          \
        assert_true(WIFEXITED(status));                                                \
        assert_int_equal(WEXITSTATUS(status), (code));                                 \
    }                                                                                  \
    static int name##_body(void *unused_arg __attribute__((unused)))

HK_FN(int, gives_one)
{
    return 1;
}

static inline void rule_24_job(hk_executor *on)
{
    hk_future *f = gives_one_on(on);
    int one;

    CHECK_EQ(gives_one_await(f, &one), 0);
    hk_future_free(f);
}

#endif
