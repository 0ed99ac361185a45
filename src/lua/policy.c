// SPDX-License-Identifier: MIT
#include "lua/policy.h"

#include "base/io.h"
#include "base/mask.h"
#include "base/spawn.h"
#include "lua/bindings.h"
#include "lua/explain.h"
#include "lua/find.h"
#include "lua/sandbox.h"
#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POLICY_MAX = 1 << 20, PROBLEMS_SHOWN = 8 };

// ---- reading it ----

// What lua(1) skips as well: a byte order mark, and a first line that begins with '#'.
static void skip_start(char *text)
{
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        memset(text, ' ', 3);
    char *sign = text + strspn(text, " ");
    if (*sign == '#' && sign - text <= 3)
        memset(sign, ' ', strcspn(sign, "\n"));
}

static int read_policy(struct policy *p, const char *given, struct error *err)
{
    p->path = policy_find(given, err);
    if (!p->path)
        return -1;
    p->procedure.name = p->path;
    if (read_whole_file(p->path, POLICY_MAX, &p->text, &p->len) < 0)
        return error_set(err, ERR_USAGE, 0, "policy %s cannot be read: %s", p->path, strerror(errno));
    skip_start(p->text);
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

// A line of a text below a message, and a caret under its column (0: the line alone).
static void add_excerpt(struct buf *b, const char *text, long line, long column)
{
    if (!text || strlen(text) > 500)
        return;
    auto_free char *raw = xstrdup(text);
    for (char *p = raw; *p; p++)
        if (*p == '\t')
            *p = ' ';
    auto_free char *shown = printable(raw);
    buf_printf(b, "\n%5ld | %s", line, shown);
    if (column > 0)
        buf_printf(b, "\n      | %*s^", (int)(column - 1), "");
}

// The place of a problem: "FILE:LINE:COLUMN", as far as it is known.
static void put_place(struct buf *b, const json_t *problem)
{
    json_int_t line = json_int(problem, "line", 0), column = json_int(problem, "column", 0);
    buf_puts(b, json_str(problem, "file", ""));
    if (line)
        buf_printf(b, ":%lld", (long long)line);
    if (column)
        buf_printf(b, ":%lld", (long long)column);
}

void policy_put_problem(struct buf *b, const json_t *problem)
{
    put_place(b, problem);
    buf_printf(b, "%s%s", b->len ? ": " : "", json_str(problem, "message", "?"));
    add_excerpt(b, json_str(problem, "text", NULL), (long)json_int(problem, "line", 0),
                (long)json_int(problem, "column", 0));
}

// Tells the problems as one error.
static int fail(const struct policy *p, struct error *err)
{
    auto_buf struct buf all = {0}, place = {0};
    size_t i;
    const json_t *problem;
    json_array_foreach(p->problems, i, problem) {
        auto_buf struct buf one = {0};
        if (i == PROBLEMS_SHOWN) {
            buf_printf(&all, "\nand %zu more (migrun check shows them)", json_array_size(p->problems) - i);
            break;
        }
        policy_put_problem(&one, problem);
        buf_printf(&all, "%s%s", i ? "\n" : "", one.data);
    }
    put_place(&place, json_array_get(p->problems, 0));
    error_set(err, ERR_POLICY, 0, "%s", all.data ? all.data : "not a policy");
    snprintf(err->source, sizeof err->source, "%s", place.data ? place.data : "");
    return -1;
}

// Lua shows the end of a long path alone.
static bool is_shown_as(const char *path, const char *shown)
{
    static const char dots[] = "...";
    size_t len = strlen(path), tail = strlen(shown) - strlen(dots);
    if (strncmp(shown, dots, strlen(dots)) != 0)
        return STREQ(path, shown);
    return len >= tail && STREQ(path + len - tail, shown + strlen(dots));
}

// The text of a file that the policy consists of: its own, or a module's. NULL: it is none of these.
static const char *text_of(const struct policy *p, const char *file)
{
    const char *name;
    json_t *text;
    if (is_shown_as(p->procedure.name, file))
        return p->text;
    json_object_foreach(p->in.modules, name, text) {
        auto_free char *path = module_path(&p->in, name);
        if (is_shown_as(path, file))
            return json_string_value(text);
    }
    return NULL;
}

static json_t *problem_at(const struct policy *p, const char *file, json_int_t line, json_int_t column,
                          const char *message)
{
    size_t len = 0;
    const char *at = line > 0 ? line_at(text_of(p, file), (long)line, &len) : NULL;
    return json_pack("{s:o, s:I, s:I, s:o, s:o*}", "file", json_text(file), "line", line, "column", column,
                     "message", json_text(message), "text", at ? json_stringn_nocheck(at, len) : NULL);
}

// From "FILE:LINE: MESSAGE", as Lua tells it.
static json_t *problem_from(const struct policy *p, const char *message)
{
    const char *end = strstr(message, ": "), *colon = end;
    while (colon && colon > message && colon[-1] >= '0' && colon[-1] <= '9')
        colon--;
    if (!colon || colon == end || colon - 1 <= message || colon[-1] != ':')
        return json_pack("{s:o}", "message", json_text(message));
    auto_free char *file = xstrndup(message, (size_t)(colon - 1 - message));
    return problem_at(p, file, strtoll(colon, NULL, 10), 0, end + 2);
}

// Adds a problem {line, column, message [, file]}, which is on top of the stack.
static void add_problem(lua_State *L, struct policy *p)
{
    lua_getfield(L, -1, "line");
    lua_getfield(L, -2, "column");
    lua_getfield(L, -3, "message");
    lua_getfield(L, -4, "file");
    const char *message = lua_tostring(L, -2), *file = lua_tostring(L, -1);
    json_array_append_new(p->problems, problem_at(p, file ? file : p->procedure.name, lua_tointeger(L, -4),
                                                  lua_tointeger(L, -3), message ? message : "?"));
    lua_pop(L, 4);
}

// The list of problems lies on top of the stack.
static int fail_with(lua_State *L, struct policy *p, struct error *err)
{
    size_t count = lua_rawlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        add_problem(L, p);
        lua_pop(L, 1);
    }
    return fail(p, err);
}

