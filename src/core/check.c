/* SPDX-License-Identifier: MIT */
#include "core/check_inline.h"

uint32_t hki_checks;

void hki_check_order(struct hki_self *self, const void *lock, const hk_wait_kind *kind)
{
    (void)self;
    (void)lock;
    (void)kind;
}

void hki_check_took(struct hki_self *self, const void *lock, const hk_wait_kind *kind,
                    enum hki_holding hold)
{
    (void)self;
    (void)lock;
    (void)kind;
    (void)hold;
}

void hki_check_gave(struct hki_self *self, const void *lock)
{
    (void)self;
    (void)lock;
}

void hki_check_forget(const void *lock)
{
    (void)lock;
}

size_t hki_check_holders(const void *lock, hk_holder *out, size_t max)
{
    (void)lock;
    (void)out;
    (void)max;
    return 0;
}
