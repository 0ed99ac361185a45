// SPDX-License-Identifier: MIT
// The changes that a step can make, each one effect through the gate (gate.h).
#ifndef MIGRUN_RUN_CHANGE_H
#define MIGRUN_RUN_CHANGE_H

#include "run/run.h"

// Puts text at path. old (NULL: no such file) and stat are what run_read saw: the write is refused when
// it has changed since. options: NULL or {mode, uid, gid, secret: its text is not shown}. Nothing happens
// when text is what is there.
int change_write(struct run_host *h, const char *path, const char *old, size_t old_len, const json_t *stat,
                 const char *text, size_t len, const json_t *options, struct error *err);
int change_remove(struct run_host *h, const char *path, struct error *err);
// uid, gid -1: as it is. Nothing happens when the file belongs to them already.
int change_owner(struct run_host *h, const char *path, int64_t uid, int64_t gid, struct error *err);
int change_mode(struct run_host *h, const char *path, int mode, struct error *err);
// A user's or group's number on that host. ERR_SYSTEM ENOENT when there is none.
int change_user_id(struct run_host *h, const char *name, bool group, int64_t *id, struct error *err);
// action: start|stop|restart. commands: the site's {state, start, …: argv}, or NULL for systemctl. timeout_ms
// 0: as long as its unit lets it take, and 10 s more.
int change_service(struct run_host *h, const char *unit, const char *action, const json_t *commands,
                   int64_t timeout_ms, struct error *err);
// args: {argv, timeout (ms), undo: argv|absent}. answer as the agent's "command" gives it; in a preview
// status 0 and no output.
int change_command(struct run_host *h, json_t *args, const char *input, size_t input_len,
                   struct message *answer, struct error *err);
// A surgery on a host: its service is stopped; until surgery_end all that change_write puts there is kept for
// it, then put in place, all of it or, after a failure (its sentence), nothing, and the service is started,
// every guest being managed as before. A preview shows it. commands as for change_service. Errors: what
// speaks against stopping it; what went wrong, and what was put back.
// sockets: NULL or {with, without: sockets' units that are started with it, or not any more}.
int surgery_begin(struct run_host *h, const char *unit, const json_t *commands, const json_t *sockets,
                  struct error *err);
int surgery_end(struct run *run, const char *failure, struct error *err);
bool surgery_takes(const struct run_host *h);       // whether one is open there
bool surgery_of_libvirtd(const struct run_host *h); // and it is libvirtd that is stopped
void surgery_spoil(struct run *run,
                   const char *why); // an error in it, if one is open: it will not be committed
bool surgery_has(const struct run_host *h, const char *path); // and something is staged for that file
// A change of a file's contents, owner or mode on its way there. old: its text now (NULL: no such file);
// rights: NULL or {mode, uid, gid}, as they are given; how: their difference, for people ("" none); stat: as
// it will be; expect (stolen) as the agent's write has it.
struct staged {
    const char *path, *old, *text, *how;
    size_t len;
    const json_t *rights, *stat;
    json_t *expect;
    bool secret; // its text is not to be shown
};
int surgery_stage(struct run_host *h, const struct staged *edit, struct error *err);
// Moves the run's instance to dest. options: {uri, flags: [names], params: {…}, timeout (s, 0: auto)}; xml:
// the destination's, or NULL. live and persistent: the guest's migratable XML and its definition before and
// after the policy's change (after NULL: no change), which are taken over. outcome (owned by the gate, may be
// NULL in a preview): {downtime, seconds, total}.
int change_migrate(struct run_host *dest, const json_t *options, const struct text_pair *live,
                   const struct text_pair *persistent, const json_t **outcome, struct error *err);

// Whether the run's instance, by its definition on h, starts with that host. Nothing happens when it is so
// already.
int change_autostart(struct run_host *h, bool on, struct error *err);

// ---- of the run's instance in Nova (change_nova.c) ----
// Live migration by Nova; dest NULL: to a host of the scheduler's choice, which is the run's destination
// then. options: {timeout (s, 0: auto)}. outcome as change_migrate's.
int change_nova_migrate(struct run *run, struct run_host *dest, const json_t *options, const json_t **outcome,
                        struct error *err);
// Locks or unlocks it. Nothing happens when it is so already.
int change_nova_lock(struct run *run, bool locked, const char *reason, struct error *err);
// Any request that may change something. options: {service, microversion (second number), undo: {method,
// path, body}|absent, timeout (s)}. result (owned by the gate, NULL in a preview): {body, request_id}
int change_nova_request(struct run *run, const char *method, const char *path, const json_t *body,
                        const json_t *options, const json_t **result, struct error *err);

#endif
