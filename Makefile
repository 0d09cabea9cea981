# Everything else is in cargo; what takes more than a line is in xtask/.
CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# What `make install` installs; `lab` for the tests.
PROFILE ?= release
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help setup build lab demo test mutants fuzz bench damage faults full-disk signals interop hosts operations stress drift fmt lint deny install clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what is missing to build and test on Debian 12 (root)
	xtask/setup.sh

build: ## build the programs as users get them
	xtask/build.sh release

lab: ## build them quickly, without LTO, as the tests and the demo run them
	xtask/build.sh lab

demo: ## show the main jobs on an emulated bootc host (root)
	@xtask/demo.sh

mutants: ## build the program whose checks tests switch off one by one
	xtask/mutants.sh

test: setup lab mutants ## run all tests (root)
