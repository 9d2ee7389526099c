# SPDX-License-Identifier: MIT
# A thin front: every target calls CMake or a script that can be called by
# itself.
.DEFAULT_GOAL := help
.PHONY: help build run test bench fuzz coverage chaos prove growth format format-check lint clean

LAUNCHER := $(if $(shell command -v ccache),-D CMAKE_C_COMPILER_LAUNCHER=ccache)
SOURCES = $(shell git ls-files '*.c' '*.h')
FUZZ_SECONDS ?= 60
CHAOS_KILLS ?= 54
CHAOS_MESSAGES ?= 10000

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

build: ## install what building needs; build/release/baton
	@script/install build
	@mkdir -p build
	@cmake --preset release $(LAUNCHER) >build/release.log 2>&1 || \
		{ cat build/release.log; exit 1; }
	@cmake --build --preset release

run: ## the whole thing on this machine, with a first message; Ctrl-C ends it
	@script/run

test: ## install what the tests need and run them all
	@script/test

bench: ## measure; needs a quiet machine
	@if [ -x tests/bench/run ]; then tests/bench/run; else \
		echo "There is no tests/bench/run: nothing to measure with."; exit 1; fi

chaos: ## kill everything at random under load; nothing may be lost
	@script/chaos $(CHAOS_KILLS) $(CHAOS_MESSAGES)

prove: ## all long proofs at full size (hours); one: make prove-outage
	@script/prove

prove-%:
	@script/prove $*

growth: ## what a long history and a long queue cost (half an hour, 30 GB)
	@script/install build run test
	@$(MAKE) --no-print-directory build
	@tests/bench/growth.py $(GROWTH_ROWS)

fuzz: ## every parser of untrusted bytes for FUZZ_SECONDS (60)
	@script/fuzz $(FUZZ_SECONDS)

coverage: ## what of each parser the fuzz targets reach, after make fuzz
	@script/coverage

format: ## put all C files into the one style
	@script/install develop
	@clang-format -i $(SOURCES)

format-check: ## say which C files are not in the one style
	@script/install develop
	@clang-format --dry-run --Werror $(SOURCES)

lint: ## direction of includes, banned names, clang-tidy
	@script/lint

clean: ## remove build/ (never var/, where `make run` keeps its data)
	@rm -rf build
