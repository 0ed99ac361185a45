// A host: its agent (here, or over one ssh connection), and the way to its libvirtd.
#ifndef MIGRUN_WORLD_HOST_H
#define MIGRUN_WORLD_HOST_H

#include "world/site.h"
#include "world/wire.h"

struct host;

// Connects: host_start begins (several hosts side by side), host_finish waits until the agent has greeted.
// dir is a private folder for forwarded sockets. read_only: the agent is started to read only.
// Errors (ERR_HOST) are one sentence on what ssh said and what to do.
int host_start(const struct host_spec *spec, const char *dir, bool read_only, struct host **host, struct error *err);
int host_finish(struct host *host, int64_t deadline, struct error *err);
void host_close(struct host *host);      // ends the agent, waits for it
const char *host_name(const struct host *host);
const struct host_spec *host_spec(const struct host *host);
bool host_read_only(const struct host *host);

// One operation of agent/ops.h. args is stolen (op is added). timeout_ms bounds the whole; 0: 30 s.
int host_call(struct host *host, const char *op, json_t *args, const void *body, size_t body_len, int64_t timeout_ms,
              struct message *answer, struct error *err);
// The same in two halves, for several hosts at once.
int host_send(struct host *host, const char *op, json_t *args, const void *body, size_t body_len, struct error *err);
int host_receive(struct host *host, int64_t timeout_ms, struct message *answer, struct error *err);

// libvirt URI that reaches this host's libvirtd by the connection of host_start: qemu+unix:///system?socket=…
// read_only: its read-only socket. Caller frees.
int host_libvirt_uri(struct host *host, bool read_only, char **uri, struct error *err);

#endif
