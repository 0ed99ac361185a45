// SPDX-License-Identifier: MIT
// The site file: a Lua table of plain data. It gets an interpreter with nothing in it, and no time to get
// stuck.
#include "base/io.h"
#include "lua/policy.h"
#include "lua/value.h"
#include "world/site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE_FILE "/etc/migrun/site.lua"

enum { SITE_MAX = 1 << 20, MEMORY_MAX = 64 << 20, WORK_MAX = 1000000 };

struct reading {
    const char *path, *text;
    size_t len;
    json_t *table;
};

static int read_table(lua_State *L, void *data, struct error *err)
{
    struct reading *r = data;
    const char *chunk = lua_pushfstring(L, "@%s", r->path);
    if (luaL_loadbufferx(L, r->text, r->len, chunk, "t") != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return error_set(err, ERR_SITE, 0, "%s should return a table: return { hosts = { \"compute-1\" } }",
                         r->path);
    struct error why;
    return lua_to_json(L, -1, &r->table, &why) < 0
               ? error_set(err, ERR_SITE, 0, "%s holds plain data only: %s", r->path, why.message)
               : 0;
}

// A mistake of its Lua has the place already.
static int fail(const char *path, struct error *err)
{
    struct error why = *err;
    if (why.domain != ERR_POLICY)
        return -1;
    const char *hint = strstr(why.message, "(global '") ? ": a site file is data only, and has no functions"
                                                        : "";
    return strncmp(why.message, path, strlen(path)) == 0
               ? error_set(err, ERR_SITE, 0, "%s%s", why.message, hint)
               : error_set(err, ERR_SITE, 0, "%s: %s%s", path, why.message, hint);
}

static int read_site(struct reading *r, struct error *err)
{
    struct interp in;
    int rc = interp_open(&in, NULL, err);
    in.memory_max = MEMORY_MAX;
    in.work_max = WORK_MAX;
    if (rc == 0 && interp_enter(&in, read_table, r, err) < 0)
        rc = fail(r->path, err);
    interp_close(&in);
    return rc;
}

int site_load(const char *path, struct site **site, struct error *err)
{
    const char *environment = getenv("MIGRUN_SITE");
    if (!path)
        path = environment && *environment ? environment : access(SITE_FILE, F_OK) == 0 ? SITE_FILE : NULL;
    if (!path)
        return site_from_json(NULL, NULL, NULL, site, err);
    auto_free char *text = NULL;
    struct reading r = {.path = path};
    if (read_whole_file(path, SITE_MAX, &text, &r.len) < 0)
        return error_set(err, ERR_SITE, 0, "the site file %s cannot be read: %s", path, strerror(errno));
    r.text = text;
    if (read_site(&r, err) < 0)
        return -1;
    auto_json json_t *table = r.table;
    return site_from_json(table, path, text, site, err);
}
