// SPDX-License-Identifier: MIT
// Stands in for src/world/host.c, which reaches a host by ssh: the way to the agents of the fake world's
// machines (machine.h), which are the ones that ship, and the faults of that way. The network between two
// hosts is a stand-in, too.
#include "clock.h"
#include "fault.h"
#include "machine.h"
#include "world.h"

#include "base/interrupt.h"
#include "world/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_ANSWER_MS = 10000 }; // what ssh waits for a host that does not answer

struct host {
    struct host_spec *spec;
    bool read_only, lost;
    pid_t agent; // 0: none
    int to, from;
    struct wire_reader reader;
    json_t *hello;
    json_int_t next_id;
    int result; // of the operation that was sent last
    struct message answer;
    struct error error;
};

const char *host_name(const struct host *host) { return host->spec->name; }
const struct host_spec *host_spec(const struct host *host) { return host->spec; }
const char *host_missing(const struct host *host) { return json_str(host->hello, "missing", NULL); }
const char *host_hostname(const struct host *host) { return json_str(host->hello, "hostname", ""); }
bool host_is_root(const struct host *host) { return json_flag(host->hello, "root", false); }

// ---- the agent ----

// Bytes of the agent's. 0: it has ended.
static size_t hear(const struct host *host, char *chunk, size_t size)
{
    ssize_t n;
    do
        n = read(host->from, chunk, size);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

// The next message. false: the agent has ended, or what it says is none.
static bool take_message(struct host *host, struct message *m)
{
    char chunk[65536];
    for (size_t n;;) {
        int taken = wire_take(&host->reader, m, NULL);
        if (taken != 0)
            return taken > 0;
        if ((n = hear(host, chunk, sizeof chunk)) == 0)
            return false;
        wire_feed(&host->reader, chunk, n);
    }
}

static void take_greeting(struct host *host)
{
    char byte = '\0';
    auto_message struct message hello = {0};
    while (byte != '\n' && hear(host, &byte, 1))
        ;
    if (take_message(host, &hello))
        host->hello = json_incref(json_object_get(hello.head, "hello"));
}

static void start_agent(struct host *host)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        abort();
    host->agent = machine_agent(host->spec->name, host->read_only, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    host->to = in[1];
    host->from = out[0];
    take_greeting(host);
}

// Its stdin ends, or it is killed.
static void end_agent(struct host *host, bool killed)
{
    if (!host->agent)
        return;
    util_close_fd(&host->to);
    if (killed)
        kill(host->agent, SIGKILL);
    while (waitpid(host->agent, NULL, 0) < 0 && errno == EINTR)
        ;
    util_close_fd(&host->from);
    host->agent = 0;
    json_decref(steal(&host->hello));
    wire_reader_free(&host->reader);
}

// ---- operations, and the faults ----

static int lose(struct host *host)
{
    host->lost = true;
    end_agent(host, true);
    if (!host->read_only && world_host(world(), host->spec->name))
        machine_await_guards(host->spec->name);
    return error_set(&host->error, ERR_HOST, HOST_LOST,
                     "the connection to %s broke: check that the host and its sshd are up, then try again",
                     host->spec->name);
}

// A host by a name of it, or its address: its own name.
static char *name_of(const char *wanted)
{
    const char *name;
    json_t *host;
    json_object_foreach(json_object_get(world(), "hosts"), name, host)
        if (STREQ(json_str(host, "address", ""), wanted))
            return xstrdup(name);
    return xstrndup(wanted, strcspn(wanted, ".")); // each is in example, too
}

static int reach(const json_t *request, struct message *answer, struct error *err)
{
    const char *wanted = json_str(request, "host", "");
    auto_free char *name = name_of(wanted);
    const json_t *other = world_host(world(), name), *ports = json_object_get(request, "ports");
    if (!other)
        return error_set(err, ERR_HOST, HOST_UNREACHED,
                         "the name %s does not resolve: Name or service not known", wanted);
    json_t *answers = json_object(), *port;
    size_t i;
    json_array_foreach(ports, i, port) {
        auto_free char *key = xasprintf("%d", (int)json_integer_value(port));
        bool open = STREQ(key, "16509") && world_serves(name, "libvirtd") && machine_lets_in(name);
        json_object_set_new(answers, key,
                            json_pack("{s:b, s:s*, s:i}", "open", open, "error",
                                      open ? NULL : "Connection refused", "ms", 1));
    }
    answer->head = json_pack("{s:{s:O, s:o}}", "result", "address", json_object_get(other, "address"),
                             "ports", answers);
    return 0;
}

// Not this machine's.
static void add_address(const struct host *host, const struct message *answer)
{
    json_t *facts = json_object_get(answer->head, "result"),
           *address = json_object_get(world_host(world(), host->spec->name), "address");
    json_object_set_new(facts, "addresses", json_pack("[O]", address));
    json_object_set_new(facts, "interfaces", json_array());
}

// What the agent makes of it. 1: it died in it.
static int ask(struct host *host, const char *op, json_t *request, const void *body, size_t body_len)
{
    if (STREQ(op, "reach"))
        return reach(request, &host->answer, &host->error);
    json_object_set_new(request, "id", json_integer(++host->next_id));
    json_object_set_new(request, "op", json_string(op));
    if (wire_send(host->to, request, body, body_len, NULL) < 0 || !take_message(host, &host->answer))
        return 1;
    const json_t *failed = json_object_get(host->answer.head, "error");
    if (failed)
        wire_error_from(failed, host->spec->name, &host->error);
    else if (STREQ(op, "facts"))
        add_address(host, &host->answer);
    return failed ? -1 : 0;
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
    int rc = ask(host, op, request, body, body_len);
    if (fault == FAULT_AFTER || rc > 0)
        return lose(host);
    if (interrupts == 0 && interrupt_count > 0)
        return error_set(&host->error, ERR_INTERRUPTED, 0, "interrupted while waiting for %s", name);
    if (fault == FAULT_KILL_AFTER)
        fault_end();
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
    *host = (struct host){.spec = host_spec_copy(spec), .read_only = read_only, .to = -1, .from = -1};
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
    end_agent(host, true);
    host->lost = !world_host(world(), name) || fault_is_gone(name) || fault == FAULT_FAIL;
    if (!host->lost) {
        // An agent that comes later finds that the guard has done its work.
        if (!host->read_only)
            machine_await_guards(name);
        start_agent(host);
        return host->hello ? 0 : lose(host);
    }
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
    end_agent(host, false);
    host_spec_free(host->spec);
    message_free(&host->answer);
    free(host);
}
