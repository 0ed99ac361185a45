// SPDX-License-Identifier: MIT
// What a host sees of other hosts, of its storage and of its own ports: methods of Host.
#include "lua/bindings.h"

#include <stdlib.h>
#include <string.h>

// The port or ports at index, as a list in a box.
static void take_ports(lua_State *L, int index, void **ports)
{
    struct error err;
    if (lua_to_json(L, index, (json_t **)ports, &err) < 0)
        lua_raise(L, &err);
    if (json_is_integer((json_t *)*ports))
        *ports = json_pack("[o]", *ports);
    for (size_t i = 0; i < json_array_size(*ports); i++)
        if (!json_is_integer(json_array_get(*ports, i)))
            lua_mistake(L, "a port is a whole number");
    if (json_array_size(*ports) == 0)
        lua_mistake(L, "name a port, or a list of ports");
}

int look_reach(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const struct run_host *other = test_host(L, 2);
    const char *name = other ? run_host_name(other) : luaL_checkstring(L, 2);
    int64_t timeout = read_seconds(L, 4, "reach", 5);
    void **ports = lua_box(L, box_json), **box = lua_box(L, box_json);
    struct error err;
    take_ports(L, 3, ports);
    if (run_reach(h, name, *ports, timeout, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    const json_t *result = *box;
    lua_createtable(L, 0, 2);
    lua_pushstring(L, json_str(result, "address", NULL));
    lua_setfield(L, -2, "address");
    lua_newtable(L);
    const char *port;
    json_t *tried;
    json_object_foreach(json_object_get(result, "ports"), port, tried) {
        lua_push_json(L, tried);
        lua_rawseti(L, -2, atoi(port));
    }
    lua_setfield(L, -2, "ports");
    return 1;
}

int look_refused_by(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *uri = luaL_checkstring(L, 2);
    void **box = lua_box(L, box_free);
    struct error err;
    if (run_login(h, uri, (char **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_pushstring(L, *box);
    return 1;
}

int look_storage(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    int64_t wait = lua_isnoneornil(L, 3) ? 0 : read_seconds(L, 3, "storage", 0);
    void **paths = lua_box(L, box_json), **box = lua_box(L, box_json);
    struct error err;
    if (lua_to_json(L, 2, (json_t **)paths, &err) < 0)
        return lua_raise(L, &err);
    for (size_t i = 0; i < json_array_size(*paths); i++)
        if (!json_is_string(json_array_get(*paths, i)))
            return lua_mistake(L, "paths are a list of strings");
    if (run_storage(h, *paths, wait, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    return 1;
}

int look_listeners(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    void **ports = lua_box(L, box_json), **box = lua_box(L, box_json);
    struct error err;
    take_ports(L, 2, ports);
    if (run_listeners(h, *ports, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    return 1;
}
