// SPDX-License-Identifier: MIT
#include "lua/policy.h"

#include "base/clock.h"
#include "base/io.h"
#include "run/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POLICY_MAX = 1 << 20, PROBLEMS_SHOWN = 8 };

// ---- finding it ----

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

// A file as it is named; a bare name also in the policy folders, with .lua or without.
static char *find_policy(const struct interp *in, const char *given)
{
    if (is_file(given))
        return xstrdup(given);
    if (strchr(given, '/') || !*given)
        return NULL;
    auto_free char *beside = xasprintf("%s/../policies", in->library);
    const char *folders[] = {"/etc/migrun/policies", beside};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        for (int suffix = 0; suffix < 2; suffix++) {
            char *path = xasprintf("%s/%s%s", folders[i], given, suffix ? ".lua" : "");
            if (is_file(path)) {
                char *real = realpath(path, NULL);
                free(path);
                return real;
            }
            free(path);
        }
    return NULL;
}

static int read_policy(struct policy *p, const char *given, size_t *len, struct error *err)
{
    p->path = find_policy(&p->in, given);
    if (!p->path)
        return error_set(err, ERR_USAGE, 0,
                         strchr(given, '/') ? "there is no policy %s: no such file"
                                            : "there is no policy '%s': neither a file here, nor one in "
                                              "/etc/migrun/policies or %s/../policies",
                         given, p->in.library);
    if (read_whole_file(p->path, POLICY_MAX, &p->text, len) < 0)
        return error_set(err, ERR_USAGE, 0, "policy %s cannot be read: %s", p->path, strerror(errno));
    char *slash = strrchr(p->path, '/');
    p->in.folder = slash ? xstrndup(p->path, (size_t)(slash - p->path)) : xstrdup(".");
    return 0;
}

// ---- its mistakes ----

static const char *line_at(const char *text, long line, size_t *len)
{
    for (; text && line > 1; line--) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    *len = text ? strcspn(text, "\r\n") : 0;
    return text;
}

// The line of the text below a message, and a caret under its column (0: the line alone).
static void add_excerpt(struct buf *b, const char *text, long line, long column)
{
    size_t len;
    const char *at = line_at(text, line, &len);
    if (!at || len > 500)
        return;
    auto_free char *raw = xstrndup(at, len);
    for (char *p = raw; *p; p++)
        if (*p == '\t')
            *p = ' ';
    auto_free char *shown = printable(raw);
    buf_printf(b, "\n%5ld | %s", line, shown);
    if (column > 0)
        buf_printf(b, "\n      | %*s^", (int)(column - 1), "");
}

// Problems are {line, column, message}; the list lies on top of the stack.
static int fail_with(lua_State *L, const struct policy *p, struct error *err)
{
    auto_buf struct buf all = {0};
    size_t count = lua_rawlen(L, -1);
    for (size_t i = 1; i <= count && i <= PROBLEMS_SHOWN; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        lua_getfield(L, -1, "line");
        lua_getfield(L, -2, "column");
        lua_getfield(L, -3, "message");
        long line = (long)lua_tointeger(L, -3), column = (long)lua_tointeger(L, -2);
        const char *message = lua_tostring(L, -1);
        if (i == 1 && err)
            snprintf(err->source, sizeof err->source, "%s:%ld:%ld", p->procedure.name, line, column);
        buf_printf(&all, "%s%s:%ld:%ld: %s", i > 1 ? "\n" : "", p->procedure.name, line, column,
                   message ? message : "?");
        add_excerpt(&all, p->text, line, column);
        lua_pop(L, 4);
    }
    if (count > PROBLEMS_SHOWN)
        buf_printf(&all, "\nand %zu more", count - PROBLEMS_SHOWN);
    return error_set(err, ERR_POLICY, 0, "%s", all.data);
}

static int fail_syntax(lua_State *L, const struct policy *p, struct error *err)
{
    const char *message = lua_tostring(L, -1);
    size_t name = strlen(p->procedure.name);
    auto_buf struct buf all = {0};
    buf_puts(&all, message ? message : "no Lua");
    if (message && strncmp(message, p->procedure.name, name) == 0 && message[name] == ':')
        add_excerpt(&all, p->text, strtol(message + name + 1, NULL, 10), 0);
    return error_set(err, ERR_POLICY, 0, "%s", all.data);
}

// Pushes a function of one of the library's modules.
static int push_function(lua_State *L, const char *module, const char *function, struct error *err)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    if (interp_call(L, 1, 1, err) < 0)
        return -1;
    lua_getfield(L, -1, function);
    lua_remove(L, -2);
    return 0;
}

