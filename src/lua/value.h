// SPDX-License-Identifier: MIT
// Plain data both ways between Lua and JSON, and boxes, which free what C holds when Lua longjmps.
#ifndef MIGRUN_LUA_VALUE_H
#define MIGRUN_LUA_VALUE_H

#include "base/error.h"
#include "base/json.h"

#include <lauxlib.h>
#include <lua.h>

// A slot on the Lua stack that frees what is put into it, also when an error is raised. Make it before the
// resource.
void **lua_box(lua_State *L, void (*release)(void *));
void box_free(void *p);
void box_json(void *p);
void register_boxes(lua_State *L);

// push may raise (memory): the json lies in a box then.
void lua_push_json(lua_State *L, const json_t *json);
// Tables with keys 1…n are arrays; positional entries of others get the keys "1", "2", …; an empty table is
// an empty object. Raises nothing and runs no Lua: metatables have no say. Errors: ERR_POLICY.
int lua_to_json(lua_State *L, int index, json_t **json, struct error *err);

#endif