static int fail_syntax(lua_State *L, struct policy *p, struct error *err)
{
    const char *message = lua_tostring(L, -1);
    json_array_append_new(p->problems, problem_from(p, message ? message : "not Lua"));
    return fail(p, err);
}

// What Lua finds out only when it gets there: undefined globals, unknown fields. What was begun is finished,
// even by a migrun that has learned more. Leaves the positions of the table's parts.
static int lint(lua_State *L, struct policy *p, struct error *err)
{
    push_library_function(L, "migrun.lint", "check");
    lua_pushlstring(L, p->text, p->len);
    lua_pushstring(L, p->procedure.name);
    push_source(L, "migrun.meta");
    lua_pushcfunction(L, site_module_text);
    lua_call(L, 4, 1);
    lua_getfield(L, -1, "problems");
    if (lua_rawlen(L, -1) > 0 && !p->in.frozen)
        return fail_with(L, p, err);
    lua_pop(L, 1);
    lua_getfield(L, -1, "positions");
    lua_remove(L, -2);
    return 0;
}

// Leaves the checked table.
static int check_table(lua_State *L, struct policy *p, struct error *err)
{
    const char *chunk = lua_pushfstring(L, "@%s", p->procedure.name);
    if (luaL_loadbufferx(L, p->text, p->len, chunk, "t") != LUA_OK)
        return fail_syntax(L, p, err);
    if (lint(L, p, err) < 0)
        return -1;
    lua_insert(L, -2); // positions, chunk
    lua_call(L, 0, 1);
    push_library_function(L, "migrun.policy", "is_meant");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    p->stranger = !lua_toboolean(L, -1);
    lua_pop(L, 1);
    push_library_function(L, "migrun.policy", "check");
    lua_insert(L, -2);
    lua_pushvalue(L, -3);
    lua_pushstring(L, p->procedure.name);
    lua_call(L, 3, 2);
    if (!lua_istable(L, -1) || lua_rawlen(L, -1) > 0 || !lua_istable(L, -2))
        return fail_with(L, p, err);
    lua_pop(L, 1);
    return 0;
}

// ---- its parameters ----

enum { SECRET_MOST = 1 << 16 };