// What Lua finds out only when it gets there: undefined globals, unknown fields. Leaves the positions of the
// table's parts.
static int lint(struct policy *p, size_t len, struct error *err)
{
    lua_State *L = p->in.L;
    auto_free char *path = xasprintf("%s/migrun/meta.lua", p->in.library), *meta = NULL;
    size_t meta_len;
    if (read_whole_file(path, POLICY_MAX, &meta, &meta_len) < 0)
        return error_set(err, ERR_BUG, 0, "migrun's library is not whole: %s: %s", path, strerror(errno));
    if (push_function(L, "migrun.lint", "check", err) < 0)
        return -1;
    lua_pushlstring(L, p->text, len);
    lua_pushstring(L, p->procedure.name);
    lua_pushlstring(L, meta, meta_len);
    if (interp_call(L, 3, 1, err) < 0)
        return -1;
    lua_getfield(L, -1, "problems");
    if (lua_rawlen(L, -1) > 0)
        return fail_with(L, p, err);
    lua_pop(L, 1);
    lua_getfield(L, -1, "positions");
    lua_remove(L, -2);
    return 0;
}

static int check_table(struct policy *p, size_t len, struct error *err)
{
    lua_State *L = p->in.L;
    auto_free char *chunk = xasprintf("@%s", p->procedure.name);
    if (luaL_loadbufferx(L, p->text, len, chunk, "t") != LUA_OK)
        return fail_syntax(L, p, err);
    if (lint(p, len, err) < 0)
        return -1;
    lua_insert(L, -2); // positions, chunk
    if (interp_call(L, 0, 1, err) < 0 || push_function(L, "migrun.policy", "check", err) < 0)
        return -1;
    lua_insert(L, -2);
    lua_pushvalue(L, -3);
    lua_pushstring(L, p->procedure.name);
    if (interp_call(L, 3, 2, err) < 0)
        return -1;
    if (!lua_istable(L, -1) || lua_rawlen(L, -1) > 0 || !lua_istable(L, -2))
        return fail_with(L, p, err);
    lua_pop(L, 1);
    lua_remove(L, -2);
    return 0;
}

// ---- its parameters ----

static int take_params(struct policy *p, const json_t *given, struct error *err)
{
    lua_State *L = p->in.L;
    if (push_function(L, "migrun.policy", "params", err) < 0)
        return -1;
    lua_getfield(L, -2, "params");
    lua_push_json(L, given);
    if (interp_call(L, 2, 2, err) < 0)
        return -1;
    if (lua_istable(L, -1) && lua_rawlen(L, -1) > 0) {
        lua_rawgeti(L, -1, 1);
        return error_set(err, ERR_USAGE, 0, "%s: %s", p->procedure.name, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    set_params(L);
    return 0;
}

// ---- its steps, as the floors below see them ----

static int push_step(struct policy *p, size_t step, const char *function)
{
    lua_State *L = p->in.L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->steps);
    lua_rawgeti(L, -1, (lua_Integer)step + 1);
    lua_remove(L, -2);
    lua_getfield(L, -1, function);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return -1;
    }
    push_run(L);
    return 0;
}

static char *take_text(lua_State *L)
{
    char *text = lua_type(L, -1) == LUA_TSTRING ? xstrdup(lua_tostring(L, -1)) : NULL;
    lua_pop(L, 1);
    return text;
}

static int wanted(void *data, size_t step, bool *is_wanted, char **why, struct error *err)
{
    struct policy *p = data;
    lua_State *L = p->in.L;
    *is_wanted = true;
    if (push_step(p, step, "when") < 0)
        return 0;
    if (interp_call(L, 1, 1, err) < 0)
        return -1;
    *is_wanted = lua_toboolean(L, -1);
    *why = take_text(L);
    return 0;
}

// What the steps share is in the journal as soon as the step has ended.
static int keep_saved(struct policy *p, struct error *err)
{
    struct run *run = p->in.run;
    json_t *saved;
    if (take_saved(p->in.L, &saved, err) < 0)
        return -1;
    bool same = json_equal(saved, run->saved);
    json_decref(run->saved);
    run->saved = saved;
    if (same || !run->journal)
        return 0;
    auto_json json_t *line = json_pack("{s:f, s:s, s:s, s:O}", "time", wall_time(), "run", run->id, "type",
                                       "saved", "saved", saved);
    return journal_add(run->journal, line, false, err);
}

static int perform(void *data, size_t step, char **text, struct error *err)
{
    struct policy *p = data;
    push_step(p, step, "run");
    if (interp_call(p->in.L, 1, 1, err) < 0)
        return -1;
    *text = take_text(p->in.L);
    return keep_saved(p, err);
}

static int verify(void *data, size_t step, char **text, struct error *err)
{
    struct policy *p = data;
    if (push_step(p, step, "verify") < 0)
        return 1;
    if (interp_call(p->in.L, 1, 1, err) < 0)
        return -1;
    *text = take_text(p->in.L);
    return 0;
}

