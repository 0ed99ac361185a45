# SPDX-License-Identifier: MIT
# All of migrun but its hosts and libvirtds, with the sanitizer that does not slow a fork down;
# SWEEP_SANITIZE=address,undefined for both.
SWEEP := $(BUILD)/tests/world/sweep
SWEEP_SANITIZE ?= undefined
SWEEP_SOURCES := $(wildcard tests/world/*.c) $(filter-out src/base/fault.c,$(wildcard src/base/*.c)) \
	src/world/site.c src/world/wire.c $(filter-out %/http.c,$(wildcard src/world/openstack/*.c)) \
	$(wildcard src/run/*.c src/lua/*.c)
SWEEP_OBJECTS := $(patsubst %.c,$(BUILD)/sweep/%.o,$(SWEEP_SOURCES))
SWEEP_CHECKS := -fsanitize=$(SWEEP_SANITIZE) -fno-sanitize-recover=undefined

$(SWEEP): $(SWEEP_OBJECTS) $(LIBRARY_OBJECT)
	@mkdir -p $(@D)
	$(CC) $(SWEEP_CHECKS) -Wl,--wrap=nanosleep,--wrap=clock_gettime -o $@ $^ $(MAIN_LIBS)

$(BUILD)/sweep/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fsanitize=%,$(CFLAGS)) $(SWEEP_CHECKS) -DMIGRUN_FAULTS \
		$(shell pkg-config --cflags $(PACKAGES)) -c -o $@ $<

-include $(SWEEP_OBJECTS:.o=.d)
