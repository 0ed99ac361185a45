// SPDX-License-Identifier: MIT
#include "run/journal.h"

#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1 << 30 };

struct journal {
    int fd;
    char *path;
};

static bool is_run_name(const char *name)
{
    return *name && *name != '.' && strlen(name) <= 64 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

// A name reaches paths that are opened and removed.
static int check_run_name(const char *name, struct error *err)
{
    if (is_run_name(name))
        return 0;
    auto_free char *shown = printable(name);
    return error_set(err, ERR_USAGE, 0, "'%s' is no name of a run (migrun history lists them)", shown);
}

// ---- where ----

static char *default_state(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        return xstrdup("/var/lib/migrun");
    if (state && *state == '/')
        return xasprintf("%s/migrun", state);
    return home && *home == '/' ? xasprintf("%s/.local/state/migrun", home) : xstrdup("/var/lib/migrun");
}

static char *state_path(const char *state) { return state ? xstrdup(state) : default_state(); }

// A run's folder, or a file in it; run NULL: the folder of all. Caller frees.
static char *run_path(const char *state, const char *run, const char *file)
{
    auto_free char *dir = state_path(state);
    return xasprintf("%s/runs%s%s%s%s", dir, run ? "/" : "", run ? run : "", file ? "/" : "",
                     file ? file : "");
}

static int fail_no_run(const char *state, const char *run, struct error *err)
{
    auto_free char *dir = state_path(state);
    return error_set(err, ERR_USAGE, 0, "there is no run %s in %s (migrun history lists them)", run, dir);
}

// ---- writing ----

// Whoever writes a journal has it locked. A reader can ask for such a lock without one of its own, which
// another run that is about to begin could take for a writer's.
static int lock_journal(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
        return -1;
    return flock(fd, LOCK_EX | LOCK_NB); // the lock of a migrun of before
}

static int make_dirs(const char *path)
{
    auto_free char *copy = xstrdup(path);
    for (char *p = copy + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            if (mkdir(copy, 0700) < 0 && errno != EEXIST)
                return -1;
            *p = '/';
        }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

// A file's name is on the disk only when its folder is.
static int sync_dir(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

static struct journal *journal_new(int fd, const char *path)
{
    struct journal *journal = xcalloc(1, sizeof *journal);
    *journal = (struct journal){.fd = fd, .path = xstrdup(path)};
    return journal;
}

int journal_open(const char *state, const char *run, const json_t *opening, const char *policy_text,
                 struct journal **result, struct error *err)
{
    auto_free char *runs = run_path(state, NULL, NULL), *dir = run_path(state, run, NULL),
                   *path = run_path(state, run, "journal.jsonl"),
                   *policy = run_path(state, run, "policy.lua");
    if (make_dirs(dir) < 0)
        return error_errno(err, errno,
                           "the journal's folder %s cannot be made, so nothing was changed (--state DIR "
                           "names another place)",
                           dir);
    auto_fd int copy = open(policy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (copy < 0 || fd < 0 || write_all(copy, policy_text, strlen(policy_text)) < 0 || lock_journal(fd) < 0 ||
        sync_dir(runs) < 0 || sync_dir(dir) < 0)
        return error_errno(err, errno, "the journal %s cannot be written, so nothing was changed", path);
    struct journal *journal = journal_new(steal_fd(&fd), path);
    if (journal_add(journal, opening, true, err) < 0) {
        journal_close(journal);
        return -1;
    }
    *result = journal;
    return 0;
}

int journal_resume(const char *state, const char *run, struct journal **result, struct error *err)
{
    if (check_run_name(run, err) < 0)
        return -1;
    auto_free char *path = run_path(state, run, "journal.jsonl");
    auto_fd int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? fail_no_run(state, run, err)
                               : error_errno(err, errno, "the journal %s", path);
    if (lock_journal(fd) < 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "run %s is still going on here", run);
    // What a power cut tore stays where it is, on a line of its own.
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n' && write_all(fd, "\n", 1) < 0)
        return error_errno(err, errno, "the journal %s cannot be written", path);
    *result = journal_new(steal_fd(&fd), path);
    return 0;
}

int journal_add(struct journal *journal, const json_t *record, bool sync, struct error *err)
{
    auto_free char *text = json_dumps(record, JSON_COMPACT);
    if (!text)
        return error_set(err, ERR_BUG, 0, "a line for the journal %s is no JSON", journal->path);
    auto_free char *line = xasprintf("%s\n", text);
    off_t before = lseek(journal->fd, 0, SEEK_END);
    if (write_all(journal->fd, line, strlen(line)) == 0 && (!sync || fdatasync(journal->fd) == 0))
        return 0;
    error_errno(err, errno, "the journal %s cannot be written", journal->path);
    // Half a line would spoil the next one.
    if (before >= 0 && ftruncate(journal->fd, before) < 0)
        error_prefix(err, "and what was written of a line cannot be taken back");
    return -1;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal->path);
    free(journal);
}

// ---- reading ----

int journal_read(const char *state, const char *run, json_t **records, struct error *err)
{
    auto_free char *path = run_path(state, run, "journal.jsonl"), *text = NULL;
    size_t len;
    if (check_run_name(run, err) < 0)
        return -1;
    if (read_whole_file(path, JOURNAL_MAX, &text, &len) < 0)
        return errno == ENOENT ? fail_no_run(state, run, err)
                               : error_errno(err, errno, "the journal %s", path);
    auto_json json_t *all = json_array();
    for (const char *line = text, *end;
         line < text + len && (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
        json_t *record = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, NULL);
        if (json_is_object(record) && json_is_string(json_object_get(record, "type")))
            json_array_append(all, record);
        json_decref(record);
    }
    const json_t *first = json_array_get(all, 0);
    if (!STREQ(json_str(first, "type", ""), "open") || !STREQ(json_str(first, "run", ""), run))
        return error_set(
            err, ERR_SYSTEM, EILSEQ,
            "the journal %s has no whole first line: the run had changed nothing yet, or this is no journal",
            path);
    *records = steal(&all);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(int above, const char *name)
{
    struct stat st;
    return fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int journal_runs(const char *state, json_t **names, struct error *err)
{
    auto_free char *path = run_path(state, NULL, NULL);
    auto_json json_t *all = json_array();
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT && state && access(state, F_OK) < 0)
        return error_set(err, ERR_USAGE, 0, "there is no folder %s with runs in it (--state)", state);
    if (!folder && errno != ENOENT)
        return error_errno(err, errno, "the runs in %s", path);
    char **found = NULL;
    size_t count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (is_run_name(entry->d_name) && is_folder(dirfd(folder), entry->d_name)) {
            found = xrealloc(found, (count + 1) * sizeof *found);
            found[count++] = xstrdup(entry->d_name);
        }
    if (folder)
        closedir(folder);
    if (count)
        qsort(found, count, sizeof *found, compare_names);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(all, json_string(found[i]));
        free(found[i]);
    }
    free(found);
    *names = steal(&all);
    return 0;
}

const json_t *journal_verdict(const json_t *records)
{
    const json_t *verdict = NULL;
    size_t i;
    json_t *record;
    json_array_foreach((json_t *)(uintptr_t)records, i, record) {
        const char *type = json_str(record, "type", "");
        if (STREQ(type, "recover"))
            verdict = NULL;
        else if (STREQ(type, "verdict") && !STREQ(json_str(record, "outcome", ""), "in_doubt"))
            verdict = record;
    }
    return verdict;
}

bool journal_is_live(const char *state, const char *run)
{
    auto_free char *path = run_path(state, run, "journal.jsonl");
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

int journal_remove(const char *state, const char *run, struct error *err)
{
    static const char *const files[] = {"policy.lua", "journal.jsonl"};
    struct journal *journal;
    if (journal_resume(state, run, &journal, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < COUNT_OF(files); i++) {
        auto_free char *path = run_path(state, run, files[i]);
        rc = unlink(path) < 0 && errno != ENOENT ? -1 : 0;
    }
    auto_free char *dir = run_path(state, run, NULL);
    if (rc < 0 || rmdir(dir) < 0)
        rc = error_errno(err, errno, "run %s cannot be removed (%s)", run, dir);
    journal_close(journal);
    return rc;
}