// The one file of a secret: what others may read, or have written, is none.
static int read_secret_file(const char *name, const char *path, char **value, struct error *err)
{
    struct stat st;
    size_t len;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 &&
        ((st.st_mode & (S_IRWXO | S_IWGRP)) || (st.st_uid != geteuid() && st.st_uid != 0)))
        return error_set(
            err, ERR_USAGE, 0,
            "parameter '%s': %s is not yours alone (owner %u, mode %o), so it holds no secret: chmod "
            "600 it",
            name, path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    if (fd < 0 || read_whole_fd(fd, SECRET_MOST, value, &len) < 0)
        return error_set(err, ERR_USAGE, 0, "parameter '%s': %s cannot be read: %s", name, path,
                         strerror(errno));
    while (len && strchr("\r\n", (*value)[len - 1]))
        (*value)[--len] = '\0';
    if (strlen(*value) == len)
        return 0;
    return error_set(err, ERR_USAGE, 0, "parameter '%s': %s is no text", name, path);
}

// From then on the variable has a name that is not passed on to any child.
static int read_secret_variable(const char *name, const char *variable, char **value, struct error *err)
{
    auto_free char *hidden = xasprintf(SPAWN_SECRET "%s", variable);
    const char *now = getenv(variable), *kept = getenv(hidden);
    if (now)
        setenv(hidden, now, 1);
    else if (!kept)
        return error_set(err, ERR_USAGE, 0, "parameter '%s': there is no variable %s in the environment",
                         name, variable);
    *value = xstrdup(now ? now : kept);
    unsetenv(variable);
    return 0;
}

// The value of a secret parameter from where its text says.
static int read_secret(struct policy *p, const char *name, const char *text, json_t *values,
                       struct error *err)
{
    static const char from_variable[] = "env:";
    auto_free char *value = NULL;
    int rc;
    if (strncmp(text, "@/", 2) == 0)
        rc = read_secret_file(name, text + 1, &value, err);
    else if (strncmp(text, from_variable, strlen(from_variable)) == 0 && text[strlen(from_variable)])
        rc = read_secret_variable(name, text + strlen(from_variable), &value, err);
    else
        return error_set(
            err, ERR_USAGE, 0,
            "parameter '%s' is a secret, and other users see a command line: write -p %s=@/PATH (a "
            "file that holds it) or -p %s=env:VARIABLE",
            name, name, name);
    if (rc < 0)
        return -1;
    if (strlen(value) < SECRET_LEAST)
        return error_set(err, ERR_USAGE, 0,
                         "parameter '%s' is a secret of fewer than %d bytes, which cannot be "
                         "masked",
                         name, SECRET_LEAST);
    mask_forms(value, p->procedure.secrets);
    json_object_set_new(values, name, json_text(value));
    return 0;
}

// The parameters as given, and of the secret ones (their specifications lie on top of the stack) the values.
static int read_secrets(lua_State *L, struct policy *p, const json_t *given, json_t *values,
                        struct error *err)
{
    const char *name;
    json_t *text;
    json_object_update(values, (json_t *)(uintptr_t)given);
    p->procedure.secrets = json_array();
    json_object_foreach((json_t *)(uintptr_t)given, name, text) {
        int top = lua_gettop(L);
        lua_getfield(L, -1, name);
        bool secret = lua_istable(L, -1) && lua_getfield(L, -1, "type") == LUA_TSTRING &&
                      STREQ(lua_tostring(L, -1), "secret");
        lua_settop(L, top);
        if (secret && read_secret(p, name, json_string_value(text), values, err) < 0)
            return -1;
    }
    return 0;
}

