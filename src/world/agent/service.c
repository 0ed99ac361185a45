// SPDX-License-Identifier: MIT
// Services: by systemctl, or by the commands that the site gives for them.
#include "base/clock.h"
#include "base/process.h"
#include "base/socket.h"
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 90000, DEFAULT_WAIT_MS = 30000, LOOK_MS = 10000, POLL_MS = 50 };
enum { ENDLESS_MS = 600000 }; // for a unit that sets itself no limit
enum { LSB_NOT_RUNNING = 3 };

// ---- systemctl ----

static bool is_unit_name(const char *unit)
{
    size_t len = strlen(unit);
    return len && len < 256 && *unit != '-' &&
           strspn(unit, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") == len;
}

// The first two words name a command well enough.
static int check_end(const struct process_result *ended, const char *const *argv, const char *unit,
                     struct error *err)
{
    auto_free char *why = process_said(ended),
                   *words = xasprintf("%s%s%s", argv[0], argv[1] ? " " : "", argv[1] ? argv[1] : "");
    if (ended->timed_out)
        return error_set(err, ERR_TIMEOUT, 0, "%s for %s did not end in time", words, unit);
    if (ended->status != 0)
        return error_set(err, ERR_COMMAND, ended->status, "%s for %s ended with %s %d: %s", words, unit,
                         ended->signal ? "signal" : "status", ended->signal ? ended->signal : ended->status,
                         *why ? why : "it said nothing");
    return 0;
}

// A unit that reloads is active. One on its way up or down (activating, deactivating) is neither active nor
// inactive: where that ends is not known yet.
static const char *state_word(const char *systemd)
{
    static const char *const words[][2] = {
        {"active", "active"},     {"reloading", "active"}, {"refreshing", "active"},
        {"inactive", "inactive"}, {"failed", "failed"},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (STREQ(words[i][0], systemd))
            return words[i][1];
    return "unknown";
}

// systemd's "1min 30s" in milliseconds; 0: not known.
static int64_t limit_of(const char *text)
{
    auto_buf struct buf closed_up = {0};
    double seconds;
    if (STREQ(text, "infinity"))
        return ENDLESS_MS;
    for (; *text; text++)
        if (*text != ' ')
            buf_add(&closed_up, text, 1);
    return closed_up.data && duration_parse(closed_up.data, &seconds) == 0 ? (int64_t)(seconds * 1000) : 0;
}

static void take_property(struct unit_state *state, const char *name, const char *value)
{
    if (STREQ(name, "ActiveState")) {
        snprintf(state->state, sizeof state->state, "%s", state_word(value));
        snprintf(state->word, sizeof state->word, "%s", value);
    } else if (STREQ(name, "SubState"))
        snprintf(state->sub, sizeof state->sub, "%s", value);
    else if (STREQ(name, "MainPID"))
        state->pid = strtoll(value, NULL, 10);
    else if (STREQ(name, "TimeoutStartUSec"))
        state->start_ms = limit_of(value);
    else if (STREQ(name, "TimeoutStopUSec"))
        state->stop_ms = limit_of(value);
    else if (STREQ(name, "LoadState"))
        state->found = !STREQ(value, "not-found");
}

// systemctl prints "Name=value" lines, and an empty line between two units.
static void take_states(char *text, struct unit_state **states, size_t count)
{
    size_t i = 0;
    bool begun = false;
    for (char *line = text, *next; line && i < count; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *value = strchr(line, '=');
        if (value) {
            *value++ = '\0';
            take_property(states[i], line, value);
            begun = true;
        } else if (!*line && begun) {
            i++;
            begun = false;
        }
    }
}

// An agent that was started to read keeps systemctl to that, too.
static int show(const struct agent *agent, const char *const *argv, int64_t deadline,
                struct process_result *ended, struct error *err)
{
    struct process_request request = {.argv = argv, .deadline = deadline, .watch_fd = -1};
    bool unlocked;
    return agent && agent->read_only ? run_to_read(&request, true, &unlocked, ended, err)
                                     : process_run(&request, ended, err);
}

int units_show(const struct agent *agent, const char *const *units, size_t count, int64_t deadline,
               struct unit_state *states, struct error *err)
{
    static const char properties[] = "--property=LoadState,ActiveState,SubState,MainPID,"
                                     "TimeoutStartUSec,TimeoutStopUSec";
    static const char *const head[] = {"systemctl", "show", properties, "--"};
    auto_free const char **argv = xcalloc(COUNT_OF(head) + count + 1, sizeof *argv);
    auto_free struct unit_state **asked = xcalloc(count, sizeof *asked);
    size_t n = 0;
    memcpy(argv, head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        states[i] = (struct unit_state){.state = "unknown"};
        if (is_unit_name(units[i])) {
            argv[COUNT_OF(head) + n] = units[i];
            asked[n++] = &states[i];
        }
    }
    if (!n)
        return 0;
    struct process_result cleanup(process_result_free) ended = {0};
    if (show(agent, argv, deadline, &ended, err) < 0 ||
        check_end(&ended, argv, count == 1 ? units[0] : "the units", err) < 0)
        return -1;
    if (ended.out.data)
        take_states(ended.out.data, asked, n);
    return 0;
}

// ---- a service, by systemctl or by the site's command ----

struct service {
    const char *unit;
    const char **command; // the site's, NULL-terminated; NULL: systemctl
    bool sockets;         // what tells its state may reach UNIX sockets
    bool accepted;        // it is asked even where the kernel cannot keep that from changing anything,
    bool unlocked;        // and could not
    const struct agent *agent;
};

static void free_command(struct service *service) { free(service->command); }

static int service_of(const struct agent *agent, const json_t *request, struct service *service,
                      struct error *err)
{
    const json_t *words = json_object_get(request, "command");
    size_t count = json_array_size(words);
    service->unit = json_str(request, "unit", "");
    service->sockets = json_flag(request, "sockets", false);
    service->accepted = json_flag(request, "unlocked", false);
    service->agent = agent;
    if (!is_unit_name(service->unit)) {
        auto_free char *shown = printable(service->unit);
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "invalid service name '%s'", shown);
    }
    if (!count)
        return 0;
    service->command = xcalloc(count + 1, sizeof *service->command);
    for (size_t i = 0; i < count; i++) {
        service->command[i] = json_string_value(json_array_get(words, i));
        if (!service->command[i])
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "the site's command for %s must be a list of strings", service->unit);
    }
    return 0;
}

