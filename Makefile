# A thin front for cmake; CMakePresets.json holds the variants. As root on a fresh Debian machine
# `make demo` and `make test` install what is missing first.
JOBS ?= $(shell nproc)
BUILD = build/$(1)

.PHONY: all demo test bench check format fuzz coverage attack install clean deps deps-test

all: deps
	@scripts/build release

demo: deps
	@scripts/build release
	@build/release/apps/atls demo --flavour all
	@scripts/demo-tee build/release/apps/atls
	@scripts/deps build demo
	@scripts/demo-proxy build/release/apps

test: deps-test
	@scripts/test

bench: deps-test
	@scripts/build release
	@scripts/bench

check: deps-test
	@scripts/check

format:
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

fuzz: deps-test
	@scripts/fuzz

attack: deps-test
	@scripts/attack

coverage: deps-test
	@scripts/coverage

# On this very system the programs find their libraries, and the units where keys are put, at once.
install: all
	@cmake --install build/release
	@if [ -z "$$DESTDIR" ] && [ "$$(id -u)" = 0 ]; then \
		ldconfig && install -d -m 700 /etc/atls/proxy-credentials /etc/atls/verifierd-credentials; fi

deps:
	@scripts/deps build

deps-test:
	@scripts/deps build test

clean:
	@rm -rf build
