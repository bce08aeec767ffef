/* SPDX-License-Identifier: MIT */

package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The twin of ../parallel.h.
const (
	parallelThreads  = 2
	poolJobs         = 1000000
	poolRoundTrips   = 20000
	forkjoinN        = 30
	fibN             = 32
	fibCutoff        = 12
	pforElements     = 100000000
	pforGrain        = 16384
	regionIterations = 1000000
)

//go:noinline
func emptyJob() {}

func rounds(work func(), operations float64) {
	const least = 300 * time.Millisecond
	runtime.GOMAXPROCS(parallelThreads)
	work()
	count := 0
	start := time.Now()
	for count == 0 || time.Since(start) < least {
		work()
		count++
	}
	fmt.Printf("%.2f\n", float64(time.Since(start).Nanoseconds())/
		(float64(count)*operations))
}

// A goroutine for each job; a channel to two goroutines that stay takes three times as long.
func benchPool([]string) {
	rounds(func() {
		var done sync.WaitGroup
		done.Add(poolJobs)
		for i := 0; i < poolJobs; i++ {
			go func() {
				emptyJob()
				done.Done()
			}()
		}
		done.Wait()
	}, poolJobs)
}

func benchPoolrtt([]string) {
	rounds(func() {
		var done sync.WaitGroup
		for i := 0; i < poolRoundTrips; i++ {
			done.Add(1)
			go func() {
				emptyJob()
				done.Done()
			}()
			done.Wait()
		}
	}, poolRoundTrips)
}

func plainFib(n int) int {
	if n < 2 {
		return n
	}
	return plainFib(n-1) + plainFib(n-2)
}

func fibTasks(n int) float64 {
	before, now := 0.0, 0.0
	for i := 2; i <= n; i++ {
		before, now = now, before+now+1
	}
	return now
}

func forkFib(n, cutoff int) int {
	if n < 2 {
		return n
	}
	if n < cutoff {
		return plainFib(n)
	}
	var forked sync.WaitGroup
	var first int
	forked.Add(1)
	go func() {
		first = forkFib(n-1, cutoff)
		forked.Done()
	}()
	second := forkFib(n-2, cutoff)
	forked.Wait()
	return first + second
}

func expectFib(n, cutoff, wanted int) {
	if forkFib(n, cutoff) != wanted {
		panic("wrong result")
	}
}

func benchForkjoin([]string) {
	wanted := plainFib(forkjoinN)
	rounds(func() { expectFib(forkjoinN, 0, wanted) }, fibTasks(forkjoinN))
}

func benchFib([]string) {
	wanted := plainFib(fibN)
	rounds(func() { expectFib(fibN, fibCutoff, wanted) }, 1)
}

//go:noinline
func sumRoots(begin, end int) float64 {
	sum := 0.0
	for i := begin; i < end; i++ {
		sum += math.Sqrt(float64(i))
	}
	return sum
}

// body(begin, end) on each of the threads, until nothing is left: in equal parts when
// there is no grain, else in pieces of that size, whoever comes first.
func parallelFor(elements, grain int, body func(thread, begin, end int)) {
	var next atomic.Int64
	var done sync.WaitGroup
	if grain == 0 {
		grain = (elements + parallelThreads - 1) / parallelThreads
	}
	work := func(thread int) {
		for {
			begin := int(next.Add(int64(grain))) - grain
			if begin >= elements {
				break
			}
			end := begin + grain
			if end > elements {
				end = elements
			}
			body(thread, begin, end)
		}
		done.Done()
	}
	done.Add(parallelThreads)
	for thread := 1; thread < parallelThreads; thread++ {
		go work(thread)
	}
	work(0)
	done.Wait()
}

func benchPfor(args []string) {
	const turns = 3
	grain := pforGrain
	if len(args) > 0 && args[0] == "static" {
		grain = 0
	}
	runtime.GOMAXPROCS(parallelThreads)
	one, two := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for i := 0; i < turns; i++ {
		start := time.Now()
		alone := sumRoots(0, pforElements)
		middle := time.Now()
		var sums [parallelThreads]struct {
			value float64
			_     [7]float64 // a cache line each
		}
		parallelFor(pforElements, grain, func(thread, begin, end int) {
			sums[thread].value += sumRoots(begin, end)
		})
		end := time.Now()
		together := sums[0].value + sums[1].value
		if math.Abs(together/alone-1) > 1e-6 {
			panic("wrong sum")
		}
		if middle.Sub(start) < one {
			one = middle.Sub(start)
		}
		if end.Sub(middle) < two {
			two = end.Sub(middle)
		}
	}
	fmt.Printf("%.3f\n", float64(one)/float64(two))
}

func benchRegion(args []string) {
	body := func(_, begin, end int) { emptyJob() }
	switch {
	case len(args) == 0:
		rounds(func() { parallelFor(parallelThreads, 1, body) }, 1)
	case args[0] == "iteration":
		rounds(func() { parallelFor(regionIterations, 1, body) }, regionIterations)
	default:
		os.Exit(missing)
	}
}
