/* SPDX-License-Identifier: MIT */

package main

import (
	"os"
	"runtime"
	"sync"
)

// What Go programs take where others take a semaphore, an event or a barrier: channels,
// and a mutex with a condition.
func benchPrims(args []string) {
	runtime.GOMAXPROCS(1)
	prims := map[string]func(){
		"semaphore": primSemaphore,
		"event":     primEvent,
		"barrier":   primBarrier,
		"once":      primOnce,
	}
	if len(args) < 1 || prims[args[0]] == nil {
		os.Exit(missing)
	}
	prims[args[0]]()
}

func primSemaphore() {
	const acquires = 20000000
	permits := make(chan struct{}, 1)
	start := cpuNow()
	for i := 0; i < acquires; i++ {
		permits <- struct{}{}
		<-permits
	}
	reportCPU(start, acquires)
}

// Set, wait and clear: a slot that is filled, looked for, and emptied by that.
func primEvent() {
	const sets = 20000000
	event := make(chan struct{}, 1)
	start := cpuNow()
	for i := 0; i < sets; i++ {
		select {
		case event <- struct{}{}:
		default:
		}
		<-event
	}
	reportCPU(start, sets)
}

type barrier struct {
	lock    sync.Mutex
	passed  *sync.Cond
	parties int
	arrived int
	round   int
}

func (b *barrier) wait() {
	b.lock.Lock()
	round := b.round
	b.arrived++
	if b.arrived == b.parties {
		b.arrived = 0
		b.round++
		b.passed.Broadcast()
	}
	for round == b.round {
		b.passed.Wait()
	}
	b.lock.Unlock()
}

func primBarrier() {
	const meetings = 2000000
	b := barrier{parties: 2}
	b.passed = sync.NewCond(&b.lock)
	var done sync.WaitGroup
	done.Add(2)
	meet := func() {
		for i := 0; i < meetings; i++ {
			b.wait()
		}
		done.Done()
	}
	start := cpuNow()
	go meet()
	go meet()
	done.Wait()
	reportCPU(start, meetings)
}

func primOnce() {
	const runs = 400000000
	var once sync.Once
	nothing := func() {}
	start := cpuNow()
	for i := 0; i < runs; i++ {
		once.Do(nothing)
	}
	reportCPU(start, runs)
}
