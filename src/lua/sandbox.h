// SPDX-License-Identifier: MIT
// What a policy's Lua may use: an allow-list of Lua's own functions, and require of the library, which is
// compiled in, and of the modules beside the policy.
#ifndef MIGRUN_LUA_SANDBOX_H
#define MIGRUN_LUA_SANDBOX_H

#include <lauxlib.h>
#include <lua.h>

void open_sandbox(lua_State *L);
// A module that C makes: open leaves it on the stack.
void sandbox_module(lua_State *L, const char *name, lua_CFunction open);
// Pushes what the module of the library returned; neither the policy's globals nor its metatables have a say.
// Raises.
void push_library(lua_State *L, const char *name);
// One of its functions.
void push_library_function(lua_State *L, const char *module, const char *function);
// The source of a module of the library.
void push_source(lua_State *L, const char *name);
// A function of Lua: the text and the file of a site's module, by its name; nothing where there is none.
int site_module_text(lua_State *L);
// The file of a site's module: "a.b" is FOLDER/a/b.lua. Caller frees.
struct interp;
char *module_path(const struct interp *in, const char *name);

#endif
