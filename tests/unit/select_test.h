/* SPDX-License-Identifier: MIT */
/* For the tests of select: its channels. */
#ifndef TESTS_UNIT_SELECT_TEST_H
#define TESTS_UNIT_SELECT_TEST_H

#include "contract/sync_kit.h"

static inline hk_chan *new_chan(size_t capacity)
{
    hk_chan *chan = NULL;

    CHECK_EQ(hk_chan_new(sizeof(uint64_t), capacity, &chan), 0);
    return chan;
}

#endif
