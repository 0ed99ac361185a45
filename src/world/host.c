// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/spawn.h"
#include "base/thread.h"
#include "world/host_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STDERR_KEPT = 8192,
    GREETING_MAX = 65536,
    DEFAULT_TIMEOUT_MS = 30000,
    CLOSE_MS = 100,
    END_MS = 1000,
    INHERITED_MS = 3000,
    LOOK_EVERY_MS = 200,
    FINISH_MS = 1000,
    LATE_MOST = 1 << 20,
    HEAD_MOST = 1 << 20,
};

const char *host_name(const struct host *host) { return host->spec->name; }
const struct host_spec *host_spec(const struct host *host) { return host->spec; }
const char *host_missing(const struct host *host) { return json_str(host->hello, "missing", NULL); }
const char *host_hostname(const struct host *host) { return json_str(host->hello, "hostname", ""); }
bool host_is_root(const struct host *host) { return json_flag(host->hello, "root", false); }

const char *host_libvirt_setting(const struct host_spec *spec, const char *key)
{
    return json_str(json_object_get(spec->settings, "libvirt"), key, NULL);
}

// ---- starting the agent ----

// The agent beside this program if there is one, so that a build uses its own; otherwise the one in PATH.
static char *local_agent(const struct host_spec *spec)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0 && !strchr(spec->agent, '/')) {
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        char *beside = xasprintf("%s/%s", self, spec->agent);
        if (access(beside, X_OK) == 0)
            return beside;
        free(beside);
    }
    return xstrdup(spec->agent);
}

static void add_local_agent(struct words *words, const struct host *host)
{
    if (host->spec->become && geteuid() != 0) {
        words_add(words, host->spec->become);
        words_add(words, "-n");
    }
    words_take(words, local_agent(host->spec));
    words_add(words, "--serve");
    if (host->read_only)
        words_add(words, "--read-only");
}

static void add_remote_agent(struct words *words, const struct host *host)
{
    const struct host_spec *spec = host->spec;
    ssh_words(words, spec, host_control(host), !host->login && host->control);
    words_add(words, "--");
    words_add(words, spec->address);
    words_take(words, ssh_agent_command(spec, host->read_only ? "--serve --read-only" : "--serve"));
}

static void give_login_up(struct host *host)
{
    if (host->login)
        ssh_login_end(host->login);
    ssh_login_free(steal(&host->login));
    host->inherited = false;
}

// Uses an earlier run's login if there is one.
static void choose_login(struct host *host)
{
    host->inherited = host->login && ssh_login_there(host->login);
    host->proven_by = deadline_in(INHERITED_MS);
    if (host->spec->local)
        return;
    // Forwarded sockets have the same path, whichever ssh forwards them: those of the ssh before lead
    // nowhere.
    unlink(host->socket);
    unlink(host->socket_ro);
    if (!host->login)
        return;
    if (symlink(host->login->socket, host->socket) < 0 ||
        symlink(host->login->socket_ro, host->socket_ro) < 0)
        give_login_up(host);
}

