#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal { int fd; char *path; };

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

int journal_open(const char *state_dir, const char *run, const char *policy_text, struct journal **result, struct error *err)
{
    auto_free char *runs = xasprintf("%s/runs", state_dir), *dir = xasprintf("%s/%s", runs, run);
    auto_free char *path = xasprintf("%s/journal.jsonl", dir), *policy = xasprintf("%s/policy.lua", dir);
    if (make_dirs(dir) < 0)
        return error_errno(err, errno, "the journal's folder %s cannot be made, so nothing was changed (--state DIR names another place)", dir);
    auto_fd int copy = open(policy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (copy < 0 || fd < 0 || write_all(copy, policy_text, strlen(policy_text)) < 0 || sync_dir(dir) < 0 || sync_dir(runs) < 0)
        return error_errno(err, errno, "the journal %s cannot be written, so nothing was changed", path);
    *result = xcalloc(1, sizeof **result);
    (*result)->fd = steal_fd(&fd);
    (*result)->path = steal(&path);
    return 0;
}

int journal_add(struct journal *journal, const json_t *record, bool sync, struct error *err)
{
    auto_free char *text = json_dumps(record, JSON_COMPACT);
    auto_free char *line = xasprintf("%s\n", text ? text : "{}");
    if (write_all(journal->fd, line, strlen(line)) < 0 || (sync && fdatasync(journal->fd) < 0))
        return error_errno(err, errno, "the journal %s cannot be written", journal->path);
    return 0;
}

void journal_sync(struct journal *journal)
{
    fdatasync(journal->fd);
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal->path);
    free(journal);
}
