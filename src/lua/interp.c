// SPDX-License-Identifier: MIT
#include "lua/interp.h"

#include "base/interrupt.h"
#include "lua/trace.h"
#include "lua/value.h"
#include "run/change.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY_MAX = 512 << 20, HOOK_COUNT = 10000 };
// Instructions of Lua, some seconds; what the world is asked does not count.
#define WORK_MAX UINT64_C(1000000000)

#define ERROR_KEY "migrun.error"

struct interp *interp_of(lua_State *L) { return *(struct interp **)lua_getextraspace(L); }

struct run *run_of(lua_State *L)
{
    struct run *run = interp_of(L)->run;
    if (!run)
        lua_mistake(L, "hosts, libvirt and Nova can be used only inside a step");
    return run;
}

// ---- memory, work, interrupts ----

static void *allocate(void *data, void *p, size_t old_size, size_t new_size)
{
    struct interp *in = data;
    if (!p)
        old_size = 0;
    if (new_size == 0) {
        in->memory -= old_size;
        free(p);
        return NULL;
    }
    if (new_size > old_size && in->memory + (new_size - old_size) > in->memory_max)
        return NULL;
    void *fresh = realloc(p, new_size);
    if (fresh)
        in->memory += new_size - old_size;
    return fresh;
}

static bool is_finishing(const struct interp *in) { return in->run && in->run->phase == PHASE_FIXUP; }

static bool is_interrupted(const struct interp *in) { return interrupt_count > 0 && !is_finishing(in); }

static int raise_interrupted(lua_State *L)
{
    struct error err;
    error_set(&err, ERR_INTERRUPTED, 0, "interrupted");
    return lua_raise(L, &err);
}

void interp_heed(lua_State *L)
{
    if (is_interrupted(interp_of(L)))
        raise_interrupted(L);
}

static void on_count(lua_State *L, lua_Debug *unused);

static void hurry(lua_State *L, bool hurried)
{
    interp_of(L)->hurried = hurried;
    lua_sethook(L, on_count, LUA_MASKCOUNT, hurried ? 1 : HOOK_COUNT);
}

// A policy that is stuck in Lua is interrupted, also inside pcall: from then on every instruction raises, so
// that a loop which catches errors is ended by an instruction outside its pcall. Fix-ups are finished after
// an interrupt, as the guest may have moved, but not after more work than anything needs.
static void on_count(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    struct interp *in = interp_of(L);
    interrupts_notice();
    bool interrupted = is_interrupted(in);
    in->work += in->hurried ? 1 : HOOK_COUNT;
    bool stuck = in->work > in->work_max;
    if (in->hurried != (interrupted || stuck))
        hurry(L, interrupted || stuck);
    if (!in->hurried)
        return;
    if (interrupted)
        raise_interrupted(L);
    struct error err;
    luaL_where(L, 0);
    error_set(&err, ERR_POLICY, 0, "%sa loop that does not end: stopped after %llu million instructions",
              lua_tostring(L, -1), (unsigned long long)in->work_max / 1000000);
    snprintf(err.source, sizeof err.source, "%s", lua_tostring(L, -1));
    lua_raise(L, &err);
}

// ---- errors ----

// Puts the place of the function of Lua that called before the message.
static void put_where(lua_State *L, struct error *err)
{
    luaL_where(L, 1);
    const char *where = lua_tostring(L, -1);
    snprintf(err->source, sizeof err->source, "%s", where);
    if (*where) {
        char message[sizeof err->message + sizeof err->source];
        snprintf(message, sizeof message, "%s%s", where, err->message);
        memcpy(err->message, message, sizeof err->message - 1);
        err->message[sizeof err->message - 1] = '\0';
    }
    lua_pop(L, 1);
}

int lua_raise(lua_State *L, const struct error *raised)
{
    struct interp *in = interp_of(L);
    struct error placed = *raised, *err = &placed;
    if (err->domain == ERR_POLICY && !*err->source)
        put_where(L, err);
    surgery_spoil(in->run, err->message);
    if (err->domain == ERR_INTERRUPTED && !is_finishing(in)) // a pcall may catch this, and ask the next thing
        hurry(L, true);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, err->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, error_domain_name(err->domain));
    lua_setfield(L, -2, "domain");
    lua_pushstring(L, err->source);
    lua_setfield(L, -2, "source");
    luaL_setmetatable(L, ERROR_KEY);
    return lua_error(L);
}

int lua_mistake(lua_State *L, const char *format, ...)
{
    struct error err = {0};
    va_list args;
    va_start(args, format);
    error_setv(&err, ERR_POLICY, 0, format, args);
    va_end(args);
    return lua_raise(L, &err);
}

static int error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    return 1;
}

enum { MEMBERS_SHOWN = 8 };

