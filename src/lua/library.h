// SPDX-License-Identifier: MIT
// lua/migrun, which is compiled in (src/lua/embed writes the table): neither missing nor of another version.
#ifndef MIGRUN_LUA_LIBRARY_H
#define MIGRUN_LUA_LIBRARY_H

#include <stddef.h>

struct library_module {
    const char *name, *file;   // "migrun.check.guest", "migrun/check/guest.lua"
    const unsigned char *text; // its source, with a NUL behind it
    size_t len;
};
extern const struct library_module library_modules[]; // up to one without a name

#endif
