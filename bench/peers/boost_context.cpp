/* SPDX-License-Identifier: MIT */
/*
 * The peer Boost.Context: the raw switch, jump_fcontext, with no scheduler and no
 * smart pointers above it. Two contexts pass control to and fro; a jump is a switch.
 */
#include "bench.h"
#include <boost/context/detail/fcontext.hpp>

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;

static const long switches = 50000000;
static long done;
static double start;

static __attribute__((noinline)) void finish()
{
    bench_report_cpu(start, (double)done);
    fflush(stdout);
    _exit(0); /* the other side is in the middle of its loop */
}

static void one_site(fcontext_t other)
{
    for (;;) {
        if (++done > switches)
            finish();
        other = jump_fcontext(other, nullptr).fctx;
    }
}

static void other_site(fcontext_t other)
{
    for (;;) {
        if (++done > switches)
            finish();
        other = jump_fcontext(other, nullptr).fctx;
        __asm__ volatile("nop");
    }
}

static __attribute__((noinline)) fcontext_t inner(fcontext_t other)
{
    fcontext_t back = jump_fcontext(other, nullptr).fctx;
    __asm__ volatile("");
    return back;
}

static __attribute__((noinline)) fcontext_t outer(fcontext_t other)
{
    fcontext_t back = inner(other);
    __asm__ volatile("");
    return back;
}

static __attribute__((noinline)) fcontext_t inner_far(fcontext_t other)
{
    fcontext_t back = jump_fcontext(other, nullptr).fctx;
    __asm__ volatile("nop");
    return back;
}

static void nested(fcontext_t other)
{
    for (;;) {
        if (++done > switches)
            finish();
        other = outer(other);
    }
}

static void nested_far(fcontext_t other)
{
    for (;;) {
        if (++done > switches)
            finish();
        other = inner_far(other);
    }
}

static void (*far_loop)(fcontext_t);

static void far_entry(boost::context::detail::transfer_t from)
{
    far_loop(from.fctx);
}

static void run(void (*near_loop)(fcontext_t), void (*far)(fcontext_t))
{
    static char stack[65536];

    far_loop = far;
    start = bench_cpu_now_ns();
    near_loop(make_fcontext(stack + sizeof stack, sizeof stack, far_entry));
}

static void bench_switch(int, char **)
{
    run(one_site, one_site);
}

static void switch2(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "nested"))
        run(nested, nested_far);
    else
        run(one_site, other_site);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"switch", bench_switch}, {"switch2", switch2}, {nullptr, nullptr}};

    return bench_main(benches, argc, argv);
}
