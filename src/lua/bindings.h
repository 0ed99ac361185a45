// SPDX-License-Identifier: MIT
// What a policy sees of the world: one file a Lua module (host, libvirt, nova, xml, json, run). Each function
// of a binding is documented in lua/migrun/meta.lua.
#ifndef MIGRUN_LUA_BINDINGS_H
#define MIGRUN_LUA_BINDINGS_H

#include "lua/class.h"
#include "lua/interp.h"
#include "lua/value.h"
#include "run/run.h"

struct xml;
struct xml **push_document(lua_State *L); // an empty slot
struct xml *check_document(lua_State *L, int index);
// Applies a change (a function of the document, or {changes, apply}) on the stack at index to the document at
// document_index. before is its copy; declared: a plain function is refused. Raises.
void apply_change(lua_State *L, int index, int document_index, const struct xml *before, bool declared,
                  const char *what);
void push_host(lua_State *L, struct run_host *h); // or nil
struct run_host *check_host(lua_State *L, int index);
// Methods of a host: its network (network.c).
int host_reach(lua_State *L);
int host_refused_by(lua_State *L);
int host_listeners(lua_State *L);
int host_watch(lua_State *L);
int host_watched(lua_State *L);
int host_ask(lua_State *L);
int host_answered(lua_State *L);
void push_libvirt(lua_State *L, struct run_host *h);
void push_log(lua_State *L, struct run_host *h, const char *path);
void push_run(lua_State *L);
void set_params(lua_State *L); // run.params: the table on the stack (popped)
int take_saved(lua_State *L, json_t **saved, struct error *err); // run.saved, as it is now
void set_saved(lua_State *L, const json_t *saved);
void push_qemu_log(lua_State *L);              // the destination's QEMU log since the migration began, or nil
void push_source_log(lua_State *L);            // the same of the source's, or nil
void push_nova_log(lua_State *L);              // the source's nova-compute log since then, or nil
void mark_logs(lua_State *L, struct run *run); // from here on, for these two
void push_nova(lua_State *L);
void push_instance(lua_State *L);
void register_xml(lua_State *L);
void register_json(lua_State *L);
int luaopen_migrun_words(lua_State *L);
void register_host(lua_State *L);
void register_libvirt(lua_State *L);
void register_run(lua_State *L);
void register_nova(lua_State *L);

#endif
