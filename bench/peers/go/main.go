/* SPDX-License-Identifier: MIT */

// The peer Go: goroutines and channels of the standard library, nothing else.
//
// One worker is GOMAXPROCS(1), set by each bench; crossing workers is GOMAXPROCS(2).
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	missing      = 77
	chanCapacity = 1024
	timersLive   = 1000000
	filesCount   = 10000
	filesAtOnce  = 50
	fileBytes    = 16384
)

var benches = map[string]func(args []string){
	"switch":      benchSwitch,
	"switch2":     benchSwitch2,
	"spawn":       benchSpawn,
	"spawn1m":     benchSpawn1m,
	"park":        benchPark,
	"chan0":       func([]string) { passItems(1, 0, 5000000) },
	"chan1024":    func([]string) { passItems(1, chanCapacity, 20000000) },
	"xchan":       func([]string) { passItems(2, chanCapacity, 20000000) },
	"mutex":       benchMutex,
	"mutex2":      benchMutex2,
	"mutex1k":     benchMutex1k,
	"rwlock":      benchRwlock,
	"cond":        benchCond,
	"prims":       benchPrims,
	"timers":      benchTimers,
	"files":       benchFiles,
	"wake":        benchWake,
	"pool":        benchPool,
	"poolrtt":     benchPoolrtt,
	"forkjoin":    benchForkjoin,
	"fib":         benchFib,
	"pfor":        benchPfor,
	"region":      benchRegion,
	"echo-server": echoServer,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go BENCH [ARGS]")
		os.Exit(2)
	}
	bench := benches[os.Args[1]]
	if bench == nil {
		os.Exit(missing)
	}
	bench(os.Args[2:])
}

// One core is measured in CPU time, crossing cores on the wall clock; see bench.h.
func cpuNow() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func reportCPU(start int64, operations int) {
	fmt.Printf("%.2f\n", float64(cpuNow()-start)/float64(operations))
}

func reportWall(start time.Time, operations int) {
	fmt.Printf("%.2f\n", float64(time.Since(start).Nanoseconds())/float64(operations))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The same xorshift as in bench.h.
type random uint64

func (r *random) timer() time.Duration {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = random(x)
	return time.Duration(1000+x%3600000) * time.Millisecond
}

func yieldLoop(n int, done *sync.WaitGroup) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
	done.Done()
}

func yieldOtherSite(n int, done *sync.WaitGroup) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
	done.Done()
}

//go:noinline
func inner() { runtime.Gosched() }

//go:noinline
func outer() { inner() }

//go:noinline
func innerFar() { runtime.Gosched() }

func yieldNestedFar(n int, done *sync.WaitGroup) {
	for i := 0; i < n; i++ {
		innerFar()
	}
	done.Done()
}

func yieldNested(n int, done *sync.WaitGroup) {
	for i := 0; i < n; i++ {
		outer()
	}
	done.Done()
}

func runTwo(a, b func(int, *sync.WaitGroup)) {
	const each = 5000000
	runtime.GOMAXPROCS(1)
	var done sync.WaitGroup
	done.Add(2)
	start := cpuNow()
	go a(each, &done)
	go b(each, &done)
	done.Wait()
	reportCPU(start, 2*each)
}

func benchSwitch([]string) { runTwo(yieldLoop, yieldLoop) }

func benchSwitch2(args []string) {
	if len(args) > 0 && args[0] == "nested" {
		runTwo(yieldNested, yieldNestedFar)
	} else {
		runTwo(yieldLoop, yieldOtherSite)
	}
}

func benchSpawn([]string) {
	const spawns = 3000000
	runtime.GOMAXPROCS(1)
	ran := 0
	var done sync.WaitGroup
	body := func() { ran++; done.Done() }
	start := cpuNow()
	for i := 0; i < spawns; i++ {
		done.Add(1)
		go body()
		done.Wait()
	}
	reportCPU(start, spawns)
}

