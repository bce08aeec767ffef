/* SPDX-License-Identifier: MIT */
#include "hocket.h"

static const struct bench table[] = {
    {"switch", hocket_switch},
    {"switch2", hocket_switch2},
    {"spawn", hocket_spawn},
    {"spawn1m", hocket_spawn1m},
    {"park", hocket_park},
    {"chan0", hocket_chan0},
    {"chan1024", hocket_chan1024},
    {"xchan", hocket_xchan},
    {"mutex", hocket_mutex},
    {"lockcheck", hocket_lockcheck},
    {"mutex2", hocket_mutex2},
    {"mutex1k", hocket_mutex1k},
    {"rwlock", hocket_rwlock},
    {"cond", hocket_cond},
    {"prims", hocket_prims},
    {"timers", hocket_timers},
    {"files", hocket_files},
    {"wake", hocket_wake},
    {"proc", hocket_proc},
    {"procrtt", hocket_procrtt},
    {"pool", hocket_pool},
    {"poolrtt", hocket_poolrtt},
    {"procbig", hocket_procbig},
    {"procstart", hocket_procstart},
    {"forkjoin", hocket_forkjoin},
    {"fib", hocket_fib},
    {"pfor", hocket_pfor},
    {"region", hocket_region},
    {"footprint", hocket_footprint},
    {"echo-server", hocket_echo_server},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    return bench_main(table, argc, argv);
}
