// SPDX-License-Identifier: MIT
// A host: its agent (here, or over one ssh connection, which may be a login that an earlier run left:
// world/ssh.h), and the way to its libvirtd.
#ifndef MIGRUN_WORLD_HOST_H
#define MIGRUN_WORLD_HOST_H

#include "world/site.h"
#include "world/wire.h"

struct host;

// Connects: host_start begins (several hosts side by side), host_finish waits until the agent has greeted.
// dir is a private folder for forwarded sockets. read_only: the agent is started to read only.
// Errors (ERR_HOST) are one sentence on what ssh said and what to do.
int host_start(const struct host_spec *spec, const char *dir, bool read_only, struct host **host,
               struct error *err);
int host_finish(struct host *host, int64_t deadline, struct error *err);
// If an earlier run's login is used: waits a few seconds until the agent answers through it; otherwise logs
// in anew (host_finish reports the outcome). Call it for all hosts before host_finish, so that they log in
// side by side.
int host_check_login(struct host *host, struct error *err);
// Starts a thread that pings the agent every WIRE_PING_MS. Separate from host_finish because a preview locks
// itself in between the two, which an existing thread would escape.
int host_keep_alive(struct host *host, struct error *err);
void host_leave(struct host *host); // tells the agent to end; host_close waits for it
void host_close(struct host *host); // ends the agent, waits for it
// Call it before host_close to make the next run log in anew.
void host_end_login(struct host *host);
// Connects once more, with a new agent. Not for a preview, which is locked in.
int host_revive(struct host *host, int64_t deadline, struct error *err);
const char *host_name(const struct host *host);
const struct host_spec *host_spec(const struct host *host);
// What a read-only agent's kernel lacks to lock it in (a sentence), or NULL.
const char *host_missing(const struct host *host);
const char *host_hostname(const struct host *host); // its own, however it was reached
bool host_is_root(const struct host *host);         // whether its agent is root, who sees every process

// One operation of agent/ops.h. args is stolen (op is added). timeout_ms bounds the whole; 0: 30 s.
int host_call(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              int64_t timeout_ms, struct message *answer, struct error *err);
// The same in two halves, for several hosts at once.
int host_send(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              struct error *err);
int host_receive(struct host *host, int64_t timeout_ms, struct message *answer, struct error *err);

// Makes this host's libvirtd reachable: through the sockets that ssh forwards or, if sshd forbids that (or
// the user becomes root by sudo), through one more ssh per connection that runs the agent's relay. Call it
// before a preview locks itself in.
int host_connect_libvirt(struct host *host, struct error *err);
// Its libvirt URI ("qemu+unix:///system?socket=…"); read_only: of the read-only socket. Caller frees.
char *host_libvirt_uri(const struct host *host, bool read_only);

#endif