func benchSpawn1m([]string) {
	const spawns = 1000000
	runtime.GOMAXPROCS(1)
	ran := 0
	var done sync.WaitGroup
	body := func() { ran++; done.Done() }
	// The first round makes the goroutines' stacks; the second one, timed, reuses them.
	for _, timed := range []bool{false, true} {
		start := cpuNow()
		done.Add(spawns)
		for i := 0; i < spawns; i++ {
			go body()
		}
		done.Wait()
		if timed {
			reportCPU(start, spawns)
		}
	}
}

func statusBytes(key string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key+":") {
			kb, err := strconv.ParseFloat(strings.Fields(line)[1], 64)
			check(err)
			return kb * 1024
		}
	}
	return 0
}

func benchPark(args []string) {
	count := 100000
	if len(args) > 0 {
		var err error
		count, err = strconv.Atoi(args[0])
		check(err)
	}
	runtime.GOMAXPROCS(1)
	never := make(chan struct{})
	rss, tables := statusBytes("VmRSS"), statusBytes("VmPTE")
	for i := 0; i < count; i++ {
		go func() { <-never }()
	}
	runtime.Gosched() // all of them run up to their wait
	n := float64(count)
	fmt.Printf("%.0f\t%.0f\n", (statusBytes("VmRSS")-rss)/n,
		(statusBytes("VmPTE")-tables)/n)
}

func passItems(workers, capacity, items int) {
	runtime.GOMAXPROCS(workers)
	channel := make(chan uint64, capacity)
	sum := make(chan uint64)
	cpu, wall := cpuNow(), time.Now()
	go func() {
		for i := 0; i < items; i++ {
			channel <- uint64(i)
		}
	}()
	go func() {
		total := uint64(0)
		for i := 0; i < items; i++ {
			total += <-channel
		}
		sum <- total
	}()
	if <-sum != uint64(items)*uint64(items-1)/2 {
		panic("lost items")
	}
	if workers > 1 {
		reportWall(wall, items)
	} else {
		reportCPU(cpu, items)
	}
}

func benchMutex([]string) {
	const locks = 40000000
	var m sync.Mutex
	start := cpuNow()
	for i := 0; i < locks; i++ {
		m.Lock()
		m.Unlock()
	}
	reportCPU(start, locks)
}

// The twin of bench_contend: two locked and pinned threads, for a fixed time.
func contend(work func(turn uint64)) {
	const forNs, turnsBetweenLooks = 300 * time.Millisecond, 64
	runtime.GOMAXPROCS(3) // two at work, one to end it
	var ended atomic.Bool
	var turns [2]uint64
	var done sync.WaitGroup
	done.Add(2)
	start := time.Now()
	for side := 0; side < 2; side++ {
		go func(side int) {
			pin(uint(side))
			turn := uint64(0)
			for !ended.Load() {
				for i := 0; i < turnsBetweenLooks; i++ {
					work(turn)
					turn++
				}
			}
			turns[side] = turn
			done.Done()
		}(side)
	}
	time.Sleep(forNs)
	ended.Store(true)
	wall := time.Since(start)
	done.Wait()
	fmt.Printf("%.2f\n", float64(wall.Nanoseconds())/float64(turns[0]+turns[1]))
}

var sharedValue uint64

func benchMutex2([]string) {
	var m sync.Mutex
	contend(func(uint64) {
		m.Lock()
		sharedValue++
		m.Unlock()
	})
}

func benchRwlock([]string) {
	const writes = 20
	var m sync.RWMutex
	seen := [2]uint64{}
	contend(func(turn uint64) {
		if turn%writes == 0 {
			m.Lock()
			sharedValue++
			m.Unlock()
		} else {
			m.RLock()
			if sharedValue == ^uint64(0) {
				seen[0]++
			}
			m.RUnlock()
		}
	})
}

