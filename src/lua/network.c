// SPDX-License-Identifier: MIT
// Host: its network. What it reaches, hears, and gets answers from.
#include "lua/bindings.h"

#include <stdlib.h>

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

int host_reach(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *name = lua_isuserdata(L, 2) ? run_host_name(check_host(L, 2)) : luaL_checkstring(L, 2);
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

int host_refused_by(lua_State *L)
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

int host_watch(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    void **macs = lua_box(L, box_json), **box = lua_box(L, box_json);
    struct error err;
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_to_json(L, 2, (json_t **)macs, &err) < 0 ||
        run_listen(h, "watch", json_pack("{s:s, s:O}", "action", "begin", "macs", *macs), 0, (json_t **)box,
                   &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

// What one of the two tells now, or after a while; nil: it does not run.
static int look(lua_State *L, const char *op, const char *of)
{
    struct run_host *h = check_host(L, 1);
    int64_t timeout = lua_isnoneornil(L, 2) ? 0 : read_seconds(L, 2, of, 0);
    void **box = lua_box(L, box_json);
    struct error err;
    if (run_listen(h, op, json_pack("{s:s}", "action", "look"), timeout, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    return 1;
}

int host_watched(lua_State *L) { return look(L, "watch", "watched"); }
int host_answered(lua_State *L) { return look(L, "pulse", "answered"); }

int host_ask(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *address = luaL_checkstring(L, 2);
    lua_Integer port = luaL_optinteger(L, 3, 0);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *args = json_pack("{s:s, s:o, s:I}", "action", "begin", "host", json_text(address), "port",
                             (json_int_t)port);
    if (run_listen(h, "pulse", args, 0, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_pushstring(L, json_str(*box, "address", address));
    return 1;
}

int host_listeners(lua_State *L)
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
