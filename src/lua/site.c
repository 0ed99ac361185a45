// SPDX-License-Identifier: MIT
// The site file: a Lua table of plain data. It gets an interpreter with nothing in it, and no time to get
// stuck.
#include "base/io.h"
#include "lua/policy.h"
#include "world/site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE_FILE "/etc/migrun/site.lua"

enum { SITE_MAX = 1 << 20, INSTRUCTIONS_MAX = 1000000 };

static void give_up(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    luaL_error(L, "it does not come to an end");
}

// The message without Lua's traceback: data has no calls that one would want to see.
static int fail(lua_State *L, const char *path, struct error *err)
{
    const char *message = lua_tostring(L, -1);
    size_t len = strlen(path);
    const char *place = message && strncmp(message, path, len) == 0 ? message : NULL;
    return place ? error_set(err, ERR_SITE, 0, "%s", place)
                 : error_set(err, ERR_SITE, 0, "%s: %s", path, message ? message : "no Lua");
}

static int read_table(lua_State *L, const char *path, const char *text, size_t len, json_t **table,
                      struct error *err)
{
    auto_free char *chunk = xasprintf("@%s", path);
    if (luaL_loadbufferx(L, text, len, chunk, "t") != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK)
        return fail(L, path, err);
    if (!lua_istable(L, -1))
        return error_set(err, ERR_SITE, 0, "%s should return a table: return { hosts = { \"compute-1\" } }",
                         path);
    struct error why;
    return lua_to_json(L, -1, table, &why) < 0
               ? error_set(err, ERR_SITE, 0, "%s holds plain data only: %s", path, why.message)
               : 0;
}

int site_load(const char *path, struct site **site, struct error *err)
{
    const char *environment = getenv("MIGRUN_SITE");
    if (!path)
        path = environment && *environment ? environment : access(SITE_FILE, F_OK) == 0 ? SITE_FILE : NULL;
    if (!path)
        return site_from_json(NULL, NULL, site, err);
    auto_free char *text = NULL;
    auto_json json_t *table = NULL;
    size_t len;
    if (read_whole_file(path, SITE_MAX, &text, &len) < 0)
        return error_set(err, ERR_SITE, 0, "the site file %s cannot be read: %s", path, strerror(errno));
    lua_State *L = luaL_newstate();
    if (!L)
        return error_set(err, ERR_BUG, 0, "Lua does not start");
    lua_sethook(L, give_up, LUA_MASKCOUNT, INSTRUCTIONS_MAX);
    int rc = read_table(L, path, text, len, &table, err);
    lua_close(L);
    return rc < 0 ? -1 : site_from_json(table, path, site, err);
}