func benchMutex1k([]string) {
	const tasks, locks = 1000, 1000
	runtime.GOMAXPROCS(2)
	var m sync.Mutex
	var done sync.WaitGroup
	done.Add(tasks)
	start := time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			for j := 0; j < locks; j++ {
				m.Lock()
				sharedValue++
				m.Unlock()
			}
			done.Done()
		}()
	}
	done.Wait()
	reportWall(start, tasks*locks)
}

func takeTurns(m *sync.Mutex, turned *sync.Cond, turn *int, mine, rounds int) {
	m.Lock()
	for i := 0; i < rounds; i++ {
		for *turn != mine {
			turned.Wait()
		}
		*turn = 1 - mine
		turned.Signal()
	}
	m.Unlock()
}

func benchCond(args []string) {
	threads := len(args) > 0 && args[0] == "threads"
	rounds := 1000000
	if threads {
		rounds = 10000
		runtime.GOMAXPROCS(2)
	} else {
		runtime.GOMAXPROCS(1)
	}
	var m sync.Mutex
	turned := sync.NewCond(&m)
	turn := 0
	var done sync.WaitGroup
	done.Add(1)
	cpu, wall := cpuNow(), time.Now()
	go func() {
		if threads {
			pin(1)
		}
		takeTurns(&m, turned, &turn, 1, rounds)
		done.Done()
	}()
	if threads {
		pin(0)
	}
	takeTurns(&m, turned, &turn, 0, rounds)
	done.Wait()
	if threads {
		reportWall(wall, 2*rounds)
	} else {
		reportCPU(cpu, 2*rounds)
	}
}

// A timer that is stopped stays in Go's heap until the runtime sweeps; a new one is
// made each time, as time.AfterFunc and context.WithTimeout do.
func benchTimers([]string) {
	const operations = 3000000
	runtime.GOMAXPROCS(1)
	seed := random(88172645463325252)
	never := func() {}
	live := make([]*time.Timer, timersLive)
	for i := range live {
		live[i] = time.AfterFunc(seed.timer(), never)
	}
	start := cpuNow()
	for i := 0; i < operations; i++ {
		t := &live[i%timersLive]
		(*t).Stop()
		*t = time.AfterFunc(seed.timer(), never)
	}
	reportCPU(start, operations)
}

func readOne(path string, buffer []byte) {
	f, err := os.Open(path)
	check(err)
	n, err := f.Read(buffer)
	check(err)
	if n != fileBytes {
		panic("short read")
	}
	f.Close()
}

func benchFiles(args []string) {
	const rounds = 4
	runtime.GOMAXPROCS(1)
	paths := make([]string, filesCount)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s/f%05d", args[0], i)
	}
	start := cpuNow()
	for r := 0; r < rounds; r++ {
		var next int64 = -1
		var done sync.WaitGroup
		done.Add(filesAtOnce)
		for g := 0; g < filesAtOnce; g++ {
			go func() {
				buffer := make([]byte, fileBytes)
				for {
					i := atomic.AddInt64(&next, 1)
					if i >= filesCount {
						break
					}
					readOne(paths[i], buffer)
				}
				done.Done()
			}()
		}
		done.Wait()
	}
	reportCPU(start, rounds*filesCount)
}

func pin(cpu uint) {
	runtime.LockOSThread()
	mask := uint64(1) << cpu
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0,
		unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if e != 0 {
		check(e)
	}
}

// Locked to two threads: left alone, Go would run both goroutines on one of them, and
// nothing would cross.
func benchWake([]string) {
	const roundTrips = 15000
	runtime.GOMAXPROCS(2)
	there, back := make(chan struct{}), make(chan struct{})
	go func() {
		pin(1)
		for range there {
			back <- struct{}{}
		}
	}()
	pin(0)
	start := time.Now()
	for i := 0; i < roundTrips; i++ {
		there <- struct{}{}
		<-back
	}
	reportWall(start, roundTrips)
}

func serve(c net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			break
		}
		if _, err = c.Write(buffer[:n]); err != nil {
			break
		}
	}
	c.Close()
}

func echoServer([]string) {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	fmt.Printf("cpu_ns %d\n", cpuNow())
}
