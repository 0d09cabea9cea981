# Everything else is in cargo; what takes more than a line is in xtask/.
CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help setup build demo test bench fmt lint deny install clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what is missing to build and test on Debian 12 (root)
	xtask/setup.sh

build: ## build the programs as users get them, and the tool that makes test worlds
	xtask/build.sh

demo: setup build ## show the main jobs on an emulated bootc host (root)
	$(CARGO) build --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin demo

test: setup build ## run all tests (root)
	xtask/test.sh

bench: setup build ## compare with podman, as ratios in one run (root)
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin bench

fmt: ## format the sources
	$(CARGO) fmt --all

lint: ## check format and lints
	$(CARGO) fmt --all --check
	xtask/lint.sh

deny: ## check the dependencies' licences and sources
	xtask/deny.sh

install: build ## install to DESTDIR
	install -D -m 0755 $(TARGET)/release/bootc-image $(DESTDIR)$(PREFIX)/bin/bootc-image
	install -D -m 0755 $(TARGET)/release/bootc-image-helper \
		$(DESTDIR)$(PREFIX)/libexec/bootc-image/bootc-image-helper

clean: ## remove what was built
	$(CARGO) clean
