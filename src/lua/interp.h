// SPDX-License-Identifier: MIT
// The interpreter of policies: an allow-list, bounded memory, interruptible; no way to touch the world but
// the bindings. Lua may longjmp through C: a function here that may raise holds nothing that needs freeing,
// but for what lies in a box.
#ifndef MIGRUN_LUA_INTERP_H
#define MIGRUN_LUA_INTERP_H

#include "base/error.h"
#include "base/json.h"
#include "run/run.h"

#include <lauxlib.h>
#include <lua.h>

struct interp {
    lua_State *L;
    size_t memory;
    char *library;   // folder of migrun's own modules
    char *folder;    // the policy's: a site's own modules
    json_t *modules; // what was required: {name: text}
    bool frozen;     // a recovery: modules are those, and no file is looked at
    struct run *run; // while one runs
    bool hurried;    // an interrupt was seen: from now on each instruction is asked
};

int interp_open(struct interp *in, struct error *err);
void interp_close(struct interp *in);
struct interp *interp_of(lua_State *L);
struct run *run_of(lua_State *L); // raises when none runs (at a policy's top level)

// Calls what lies on the stack below n arguments, with results; -1 with err filled from what was raised: a
// struct error as it was, a Lua error as ERR_POLICY, with its file:line.
int interp_call(lua_State *L, int arguments, int results, struct error *err);
// Raises err as a Lua error table. Never returns.
int lua_raise(lua_State *L, const struct error *err);
// Raises ERR_POLICY with the caller's file:line.
int lua_mistake(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A slot on the Lua stack that frees what is put into it, also when an error is raised. Make it before the
// resource.
void **lua_box(lua_State *L, void (*release)(void *));
void box_free(void *p);
void box_json(void *p);

// Plain data both ways. push may raise (memory): the json lies in a box then.
void lua_push_json(lua_State *L, const json_t *json);
// Tables with keys 1…n are arrays; positional entries of others get the keys "1", "2", …; an empty table is
// an empty object.
int lua_to_json(lua_State *L, int index, json_t **json, struct error *err);

// A class of userdata whose unknown fields are errors with the nearest known name.
struct class_field {
    const char *name;
    int (*push)(lua_State *L, void *self);
};
struct class_of {
    const char *key;  // of its metatable
    const char *noun; // "a host"
    const luaL_Reg *methods;
    const struct class_field *fields;
    lua_CFunction gc, eq;
};
void class_register(lua_State *L, const struct class_of *class_of);
void *class_new(lua_State *L, const char *key, size_t size); // zeroed
void *class_check(lua_State *L, int index, const struct class_of *class_of);

// The floors of bindings.
struct xml;
struct xml **push_document(lua_State *L); // an empty slot
struct xml *check_document(lua_State *L, int index);
// Applies a change (a function of the document, or {changes, apply}) on the stack at index to the document at
// document_index. before is its copy; declared: a plain function is refused. Raises.
void apply_change(lua_State *L, int index, int document_index, const struct xml *before, bool declared,
                  const char *what);
void push_host(lua_State *L, struct run_host *h); // or nil
struct run_host *check_host(lua_State *L, int index);
void push_libvirt(lua_State *L, struct run_host *h);
void push_log(lua_State *L, struct run_host *h, const char *path);
void push_run(lua_State *L);
void set_params(lua_State *L); // run.params: the table on the stack (popped)
int take_saved(lua_State *L, json_t **saved, struct error *err); // run.saved, as it is now
void restore_saved(lua_State *L, const json_t *saved);           // run.saved of a run that goes on
void push_qemu_log(lua_State *L);              // the destination's QEMU log since the migration began, or nil
void push_nova_log(lua_State *L);              // the source's nova-compute log since then, or nil
void mark_logs(lua_State *L, struct run *run); // from here on, for these two
void push_nova(lua_State *L);
void push_instance(lua_State *L);
int open_xml(lua_State *L);
int open_json(lua_State *L);
void register_xml(lua_State *L);
void register_host(lua_State *L);
void register_libvirt(lua_State *L);
void register_run(lua_State *L);
void register_nova(lua_State *L);

#endif