static int take_params(lua_State *L, struct policy *p, const json_t *given, struct error *err)
{
    void **values = lua_box(L, box_json);
    *values = json_object();
    push_library_function(L, "migrun.policy", "params");
    lua_getfield(L, -3, "params");
    if (read_secrets(L, p, given, *values, err) < 0)
        return -1;
    lua_push_json(L, *values);
    lua_getfield(L, -5, "topics");
    lua_pushboolean(L, p->in.frozen);
    lua_call(L, 4, 2);
    if (lua_istable(L, -1) && lua_rawlen(L, -1) > 0) {
        lua_rawgeti(L, -1, 1);
        return error_set(err, ERR_USAGE, 0, "%s: %s", p->procedure.name, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
    set_params(L);
    lua_pop(L, 1);
    return 0;
}

// ---- its steps, as the floors below see them ----

// What is asked of a step's function, and what it came to.
struct question {
    struct policy *policy;
    size_t step;
    const char *function;
    bool saves;  // it may change what steps share
    bool absent; // the step has no such function
    bool yes;
    char *text;
    json_t *saved;
};

// A step returns its text. Anything else is reported; in a check it is a mistake, as its author may have
// meant no.
static void take_text(lua_State *L, struct question *q)
{
    const struct step *step = &q->policy->procedure.steps[q->step];
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING || type == LUA_TNUMBER)
        q->text = xstrdup(luaL_tolstring(L, -1, NULL));
    if (q->text || type == LUA_TNIL || (type == LUA_TBOOLEAN && q->yes) || STREQ(q->function, "when"))
        return;
    const char *what = type == LUA_TBOOLEAN ? "false" : lua_pushfstring(L, "a %s", lua_typename(L, type));
    struct error err;
    error_set(
        &err, ERR_POLICY, 0,
        "the step '%s' returned %s; a step returns the text that is shown for it, or nothing (run:refuse "
        "says no)",
        step->title, what);
    if (step->phase == PHASE_CHECK)
        lua_raise(L, &err);
    run_message(run_of(L), "warning", "%s", err.message);
}

static int ask(lua_State *L, void *data, struct error *err)
{
    struct question *q = data;
    lua_rawgeti(L, LUA_REGISTRYINDEX, q->policy->steps);
    lua_rawgeti(L, -1, (lua_Integer)q->step + 1);
    lua_getfield(L, -1, q->function);
    q->absent = lua_isnil(L, -1);
    if (q->absent)
        return 0;
    push_run(L);
    lua_call(L, 1, 1);
    q->yes = lua_toboolean(L, -1);
    take_text(L, q);
    return q->saves ? take_saved(L, &q->saved, err) : 0;
}

// What the steps share is in the journal as soon as the step has ended.
static int keep_saved(struct policy *p, json_t *saved, struct error *err)
{
    struct run *run = p->in.run;
    bool same = json_equal(saved, run->saved);
    json_decref(run->saved);
    run->saved = saved;
    if (same || !run->journal)
        return 0;
    auto_json json_t *masked = run_masked(run, saved);
    return journal_saved(run->journal, saved, masked, err);
}

// Shows the line of a policy's mistake, and the calls that led there.
static void tell_trace(struct policy *p)
{
    const struct interp *in = &p->in;
    auto_free char *placed = xasprintf("%s ", in->place);
    auto_json json_t *problem = problem_from(p, placed);
    auto_buf struct buf text = {0};
    add_excerpt(&text, json_str(problem, "text", NULL), (long)json_int(problem, "line", 0), 0);
    if (strchr(in->trace, '\n')) // or else the message says it all
        buf_printf(&text, "\n%s", in->trace);
    if (!text.len)
        return;
    run_message(in->run, "info", "%s", text.data + 1);
}

// 1: the step has no such function.
static int answer(struct question *q, char **text, struct error *err)
{
    int rc = interp_enter(&q->policy->in, ask, q, err);
    *text = q->text;
    if (rc < 0 && err->domain == ERR_POLICY && q->policy->in.trace)
        tell_trace(q->policy);
    if (rc == 0 && q->saved && keep_saved(q->policy, q->saved, err) < 0)
        rc = -1;
    return rc < 0 ? -1 : q->absent;
}

static int wanted(void *data, size_t step, bool *is_wanted, char **why, struct error *err)
{
    struct question q = {.policy = data, .step = step, .function = "when"};
    int rc = answer(&q, why, err);
    *is_wanted = rc != 0 || q.yes;
    return rc < 0 ? -1 : 0;
}

static int perform(void *data, size_t step, char **text, struct error *err)
{
    struct question q = {.policy = data, .step = step, .function = "run", .saves = true};
    return answer(&q, text, err);
}

static int verify(void *data, size_t step, char **text, struct error *err)
{
    struct question q = {.policy = data, .step = step, .function = "verify"};
    return answer(&q, text, err);
}

static int undo(void *data, size_t step, char **text, struct error *err)
{
    struct question q = {.policy = data, .step = step, .function = "undo", .saves = true};
    return answer(&q, text, err);
}

static json_t *explain(void *data, const struct error *failure)
{
    struct policy *p = data;
    return explain_failure(&p->in, failure);
}

static int give_saved(lua_State *L, void *data, struct error *err)
{
    (void)err;
    set_saved(L, data);
    return 0;
}

static void attach(void *data, struct run *run)
{
    struct policy *p = data;
    p->in.run = run;
    if (run && json_object_size(run->saved))
        interp_enter(&p->in, give_saved, run->saved, NULL);
}

// ---- taking it over ----

// A copy, so that a policy which changes its checked table later takes nothing away. Raises when it is no
// string.
static char *text_field(lua_State *L, int index, const char *name)
{
    if (lua_getfield(L, index, name) != LUA_TSTRING)
        lua_mistake(L, "the checked policy has lost its %s", name);
    char *text = xstrdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return text;
}

static bool flag_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static enum phase phase_field(lua_State *L, int index)
{
    lua_getfield(L, index, "phase");
    const char *phase = lua_tostring(L, -1);
    size_t i = 0;
    while (i < COUNT_OF(phase_names) && !(phase && STREQ(phase_names[i], phase)))
        i++;
    if (i == COUNT_OF(phase_names))
        lua_mistake(L, "the checked policy has lost a phase");
    lua_pop(L, 1);
    return (enum phase)i;
}

// Whether a list "storage,cpu" has the word.
static bool lists(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || strchr(", ", at[-1])) && (!at[len] || strchr(", ", at[len])))
            return true;
    return false;
}

