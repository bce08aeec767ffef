#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the floors, the load and every peer that is installed here.
#
#     bench/peers/build.sh BUILDDIR        (the executables go to BUILDDIR/peers)
#
# Prints one line "missing NAME: WHY" for each peer that cannot be built, and fails only
# when a floor cannot. What is up to date is left alone; cargo and go keep their caches
# in BUILDDIR, so that nothing is written beside the sources.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: build.sh BUILDDIR}/peers"
build=$(cd "$1" && pwd)
out=$build/peers
log=$build/log # one file for each peer: log.NAME

CC=${CC:-cc}
CXX=${CXX:-c++}
# What a distribution or a careful user would build with; no peer is handicapped.
CFLAGS='-O3 -DNDEBUG -fno-math-errno -Wall -Wextra'

missing()
{
    echo "missing $1: $2"
}

# fresh TARGET SOURCE...: no source (a file, or all in a folder) is newer
fresh()
{
    fresh_target=$1 # sh has no local variables: prefixed, so that no caller's is hit
    shift
    [ -x "$fresh_target" ] &&
        [ -z "$(find "$@" "$here/build.sh" -type f -newer "$fresh_target")" ]
}

# peer NAME COMPILER SOURCE OPTIONS...
peer()
{
    name=$1 compiler=$2 code=$here/$3
    shift 3
    fresh "$out/$name" "$code" "$here"/*.h && return
    # shellcheck disable=SC2086  # CFLAGS is a list
    "$compiler" $CFLAGS -o "$out/$name" "$code" "$@" >"$log.$name" 2>&1 && return
    rm -f "$out/$name"
    missing "$name" "$(sed -n -E '/error|cannot find/{s/^[^ ]*: //;p;q;}' "$log.$name")"
}

floors()
{
    floor=$here/../floor
    # -mno-red-zone: the switch of coro.h pushes
    case $(uname -m) in x86_64) red=-mno-red-zone ;; *) red= ;; esac
    sources=$(find "$floor" -name '*.c' ! -name load.c)
    # shellcheck disable=SC2086  # lists
    fresh "$out/floor" $sources "$floor"/*.h "$here"/*.h ||
        "$CC" -O2 -Wall -Wextra $red -o "$out/floor" $sources -luring -lm -pthread
    fresh "$out/load" "$floor/load.c" "$here/bench.h" ||
        "$CC" -O2 -Wall -Wextra -o "$out/load" "$floor/load.c"
}

golang()
{
    fresh "$out/go" "$here/go" && return
    rm -f "$out/go"
    if ! command -v go >/dev/null; then
        missing go "no go command"
    elif ! (cd "$here/go" && GOCACHE=$build/go-cache GOPATH=$build/go-path \
        GO111MODULE=on GOFLAGS=-mod=mod GOPROXY=off \
        go build -buildvcs=false -o "$out/go" .) >"$log.go" 2>&1; then
        missing go "go build failed, see $log.go"
    fi
}

rust()
{
    crates='tokio parking_lot crossbeam rayon'
    fresh "$out/tokio" "$here/tokio" && return
    if ! command -v cargo >/dev/null; then
        why="no cargo command"
    elif [ ! -d /usr/share/cargo/registry ]; then
        why="no crates in /usr/share/cargo/registry"
    else
        # A copy, because cargo writes Cargo.lock beside Cargo.toml.
        rm -rf "$build/rust-src"
        cp -R "$here/tokio" "$build/rust-src"
        why="cargo build failed, see $log.rust"
        if (cd "$build/rust-src" && CARGO_HOME=$build/cargo-home \
            CARGO_TARGET_DIR=$build/cargo \
            cargo build --release --offline) >"$log.rust" 2>&1; then
            for name in $crates; do
                cp "$build/cargo/release/$name" "$out/$name"
            done
            return
        fi
    fi
    for name in $crates; do
        rm -f "$out/$name"
        missing "$name" "$why"
    done
}

uvloop()
{
    # Debian's own python3: another one in PATH does not see Debian's modules.
    if /usr/bin/python3 -c 'import uvloop' 2>"$log.uvloop"; then
        install -m 755 "$here/uvloop.py" "$out/uvloop"
    else
        rm -f "$out/uvloop"
        missing uvloop "no module for /usr/bin/python3"
    fi
}

python()
{
    for name in py-futures py-map py-map-chunks py-async py-pipe py-shm py-spawn py-fork \
        py-forkserver; do
        if [ -x /usr/bin/python3 ]; then
            install -m 755 "$here/python.py" "$out/$name"
        else
            rm -f "$out/$name"
            missing "$name" "no /usr/bin/python3"
        fi
    done
}

floors
peer libuv "$CC" libuv.c -luv -lm
peer libev "$CC" libev.c -lev
peer libevent "$CC" libevent.c -levent_core
peer boost.context "$CXX" boost_context.cpp -lboost_context
peer boost.fiber "$CXX" boost_fiber.cpp -lboost_fiber -lboost_context -pthread
peer pthread "$CC" pthread.c -pthread
peer nsync "$CC" nsync.c -lnsync -pthread
peer pth "$CC" pth.c -lpth
peer st "$CC" st.c -lst
peer tbb "$CXX" tbb.cpp -ltbb
peer libgomp gcc openmp.c -fopenmp -lm
peer libomp clang openmp.c -fopenmp=libomp -lm
peer socketpair "$CC" socketpair.c -pthread
golang
rust
uvloop
python
