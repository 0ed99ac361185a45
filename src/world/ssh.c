// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "base/socket.h"
#include "base/spawn.h"
#include "world/ssh.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_LENGTH = 16, MAKER_MS = 1000, QUICK_MS = 2000, END_MS = 500 };

// ---- arguments ----

void words_take(struct words *w, char *word)
{
    w->v = xrealloc(w->v, (w->n + 2) * sizeof *w->v);
    w->v[w->n++] = word;
    w->v[w->n] = NULL;
}

void words_add(struct words *w, const char *word) { words_take(w, xstrdup(word)); }

void words_free(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    *w = (struct words){0};
}

static void add_all(struct words *w, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        words_add(w, words[i]);
}

// Options shared by a login and its users. The site's come last: ssh takes the first of several values. What
// the user's own configuration would open to the host, or run, is closed, as scp closes it: forwarded keys,
// displays and ports, a local command, a command in the place of ours.
static void add_common(struct words *w, const struct host_spec *spec)
{
    static const char *const always[] = {
        "-o", "BatchMode=yes",           "-o", "ConnectTimeout=10",
        "-o", "ServerAliveInterval=5",   "-o", "ServerAliveCountMax=3",
        "-o", "ExitOnForwardFailure=no", "-o", "StreamLocalBindUnlink=yes",
        "-o", "ForwardAgent=no",         "-o", "ForwardX11=no",
        "-o", "ClearAllForwardings=yes", "-o", "Tunnel=no",
        "-o", "PermitLocalCommand=no",   "-o", "RemoteCommand=none",
        "-o", "RequestTTY=no",           "-o", "UpdateHostKeys=no",
    };
    add_all(w, always, COUNT_OF(always));
    size_t i;
    json_t *option;
    json_array_foreach(spec->ssh_options, i, option)
        words_add(w, json_string_value(option));
    if (spec->user) {
        words_add(w, "-l");
        words_add(w, spec->user);
    }
}

void ssh_words(struct words *w, const struct host_spec *spec, const char *control, bool makes_it)
{
    const char *const first[] = {"ssh", "-T",
                                 "-o",  makes_it ? "ControlMaster=yes" : "ControlMaster=no",
                                 "-o",  "ControlPersist=no",
                                 "-S",  control ? control : "none"};
    add_all(w, first, COUNT_OF(first));
    add_common(w, spec);
}

void ssh_forward_words(struct words *w, const struct host_spec *spec, const char *control, const char *socket,
                       const char *socket_ro)
{
    const json_t *libvirt = json_object_get(spec->settings, "libvirt");
    const char *const first[] = {"ssh", "-F", "none", "-S", control, "-O", "forward"};
    add_all(w, first, COUNT_OF(first));
    words_add(w, "-L");
    words_take(w, xasprintf("%s:%s", socket, json_str(libvirt, "socket", "")));
    words_add(w, "-L");
    words_take(w, xasprintf("%s:%s", socket_ro, json_str(libvirt, "socket_ro", "")));
    words_add(w, "login"); // any name: the control socket says where
}

void ssh_quote(struct buf *b, const char *word)
{
    buf_puts(b, "'");
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            buf_puts(b, "'\\''");
        else
            buf_add(b, p, 1);
    buf_puts(b, "'");
}

char *ssh_agent_command(const struct host_spec *spec, const char *arguments)
{
    struct buf command = {0};
    if (spec->become)
        buf_printf(&command, "%s -n ", spec->become);
    ssh_quote(&command, spec->agent);
    buf_printf(&command, " %s", arguments);
    return buf_take(&command);
}

// ---- logins ----

// A folder that only this user can use. Caller frees; NULL when there is none.
static char *private_dir(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0 && (!runtime || *runtime != '/'))
        return NULL;
    char *dir = xasprintf("%s/migrun-ssh", geteuid() == 0 ? "/run" : runtime);
    struct stat st;
    mkdir(dir, 0700);
    if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        return dir;
    free(dir);
    return NULL;
}

// The operator's ssh agent is part of the name: each operator logs in with their own keys.
void ssh_login_name(const struct host_spec *spec, char name[65])
{
    const json_t *libvirt = json_object_get(spec->settings, "libvirt");
    const char *keys = getenv("SSH_AUTH_SOCK");
    auto_words struct words words = {0};
    auto_buf struct buf all = {0};
    ssh_words(&words, spec, NULL, false);
    const char *const more[] = {spec->address,
                                spec->become ? spec->become : "",
                                spec->relay,
                                json_str(libvirt, "socket", ""),
                                json_str(libvirt, "socket_ro", ""),
                                keys ? keys : ""};
    add_all(&words, more, COUNT_OF(more));
    for (size_t i = 0; i < words.n; i++)
        buf_add(&all, words.v[i], strlen(words.v[i]) + 1);
    sha256_hex(all.data, all.len, name);
    name[NAME_LENGTH] = '\0';
}

