// SPDX-License-Identifier: MIT
// Stands in for src/world/host.c: connections to the fake world's agents, and the faults of them.
#include "clock.h"
#include "fake_agent.h"
#include "fake_surgery.h"
#include "fault.h"
#include "world.h"

#include "base/interrupt.h"
#include "world/host.h"

#include <errno.h>
#include <stdlib.h>

enum { NO_ANSWER_MS = 10000 }; // what ssh waits for a host that does not answer

struct host {
    struct host_spec *spec;
    bool read_only, lost;
    int result; // of the operation that was sent last
    struct message answer;
    struct error error;
};

const char *host_name(const struct host *host) { return host->spec->name; }
const struct host_spec *host_spec(const struct host *host) { return host->spec; }

const char *host_missing(const struct host *host)
{
    (void)host;
    return NULL;
}

const char *host_hostname(const struct host *host) { return host_name(host); }

bool host_is_root(const struct host *host)
{
    (void)host;
    return true;
}

// ---- operations, and the faults ----

static int lose(struct host *host)
{
    host->lost = true;
    if (!host->read_only) {
        fake_surgery_guard(world(), host->spec->name);
        world_changed();
    }
    return error_set(&host->error, ERR_HOST, HOST_LOST,
                     "the connection to %s broke: check that the host and its sshd are up, then try again",
                     host->spec->name);
}

// What the operation comes to, under the fault that is due.
static int perform(struct host *host, const char *op, json_t *request, const void *body, size_t body_len)
{
    const char *name = host->spec->name,
               *target = json_str(
                   request, "path",
                   json_str(request, "unit", json_str(request, "run", json_str(request, "action", ""))));
    sig_atomic_t interrupts = interrupt_count;
    enum fault fault = fault_begin("host", name, "%s%s%s", op, *target ? " " : "", target);
    if (host->lost || fault_is_gone(name) || fault == FAULT_FAIL)
        return lose(host);
    if (fault == FAULT_ERROR)
        return error_errno(&host->error, EIO, "%s on %s", op, name);
    int rc = fake_agent(name, host->read_only, op, request, body, body_len, fault == FAULT_HALF,
                        &host->answer, &host->error);
    if (fault == FAULT_AFTER || fault == FAULT_HALF)
        return lose(host);
    if (interrupts == 0 && interrupt_count > 0)
        return error_set(&host->error, ERR_INTERRUPTED, 0, "interrupted while waiting for %s", name);
    if (rc < 0)
        snprintf(host->error.source, sizeof host->error.source, "%s", name);
    return rc;
}

int host_send(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              struct error *err)
{
    (void)err;
    auto_json json_t *request = args ? args : json_object();
    message_free(&host->answer);
    host->answer = (struct message){0};
    host->error = (struct error){0};
    host->result = perform(host, op, request, body, body_len);
    fault_end();
    return 0;
}

int host_receive(struct host *host, int64_t timeout_ms, struct message *answer, struct error *err)
{
    (void)timeout_ms;
    *answer = (struct message){0};
    if (host->result < 0) {
        if (err)
            *err = host->error;
        return -1;
    }
    *answer = host->answer;
    host->answer = (struct message){0};
    return 0;
}

int host_call(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              int64_t timeout_ms, struct message *answer, struct error *err)
{
    return host_send(host, op, args, body, body_len, err) < 0 ? -1
                                                              : host_receive(host, timeout_ms, answer, err);
}

// ---- its life ----

int host_start(const struct host_spec *spec, const char *dir, bool read_only, struct host **result,
               struct error *err)
{
    (void)dir;
    (void)err;
    struct host *host = xcalloc(1, sizeof *host);
    host->spec = host_spec_copy(spec);
    host->read_only = read_only;
    *result = host;
    return 0;
}

int host_finish(struct host *host, int64_t deadline, struct error *err)
{
    (void)deadline;
    const char *name = host->spec->name;
    sig_atomic_t interrupts = interrupt_count;
    enum fault fault = fault_begin("host", name, "connect");
    fault_end();
    if (interrupts == 0 && interrupt_count > 0)
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted while waiting for %s", name);
    if (world_host(world(), name) &&
        !host->read_only) { // an agent that comes later finds that the guard has done its work
        fake_surgery_guard(world(), name);
        world_changed();
    }
    host->lost = !world_host(world(), name) || fault_is_gone(name) || fault == FAULT_FAIL;
    if (!host->lost)
        return 0;
    clock_skip(NO_ANSWER_MS);
    return error_set(err, ERR_HOST, HOST_UNREACHED, "host %s cannot be reached: no route to host", name);
}

int host_check_login(struct host *host, struct error *err)
{
    (void)host;
    (void)err;
    return 0;
}
void host_end_login(struct host *host) { (void)host; }

int host_revive(struct host *host, int64_t deadline, struct error *err)
{
    return host_finish(host, deadline, err);
}

int host_keep_alive(struct host *host, struct error *err)
{
    (void)host;
    (void)err;
    return 0;
}

int host_connect_libvirt(struct host *host, struct error *err)
{
    (void)host;
    (void)err;
    return 0;
}

char *host_libvirt_uri(const struct host *host, bool read_only)
{
    return xasprintf("fake://%s/system%s", host->spec->name, read_only ? "?ro" : "");
}

void host_leave(struct host *host) { (void)host; }

void host_close(struct host *host)
{
    if (!host)
        return;
    host_spec_free(host->spec);
    message_free(&host->answer);
    free(host);
}
