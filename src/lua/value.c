// SPDX-License-Identifier: MIT
#include "lua/value.h"

#include "lua/interp.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 60 };

#define BOX_KEY "migrun.box"

// ---- boxes ----

struct box {
    void *p;
    void (*release)(void *);
};

static int box_gc(lua_State *L)
{
    struct box *box = lua_touserdata(L, 1);
    if (box->p)
        box->release(box->p);
    box->p = NULL;
    return 0;
}

void **lua_box(lua_State *L, void (*release)(void *))
{
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct box){.release = release};
    luaL_setmetatable(L, BOX_KEY);
    return &box->p;
}

void box_free(void *p) { free(p); }
void box_json(void *p) { json_decref(p); }

// ---- plain data ----

static void push_json(lua_State *L, const json_t *json, int depth)
{
    luaL_checkstack(L, 4, "data too deep");
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        lua_createtable(L, 0, (int)json_object_size(json));
        json_object_foreach((json_t *)(uintptr_t)json, key, value) {
            push_json(L, value, depth + 1);
            lua_setfield(L, -2, key);
        }
        break;
    }
    case JSON_ARRAY: {
        size_t i;
        json_t *value;
        lua_createtable(L, (int)json_array_size(json), 0);
        json_array_foreach(json, i, value) {
            push_json(L, value, depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
    case JSON_STRING: lua_pushlstring(L, json_string_value(json), json_string_length(json)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(json)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(json)); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_NULL: lua_pushnil(L); break;
    }
}

void lua_push_json(lua_State *L, const json_t *json) { push_json(L, json, 0); }

static int to_json(lua_State *L, int index, json_t **json, int depth, struct error *err);

static int table_to_json(lua_State *L, int index, json_t **json, int depth, struct error *err)
{
    size_t positional = lua_rawlen(L, index), entries = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        entries++;
        lua_pop(L, 1);
    }
    bool is_array = positional > 0 && entries == positional;
    auto_json json_t *result = is_array ? json_array() : json_object();
    for (size_t i = 1; is_array && i <= positional; i++) {
        json_t *value = NULL;
        lua_rawgeti(L, index, (lua_Integer)i);
        int rc = to_json(L, lua_gettop(L), &value, depth + 1, err);
        lua_pop(L, 1);
        if (rc < 0)
            return -1;
        json_array_append_new(result, value);
    }
    if (is_array) {
        *json = steal(&result);
        return 0;
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        json_t *value = NULL;
        char number[32];
        const char *key = NULL;
        if (lua_type(L, -2) == LUA_TSTRING)
            key = lua_tostring(L, -2);
        else if (lua_isinteger(L, -2)) {
            snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, -2));
            key = number;
        }
        if (!key || to_json(L, lua_gettop(L), &value, depth + 1, err) < 0) {
            lua_pop(L, 2);
            return key ? -1
                       : error_set(err, ERR_POLICY, 0,
                                   "keys of plain data are strings and whole numbers, not a %s",
                                   "value of another type");
        }
        if (json_object_set_new(result, key, value) < 0) {
            lua_pop(L, 2);
            return error_set(err, ERR_POLICY, 0, "a key is not UTF-8 text");
        }
        lua_pop(L, 1);
    }
    *json = steal(&result);
    return 0;
}

static int to_json(lua_State *L, int index, json_t **json, int depth, struct error *err)
{
    if (depth > DEPTH_MAX || !lua_checkstack(L, 6))
        return error_set(err, ERR_POLICY, 0, "data nested deeper than %d levels (does it contain itself?)",
                         DEPTH_MAX);
    switch (lua_type(L, index)) {
    case LUA_TNIL: *json = json_null(); return 0;
    case LUA_TBOOLEAN: *json = json_boolean(lua_toboolean(L, index)); return 0;
    case LUA_TNUMBER:
        *json = lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index))
                                        : json_real(lua_tonumber(L, index));
        return *json ? 0 : error_set(err, ERR_POLICY, 0, "NaN and infinity are not allowed");
    case LUA_TSTRING: {
        size_t len;
        const char *text = lua_tolstring(L, index, &len);
        *json = json_stringn(text, len);
        return *json ? 0 : error_set(err, ERR_POLICY, 0, "a text that is not UTF-8");
    }
    case LUA_TTABLE: return table_to_json(L, index, json, depth, err);
    default:
        return error_set(err, ERR_POLICY, 0, "a %s is not plain data", lua_typename(L, lua_type(L, index)));
    }
}

int lua_to_json(lua_State *L, int index, json_t **json, struct error *err)
{
    return to_json(L, lua_absindex(L, index), json, 0, err);
}

// ---- its beginning ----

void register_boxes(lua_State *L)
{
    luaL_newmetatable(L, BOX_KEY);
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