bool ssh_fits(const char *control)
{
    // ssh first creates its control socket under a longer name: a dot and 16 characters more.
    return strlen(control) + 17 < sizeof((struct sockaddr_un *)NULL)->sun_path;
}

struct login *ssh_login(const struct host_spec *spec)
{
    auto_free char *dir = spec->local || spec->keep == 0 ? NULL : private_dir();
    char name[65];
    ssh_login_name(spec, name);
    auto_free char *control = dir ? xasprintf("%s/%s", dir, name) : NULL;
    if (!control || !ssh_fits(control))
        return NULL;
    struct login *login = xmalloc(sizeof *login);
    *login = (struct login){
        .control = steal(&control),
        .lock = xasprintf("%s/%s.lock", dir, name),
        .socket = xasprintf("%s/%s.libvirt", dir, name),
        .socket_ro = xasprintf("%s/%s.libvirt-ro", dir, name),
    };
    auto_free char *users = xasprintf("%s/%s.users", dir, name);
    login->users = open(users, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (login->users >= 0)
        flock(login->users, LOCK_SH | LOCK_NB);
    return login;
}

void ssh_login_free(struct login *login)
{
    if (!login)
        return;
    util_close_fd(&login->users);
    free(login->control);
    free(login->lock);
    free(login->socket);
    free(login->socket_ro);
    free(login);
}

bool ssh_login_there(const struct login *login)
{
    auto_fd int fd = unix_connect(login->control, SOCK_STREAM | SOCK_NONBLOCK);
    return fd >= 0;
}

void ssh_login_words(struct words *w, const struct host_spec *spec, const struct login *login)
{
    const char *const first[] = {"ssh", "-T", "-S", login->control, "-o", "ControlMaster=yes", "-fN", "-o"};
    add_all(w, first, COUNT_OF(first));
    words_take(w, xasprintf("ControlPersist=%d", spec->keep));
    add_common(w, spec);
    words_add(w, "--");
    words_add(w, spec->address);
}

// Waits briefly if another run is logging in; ssh itself needs ten seconds to give up on an unreachable host.
static bool may_make(int lock)
{
    for (int64_t deadline = deadline_in(MAKER_MS); flock(lock, LOCK_EX | LOCK_NB) < 0; nap_ms(10))
        if (now_ms() >= deadline)
            return false;
    return true;
}

void ssh_login_make(const struct login *login, const struct words *words)
{
    auto_fd int lock = open(login->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || !may_make(lock) || ssh_login_there(login))
        return;
    // Left by a login that was killed, or given up and lives on.
    unlink(login->control);
    unlink(login->socket);
    unlink(login->socket_ro);
    int status = 0;
    int64_t quickly = deadline_in(QUICK_MS);
    // It ends with its maker until it has logged in. A process that it goes through (ProxyJump) is in its
    // process group, not in the run's.
    pid_t pid = spawn(
        &(struct spawn){.in = STDIN_FILENO, .out = STDOUT_FILENO, .err = STDERR_FILENO, .dies_by = SIGKILL});
    if (pid == 0)
        spawn_exec((const char *const *)words->v, STDERR_FILENO, false);
    // If it failed quickly, the agent's own ssh tries again and says why: ssh drops the messages of a
    // ProxyJump when it keeps the login.
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0 && now_ms() >= quickly)
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

// Sends ssh's request to a login: "stop" ends it once it has no users, "exit" at once. false: no login
// answered.
static bool request(const struct login *login, const char *what)
{
    const char *const words[] = {"ssh", "-F", "none", "-S", login->control, "-O", what, "login", NULL};
    const struct process_request request = {.argv = words, .deadline = deadline_in(END_MS), .watch_fd = -1};
    struct process_result result = {0};
    bool heard = process_run(&request, &result, NULL) == 0 && result.status == 0;
    process_result_free(&result);
    return heard;
}

void ssh_login_end(const struct login *login)
{
    if (!ssh_login_there(login))
        return;
    // No other users: it exits at once, even if a forwarded connection is still open.
    bool alone = login->users >= 0 && flock(login->users, LOCK_EX | LOCK_NB) == 0;
    if (!request(login, alone ? "exit" : "stop"))
        unlink(login->control); // it may live on, but no later run finds it
}