// Starts the agent, here or by ssh, with its three streams in our hands.
static int launch(struct host *host, struct error *err)
{
    int in[2], out[2], errors[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot make a pipe to %s", host->spec->name);
    auto_words struct words words = {0}, login_words = {0};
    choose_login(host);
    if (host->spec->local)
        add_local_agent(&words, host);
    else
        add_remote_agent(&words, host);
    if (host->login && !host->inherited)
        ssh_login_words(&login_words, host->spec, host->login);
    host->pid = spawn(
        &(struct spawn){.in = in[0], .out = out[1], .err = errors[1], .session = true, .dies_by = SIGTERM});
    if (host->pid == 0) {
        if (login_words.n)
            ssh_login_make(host->login, &login_words);
        spawn_exec((const char *const *)words.v, STDERR_FILENO, false);
    }
    int failure = errno;
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    host->to = in[1];
    host->from = out[0];
    host->errors = errors[0];
    fcntl(host->to, F_SETFL, O_NONBLOCK);
    fcntl(host->from, F_SETFL, O_NONBLOCK);
    fcntl(host->errors, F_SETFL, O_NONBLOCK);
    return host->pid < 0 ? error_errno(err, failure, "cannot start %s for %s",
                                       host->spec->local ? "migrun-agent" : "ssh", host->spec->name)
                         : 0;
}

int host_start(const struct host_spec *spec, const char *dir, bool read_only, struct host **result,
               struct error *err)
{
    struct host *host = xcalloc(1, sizeof *host);
    *host = (struct host){.read_only = read_only,
                          .pid = -1,
                          .to = -1,
                          .from = -1,
                          .errors = -1,
                          .relays = {-1, -1},
                          .beat_stop = {-1, -1},
                          .next_id = 1};
    pthread_mutex_init(&host->sending, NULL);
    host->reader.bounds = &host->bounds;
    host->spec = host_spec_copy(spec);
    host->socket = spec->local ? xstrdup(host_libvirt_setting(spec, "socket"))
                               : xasprintf("%s/rw-%s", dir, spec->name);
    host->socket_ro = spec->local ? xstrdup(host_libvirt_setting(spec, "socket_ro"))
                                  : xasprintf("%s/ro-%s", dir, spec->name);
    host->login = read_only ? NULL : ssh_login(spec); // a preview leaves nothing behind
    auto_free char *control = xasprintf("%s/ssh-%s", dir, spec->name);
    if (!spec->local && ssh_fits(control))
        host->control = steal(&control);
    if (launch(host, err) < 0) {
        host_close(host);
        return -1;
    }
    *result = host;
    return 0;
}

// ---- reading, and what a broken connection means ----

// What a pipe holds, and no more: an end that writes on and on does not keep us here.
static void drain_errors(struct host *host)
{
    char chunk[4096];
    ssize_t n;
    for (int i = 0; i < 16 && (n = read(host->errors, chunk, sizeof chunk)) > 0; i++) {
        buf_add(&host->said, chunk, (size_t)n);
        if (host->said.len > STDERR_KEPT) {
            size_t drop = host->said.len - STDERR_KEPT;
            memmove(host->said.data, host->said.data + drop, STDERR_KEPT + 1);
            host->said.len = STDERR_KEPT;
        }
    }
}

// The last line on stderr that says something, for people. Caller frees; NULL when there was none.
static char *last_words(const struct host *host)
{
    if (!host->said.data)
        return NULL;
    auto_free char *copy = xstrdup(host->said.data);
    char *last = NULL, *rest = copy;
    for (char *line; (line = strsep(&rest, "\r\n"));)
        if (*line && strncmp(line, "Connection closed", 17) != 0)
            last = line;
    return last ? printable(last) : NULL;
}

// What came before the greeting, or instead of it: its first line, at most 80 bytes of it. Caller frees;
// NULL: nothing.
static char *first_line(const char *text)
{
    size_t len = text ? strcspn(text, "\r\n") : 0;
    auto_free char *line = len ? xstrndup(text, len < 80 ? len : 80) : NULL;
    return line ? printable(line) : NULL;
}

static bool said(const struct host *host, const char *text)
{
    return host->said.data && strcasestr(host->said.data, text);
}

// The connection ended: waits for the child and says in one sentence why, and what to do.
static int explain_end(struct host *host, bool greeted, struct error *err)
{
    int status = 0;
    pid_t ended;
    // Its last messages and its status arrive a little after the end of its output.
    for (int64_t deadline = deadline_in(END_MS);
         (ended = waitpid(host->pid, &status, WNOHANG)) == 0 && now_ms() < deadline;)
        nap_ms(5);
    drain_errors(host);
    host->lost = true;
    const char *name = host->spec->name, *address = host->spec->address;
    int exited = ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    auto_free char *words = last_words(host);
    auto_free char *answered = greeted ? NULL : first_line(host->greeting.data);
    // ssh exits with the status of the program it ran over there, or with 255 if it could not run it.
    bool other_program = exited >= 0 && (exited != 255 || host->spec->local);
    if (greeted) {
        error_set(err, ERR_HOST, HOST_LOST,
                  "the connection to %s broke%s%s: check that the host and its sshd are up, then try again",
                  name, words ? ": " : "", words ? words : "");
    } else if (exited == 127 || said(host, "command not found") || said(host, "migrun-agent: No such file")) {
        error_set(err, ERR_HOST, HOST_NO_AGENT,
                  "%s has no %s: install migrun's agent there, or name its path in the site file (agent = …)",
                  name, host->spec->agent);
    } else if (said(host, "REMOTE HOST IDENTIFICATION HAS CHANGED")) {
        error_set(err, ERR_HOST, HOST_AUTH,
                  "the ssh host key of %s has changed: find out why before you trust it, then fix "
                  "known_hosts (ssh-keygen -R %s)",
                  name, address);
    } else if (said(host, "Host key verification failed")) {
        error_set(err, ERR_HOST, HOST_AUTH,
                  "the ssh host key of %s is not known here: check it, and log in once with ssh %s", name,
                  address);
    } else if (said(host, "Permission denied")) {
        error_set(err, ERR_HOST, HOST_AUTH,
                  "ssh to %s is refused (%s): migrun does not ask for passwords; set up a key that ssh %s "
                  "accepts without one",
                  name, words, address);
    } else if (said(host, "a password is required") || said(host, "sudo:")) {
        error_set(
            err, ERR_HOST, HOST_AUTH,
            "%s does not let this user become root (%s): allow it to run %s with sudo without a password",
            name, words ? words : "sudo", host->spec->agent);
    } else if (said(host, "Could not resolve hostname")) {
        error_set(err, ERR_HOST, HOST_UNREACHED,
                  "unknown host %s: the name %s does not resolve here; check the spelling, or give "
                  "its address in the site file",
                  name, address);
    } else if (answered || other_program) {
        error_set(err, ERR_HOST, HOST_NO_AGENT,
                  "%s on %s is not migrun-agent: it %s%s%s (status %d); install the agent there, or name its "
                  "path in the site file (agent = …)",
                  host->spec->agent, name,
                  answered ? "answered '"
                  : words  ? "said '"
                           : "said nothing",
                  answered ? answered
                  : words  ? words
                           : "",
                  answered || words ? "'" : "", exited);
    } else if (words) {
        error_set(err, ERR_HOST, HOST_UNREACHED, "host %s cannot be reached: %s", name, words);
    } else {
        error_set(err, ERR_HOST, HOST_UNREACHED,
                  "host %s cannot be reached: ssh exited with status %d and no message", name, exited);
    }
    if (err)
        snprintf(err->source, sizeof err->source, "%s", name);
    return -1;
}

// How long to wait, and what ends the wait. Only an interrupt that arrives meanwhile counts; after the first,
// only connecting is interrupted again: calls that undo or verify still work.
struct patience {
    int64_t deadline;
    sig_atomic_t interrupts; // before it began
    bool connecting;
    size_t late; // bytes read after the deadline
};

static bool is_interrupted(const struct patience *p)
{
    return interrupt_count > p->interrupts && (p->connecting || p->interrupts == 0);
}

static int fail_interrupted(const struct host *host, const char *doing, struct error *err)
{
    return error_set(err, ERR_INTERRUPTED, 0, "interrupted while %s %s", doing, host->spec->name);
}

static int fail_late(const struct host *host, struct error *err)
{
    error_set(err, ERR_TIMEOUT, 0, "%s did not answer in time", host->spec->name);
    if (err)
        snprintf(err->source, sizeof err->source, "%s", host->spec->name);
    return -1;
}

// Waits a while for the wanted events on fd, and reads the agent's stderr meanwhile. 0 (look again), or -1.
static int wait_for(struct host *host, int fd, short wanted, const struct patience *p, const char *doing,
                    struct error *err)
{
    // interrupt_fd() stays readable after the first interrupt, so later ones are polled for.
    struct pollfd fds[] = {{.fd = fd, .events = wanted},
                           {.fd = host->errors, .events = POLLIN},
                           {.fd = p->interrupts == 0 ? interrupt_fd() : -1, .events = POLLIN}};
    interrupts_notice();
    if (is_interrupted(p))
        return fail_interrupted(host, doing, err);
    int wait = deadline_poll_ms(p->deadline);
    int ready = poll(fds, COUNT_OF(fds), wait < 0 || wait > LOOK_EVERY_MS ? LOOK_EVERY_MS : wait);
    if (ready < 0 && errno != EINTR)
        return error_errno(err, errno, "%s %s", doing, host->spec->name);
    if (ready > 0 && fds[1].revents & POLLIN)
        drain_errors(host);
    else if (ready > 0 && fds[1].revents && !fds[0].revents)
        nap_ms(1); // stderr closed before stdout: no busy loop
    if (!p->deadline || now_ms() < p->deadline || (ready > 0 && fds[0].revents))
        return 0;
    return fail_late(host, err);
}

// Waits until the agent has sent something, and reads it. 1: bytes came, 0: the stream ended, -1: error. What
// had arrived by the deadline is read after it, too (other hosts may have been waited for first), but an
// agent that sends on and on is not listened to.
static int read_some(struct host *host, char *chunk, size_t size, size_t *got, struct patience *p,
                     struct error *err)
{
    const char *doing = p->connecting ? "connecting to" : "waiting for";
    for (;;) {
        if (is_interrupted(p))
            return fail_interrupted(host, doing, err);
        if (p->late >= LATE_MOST)
            return fail_late(host, err);
        ssize_t n = read(host->from, chunk, size);
        if (n >= 0) {
            if (p->deadline && now_ms() >= p->deadline)
                p->late += (size_t)n;
            *got = (size_t)n;
            return n > 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return error_errno(err, errno, "reading from %s", host->spec->name);
        if (wait_for(host, host->from, POLLIN, p, doing, err) < 0)
            return -1;
    }
}

static int take_message(struct host *host, struct message *m, struct patience *p, struct error *err)
{
    for (;;) {
        int taken = wire_take(&host->reader, m, err);
        if (taken < 0) {
            host->lost = true;
            return error_prefix(err, "%s", host->spec->name);
        }
        if (taken)
            return 0;
        char chunk[65536];
        size_t n;
        int rc = read_some(host, chunk, sizeof chunk, &n, p, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return explain_end(host, true, err);
        wire_feed(&host->reader, chunk, n);
    }
}

// ---- the greeting ----

// Cuts the greeting's line out of what came. 1: found (what follows it went to the reader), 0: more is
// needed.
static int find_greeting(struct host *host, char **line)
{
    for (char *start = host->greeting.data; start && *start;) {
        char *end = memchr(start, '\n', host->greeting.len - (size_t)(start - host->greeting.data));
        if (!end)
            return 0;
        if (strncmp(start, "migrun-agent ", 13) == 0) {
            *line = xstrndup(start, (size_t)(end - start));
            wire_feed(&host->reader, end + 1, host->greeting.len - (size_t)(end + 1 - host->greeting.data));
            return 1;
        }
        start = end + 1;
    }
    return 0;
}

static int greet(struct host *host, int64_t deadline, struct error *err)
{
    auto_free char *line = NULL;
    const char *name = host->spec->name;
    struct patience waiting = {.deadline = deadline, .interrupts = interrupt_count, .connecting = true};
    while (!find_greeting(host, &line)) {
        char chunk[4096];
        size_t n;
        int rc = read_some(host, chunk, sizeof chunk, &n, &waiting, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return explain_end(host, false, err);
        buf_add(&host->greeting, chunk, n);
        if (host->greeting.len > GREETING_MAX)
            return error_set(err, ERR_HOST, HOST_OTHER,
                             "%s sent something other than migrun-agent's greeting: the login shell of the "
                             "user there prints too much",
                             name);
    }
    char version[64] = "";
    int protocol = 0;
    sscanf(line, "migrun-agent %63s %d", version, &protocol);
    if (protocol != WIRE_PROTOCOL || !STREQ(version, MIGRUN_VERSION))
        return error_set(err, ERR_HOST, HOST_VERSION,
                         "%s runs migrun-agent %s, this is migrun " MIGRUN_VERSION
                         ": install the same version on both",
                         name, version);
    auto_message struct message hello = {0};
    host->bounds = (struct wire_bounds){.head = GREETING_MAX};
    host->owes = false;
    if (take_message(host, &hello, &waiting, err) < 0)
        return -1;
    host->hello = json_incref(json_object_get(hello.head, "hello"));
    if (!json_is_object(host->hello))
        return error_set(err, ERR_HOST, HOST_OTHER, "%s: migrun-agent did not say hello", name);
    buf_free(&host->said); // messages of ssh up to here do not explain later failures
    if (host->read_only && !json_flag(host->hello, "read_only", false))
        return error_set(err, ERR_BUG, 0, "%s: the agent is not read-only", name);
    return 0;
}

static void stop_agent(struct host *host, int patience_ms);

static void forget_agent(struct host *host)
{
    stop_agent(host, 0);
    buf_free(&host->said);
    buf_free(&host->greeting);
    wire_reader_free(&host->reader);
    json_decref(host->hello);
    host->hello = NULL;
    host->lost = false;
}

int host_check_login(struct host *host, struct error *err)
{
    struct error failure;
    if (!host->inherited || host->hello)
        return 0;
    if (greet(host, host->proven_by, &failure) == 0)
        return 0;
    if (failure.domain == ERR_INTERRUPTED) {
        *err = failure;
        return -1;
    }
    forget_agent(host);
    ssh_login_end(host->login);
    return launch(host, err);
}

int host_finish(struct host *host, int64_t deadline, struct error *err)
{
    if (host_check_login(host, err) < 0)
        return -1;
    return host->hello ? 0 : greet(host, deadline, err);
}

// ---- keeping alive ----

static void *beat(void *data)
{
    struct host *host = data;
    struct pollfd stop = {.fd = host->beat_stop[0], .events = POLLIN};
    auto_json json_t *ping = json_pack("{s:s}", "op", "ping");
    auto_buf struct buf frame = {0};
    wire_frame(ping, 0, &frame, NULL);
    while (poll(&stop, 1, WIRE_PING_MS) == 0) {
        // So few bytes are written as a whole or not at all. A full pipe needs no ping.
        pthread_mutex_lock(&host->sending);
        bool broken = write(host->to, frame.data, frame.len) < 0 && errno != EAGAIN;
        pthread_mutex_unlock(&host->sending);
        if (broken)
            break; // the next call reports it
    }
    return NULL;
}

int host_keep_alive(struct host *host, struct error *err)
{
    if (pipe2(host->beat_stop, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot make a pipe");
    if (thread_start(&host->beat, beat, host) < 0)
        return error_errno(err, errno, "cannot start a thread");
    host->beating = true;
    return 0;
}

// ---- calls ----

// Sends bytes of a request; begun: some of the request has been sent. After an interrupt there is a moment to
// finish a request that was begun, because half a request breaks the connection.
static int send_bytes(struct host *host, const char *bytes, size_t len, bool begun, struct patience *p,
                      struct error *err)
{
    while (len) {
        ssize_t n = write(host->to, bytes, len);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return error_errno(err, errno, "sending a message");
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
            begun = true;
            continue;
        }
        struct error failure;
        if (wait_for(host, host->to, POLLOUT, p, "sending to", &failure) == 0)
            continue;
        if (failure.domain == ERR_INTERRUPTED && begun && p->interrupts == 0) {
            *p = (struct patience){.deadline = deadline_in(FINISH_MS), .interrupts = interrupt_count};
            continue;
        }
        host->lost = begun;
        if (host->interrupts < p->interrupts)
            return error_set(err, ERR_INTERRUPTED, 0, "interrupted while sending to %s", host->spec->name);
        if (err)
            *err = failure;
        return -1;
    }
    return 0;
}

// How large an answer may be. Errors are short, whatever was asked for.
static struct wire_bounds bounds_of(const char *op, const json_t *request)
{
    static const struct {
        const char *op;
        struct wire_bounds most;
    } rows[] = {
        {"read", {HEAD_MOST, WIRE_BODY_MAX}}, // at most its limit
        {"command", {WIRE_HEAD_MAX, WIRE_OUTPUT_MOST}},
        {"log", {HEAD_MOST, WIRE_LOG_MOST}},
        {"list", {WIRE_HEAD_MAX, 0}},
        {"facts", {WIRE_HEAD_MAX, 0}},
        {"storage", {WIRE_HEAD_MAX, 0}},
        {"notes", {WIRE_HEAD_MAX, 0}},
        {"claims", {WIRE_HEAD_MAX, 0}},
    };
    struct wire_bounds most = {HEAD_MOST, 0};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (STREQ(op, rows[i].op))
            most = rows[i].most;
    int64_t limit = json_int(request, "limit", (int64_t)most.body);
    if (limit >= 0 && (uint64_t)limit < most.body)
        most.body = (size_t)limit;
    return most;
}

// The answer to a call that was given up may come before this one's.
static void expect_answer(struct host *host, const char *op, const json_t *request)
{
    struct wire_bounds most = bounds_of(op, request);
    if (!host->owes || host->bounds.head < most.head)
        host->bounds.head = most.head;
    if (!host->owes || host->bounds.body < most.body)
        host->bounds.body = most.body;
    host->owes = true;
}

static int send_until(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
                      int64_t deadline, struct error *err)
{
    auto_json json_t *request = args ? args : json_object();
    auto_buf struct buf frame = {0};
    struct error failure = {0};
    if (host->lost)
        return error_set(err, ERR_HOST, HOST_LOST, "the connection to %s is lost", host->spec->name);
    host->awaited_id = host->next_id++;
    host->interrupts = interrupt_count;
    json_object_set_new(request, "id", json_integer(host->awaited_id));
    json_object_set_new(request, "op", json_string(op));
    if (wire_frame(request, body_len, &frame, err) < 0)
        return -1;
    expect_answer(host, op, request);
    struct patience p = {.deadline = deadline, .interrupts = host->interrupts};
    pthread_mutex_lock(&host->sending);
    int rc = send_bytes(host, frame.data, frame.len, false, &p, &failure);
    if (rc == 0)
        rc = send_bytes(host, body, body_len, true, &p, &failure);
    pthread_mutex_unlock(&host->sending);
    if (rc < 0 && failure.domain == ERR_SYSTEM && failure.code == EPIPE)
        return explain_end(host, true, err);
    if (rc < 0 && err)
        *err = failure;
    return rc;
}

int host_send(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              struct error *err)
{
    return send_until(host, op, args, body, body_len, deadline_in(DEFAULT_TIMEOUT_MS), err);
}

static int receive_until(struct host *host, int64_t deadline, struct message *answer, struct error *err)
{
    struct patience p = {.deadline = deadline, .interrupts = host->interrupts};
    for (;;) {
        *answer = (struct message){0};
        if (take_message(host, answer, &p, err) < 0)
            return -1;
        // Answers to calls that were given up earlier (a deadline, an interrupt) may still arrive first.
        if (json_int(answer->head, "id", -1) == host->awaited_id)
            break;
        message_free(answer);
    }
    host->owes = false;
    const json_t *failed = json_object_get(answer->head, "error");
    if (failed) {
        wire_error_from(failed, host->spec->name, err);
        message_free(answer);
        return -1;
    }
    return 0;
}

int host_receive(struct host *host, int64_t timeout_ms, struct message *answer, struct error *err)
{
    // The agent enforces the operation's own deadline; this one is longer.
    return receive_until(host, deadline_in(timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS), answer, err);
}

int host_call(struct host *host, const char *op, json_t *args, const void *body, size_t body_len,
              int64_t timeout_ms, struct message *answer, struct error *err)
{
    int64_t deadline = deadline_in(timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS);
    return send_until(host, op, args, body, body_len, deadline, err) < 0
               ? -1
               : receive_until(host, deadline, answer, err);
}

// ---- once more ----

int host_revive(struct host *host, int64_t deadline, struct error *err)
{
    forget_agent(host);
    give_login_up(host);
    if (launch(host, err) == 0 && greet(host, deadline, err) == 0 && host_keep_alive(host, err) == 0) {
        host_forward_libvirt(host);
        return 0;
    }
    host->lost = true;
    return -1;
}

// ---- the end ----

// A login that is still being started ends with it (ssh_login_make).
static void end_child(pid_t pid, int patience_ms)
{
    if (pid <= 0)
        return;
    int64_t deadline = now_ms() + patience_ms;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (now_ms() >= deadline) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return;
        }
        nap_ms(2);
    }
}

// The agent exits when its stdin ends; ssh follows.
void host_leave(struct host *host)
{
    if (host->beating) {
        close(host->beat_stop[1]);
        pthread_join(host->beat, NULL);
        close(host->beat_stop[0]);
        host->beating = false;
    }
    util_close_fd(&host->to);
}

static void stop_agent(struct host *host, int patience_ms)
{
    host_leave(host);
    end_child(host->pid, patience_ms);
    host->pid = -1;
    util_close_fd(&host->from);
    util_close_fd(&host->errors);
}

void host_end_login(struct host *host) { host->end_login = true; }

void host_close(struct host *host)
{
    if (!host)
        return;
    for (size_t i = 0; i < COUNT_OF(host->relays); i++)
        if (host->relays[i] > 0) {
            kill(host->relays[i], SIGTERM);
            end_child(host->relays[i], CLOSE_MS);
        }
    stop_agent(host, CLOSE_MS);
    if (host->end_login || host->lost)
        give_login_up(host);
    buf_free(&host->said);
    buf_free(&host->greeting);
    wire_reader_free(&host->reader);
    json_decref(host->hello);
    free(host->socket);
    free(host->socket_ro);
    free(host->control);
    ssh_login_free(host->login);
    host_spec_free(host->spec);
    pthread_mutex_destroy(&host->sending);
    free(host);
}