static void read_step(lua_State *L, struct step *step, const json_t *params)
{
    step->phase = phase_field(L, -1);
    step->title = text_field(L, -1, "title");
    step->temporary = flag_field(L, -1, "temporary");
    step->undoes = flag_field(L, -1, "undo");
    lua_getfield(L, -1, "topic");
    const char *topic = lua_tostring(L, -1);
    step->topic = topic ? xstrdup(topic) : NULL;
    step->known = topic && lists(json_str(params, "i_know", ""), topic);
    lua_pop(L, 1);
    lua_getfield(L, -1, "needs");
    size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
    step->needs = xcalloc(count + 1, sizeof *step->needs);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        const char *title = lua_tostring(L, -1);
        step->needs[step->n_needs++] = xstrdup(title ? title : "");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_procedure(lua_State *L, struct policy *p, const json_t *params)
{
    struct procedure *procedure = &p->procedure;
    procedure->path = p->path;
    procedure->modules = p->in.modules;
    procedure->text = p->text;
    procedure->summary = text_field(L, -1, "summary");
    procedure->takes_instance = flag_field(L, -1, "takes_instance");
    procedure->takes_host = flag_field(L, -1, "takes_host");
    procedure->takes_hosts = flag_field(L, -1, "takes_hosts");
    procedure->migrates = flag_field(L, -1, "migrates");
    procedure->nova = flag_field(L, -1, "nova");
    procedure->audits = flag_field(L, -1, "audits");
    lua_getfield(L, -1, "steps");
    size_t count = lua_rawlen(L, -1);
    procedure->steps = xcalloc(count + 1, sizeof *procedure->steps);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        read_step(L, &procedure->steps[procedure->n_steps++], params);
        lua_pop(L, 1);
    }
    p->steps = luaL_ref(L, LUA_REGISTRYINDEX);
    procedure->wanted = wanted;
    procedure->perform = perform;
    procedure->verify = verify;
    procedure->undo = undo;
    procedure->explain = explain;
    procedure->attach = attach;
    procedure->data = p;
}

struct reading {
    struct policy *policy;
    const json_t *params;
};

struct inspection {
    struct policy *policy;
    json_t **about;
};

static int check_all(lua_State *L, void *data, struct error *err)
{
    const struct reading *reading = data;
    if (check_table(L, reading->policy, err) < 0 || take_params(L, reading->policy, reading->params, err) < 0)
        return -1;
    read_procedure(L, reading->policy, reading->params);
    return 0;
}

