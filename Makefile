# SPDX-License-Identifier: MIT
# migrun: `sudo make demo` shows it, `sudo make check` tests it, `make install` puts it in place.
PREFIX  ?= /usr/local
CC      ?= gcc
VERSION := 0.1.0
BUILD   ?= .build
SANITIZE ?=
FAULTS  ?=

PACKAGES := libvirt lua5.4 jansson libxml-2.0 libcurl yaml-0.1
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Werror=implicit-function-declaration
CFLAGS   ?= -O2 -g
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARNINGS) -Isrc -MMD -MP \
	-DMIGRUN_VERSION='"$(VERSION)"' -DMIGRUN_PREFIX='"$(PREFIX)"' \
	$(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -Wno-format-truncation) \
	$(if $(FAULTS),-DMIGRUN_FAULTS)
override LDFLAGS += $(if $(SANITIZE),-fsanitize=address$(comma)undefined)
comma := ,

# Debian's packages: to build, and for the lab's hosts; for the tests and the lints; for hosts of another
# release of Debian; for the lab's cloud.
HOST_DEPS := gcc make pkg-config libvirt-dev liblua5.4-dev libjansson-dev libxml2-dev libmd-dev \
	libcurl4-openssl-dev libyaml-dev
HOST_DEPS += systemd systemd-container libvirt-daemon-system libvirt-clients qemu-system-x86 bindfs fuse3 \
	openssh-server openssh-client busybox-static cpio iproute2 procps perl time \
	openssl nftables tcpdump jq swtpm swtpm-tools ovmf qemu-utils
DEPS := $(HOST_DEPS) lua5.4 libcmocka-dev libssl-dev bats valgrind clang libclang-rt-dev clang-tidy \
	clang-format cppcheck
RELEASE_DEPS := mmdebstrap debian-archive-keyring
CLOUD_DEPS := $(shell cat tests/lab/cloud/packages)