static int state_by_command(struct service *service, struct unit_state *state, struct error *err)
{
    struct process_result cleanup(process_result_free) ended = {0};
    struct process_request run = {
        .argv = service->command, .deadline = deadline_in(LOOK_MS), .watch_fd = service->agent->stdin_fd};
    if (run_to_read(&run, service->sockets, service->accepted ? &service->unlocked : NULL, &ended, err) < 0)
        return -1;
    if (ended.timed_out)
        return error_set(err, ERR_TIMEOUT, 0, "%s did not say within %d s whether %s is active",
                         service->command[0], LOOK_MS / 1000, service->unit);
    *state = (struct unit_state){.found = true};
    snprintf(state->state, sizeof state->state, "%s", ended.status == 0 ? "active" : "inactive");
    return 0;
}

static int state_of(struct service *service, struct unit_state *state, struct error *err)
{
    if (service->command)
        return state_by_command(service, state, err);
    if (units_show(service->agent, &service->unit, 1, deadline_in(LOOK_MS), state, err) < 0)
        return -1;
    if (!state->found && !STREQ(state->state, "active"))
        return error_set(
            err, ERR_SYSTEM, ENOENT,
            "there is no unit %s (systemctl list-unit-files shows the names, the site file names another)",
            service->unit);
    return 0;
}

// An action that has begun is finished, even if the connection to migrun breaks meanwhile.
static int act(struct service *service, const char *action, int64_t timeout, struct unit_state *state,
               struct error *err)
{
    const char *const systemctl[] = {"systemctl", action, "--", service->unit, NULL};
    const char *const *argv = service->command ? service->command : systemctl;
    if (!service->command && state_of(service, state, err) < 0)
        return -1;
    struct process_result cleanup(process_result_free) ended = {0};
    struct process_request run = {.argv = argv, .deadline = deadline_in(timeout), .watch_fd = -1};
    if (process_run(&run, &ended, err) < 0 || check_end(&ended, argv, service->unit, err) < 0)
        return -1;
    if (!service->command) // a transient unit is gone once it is stopped, which is no error
        return units_show(service->agent, &service->unit, 1, deadline_in(LOOK_MS), state, err);
    // The site's command for this action does not report the state, but it succeeded.
    *state = (struct unit_state){.found = true};
    snprintf(state->state, sizeof state->state, "%s", STREQ(action, "stop") ? "inactive" : "active");
    return 0;
}

// ---- waiting until it answers ----

