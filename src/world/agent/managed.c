// SPDX-License-Identifier: MIT
// The guests of a host whose libvirtd is to be restarted: whether each will be found again, and whether it
// was. At its start libvirtd reads a status file of each, and ends the QEMU that it cannot follow
// (qemuProcessReconnect of libvirt's src/qemu/qemu_process.c).
#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "world/agent/surgery.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_FOLDER "/run/libvirt/qemu"
#define HOOK "/etc/libvirt/hooks/qemu"
enum { STATUS_MOST = 8 << 20, UUID_LEN = 36, ASK_ALL_MS = 20000, ASK_ONE_MS = 5000, HOOK_MS = 10000 };

// ---- status files ----

// The text between the first begin and the end after it; NULL: not found. Caller frees.
static char *between(const char *text, const char *begin, const char *end)
{
    const char *from = strstr(text, begin), *to = from ? strstr(from + strlen(begin), end) : NULL;
    return to ? xstrndup(from + strlen(begin), (size_t)(to - from) - strlen(begin)) : NULL;
}

// A job that a restarted libvirtd would have to resume, or NULL. Caller frees.
static char *job_in(const char *status)
{
    if (strstr(status, "<blockjobs active='yes'"))
        return xstrdup("a block job");
    auto_free char *job = between(status, "<job ", ">"), *kind = job ? between(job, "async='", "'") : NULL;
    return kind && !STREQ(kind, "none") ? steal(&kind) : NULL;
}

static int read_status(int folder, const char *file, json_t *guests, struct error *err)
{
    auto_free char *text = NULL;
    size_t len;
    if (kept_bytes(folder, file, STATUS_MOST, &text, &len) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, STATUS_FOLDER "/%s", file);
    auto_free char *head = between(text, "<domstatus ", ">"), *uuid = between(text, "<uuid>", "</uuid>"),
                   *job = job_in(text);
    auto_free char *pid = head ? between(head, "pid='", "'") : NULL,
                   *name = xstrndup(file, strlen(file) - strlen(".xml"));
    if (!head)
        return 0;
    if (!pid || !uuid || strlen(uuid) != UUID_LEN)
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            STATUS_FOLDER
            "/%s is not a status file as libvirtd writes it, so what a restart makes of it cannot be known",
            file);
    if (job)
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            "refusing to stop libvirtd while a job runs on a guest: %s has one (%s); wait for its "
            "end (virsh domjobinfo %s)",
            name, job, name);
    json_array_append_new(guests, json_pack("{s:o, s:s, s:I}", "name", json_text(name), "uuid", uuid, "pid",
                                            (json_int_t)strtoll(pid, NULL, 10)));
    return 0;
}

static bool is_status_file(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && STREQ(name + len - 4, ".xml");
}

static int read_statuses(json_t *guests, struct error *err)
{
    auto_fd int folder = open(STATUS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = folder < 0 ? NULL : fdopendir(dup(folder));
    if (!entries)
        return error_errno(err, errno, "libvirt's status files in " STATUS_FOLDER);
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(entries));)
        if (is_status_file(entry->d_name))
            rc = read_status(folder, entry->d_name, guests, err);
    closedir(entries);
    return rc;
}

// ---- asking libvirtd ----

// virsh's answers for guests: for each "@UUID", the output of domblkerror (which asks the monitor; empty: it
// failed), "|", its state and info, "=UUID".
static int ask(const json_t *manifest, const json_t *const *guests, size_t count, int64_t timeout,
               struct process_result *ended, struct error *err)
{
    auto_buf struct buf script = {0};
    for (size_t i = 0; i < count; i++) {
        const char *uuid = json_str(guests[i], "uuid", "");
        buf_printf(&script, "echo @%s; domblkerror %s; echo '|'; domstate %s; dominfo %s; echo =%s; ", uuid,
                   uuid, uuid, uuid, uuid);
    }
    auto_free char *uri = xasprintf("qemu+unix:///system?socket=%s",
                                    json_str(manifest, "socket", "/run/libvirt/libvirt-sock"));
    const char *const argv[] = {"env", "LC_ALL=C", "virsh", "-q", "-c", uri, script.data, NULL};
    return process_run(
        &(struct process_request){.argv = argv, .deadline = deadline_in(timeout), .watch_fd = -1}, ended,
        err);
}

