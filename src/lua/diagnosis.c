// SPDX-License-Identifier: MIT
#include "lua/diagnosis.h"

#include "base/io.h"
#include "lua/interp.h"
#include "lua/sandbox.h"
#include "lua/value.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CATALOGUE "/etc/migrun/catalogue.lua"

enum { CATALOGUE_MAX = 1 << 20 };

struct diagnosis {
    struct interp in;
    int state; // in Lua's registry
};

struct entry {
    struct diagnosis *d;
    const char *path, *text; // of the site's catalogue
    size_t len;
    const json_t *given;
    json_t **next;
};

// What is of use outside of the state at the top of the stack, which is kept.
static int take_next(lua_State *L, struct entry *e, struct error *err)
{
    static const char *const members[] = {"queries", "answer"};
    json_t *next = json_object();
    *e->next = next;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        json_t *value = NULL;
        if (lua_getfield(L, -1, members[i]) != LUA_TNIL && lua_to_json(L, -1, &value, err) < 0)
            return -1;
        if (value)
            json_object_set_new(next, members[i], value);
        lua_pop(L, 1);
    }
    e->d->state = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int add_catalogue(lua_State *L, void *data, struct error *err)
{
    struct entry *e = data;
    push_library_function(L, "migrun.diagnose.entries", "add");
    const char *chunk = lua_pushfstring(L, "@%s", e->path);
    if (luaL_loadbufferx(L, e->text, e->len, chunk, "t") != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return error_set(err, ERR_SITE, 0,
                         "%s should return a list of entries, as { \"cause\", \"pattern\", "
                         "\"cause in words\", \"remedy\" }",
                         e->path);
    lua_call(L, 1, 1);
    return lua_isnil(L, -1) ? 0 : error_set(err, ERR_SITE, 0, "%s: %s", e->path, lua_tostring(L, -1));
}

static int begin(lua_State *L, void *data, struct error *err)
{
    struct entry *e = data;
    push_library_function(L, "migrun.diagnose.inquire", "begin");
    lua_push_json(L, e->given);
    lua_call(L, 1, 1);
    return take_next(L, e, err);
}

static int take(lua_State *L, void *data, struct error *err)
{
    struct entry *e = data;
    push_library_function(L, "migrun.diagnose.inquire", "narrow");
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->d->state);
    luaL_unref(L, LUA_REGISTRYINDEX, e->d->state);
    lua_push_json(L, e->given);
    lua_call(L, 2, 1);
    return take_next(L, e, err);
}

int diagnosis_catalogue(struct interp *in, const char *path, struct error *err)
{
    auto_free char *text = NULL;
    struct entry e = {.path = path ? path : CATALOGUE};
    if (!path && access(CATALOGUE, F_OK) < 0)
        return 0;
    if (read_whole_file(e.path, CATALOGUE_MAX, &text, &e.len) < 0)
        return error_set(err, ERR_SITE, 0, "the catalogue %s cannot be read: %s", e.path, strerror(errno));
    e.text = text;
    return interp_enter(in, add_catalogue, &e, err);
}

static int begin_all(struct diagnosis *d, const char *catalogue, const json_t *request, json_t **next,
                     struct error *err)
{
    struct entry e = {.d = d, .given = request, .next = next};
    return diagnosis_catalogue(&d->in, catalogue, err) < 0 ? -1 : interp_enter(&d->in, begin, &e, err);
}

static int go_on(struct diagnosis *d, const json_t *answers, json_t **next, struct error *err)
{
    struct entry e = {.d = d, .given = answers, .next = next};
    return interp_enter(&d->in, take, &e, err);
}

int diagnosis_make(const char *catalogue, struct inquiry *inquiry, const json_t *request, json_t **answer,
                   json_t **read, struct error *err)
{
    struct diagnosis d;
    auto_json json_t *next = NULL;
    int rc = interp_open(&d.in, open_sandbox, err);
    if (rc == 0)
        rc = begin_all(&d, catalogue, request, &next, err);
    while (rc == 0 && !json_object_get(next, "answer")) {
        auto_json json_t *answers = NULL;
        rc = inquiry_ask(inquiry, next, &answers, err);
        json_decref(next);
        next = NULL;
        if (rc == 0)
            rc = go_on(&d, answers, &next, err);
        if (rc == 0 && read && json_object_get(next, "answer"))
            *read = json_incref(answers);
    }
    if (rc == 0)
        *answer = json_incref(json_object_get(next, "answer"));
    interp_close(&d.in);
    return rc;
}

struct fitting {
    const json_t *need, *facts;
    json_t *texts;
};

static int fit(lua_State *L, void *data, struct error *err)
{
    struct fitting *f = data;
    push_library_function(L, "migrun.diagnose.fits", "hosts");
    lua_push_json(L, f->need);
    lua_push_json(L, f->facts);
    lua_call(L, 2, 1);
    return lua_to_json(L, -1, &f->texts, err);
}

json_t *diagnosis_fits(const json_t *need, const json_t *facts)
{
    struct interp in;
    struct fitting f = {.need = need, .facts = facts};
    if (interp_open(&in, open_sandbox, NULL) == 0)
        interp_enter(&in, fit, &f, NULL);
    interp_close(&in);
    return f.texts;
}
