# Everything else is in cargo; what takes more than a line is in scripts/.
CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# What `make install` installs; `lab` for the tests.
PROFILE ?= release
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help setup build lab mutants demo shell test fuzz bench damage faults full-disk signals interop hosts operations stress drift fmt lint deny install clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what is missing to build and test on Debian 12 (root)
	scripts/setup.sh

build: ## build the programs as users get them
	scripts/build.sh release

lab: ## build them quickly, without LTO, as the tests and the demo run them
	scripts/build.sh lab

mutants: ## build the programs whose checks tests switch off one by one
	scripts/mutants.sh

demo: ## show the main jobs on an emulated bootc host (root)
	@scripts/demo.sh

shell: ## a root shell on an emulated bootc host, to try things out (root)
	@scripts/demo.sh --shell

test: setup lab mutants ## run all tests (root)
	scripts/test.sh

fuzz: setup ## look for inputs that break what reads them, ten minutes each; FUZZ_SECONDS=5 for less
	scripts/fuzz.sh $(or $(FUZZ_SECONDS),600)

bench: setup build ## compare with podman, as ratios in one run (root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	BOOTC_IMAGE_PROGRAMS=$(abspath $(TARGET))/release $(CARGO) run --quiet --locked -p bootc-image-tests --bin bench

faults: setup lab ## kill and fail every operation at every system call of six classes (hours; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin faults

damage: setup lab ## damage every part of a stored image, and have it repaired, pulled and copied (half an hour; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin damage

full-disk: setup lab ## remove, prune and revoke on every kind of full disk (minutes; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin full-disk

signals: setup lab ## ask every operation to end at twenty points, with each of four signals (root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin signals

interop: setup lab ## take turns with bootc's podman on one store, with Debian 12's and 13's (root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin interop
	scripts/debian13.sh
	BOOTC_IMAGE_MACHINE=$(abspath $(TARGET))/debian13 $(CARGO) run --quiet --locked -p bootc-image-tests --bin interop

hosts: setup lab ## prune a thousand generated hosts, with Quadlet as the oracle (20 minutes; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	scripts/debian13.sh
	BOOTC_IMAGE_MACHINE=$(abspath $(TARGET))/debian13 $(CARGO) run --quiet --locked -p bootc-image-tests --bin hosts

operations: setup lab ## compare what policies are shown of a thousand generated operations with what becomes of them (20 minutes; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --features bootc-image-test-guests --bin operations --bin world-enter
	$(CARGO) run --quiet --locked -p bootc-image-tests --features bootc-image-test-guests --bin operations

stress: setup lab ## fifty processes at once, and copies of small and large images (root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin stress
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin large

drift: setup lab ## write down what Debian 12's and 13's podman take, to compare the tables with (half an hour; root)
	$(CARGO) build --quiet --locked -p bootc-image-tests --bins
	$(CARGO) run --quiet --locked -p bootc-image-tests --bin drift
	scripts/debian13.sh
	BOOTC_IMAGE_MACHINE=$(abspath $(TARGET))/debian13 $(CARGO) run --quiet --locked -p bootc-image-tests --bin drift

# Beside a folder of that name.
.PHONY: docs
docs: ## build the book of docs/ with mdBook into target/book
	scripts/docs.sh

fmt: ## format the sources
	$(CARGO) fmt --all

lint: ## check format and lints
	$(CARGO) fmt --all --check
	scripts/lint.sh

deny: ## check the dependencies' licences and sources
	scripts/deny.sh

install: build ## install to DESTDIR
	install -D -m 0755 $(TARGET)/$(PROFILE)/bootc-image $(DESTDIR)$(PREFIX)/bin/bootc-image
	install -D -m 0755 $(TARGET)/$(PROFILE)/bootc-image-helper \
		$(DESTDIR)$(PREFIX)/libexec/bootc-image/bootc-image-helper
	install -D -m 0755 $(TARGET)/$(PROFILE)/bootc-image-native \
		$(DESTDIR)$(PREFIX)/libexec/bootc-image/bootc-image-native
	install -D -m 0644 extension-sdk/include/bootc_image_extension.h $(DESTDIR)$(PREFIX)/include/bootc_image_extension.h
	install -D -m 0644 dist/logrotate/bootc-image $(DESTDIR)$(SYSCONFDIR)/logrotate.d/bootc-image
	cd $(TARGET)/$(PROFILE)/plugins && find . -type f -exec install -D -m 0644 {} $(abspath $(DESTDIR)$(PREFIX))/share/bootc-image/plugins/{} \;

clean: ## remove what was built
	$(CARGO) clean