struct answer {
    bool listed, answers, persistent;
    char state[24];
};

static struct answer answer_for(const char *out, const char *uuid)
{
    struct answer a = {0};
    auto_free char *begin = xasprintf("@%s", uuid), *end = xasprintf("=%s", uuid),
                   *section = out ? between(out, begin, end) : NULL;
    const char *bar = section ? strchr(section, '|') : NULL;
    if (!bar)
        return a;
    a.answers = bar > section;
    snprintf(a.state, sizeof a.state, "%.*s", (int)strcspn(bar + 1, "\n"), bar + 1);
    a.listed = *a.state != '\0';
    a.persistent = strstr(bar, "Persistent:     yes") != NULL;
    return a;
}

// Each guest's answer. If one monitor hangs, the common answer is lost, and each guest is asked alone.
static int ask_guests(const json_t *manifest, const json_t *guests, struct answer *answers, struct error *err)
{
    size_t count = json_array_size(guests);
    auto_free const json_t **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(guests, i);
    if (!count)
        return 0;
    struct process_result cleanup(process_result_free) all = {0};
    if (ask(manifest, list, count, ASK_ALL_MS, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *uuid = json_str(list[i], "uuid", "");
        if (!all.timed_out) {
            answers[i] = answer_for(all.out.data, uuid);
            continue;
        }
        struct process_result cleanup(process_result_free) one = {0};
        if (ask(manifest, &list[i], 1, ASK_ONE_MS, &one, err) < 0)
            return -1;
        answers[i] = answer_for(one.out.data, uuid);
        answers[i].listed = answers[i].listed || one.timed_out;
    }
    return 0;
}

// ---- before ----

int guests_read(const json_t *manifest, json_t **result, struct error *err)
{
    auto_json json_t *guests = json_array();
    if (read_statuses(guests, err) < 0)
        return -1;
    auto_free struct answer *answers = xcalloc(json_array_size(guests) + 1, sizeof *answers);
    if (ask_guests(manifest, guests, answers, err) < 0)
        return -1;
    size_t i;
    json_t *guest;
    json_array_foreach(guests, i, guest) {
        const char *name = json_str(guest, "name", "?");
        long long pid = (long long)json_int(guest, "pid", 0);
        if (!answers[i].listed)
            return error_set(
                err, ERR_REFUSED, REFUSED_OTHER,
                "refusing to stop libvirtd: it does not know %s, whose QEMU (pid %lld) its status "
                "file names; look at that first",
                name, pid);
        if (!answers[i].answers)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "refusing to stop libvirtd: the monitor of %s (pid %lld) does not answer, and a "
                             "starting libvirtd may end a guest that does not; look at that QEMU first",
                             name, pid);
        json_object_set_new(guest, "state", json_string(answers[i].state));
        json_object_set_new(guest, "persistent", json_boolean(answers[i].persistent));
    }
    *result = steal(&guests);
    return 0;
}

// ---- hooks ----

