/* SPDX-License-Identifier: MIT */
/*
 * The subject `floor`: for each bench our own minimal loop, which shows what the
 * machine itself costs. A floor does only what the bench's result needs: no scheduler,
 * no error paths beyond "die", no cancellation. It is the yardstick, not a competitor.
 */
#include "floor.h"
#include "../peers/bench.h"

static const struct bench benches[] = {
#if defined(__x86_64__)
    {"switch", floor_switch},
    {"switch2", floor_switch2},
    {"spawn", floor_spawn},
    {"park", floor_park},
    {"chan0", floor_chan0},
    {"chan1024", floor_chan1024},
#endif
    {"xchan", floor_xchan},
    {"mutex", floor_mutex},
    {"cond", floor_cond},
    {"timers", floor_timers},
    {"files", floor_files},
    {"wake", floor_wake},
    {"pool", floor_pool},
    {"forkjoin", floor_forkjoin},
    {"fib", floor_fib},
    {"pfor", floor_pfor},
    {"region", floor_region},
    {"echo-server", floor_echo_server},
    {0},
};

int main(int argc, char **argv)
{
    return bench_main(benches, argc, argv);
}