// Daemons that are up only once their socket accepts connections. socket_unit: the unit that starts the
// daemon for its first client.
static const struct daemon {
    const char *unit, *socket_unit, *socket;
} daemons[] = {
    {"libvirtd", "libvirtd.socket", "/run/libvirt/libvirt-sock"},
    {"virtqemud", "virtqemud.socket", "/run/libvirt/virtqemud-sock"},
};

static const struct daemon *daemon_of(const char *unit)
{
    size_t len = strlen(unit), suffix = strlen(".service");
    if (len > suffix && STREQ(unit + len - suffix, ".service"))
        len -= suffix;
    for (size_t i = 0; i < COUNT_OF(daemons); i++)
        if (strlen(daemons[i].unit) == len && strncmp(daemons[i].unit, unit, len) == 0)
            return &daemons[i];
    return NULL;
}

int socket_connects(const char *path)
{
    auto_fd int fd = unix_connect(path, SOCK_STREAM | SOCK_NONBLOCK);
    return fd >= 0 || errno == EACCES ? 0 : errno;
}

// 1: it answers, 0: not yet (and why).
static int answers(struct service *service, struct unit_state *state, char **why, struct error *err)
{
    const struct daemon *daemon = daemon_of(service->unit);
    if (state_of(service, state, err) < 0)
        return -1;
    if (STREQ(state->state, "active")) {
        int failed = daemon ? socket_connects(daemon->socket) : 0;
        *why = failed ? xasprintf("is active, but %s does not answer: %s", daemon->socket, strerror(failed))
                      : NULL;
        return !failed;
    }
    if (daemon && !service->command && STREQ(state->state, "inactive") && STREQ(state->sub, "dead")) {
        struct unit_state sockets;
        if (units_show(service->agent, &daemon->socket_unit, 1, deadline_in(LOOK_MS), &sockets, err) < 0)
            return -1;
        if (STREQ(sockets.state, "active"))
            return 1;
    }
    *why = xasprintf("is %s%s%s%s", *state->word ? state->word : state->state, *state->sub ? " (" : "",
                     state->sub, *state->sub ? ")" : "");
    return 0;
}

static int wait_until_it_answers(struct service *service, int64_t timeout, struct unit_state *state,
                                 struct error *err)
{
    int64_t deadline = deadline_in(timeout);
    for (;;) {
        auto_free char *why = NULL;
        int rc = answers(service, state, &why, err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        if (STREQ(state->state, "failed"))
            return error_set(err, ERR_COMMAND, LSB_NOT_RUNNING, "%s has failed; systemctl status %s says why",
                             service->unit, service->unit);
        if (now_ms() >= deadline) {
            auto_free char *waited = duration_text((double)timeout / 1000);
            return error_set(err, ERR_TIMEOUT, 0, "%s %s, after %s", service->unit, why, waited);
        }
        struct pollfd gone = {.fd = service->agent->stdin_fd};
        if (poll(&gone, 1, POLL_MS) > 0)
            return error_set(err, ERR_HOST, HOST_LOST,
                             "no longer waiting for %s: the connection to migrun is gone", service->unit);
    }
}

SERVE(serve_service)
{
    const char *action = json_str(request, "action", "");
    int64_t timeout = json_int(request, "timeout", 0);
    bool waits = STREQ(action, "wait"),
         acts = STREQ(action, "start") || STREQ(action, "stop") || STREQ(action, "restart");
    struct service cleanup(free_command) service = {0};
    struct unit_state state = {0};
    if (!waits && !acts && !STREQ(action, "state"))
        return error_set(err, ERR_BUG, 0, "a service has no action '%s'", action);
    if (service_of(agent, request, &service, err) < 0)
        return -1;
    int rc = acts    ? act(&service, action, timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS, &state, err)
             : waits ? wait_until_it_answers(&service, timeout > 0 ? timeout : DEFAULT_WAIT_MS, &state, err)
                     : state_of(&service, &state, err);
    if (rc == 0)
        *result = json_pack("{s:s, s:s, s:I}", "state", state.state, "sub", state.sub, "pid",
                            (json_int_t)state.pid);
    if (rc == 0 && STREQ(state.state, "unknown") && *state.word)
        json_object_set_new(*result, "word", json_text(state.word));
    if (rc == 0 && service.unlocked)
        json_object_set_new(*result, "unlocked", json_true());
    if (rc == 0 && state.start_ms)
        json_object_set_new(*result, "start_timeout", json_integer(state.start_ms));
    if (rc == 0 && state.stop_ms)
        json_object_set_new(*result, "stop_timeout", json_integer(state.stop_ms));
    return rc;
}
