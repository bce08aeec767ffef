/* SPDX-License-Identifier: MIT */
/* The floors, one function per bench; floor.c has the table. */
#ifndef HOCKET_BENCH_FLOOR_H
#define HOCKET_BENCH_FLOOR_H

void floor_switch(int argc, char **args);
void floor_switch2(int argc, char **args);
void floor_spawn(int argc, char **args);
void floor_park(int argc, char **args);
void floor_chan0(int argc, char **args);
void floor_chan1024(int argc, char **args);
void floor_xchan(int argc, char **args);
void floor_mutex(int argc, char **args);
void floor_timers(int argc, char **args);
void floor_files(int argc, char **args);
void floor_wake(int argc, char **args);
void floor_cond(int argc, char **args);
void floor_pool(int argc, char **args);
void floor_forkjoin(int argc, char **args);
void floor_fib(int argc, char **args);
void floor_pfor(int argc, char **args);
void floor_region(int argc, char **args);
void floor_echo_server(int argc, char **args);

/* A listening socket on 127.0.0.1 with a port of the kernel's choice, announced. */
int floor_listen(void);
void floor_echo_uring(int listener);
void floor_echo_epoll(int listener);

#endif
