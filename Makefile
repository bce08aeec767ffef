# SPDX-License-Identifier: MIT
#
# The front of the project; the work is done by meson, ninja and tools/.
#
#   make                     the library, the command and the examples, in build/plain
#   make run                 the main job: crawl the Python documentation
#   make test                the tests; SUITE=quick|full|long, ONLY=text in a test's name
#   make bench               the benchmarks; BENCH=name for one
#   make install             to PREFIX (/usr/local), below DESTDIR if that is set
#   make format              clang-format over all C files
#   make clean

SUITE ?= full
PREFIX ?= /usr/local
export PREFIX

all:
	@tools/deps core
	@tools/build plain

run:
	@tools/deps core run
	@tools/build plain
	@tools/run-crawl

test:
	@tools/deps core test $(if $(filter long,$(SUITE)),long)
	@tools/run-tests $(SUITE) $(foreach text,$(ONLY),--only $(text))

# A peer that cannot be installed is no reason to measure nothing: bench/run names it.
bench:
	@tools/deps core
	@tools/deps bench || true
	@tools/build release benches
	@mkdir -p build/bench && ln -sf ../release/bench/hocket-bench build/bench/
	@bench/run $(if $(BENCH),--bench $(BENCH))

install:
	@tools/deps core
	@tools/build release
	@meson install --no-rebuild --quiet -C build/release $(if $(DESTDIR),--destdir "$(DESTDIR)")
	@$(if $(DESTDIR),:,ldconfig 2>/dev/null || :)

format:
	@tools/format

clean:
	rm -rf build

.PHONY: all run test bench install format clean
