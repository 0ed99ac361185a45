# migrun: `sudo make demo` shows it, `sudo make check` tests it, `make install` puts it in place.
PREFIX  ?= /usr/local
CC      ?= gcc
VERSION := 0.1.0
BUILD   ?= .build
SANITIZE ?=

PACKAGES := libvirt lua5.4 jansson libxml-2.0
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror=implicit-function-declaration
CFLAGS   ?= -O2 -g
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARNINGS) -Isrc -MMD -MP -DMIGRUN_VERSION='"$(VERSION)"' -DMIGRUN_PREFIX='"$(PREFIX)"' \
	$(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
override LDFLAGS += $(if $(SANITIZE),-fsanitize=address$(comma)undefined)
comma := ,

# What the agent needs of base: it links libc, jansson and libmd only.
AGENT_SOURCES := $(wildcard src/world/agent/*.c) src/world/wire.c \
	$(addprefix src/base/,error.c util.c process.c lockdown.c)
MAIN_SOURCES := $(wildcard src/base/*.c src/world/*.c src/run/*.c src/lua/*.c src/cli/*.c)
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

all: $(BUILD)/migrun $(BUILD)/migrun-agent

$(BUILD)/migrun: $(call object,$(MAIN_SOURCES))
	$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs $(PACKAGES)) -lmd -lpthread

$(BUILD)/migrun-agent: $(call object,$(AGENT_SOURCES))
	$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs jansson) -lmd

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(shell pkg-config --cflags $(PACKAGES)) -c -o $@ $<

clean:
	rm -rf $(BUILD)

.PHONY: all clean
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
