// SPDX-License-Identifier: MIT
// The module migrun.words, which lua/migrun alone uses. It knows nothing of the interpreter, so that the
// tests of the library can load it into any Lua.
#include "base/text.h"

#include "base/clock.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

int luaopen_migrun_words(lua_State *L);

// nearest(word, names): the name that the word was probably meant to be, or nil.
static int nearest(lua_State *L)
{
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 2), n = 0;
    const char **names = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *names, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, i); // the table keeps the string
        if (lua_type(L, -1) == LUA_TSTRING)
            names[n++] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    lua_pushstring(L, nearest_name(word, names, (size_t)n));
    return 1;
}

// duration(text): seconds of "90", "90s", "5m", "1h30m", "250ms"; nil when it is no duration.
static int duration(lua_State *L)
{
    double seconds;
    if (duration_parse(luaL_checkstring(L, 1), &seconds) < 0)
        lua_pushnil(L);
    else if (seconds == floor(seconds))
        lua_pushinteger(L, (lua_Integer)seconds);
    else
        lua_pushnumber(L, seconds);
    return 1;
}

int luaopen_migrun_words(lua_State *L)
{
    static const luaL_Reg members[] = {{"nearest", nearest}, {"duration", duration}, {NULL, NULL}};
    luaL_newlib(L, members);
    return 1;
}