// What the file itself raises while it is loaded is told as its other mistakes are.
static int enter(struct policy *p, int (*body)(lua_State *L, void *data, struct error *err), void *data,
                 struct error *err)
{
    int rc = interp_enter(&p->in, body, data, err);
    if (rc == 0 || err->domain != ERR_POLICY || json_array_size(p->problems))
        return rc;
    json_array_append_new(p->problems, problem_from(p, err->message));
    return fail(p, err);
}

static int check_policy(struct policy *p, const json_t *params, struct error *err)
{
    struct reading reading = {.policy = p, .params = params};
    return enter(p, check_all, &reading, err);
}

static void open_bindings(lua_State *L)
{
    open_sandbox(L);
    register_xml(L);
    register_json(L);
    sandbox_module(L, "migrun.words", luaopen_migrun_words);
    register_host(L);
    register_libvirt(L);
    register_run(L);
    register_nova(L);
}

int policy_load(struct policy *p, const char *given, const json_t *params, struct error *err)
{
    *p = (struct policy){.steps = LUA_NOREF, .procedure.name = given, .problems = json_array()};
    return interp_open(&p->in, open_bindings, err) < 0 || read_policy(p, given, err) < 0 ||
                   check_policy(p, params, err) < 0
               ? -1
               : 0;
}

// A table of Lua's that is empty could be either.
static void make_list(json_t *object, const char *key)
{
    if (!json_is_array(json_object_get(object, key)))
        json_object_set_new(object, key, json_array());
}

static int describe(lua_State *L, void *data, struct error *err)
{
    static const char *const lists[] = {"takes", "topics", "params"};
    const struct inspection *inspection = data;
    if (check_table(L, inspection->policy, err) < 0)
        return -1;
    push_library_function(L, "migrun.policy", "describe");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    if (lua_to_json(L, -1, inspection->about, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        make_list(*inspection->about, lists[i]);
    return 0;
}

int policy_inspect(struct policy *p, const char *given, json_t **about, struct error *err)
{
    *p = (struct policy){.steps = LUA_NOREF, .procedure.name = given, .problems = json_array()};
    struct inspection inspection = {.policy = p, .about = about};
    *about = NULL;
    if (interp_open(&p->in, open_bindings, err) == 0 && read_policy(p, given, err) == 0 &&
        enter(p, describe, &inspection, err) == 0)
        return 0;
    if (!json_array_size(p->problems))
        json_array_append_new(p->problems, problem_from(p, err->message));
    return -1;
}

static int restore_policy(struct policy *p, const struct opening *opening, struct error *err)
{
    *p = (struct policy){.steps = LUA_NOREF, .procedure.name = opening->policy, .problems = json_array()};
    if (interp_open(&p->in, open_bindings, err) < 0)
        return -1;
    p->path = xstrdup(opening->policy);
    p->text = xstrdup(opening->text);
    p->len = strlen(p->text);
    json_object_update(p->in.modules, (json_t *)(uintptr_t)opening->modules);
    p->in.frozen = true;
    return check_policy(p, opening->params, err);
}

static const struct procedure *restore(const struct opening *opening, struct error *err)
{
    struct policy *p = xcalloc(1, sizeof *p);
    if (restore_policy(p, opening, err) == 0)
        return &p->procedure;
    policy_free(p);
    free(p);
    return NULL;
}

static void forget(const struct procedure *procedure)
{
    struct policy *p = procedure->data;
    policy_free(p);
    free(p);
}

const struct policies lua_policies = {.restore = restore, .forget = forget};

void policy_free(struct policy *p)
{
    for (size_t i = 0; i < p->procedure.n_steps; i++) {
        struct step *step = &p->procedure.steps[i];
        for (size_t n = 0; n < step->n_needs; n++)
            free((void *)(uintptr_t)step->needs[n]);
        free(step->needs);
        free((void *)(uintptr_t)step->title);
        free((void *)(uintptr_t)step->topic);
    }
    free(p->procedure.steps);
    free((void *)(uintptr_t)p->procedure.summary);
    interp_close(&p->in);
    json_decref(p->problems);
    json_decref(p->procedure.secrets);
    free(p->path);
    free(p->text);
    *p = (struct policy){0};
}
