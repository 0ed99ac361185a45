// SPDX-License-Identifier: MIT
// The interpreter of policies: an allow-list, bounded memory and work, interruptible; no way to touch the
// world but the bindings. C enters Lua by interp_enter alone. Lua may longjmp through C: a function here that
// may raise holds nothing that needs freeing, but for what lies in a box.
#ifndef MIGRUN_LUA_INTERP_H
#define MIGRUN_LUA_INTERP_H

#include "base/error.h"
#include "base/json.h"

#include <lauxlib.h>
#include <lua.h>

struct run;
struct interp {
    lua_State *L;
    size_t memory, memory_max; // bytes
    uint64_t work, work_max;   // instructions of the entry that goes on, and how many it may have
    void (*begin)(lua_State *L);
    char *folder;    // the policy's: a site's own modules
    json_t *modules; // those of the site's that were required: {name: text}
    bool frozen;     // a recovery: modules are those, and no file is looked at
    struct run *run; // while one runs
    bool hurried;    // the end was asked for: from now on each instruction is asked
    char place[300]; // of the mistake that was raised last ("FILE:LINE:"), and
    char *trace;     // a line for each function of Lua that it was raised in; NULL: it was none
};

// begin: opens what Lua has there, NULL: nothing at all.
int interp_open(struct interp *in, void (*begin)(lua_State *L), struct error *err);
void interp_close(struct interp *in);
struct interp *interp_of(lua_State *L);
struct run *run_of(lua_State *L); // raises when none runs (at a policy's top level)

// The one way from C into Lua: calls body, which may raise whatever it likes, and restores the stack. Returns
// what body returned; -1 with err filled after an error: a struct error as it was, a Lua error as ERR_POLICY,
// with its file:line. body holds nothing that needs freeing when it raises; what it leaves in data is the
// caller's.
int interp_enter(struct interp *in, int (*body)(lua_State *L, void *data, struct error *err), void *data,
                 struct error *err);
// Inside an entry or a binding: calls what lies on the stack below n arguments, with results; -1 with err
// filled from what was raised.
int interp_call(lua_State *L, int arguments, int results, struct error *err);
// Raises where an interrupt has come, unless what goes on is to be finished: nothing is begun after it, as
// whoever is asked then would be waited for.
void interp_heed(lua_State *L);
// Raises err as a Lua error table. Never returns.
int lua_raise(lua_State *L, const struct error *err);
// Raises ERR_POLICY with the caller's file:line.
int lua_mistake(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
