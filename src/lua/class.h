// SPDX-License-Identifier: MIT
// Classes of userdata, and the options of their methods. Unknown fields and options are errors with the
// nearest known name.
#ifndef MIGRUN_LUA_CLASS_H
#define MIGRUN_LUA_CLASS_H

#include "base/json.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>

struct class_field {
    const char *name;
    int (*push)(lua_State *L, void *self);
};
struct class_of {
    const char *key;  // of its metatable
    const char *noun; // "a host"
    const luaL_Reg *methods;
    const struct class_field *fields;
    lua_CFunction gc, eq;
};
void class_register(lua_State *L, const struct class_of *class_of);
void *class_new(lua_State *L, const char *key, size_t size); // zeroed
void *class_check(lua_State *L, int index, const struct class_of *class_of);

// The table of options at index (absolute; nil or none: no options) has no key that is none of names; raises.
// of: the method, for the sentence.
void check_options(lua_State *L, int index, const char *of, const char *const *names, size_t count);
// The same, and gives them as JSON, which box (made before) holds; all but not_this (NULL: all), which is no
// plain data.
json_t *read_options(lua_State *L, int index, const char *of, const char *const *names, size_t count,
                     const char *not_this, void **box);
// A number of seconds above 0 at index (none: fallback) in milliseconds; raises.
int64_t read_seconds(lua_State *L, int index, const char *of, double fallback);
// The option "timeout" is a number of seconds above 0, or "auto", which is taken away; raises.
void check_timeout(lua_State *L, json_t *options, const char *of);

#endif
