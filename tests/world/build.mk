# SPDX-License-Identifier: MIT
# All of migrun but its way to hosts and libvirtds, with the sanitizer that does not slow a fork down;
# SWEEP_SANITIZE=address,undefined for both. Its hosts' program is the agent that ships, with what stands in
# for other programs there.
SWEEP := $(BUILD)/tests/world/sweep
SWEEP_SANITIZE ?= undefined
SWEEP_SOURCES := $(wildcard tests/world/*.c) $(filter-out src/base/fault.c,$(wildcard src/base/*.c)) \
	src/world/site.c src/world/wire.c $(wildcard src/world/logs/*.c) \
	$(filter-out %/http.c,$(wildcard src/world/openstack/*.c)) $(wildcard src/run/*.c src/lua/*.c)
SWEEP_OBJECTS := $(patsubst %.c,$(BUILD)/sweep/%.o,$(SWEEP_SOURCES))
SWEEP_CHECKS := -fsanitize=$(SWEEP_SANITIZE) -fno-sanitize-recover=undefined

MACHINE := $(BUILD)/tests/world/machine
MACHINE_OBJECTS := $(patsubst %.c,$(BUILD)/machine/%.o,$(AGENT_SOURCES) tests/world/fault.c \
	tests/world/clock.c $(wildcard tests/world/machine/*.c))
# No library of the sanitizer has to be loaded at each start: who does what is undefined dies.
MACHINE_CHECKS := -fsanitize=undefined -fsanitize-undefined-trap-on-error
wrap = $(addprefix -Wl$(comma)--wrap=,$(1))
MACHINE_WRAPS := nanosleep clock_gettime poll renameat renameat2 linkat unlinkat openat mkdir rmdir fsync \
	fchown fchownat fchmod chmod op_find

$(SWEEP): $(SWEEP_OBJECTS) $(LIBRARY_OBJECT) $(MACHINE)
	@mkdir -p $(@D)
	$(CC) $(SWEEP_CHECKS) $(call wrap,nanosleep clock_gettime) -o $@ $(SWEEP_OBJECTS) $(LIBRARY_OBJECT) \
		$(MAIN_LIBS)

$(MACHINE): $(MACHINE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(MACHINE_CHECKS) $(call wrap,$(MACHINE_WRAPS)) -o $@ $^ $(AGENT_LIBS)

$(BUILD)/sweep/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(CFLAGS)) $(SWEEP_CHECKS) -DMIGRUN_FAULTS \
		$(shell pkg-config --cflags $(PACKAGES)) -c -o $@ $<

$(BUILD)/machine/src/world/agent/main.o: MACHINE_CHECKS += -Dmain=agent_main -Wno-missing-prototypes
$(BUILD)/machine/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(CFLAGS)) $(MACHINE_CHECKS) -c -o $@ $<

-include $(SWEEP_OBJECTS:.o=.d) $(MACHINE_OBJECTS:.o=.d)
