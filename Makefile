# SPDX-License-Identifier: GPL-2.0
#
# Thin: the scripts do the work and need no make. Kbuild says how to compile.

KDIR ?= /lib/modules/$(shell uname -r)/build
KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)

# What other modules are built with: headers, and the versions of the symbols.
INSTALL_HDR_PATH ?= $(INSTALL_MOD_PATH)/usr/src/quarry
PUBLIC = $(filter-out $(wildcard lib/*_*.h),$(wildcard lib/*.h)) module/default.h
# What uname -r says; include/config/kernel.release of Debian's 6.1 has another number.
RELEASE = $(shell cut -sd '"' -f 2 $(KDIR)/include/generated/utsrelease.h)

# A distribution's headers come without its key, and signing would only fail, loudly.
KEY = $(shell sed -n 's/^CONFIG_MODULE_SIG_KEY="*\([^"]*\)"*$$/\1/p' \
	$(KDIR)/include/config/auto.conf)
SIGN = $(if $(wildcard $(KDIR)/$(KEY) $(filter /%,$(KEY)))$(filter pkcs11:%,$(KEY)),, \
	CONFIG_MODULE_SIG_ALL=)

.PHONY: modules modules_install headers_install install uninstall clean headers help
.PHONY: demo test kunit vm stress bench bench-native check

modules: headers
	+$(KBUILD) modules

install: headers_install modules_install

modules_install: headers
	+$(KBUILD) KERNELRELEASE=$(RELEASE) $(SIGN) modules_install
	@command -v depmod >/dev/null || { \
		echo "modprobe won't find them: there is no depmod (Debian: package kmod)."; \
		exit 1; } >&2
	depmod -b "$(INSTALL_MOD_PATH)/" "$(RELEASE)"

headers_install: headers
	@test -e Module.symvers || { echo "Nothing is built yet: run make first."; exit 1; } >&2
	install -d "$(INSTALL_HDR_PATH)/include/quarry" "$(INSTALL_HDR_PATH)/$(RELEASE)"
	install -m 644 $(PUBLIC) "$(INSTALL_HDR_PATH)/include/quarry"
	install -m 644 Module.symvers "$(INSTALL_HDR_PATH)/$(RELEASE)"

uninstall: headers
	rm -f "$(INSTALL_MOD_PATH)/lib/modules/$(RELEASE)"/*/quarry.ko* \
		"$(INSTALL_MOD_PATH)/lib/modules/$(RELEASE)"/*/quarry_bench.ko*
	rm -rf "$(INSTALL_HDR_PATH)/include/quarry" "$(INSTALL_HDR_PATH)/$(RELEASE)"
	@rmdir "$(INSTALL_HDR_PATH)/include" "$(INSTALL_HDR_PATH)" 2>/dev/null || :
	@! command -v depmod >/dev/null || depmod -b "$(INSTALL_MOD_PATH)/" "$(RELEASE)"

clean:
	find . -path ./.git -prune -o -type f \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name '.*.o.d' -o -name Module.symvers \
		-o -name modules.order \) -exec rm -f {} +

headers:
	$(if $(filter-out 1,$(words $(CURDIR)))$(findstring :,$(CURDIR)),$(error the kernel's \
		build can't work in a folder with spaces or colons: $(CURDIR)))
	@test -e $(KDIR)/Makefile || { \
		echo "No kernel headers in $(KDIR)."; \
		echo "Install them (Debian: apt-get install linux-headers-$$(uname -r)),"; \
		echo "or say where others are: make KDIR=/path/to/headers."; \
		echo "\"make demo\" and \"make test\" bring their own."; \
		exit 1; } >&2

demo test kunit vm stress bench bench-native check:
	@scripts/$@

help:
	@echo 'make                  build the modules for the running kernel, or KDIR=...'
	@echo 'make install          install them, as modules_install does (INSTALL_MOD_PATH=...),'
	@echo '                      and what other modules need to use them, as headers_install'
	@echo '                      does (INSTALL_HDR_PATH=/usr/src/quarry)'
	@echo 'make uninstall        remove both'
	@echo 'make clean            remove what make built'
	@echo
	@echo 'make demo             see Quarry at work on a stock Debian kernel in QEMU'
	@echo 'make test             all tests: KUnit, and VMs with Linux 6.1, 6.12 and 6.12-rt'
	@echo 'make kunit            KUnit tests only (SAN=1: with KASAN, UBSAN and lockdep)'
	@echo 'make vm               a shell in a VM with the module loaded'
	@echo 'make stress           torment all allocators in a VM, PRESET=smoke, soak or crush'
	@echo 'make bench            exact instruction counts, beside the kernel'\''s allocators'
	@echo 'make bench-native     nanoseconds, on one and on two CPUs'
	@echo 'make check            style and static checks'
	@echo
	@echo 'Settings: KERNEL=6.12 (or 6.1, 6.12-rt) for demo, vm, stress and bench; ACCEL=kvm;'
	@echo 'QUARRY_CACHE=DIR. Each of scripts/... says more with --help.'
