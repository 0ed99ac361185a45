// SPDX-License-Identifier: MIT
// Where a policy's mistake was made: the functions of Lua that were being called.
#ifndef MIGRUN_LUA_TRACE_H
#define MIGRUN_LUA_TRACE_H

#include "base/text.h"

#include <lua.h>

// Notes it in the interpreter as something is raised. A message handler of lua_pcall.
int trace_handler(lua_State *L);
// The message with the place where it was raised before it, unless it begins with it.
void trace_put_place(struct buf *b, const char *place, const char *message);

#endif