// One hook for one guest, as a starting libvirtd calls it (https://libvirt.org/hooks.html).
static int hook_passes(const char *hook, const json_t *guest, struct error *err)
{
    const char *name = json_str(guest, "name", "?");
    auto_free char *path = xasprintf(STATUS_FOLDER "/%s.xml", name), *status = NULL;
    size_t len;
    if (read_whole_file(path, STATUS_MOST, &status, &len) < 0)
        return error_errno(err, errno, "%s", path);
    const char *xml = strstr(status, "<domain "), *end = xml ? strstr(xml, "</domain>") : NULL;
    const char *const argv[] = {hook, name, "reconnect", "begin", "-", NULL};
    struct process_result cleanup(process_result_free) ended = {0};
    struct process_request run = {.argv = argv,
                                  .input = end ? xml : "",
                                  .input_len = end ? (size_t)(end - xml) + strlen("</domain>\n") : 0,
                                  .deadline = deadline_in(HOOK_MS),
                                  .watch_fd = -1};
    if (process_run(&run, &ended, err) < 0)
        return -1;
    if (ended.status == 0 && !ended.timed_out)
        return 0;
    auto_free char *said = process_said(&ended);
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "refusing to stop libvirtd: its hook %s fails for %s when asked to 'reconnect' "
                     "(%s%s%.200s), and then a starting libvirtd ends that guest; "
                     "let the hook end with 0 for reconnect",
                     hook, name, ended.timed_out ? "it does not end" : "it failed", *said ? ": " : "", said);
}

static int hook_passes_all(const char *hook, const json_t *guests, struct error *err)
{
    struct stat st;
    if (stat(hook, &st) < 0 || !S_ISREG(st.st_mode) || access(hook, X_OK) < 0)
        return 0;
    size_t i;
    json_t *guest;
    json_array_foreach(guests, i, guest)
        if (hook_passes(hook, guest, err) < 0)
            return -1;
    return 0;
}

int hooks_pass(const json_t *guests, struct error *err)
{
    if (hook_passes_all(HOOK, guests, err) < 0)
        return -1;
    DIR *more = opendir(HOOK ".d");
    int rc = 0;
    for (struct dirent *entry; more && rc == 0 && (entry = readdir(more));) {
        auto_free char *hook = xasprintf(HOOK ".d/%s", entry->d_name);
        rc = *entry->d_name == '.' ? 0 : hook_passes_all(hook, guests, err);
    }
    if (more)
        closedir(more);
    return rc;
}

// ---- after ----

static bool lives(const json_t *guest)
{
    auto_free char *path = xasprintf("/proc/%lld/cmdline", (long long)json_int(guest, "pid", 0)),
                   *words = NULL;
    size_t len;
    if (read_whole_file(path, STATUS_MOST, &words, &len) < 0)
        return false;
    return memmem(words, len, json_str(guest, "uuid", "-"), UUID_LEN) != NULL;
}

json_t *guests_lost(const json_t *manifest)
{
    const json_t *guests = json_object_get(manifest, "guests");
    json_t *lost = json_array(), *guest;
    auto_free struct answer *answers = xcalloc(json_array_size(guests) + 1, sizeof *answers);
    struct error err;
    if (ask_guests(manifest, guests, answers, &err) < 0)
        json_array_append_new(lost, json_text(err.message));
    size_t i;
    json_array_foreach(guests, i, guest) {
        const char *name = json_str(guest, "name", "?"), *was = json_str(guest, "state", "");
        long long pid = (long long)json_int(guest, "pid", 0);
        bool listed = STREQ(answers[i].state, was);
        auto_free char *text = NULL;
        if (!lives(guest))
            text = xasprintf("%s is not running any more: its QEMU (pid %lld) is gone; see %s's log in "
                             "/var/log/libvirt/qemu, then start it as after a crash",
                             name, pid, name);
        else if (!listed)
            text = xasprintf("%s runs on as pid %lld, but libvirtd does not manage it (it says: %s): do NOT "
                             "start it, that would run it twice; stop libvirtd, put its status file "
                             "back, start libvirtd",
                             name, pid, *answers[i].state ? answers[i].state : "unknown");
        else if (!answers[i].answers)
            text = xasprintf("%s runs as pid %lld, but its monitor does not answer", name, pid);
        if (text)
            json_array_append_new(lost, json_text(text));
    }
    return lost;
}
