// SPDX-License-Identifier: MIT
// The agent's operations (world/agent/ops.h), served on the fake world.
#ifndef MIGRUN_TESTS_FAKE_AGENT_H
#define MIGRUN_TESTS_FAKE_AGENT_H

#include "world/wire.h"

// Serves one as the agent of a host. half: the agent dies in it.
int fake_agent(const char *host, bool read_only, const char *op, const json_t *request, const char *body,
               size_t body_len, bool half, struct message *answer, struct error *err);

// ---- what its operations share ----

// One operation as it is served.
struct served {
    json_t *host; // the world's
    const char *name;
    const json_t *request;
    const char *body;
    size_t body_len;
    bool read_only;
    bool half; // the agent dies once what it keeps is kept
    json_t **result;
    struct buf *out;
};
typedef int serve_operation(const struct served *s, struct error *err);
int agent_died(struct error *err); // -1

// ---- files, what is kept, claims (fake_files.c) ----

serve_operation serve_stat, serve_read, serve_list, serve_log, serve_write, serve_remove, serve_restore,
    serve_chown, serve_chmod;
serve_operation serve_forget, serve_notes, serve_claim, serve_unclaim, serve_claims;
// Keeps the request's note.
int note_effect(const struct served *s);

#endif
