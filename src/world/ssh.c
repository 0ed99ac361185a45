#include "world/ssh.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_LENGTH = 16, END_MS = 500 };

// ---- arguments ----

void words_take(struct words *w, char *word)
{
    w->v = xrealloc(w->v, (w->n + 2) * sizeof *w->v);
    w->v[w->n++] = word;
    w->v[w->n] = NULL;
}

void words_add(struct words *w, const char *word)
{
    words_take(w, xstrdup(word));
}

void words_free(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    *w = (struct words){0};
}

// What a login and those who use it have in common.
static void add_common(struct words *w, const struct host_spec *spec, const char *control, const char *master)
{
    const char *const always[] = {
        "ssh", "-T", "-S", control, "-o", master, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
        "-o", "ServerAliveCountMax=3", "-o", "ExitOnForwardFailure=no", "-o", "StreamLocalBindUnlink=yes",
    };
    for (size_t i = 0; i < COUNT_OF(always); i++)
        words_add(w, always[i]);
    size_t i;
    json_t *option;
    json_array_foreach(spec->ssh_options, i, option)
        words_add(w, json_string_value(option));
    if (spec->user) {
        words_add(w, "-l");
        words_add(w, spec->user);
    }
}

void ssh_words(struct words *w, const struct host_spec *spec, const char *control)
{
    add_common(w, spec, control ? control : "none", "ControlMaster=no");
}

void ssh_forward_words(struct words *w, const struct host_spec *spec, const char *socket, const char *socket_ro)
{
    const json_t *libvirt = json_object_get(spec->settings, "libvirt");
    if (spec->become || !STREQ(spec->relay, "auto"))
        return;
    words_add(w, "-L");
    words_take(w, xasprintf("%s:%s", socket, json_str(libvirt, "socket", "")));
    words_add(w, "-L");
    words_take(w, xasprintf("%s:%s", socket_ro, json_str(libvirt, "socket_ro", "")));
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

// A folder that is this user's alone. Caller frees; NULL when there is none.
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

void ssh_login_name(const struct host_spec *spec, char name[65])
{
    const json_t *libvirt = json_object_get(spec->settings, "libvirt");
    auto_words struct words words = {0};
    auto_buf struct buf all = {0};
    ssh_words(&words, spec, NULL);
    words_add(&words, spec->address);
    words_add(&words, json_str(libvirt, "socket", ""));
    words_add(&words, json_str(libvirt, "socket_ro", ""));
    for (size_t i = 0; i < words.n; i++)
        buf_add(&all, words.v[i], strlen(words.v[i]) + 1);
    sha256_hex(all.data, all.len, name);
    name[NAME_LENGTH] = '\0';
}

struct login *ssh_login(const struct host_spec *spec)
{
    auto_free char *dir = spec->local || spec->keep == 0 ? NULL : private_dir();
    char name[65];
    if (!dir)
        return NULL;
    ssh_login_name(spec, name);
    struct login *login = xmalloc(sizeof *login);
    *login = (struct login){
        .control = xasprintf("%s/%s", dir, name),
        .lock = xasprintf("%s/%s.lock", dir, name),
        .socket = xasprintf("%s/%s.libvirt", dir, name),
        .socket_ro = xasprintf("%s/%s.libvirt-ro", dir, name),
    };
    return login;
}

void ssh_login_free(struct login *login)
{
    if (!login)
        return;
    free(login->control);
    free(login->lock);
    free(login->socket);
    free(login->socket_ro);
    free(login);
}

bool ssh_login_there(const struct login *login)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(login->control) >= sizeof address.sun_path)
        return false;
    strcpy(address.sun_path, login->control);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

void ssh_login_words(struct words *w, const struct host_spec *spec, const struct login *login)
{
    add_common(w, spec, login->control, "ControlMaster=yes");
    words_add(w, "-fN");
    words_add(w, "-o");
    words_take(w, xasprintf("ControlPersist=%d", spec->keep));
    ssh_forward_words(w, spec, login->socket, login->socket_ro);
    words_add(w, "--");
    words_add(w, spec->address);
}

void ssh_login_make(const struct login *login, const struct words *words)
{
    auto_fd int lock = open(login->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0 || ssh_login_there(login))
        return;
    unlink(login->control); // of a login that was killed
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(words->v[0], words->v);
        _exit(127);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0)
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

void ssh_login_end(const struct login *login)
{
    const char *const words[] = {"ssh", "-S", login->control, "-O", "stop", "login", NULL};
    if (!ssh_login_there(login))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd <= 2; fd++)
            dup2(null, fd);
        util_signals_default();
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    // One that hangs is left to its fate, but not found any more.
    for (int64_t deadline = deadline_in(END_MS); pid > 0 && waitpid(pid, NULL, WNOHANG) == 0; poll(NULL, 0, 2))
        if (now_ms() >= deadline) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            break;
        }
    unlink(login->control);
}
