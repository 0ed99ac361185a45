// SPDX-License-Identifier: MIT
// migrun.xml as policies have it, for tests of the library in a plain Lua: the binding that ships
// (src/lua/xml.c), with what it needs of the interpreter. One function more: only_changed(before, after,
// paths), which the core asks of every edit.
#include "base/interrupt.h"
#include "base/xml.h"
#include "lua/bindings.h"
#include "lua/sandbox.h"

#include <stdlib.h>

int luaopen_migrun_xml(lua_State *L);

struct run *run_of(lua_State *L)
{
    luaL_error(L, "no run runs in a test");
    return NULL;
}
void interp_heed(lua_State *L) { (void)L; }
volatile sig_atomic_t interrupt_count; // none comes

int lua_raise(lua_State *L, const struct error *err)
{
    lua_createtable(L, 0, 4);
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, "xml");
    lua_setfield(L, -2, "domain");
    return lua_error(L);
}

int lua_mistake(lua_State *L, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    return lua_error(L);
}

void sandbox_module(lua_State *L, const char *name, lua_CFunction open)
{
    (void)name;
    open(L);
}

// nil, or what else was changed.
static int only_changed(lua_State *L)
{
    const struct xml *before = check_document(L, 1), *after = check_document(L, 2);
    const char *paths[256];
    size_t count = 0;
    struct error err;
    luaL_checktype(L, 3, LUA_TTABLE);
    for (; count < COUNT_OF(paths) && lua_rawgeti(L, 3, (lua_Integer)count + 1) == LUA_TSTRING; count++)
        paths[count] = lua_tostring(L, -1); // kept alive by the table
    if (xml_only_changed(before, after, paths, count, &err) == 0)
        lua_pushnil(L);
    else
        lua_pushstring(L, err.message);
    return 1;
}

int luaopen_migrun_xml(lua_State *L)
{
    xml_init();
    register_boxes(L);
    register_xml(L); // leaves the module
    lua_pushcfunction(L, only_changed);
    lua_setfield(L, -2, "only_changed");
    return 1;
}