static int undo(void *data, size_t step, char **text, struct error *err)
{
    struct policy *p = data;
    if (push_step(p, step, "undo") < 0)
        return error_set(err, ERR_POLICY, 0, "the step has no undo any more");
    if (interp_call(p->in.L, 1, 1, err) < 0)
        return -1;
    *text = take_text(p->in.L);
    return keep_saved(p, err);
}

// A diagnosis that fails says nothing: the error itself is told in any case.
static json_t *explain(void *data, const struct error *failure)
{
    struct policy *p = data;
    lua_State *L = p->in.L;
    struct error ignored;
    json_t *details = NULL;
    int top = lua_gettop(L);
    if (push_function(L, "migrun.diagnose", "explain", &ignored) == 0) {
        push_run(L);
        lua_createtable(L, 0, 3);
        lua_pushstring(L, failure->message);
        lua_setfield(L, -2, "message");
        lua_pushstring(L, error_domain_name(failure->domain));
        lua_setfield(L, -2, "domain");
        lua_pushinteger(L, failure->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, failure->source);
        lua_setfield(L, -2, "source");
        push_qemu_log(L);
        push_nova_log(L);
        if (interp_call(L, 4, 1, &ignored) == 0 && lua_istable(L, -1))
            lua_to_json(L, -1, &details, &ignored);
    }
    lua_settop(L, top);
    return details;
}

static const char *string_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text ? text : "";
}

static bool flag_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

// The step's texts stay alive with the checked table, which the registry holds.
static void read_step(lua_State *L, struct step *step)
{
    const char *phase = string_field(L, -1, "phase");
    step->title = string_field(L, -1, "title");
    for (size_t i = 0; i < COUNT_OF(phase_names); i++)
        if (STREQ(phase_names[i], phase))
            step->phase = (enum phase)i;
    step->temporary = flag_field(L, -1, "temporary");
    step->undoes = flag_field(L, -1, "undo");
    lua_getfield(L, -1, "needs");
    step->n_needs = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
    step->needs = xcalloc(step->n_needs + 1, sizeof *step->needs);
    for (size_t i = 0; i < step->n_needs; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        step->needs[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_procedure(struct policy *p)
{
    lua_State *L = p->in.L;
    struct procedure *procedure = &p->procedure;
    procedure->path = p->path;
    procedure->modules = p->in.modules;
    procedure->text = p->text;
    procedure->summary = string_field(L, -1, "summary");
    procedure->takes_instance = flag_field(L, -1, "takes_instance");
    procedure->takes_host = flag_field(L, -1, "takes_host");
    procedure->migrates = flag_field(L, -1, "migrates");
    procedure->nova = flag_field(L, -1, "nova");
    lua_getfield(L, -1, "steps");
    procedure->n_steps = lua_rawlen(L, -1);
    procedure->steps = xcalloc(procedure->n_steps + 1, sizeof *procedure->steps);
    for (size_t i = 0; i < procedure->n_steps; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        read_step(L, &procedure->steps[i]);
        lua_pop(L, 1);
    }
    p->steps = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_ref(L, LUA_REGISTRYINDEX); // the table itself: it holds the summary
    procedure->wanted = wanted;
    procedure->perform = perform;
    procedure->verify = verify;
    procedure->undo = undo;
    procedure->explain = explain;
    procedure->data = p;
}

static int check_all(struct policy *p, size_t len, const json_t *params, struct error *err)
{
    if (check_table(p, len, err) < 0 || take_params(p, params, err) < 0)
        return -1;
    read_procedure(p);
    return 0;
}

int policy_restore(struct policy *p, const json_t *opening, struct error *err)
{
    *p = (struct policy){.steps = LUA_NOREF, .procedure.name = json_str(opening, "policy", "?")};
    if (interp_open(&p->in, err) < 0)
        return -1;
    p->path = xstrdup(p->procedure.name);
    p->text = xstrdup(json_str(opening, "text", ""));
    json_object_update(p->in.modules, json_object_get(opening, "modules"));
    p->in.frozen = true;
    return check_all(p, strlen(p->text), json_object_get(opening, "params"), err);
}

int policy_load(struct policy *p, const char *given, const json_t *params, struct error *err)
{
    *p = (struct policy){.steps = LUA_NOREF, .procedure.name = given};
    size_t len;
    return interp_open(&p->in, err) < 0 || read_policy(p, given, &len, err) < 0 ||
                   check_all(p, len, params, err) < 0
               ? -1
               : 0;
}

void policy_free(struct policy *p)
{
    for (size_t i = 0; i < p->procedure.n_steps; i++)
        free(p->procedure.steps[i].needs);
    free(p->procedure.steps);
    interp_close(&p->in);
    free(p->path);
    free(p->text);
    *p = (struct policy){0};
}