# What the agent needs of base: it links libc, jansson and libmd only.
AGENT_SOURCES := $(wildcard src/world/agent/*.c src/world/logs/*.c) src/world/wire.c \
	$(addprefix src/base/,error.c memory.c text.c clock.c interrupt.c io.c json.c process.c \
	spawn.c socket.c trust.c lockdown.c lockdown_calls.c lockdown_mounts.c)
MAIN_SOURCES := $(wildcard $(addsuffix /*.c,src/base src/world src/world/logs src/world/openstack src/run \
	src/lua src/cli))
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
MAIN_LIBS  = $(shell pkg-config --libs $(PACKAGES)) -lmd -lpthread
AGENT_LIBS = $(shell pkg-config --libs jansson) -lmd

all: $(BUILD)/migrun $(BUILD)/migrun-agent

# The policies' library is a part of the program.
LIBRARY_FOLDERS := lua/migrun $(addprefix lua/migrun/,check diagnose host lint policy)
LIBRARY := $(wildcard $(addsuffix /*.lua,$(LIBRARY_FOLDERS)))
LIBRARY_OBJECT := $(BUILD)/obj/library.o
$(BUILD)/library.c: src/lua/embed $(LIBRARY) $(LIBRARY_FOLDERS)
	@mkdir -p $(@D)
	sh src/lua/embed $(LIBRARY) >$@.new && mv $@.new $@
$(LIBRARY_OBJECT): $(BUILD)/library.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/migrun: $(call object,$(MAIN_SOURCES)) $(LIBRARY_OBJECT)
	$(CC) $(LDFLAGS) -o $@ $^ $(MAIN_LIBS)

$(BUILD)/migrun-agent: $(call object,$(AGENT_SOURCES))
	$(CC) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(shell pkg-config --cflags $(PACKAGES)) -c -o $@ $<

# Other flags (another PREFIX, SANITIZE) make other objects.
$(BUILD)/flags: export FLAGS := $(CC) $(CFLAGS)
$(BUILD)/flags: always
	@mkdir -p $(@D)
	@echo "$$FLAGS" | cmp -s - $@ || echo "$$FLAGS" >$@

# Each tests/unit/test_*.c is a program of its own, linked with the objects of migrun (test_agent_*: the
# agent) that it needs.
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
.SECONDARY: $(call object,$(wildcard tests/unit/*.c))

$(BUILD)/migrun.a: $(call object,$(filter-out %/main.c,$(MAIN_SOURCES))) $(LIBRARY_OBJECT)
$(BUILD)/agent.a: $(call object,$(filter-out %/main.c,$(AGENT_SOURCES)))
$(BUILD)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

LUA_MODULES := $(BUILD)/tests/lua/migrun/words.so $(BUILD)/tests/lua/migrun/xml.so
unit-tests: $(UNIT_TESTS) $(LUA_MODULES)

# The part of the library that is C, and XML, for the library's tests in a plain Lua.
base = $(addprefix src/base/,$(addsuffix .c,$(1)))
$(BUILD)/tests/lua/migrun/words.so: src/lua/words.c $(call base,text clock memory)
$(BUILD)/tests/lua/migrun/xml.so: tests/lua/document.c $(addprefix src/lua/,xml.c class.c value.c) \
	$(call base,xml xml_edit xml_compare xml_memory error text clock memory json)
$(LUA_MODULES): $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=% -MMD -MP,$(CFLAGS)) $(shell pkg-config --cflags $(PACKAGES)) -shared -fPIC \
		-o $@ $(filter %.c,$^) $(shell pkg-config --libs jansson libxml-2.0) -lm -lpthread

$(BUILD)/tests/unit/test_agent_%: $(BUILD)/obj/tests/unit/test_agent_%.o $(BUILD)/agent.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS) -lcmocka

$(BUILD)/tests/unit/test_%: $(BUILD)/obj/tests/unit/test_%.o $(BUILD)/migrun.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(MAIN_LIBS) $(TEST_LIBS) -lcmocka
$(BUILD)/tests/unit/test_tls: TEST_LIBS := -lssl -lcrypto

# The fault sweep: migrun over a fake world of hosts, with a fault at every point.
include tests/world/build.mk

deps:
	@tests/deps $(DEPS)

release-deps:
	@tests/deps $(RELEASE_DEPS)

cloud-deps:
	@tests/deps $(CLOUD_DEPS)

host-packages:
	@echo $(HOST_DEPS)

demo: deps all
	@LAB_BUILD=$(BUILD) tests/lab/demo

bench: deps all
	@LAB_BUILD=$(BUILD) tests/lab/bench-diagnose
	@LAB_BUILD=$(BUILD) tests/lab/bench

bench-cloud: deps cloud-deps all
	@LAB_BUILD=$(BUILD) tests/lab/bench-cloud

# All tests, under the sanitizers, and the lints. A test that does not compile counts as failed. TESTS=WORD …:
# only those whose file's name holds one of the words.
CHECK := $(BUILD)/check
check: deps
	@mkdir -p $(CHECK) && rm -rf $(CHECK)/tests $(CHECK)/migrun $(CHECK)/migrun-agent
	-@$(MAKE) --no-print-directory -ks -j$(shell nproc) SANITIZE=1 BUILD=$(CHECK) all unit-tests
	-@$(MAKE) --no-print-directory -ks -j$(shell nproc) $(SWEEP) $(BUILD)/tests/unit/test_xml
	@SWEEP=$(SWEEP) PLAIN=$(BUILD) tests/run $(CHECK) $(TESTS)

# How many of the recorded failures are diagnosed right, each in all variants.
diagnose-score: all
	@tests/diagnose/score $(BUILD)/migrun

# clang-tidy, cppcheck, clang-format, line widths, SPDX lines; the fuzzers are built.
lint: deps
	@tests/lint

# The tests of OpenStack, in a lab with a cloud: its packages are 900 MB.
check-cloud: deps cloud-deps
	@$(MAKE) --no-print-directory -ks -j$(shell nproc) SANITIZE=1 BUILD=$(CHECK) all
	@CLOUD=1 SWEEP=$(SWEEP) tests/run $(CHECK) e2e/cloud

# libvirt's own domain XMLs through all checks; the end-to-end tests in labs of these releases of Debian, and
# moves between them: a table.
RELEASES ?= bookworm trixie testing trixie-modular bookworm-kolla
check-releases: deps release-deps all $(SWEEP) $(LUA_MODULES)
	@BUILD=$(BUILD) tests/lua/corpus | grep -v '^ok'
	@BUILD=$(BUILD) LAB_BUILD=$(BUILD) SWEEP=$(SWEEP) TESTS="$(TESTS)" tests/releases $(RELEASES)

# The fault sweep with every fault in the fake world (`make check` has one at each point, in turn), then in
# the lab at every effect: an hour. `make sweep STEP=5` takes every fifth point of the lab's.
FAULTY := $(BUILD)/faulty
sweep: deps $(SWEEP)
	$(SWEEP)
	$(SWEEP) --random 1000 $$(date +%s)
	@$(MAKE) --no-print-directory FAULTS=1 BUILD=$(FAULTY) all
	@LAB_BUILD=$(FAULTY) SWEEP=$(SWEEP) tests/lab/sweep
	@LAB_BUILD=$(FAULTY) MOMENTS=50 MANY=20 EVERY=1 BATS_TEST_TIMEOUT=7200 \
		bats --filter 'random moments|many guests|planted' tests/e2e/moments.bats \
			tests/e2e/planted.bats tests/e2e/recover.bats

# Fuzzes the readers of foreign data: the journal (and history, show and recover over it), the site, a cloud's
# answers, the agent's protocol on both ends. FUZZ: seconds for each.
FUZZ ?= 60
fuzz:
	@tests/deps $(DEPS)
	@BUILD=$(BUILD) tests/fuzz/run $(FUZZ)

# Made from the program's own table of commands.
$(BUILD)/migrun.1 $(BUILD)/migrun.bash: $(BUILD)/migrun
	@$(BUILD)/migrun help $(if $(filter %.1,$@),man,completion) >$@.new && mv $@.new $@

install: all $(BUILD)/migrun.1 $(BUILD)/migrun.bash
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/migrun/lua/migrun share/migrun/policies \
		share/man/man1 share/bash-completion/completions)
	install $(BUILD)/migrun $(BUILD)/migrun-agent $(DESTDIR)$(PREFIX)/bin
	install -m 644 lua/migrun/meta.lua $(DESTDIR)$(PREFIX)/share/migrun/lua/migrun
	install -m 644 $(BUILD)/migrun.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(BUILD)/migrun.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/migrun
	install -m 644 policies/*.lua $(DESTDIR)$(PREFIX)/share/migrun/policies
	cp -R examples $(DESTDIR)$(PREFIX)/share/migrun

clean:
	rm -rf $(BUILD)

.PHONY: all always unit-tests deps release-deps cloud-deps host-packages demo bench bench-cloud check \
	check-cloud check-releases diagnose-score lint sweep fuzz install clean
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
