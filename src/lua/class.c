// SPDX-License-Identifier: MIT
#include "lua/class.h"

#include "base/clock.h"
#include "base/text.h"
#include "lua/interp.h"
#include "lua/value.h"

#include <string.h>

enum { NAMES_MAX = 64 };

static int class_index(lua_State *L)
{
    const struct class_of *class_of = lua_touserdata(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (const struct class_field *field = class_of->fields; field && field->name; field++) {
        if (STREQ(field->name, name))
            return field->push(L, lua_touserdata(L, 1));
        names[n++] = field->name;
    }
    for (const luaL_Reg *method = class_of->methods; method && method->name; method++)
        names[n++] = method->name;
    const char *near = nearest_name(name, names, n);
    return lua_mistake(L, "unknown field '%s' of %s%s%s%s", name, class_of->noun,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int class_newindex(lua_State *L)
{
    const struct class_of *class_of = lua_touserdata(L, lua_upvalueindex(1));
    return lua_mistake(L, "'%s' of %s cannot be set", lua_tostring(L, 2), class_of->noun);
}

void class_register(lua_State *L, const struct class_of *class_of)
{
    luaL_newmetatable(L, class_of->key);
    lua_newtable(L);
    if (class_of->methods)
        luaL_setfuncs(L, class_of->methods, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class_of);
    lua_pushcclosure(L, class_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, (void *)(uintptr_t)class_of);
    lua_pushcclosure(L, class_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushstring(L, class_of->noun);
    lua_setfield(L, -2, "__name");
    if (class_of->gc) {
        lua_pushcfunction(L, class_of->gc);
        lua_setfield(L, -2, "__gc");
    }
    if (class_of->eq) {
        lua_pushcfunction(L, class_of->eq);
        lua_setfield(L, -2, "__eq");
    }
    lua_pop(L, 1);
}

void *class_new(lua_State *L, const char *key, size_t size)
{
    void *self = lua_newuserdatauv(L, size, 1);
    memset(self, 0, size);
    luaL_setmetatable(L, key);
    return self;
}

void *class_check(lua_State *L, int index, const struct class_of *class_of)
{
    void *self = luaL_testudata(L, index, class_of->key);
    if (!self)
        lua_mistake(L, "expected %s, got %s%s%s", class_of->noun,
                    lua_isnoneornil(L, index) ? "nothing" : "a ",
                    lua_isnoneornil(L, index) ? "" : luaL_typename(L, index),
                    index == 1 ? " (a method is called with ':')" : "");
    interp_heed(L);
    return self;
}

// ---- options ----

// Raises unless the key at the top but one is one of names.
static const char *check_name(lua_State *L, const char *of, const char *const *names, size_t count)
{
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    for (size_t i = 0; key && i < count; i++)
        if (STREQ(names[i], key))
            return key;
    if (!key)
        lua_mistake(L, "the options of %s have names; a %s is not a name", of, luaL_typename(L, -2));
    const char *near = nearest_name(key, names, count);
    lua_mistake(L, "unknown option '%s' of %s%s%s%s", key, of, near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : "");
    return NULL;
}

void check_options(lua_State *L, int index, const char *of, const char *const *names, size_t count)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        check_name(L, of, names, count);
}

json_t *read_options(lua_State *L, int index, const char *of, const char *const *names, size_t count,
                     const char *not_this, void **box)
{
    json_t *options = *box = json_object();
    if (lua_isnoneornil(L, index))
        return options;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = check_name(L, of, names, count);
        json_t *value;
        struct error err;
        if (not_this && STREQ(key, not_this))
            continue;
        if (lua_to_json(L, -1, &value, &err) < 0) {
            error_prefix(&err, "option '%s' of %s", key, of);
            lua_raise(L, &err);
        }
        json_object_set_new(options, key, value);
    }
    return options;
}

int64_t read_seconds(lua_State *L, int index, const char *of, double fallback)
{
    double seconds = luaL_optnumber(L, index, fallback);
    if (!ms_of_seconds(seconds))
        lua_mistake(L, "the timeout of %s is %g; it must be a number of seconds above 0", of, seconds);
    return ms_of_seconds(seconds);
}

void check_timeout(lua_State *L, json_t *options, const char *of)
{
    const json_t *timeout = json_object_get(options, "timeout");
    if (json_is_string(timeout) && STREQ(json_string_value(timeout), "auto"))
        json_object_del(options, "timeout");
    else if (timeout && (!json_is_number(timeout) || !ms_of_seconds(json_number_value(timeout))))
        lua_mistake(L, "the timeout of %s must be a number of seconds above 0, or \"auto\"", of);
}