// What a table that was raised without a message holds: its plain members with names, raw. Allocates nothing.
static void put_members(lua_State *L, char *text, size_t size)
{
    size_t shown = 0, used = (size_t)snprintf(text, size, "an error without a message");
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        char value[200] = "";
        int type = lua_type(L, -1);
        if (type == LUA_TSTRING)
            snprintf(value, sizeof value, "\"%s\"", lua_tostring(L, -1));
        else if (type == LUA_TBOOLEAN)
            snprintf(value, sizeof value, "%s", lua_toboolean(L, -1) ? "true" : "false");
        else if (type == LUA_TNUMBER)
            snprintf(value, sizeof value, "%.14g", lua_tonumber(L, -1));
        if (!name || !*value || shown == MEMBERS_SHOWN || used + strlen(name) + sizeof value > size)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s = %s", shown++ ? ", " : ": { ", name, value);
    }
    if (shown)
        snprintf(text + used, size - used, " }");
}

// Reads the raw members of an error value, so that its metatable has no say. In a call of its own, as a
// conversion may run out of memory.
static int read_error(lua_State *L)
{
    static const char *const members[] = {"message", "domain", "code", "source"};
    struct error *err = lua_touserdata(L, 1);
    const char *text = lua_type(L, 2) == LUA_TTABLE ? NULL : lua_tostring(L, 2);
    if (!lua_istable(L, 2)) {
        error_set(err, ERR_POLICY, 0, "%s", text ? text : "an error that is not a string");
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        lua_pushstring(L, members[i]);
        lua_rawget(L, 2);
    }
    const char *message = lua_tostring(L, 3), *domain = lua_tostring(L, 4), *source = lua_tostring(L, 6);
    char plain[1024] = "";
    if (!message)
        put_members(L, plain, sizeof plain);
    error_set(err, domain ? error_domain_from_name(domain) : ERR_POLICY, (int)lua_tointeger(L, 5), "%s",
              message ? message : plain);
    snprintf(err->source, sizeof err->source, "%s", source ? source : "");
    return 0;
}

// Takes the error value from the top of the stack.
static void error_from(lua_State *L, struct error *err)
{
    struct error read = {0};
    bool is_table = lua_istable(L, -1);
    lua_pushcfunction(L, read_error);
    lua_pushlightuserdata(L, &read);
    lua_rotate(L, -3, 2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        error_set(&read, ERR_POLICY, 0, "an error that cannot be read");
        lua_pop(L, 1);
    }
    const struct interp *in = interp_of(L);
    // What Lua itself says has its place already.
    if (read.domain == ERR_POLICY && !*read.source && in->trace) {
        auto_buf struct buf told = {0};
        trace_put_place(&told, is_table ? in->place : "", read.message);
        error_set(&read, ERR_POLICY, read.code, "%s", told.data);
        snprintf(read.source, sizeof read.source, "%.*s", (int)sizeof read.source - 1, in->place);
    }
    if (err)
        *err = read;
}

int interp_call(lua_State *L, int arguments, int results, struct error *err)
{
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, trace_handler);
    lua_insert(L, handler);
    int status = lua_pcall(L, arguments, results, handler);
    lua_remove(L, handler);
    if (status == LUA_OK)
        return 0;
    if (status != LUA_ERRMEM) {
        error_from(L, err);
        return -1;
    }
    lua_pop(L, 1);
    return error_set(err, ERR_POLICY, 0, "not enough memory: a policy may use %zu MiB",
                     interp_of(L)->memory_max >> 20);
}

// ---- entering ----

struct entry {
    int (*body)(lua_State *L, void *data, struct error *err);
    void *data;
    struct error *err;
    int rc;
};

static int run_entry(lua_State *L)
{
    struct entry *entry = lua_touserdata(L, 1);
    lua_settop(L, 0);
    entry->rc = entry->body(L, entry->data, entry->err);
    return 0;
}

int interp_enter(struct interp *in, int (*body)(lua_State *L, void *data, struct error *err), void *data,
                 struct error *err)
{
    struct entry entry = {.body = body, .data = data, .err = err, .rc = -1};
    lua_State *L = in->L;
    int top = lua_gettop(L);
    in->work = 0;
    free(in->trace);
    in->trace = NULL;
    lua_pushcfunction(L, run_entry);
    lua_pushlightuserdata(L, &entry);
    int rc = interp_call(L, 1, 0, err);
    lua_settop(L, top);
    return rc < 0 ? -1 : entry.rc;
}

static int open_all(lua_State *L, void *data, struct error *err)
{
    struct interp *in = data;
    (void)err;
    luaL_newmetatable(L, ERROR_KEY);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    register_boxes(L);
    if (in->begin)
        in->begin(L);
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
    return 0;
}

int interp_open(struct interp *in, void (*begin)(lua_State *L), struct error *err)
{
    *in = (struct interp){.memory_max = MEMORY_MAX, .work_max = WORK_MAX, .begin = begin};
    in->L = lua_newstate(allocate, in);
    if (!in->L)
        return error_set(err, ERR_BUG, 0, "Lua does not start");
    *(struct interp **)lua_getextraspace(in->L) = in;
    in->modules = json_object();
    return interp_enter(in, open_all, in, err);
}

void interp_close(struct interp *in)
{
    if (in->L)
        lua_close(in->L);
    json_decref(in->modules);
    free(in->folder);
    free(in->trace);
    *in = (struct interp){0};
}
