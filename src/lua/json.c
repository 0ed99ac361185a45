// SPDX-License-Identifier: MIT
// The module migrun.json.
#include "lua/bindings.h"
#include "lua/sandbox.h"

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    void **box = lua_box(L, box_json), **text = lua_box(L, box_free);
    struct error err;
    if (lua_to_json(L, 1, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    *text = json_dumps(*box, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    lua_pushstring(L, *text);
    return 1;
}

static int decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    void **box = lua_box(L, box_json);
    json_error_t why;
    *box = json_foreign(text, len, JSON_DECODE_ANY, &why);
    if (!*box)
        return lua_mistake(L, "invalid JSON: line %d: %s", why.line, why.text);
    lua_push_json(L, *box);
    return 1;
}

static int open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", encode}, {"decode", decode}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

void register_json(lua_State *L) { sandbox_module(L, "migrun.json", open_json); }
