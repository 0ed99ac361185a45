// SPDX-License-Identifier: MIT
// What a run leaves on the host that it changes, root's alone and on disk before the change is made: the
// originals (RUN/N, the bytes; RUN/N.json, what it takes to put them back), the effects (RUN/N.note; those
// that were undone since have RUN/N.undone), and the
// run's claim. With them another controller can end the run.
#include "world/agent/ops_internal.h"

#include "base/io.h"
#include "base/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_MAX = 16 << 20 };

const char *agent_keep_dir = KEEP_DIR, *agent_claim_dir = CLAIM_DIR;

void keep_at_home(void)
{
    const char *home = getenv("HOME");
    if (home && *home == '/')
        agent_keep_dir = xasprintf("%s/.local/state/migrun/kept", home);
}

int keep_parse(const char *keep, char run[RUN_NAME_MAX + 1], char number[KEEP_NUMBER_MAX + 1],
               struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
                      digits[] = "0123456789";
    size_t n = strspn(keep, letters), d = keep[n] == '/' ? strspn(keep + n + 1, digits) : 0;
    bool fits = n > 0 && n <= RUN_NAME_MAX && *keep != '.' &&
                (number ? d > 0 && d <= KEEP_NUMBER_MAX && !keep[n + 1 + d] : !keep[n]);
    if (!fits) {
        auto_free char *shown = printable(keep);
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%s' is not a valid name of %s", shown,
                         number ? "what is kept (RUN/NUMBER)" : "a run");
    }
    snprintf(run, RUN_NAME_MAX + 1, "%.*s", (int)n, keep);
    if (number)
        snprintf(number, KEEP_NUMBER_MAX + 1, "%s", keep + n + 1);
    return 0;
}

static int sync_path(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

// Makes a folder and those above it; what is new is on disk. -1 with errno.
int make_folder(const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    auto_free char *parent = len ? xstrndup(path, len) : xstrdup("/");
    int rc = mkdir(path, 0700);
    if (rc < 0 && errno == ENOENT && len && make_folder(parent) == 0)
        rc = mkdir(path, 0700);
    if (rc < 0)
        return errno == EEXIST ? 0 : -1;
    return sync_path(parent);
}

// What lies in the folder is believed: nobody else may enter it, nor do to the one above what not_above says.
static int check_private(int folder, const char *path, mode_t not_above, struct error *err)
{
    auto_free char *parent = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
    struct stat above, st;
    if (fstat(folder, &st) < 0 || lstat(parent, &above) < 0)
        return error_errno(err, errno, "looking at %s", path);
    bool owned = (st.st_uid == geteuid() || st.st_uid == 0) &&
                 (above.st_uid == geteuid() || above.st_uid == 0);
    if (!owned || st.st_mode & 077 || above.st_mode & not_above)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s is open to other users: chown root and chmod 700 %s and the folders in it", path,
                         parent);
    return check_way(parent, err);
}

// A run's folder of originals; it and the folder above it are ours and closed to others.
int keep_folder(const char *run, bool make, struct error *err)
{
    auto_free char *path = xasprintf("%s/%s", agent_keep_dir, run);
    if (make && make_folder(path) < 0)
        return error_errno(err, errno, "the original cannot be kept in %s", path);
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "the originals in %s", path);
    return check_private(fd, path, 077, err) < 0 ? -1 : steal_fd(&fd);
}

int keep_bytes(int folder, const char *name, const void *data, size_t len)
{
    auto_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (write_all(fd, data, len) == 0 && fsync(fd) == 0)
        return 0;
    int saved = errno;
    unlinkat(folder, name, 0); // half of it would be taken for all of it
    errno = saved;
    return -1;
}

int kept_bytes(int folder, const char *name, size_t limit, char **data, size_t *len)
{
    auto_fd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -1 : read_whole_fd(fd, limit, data, len);
}

static int clear_folder(int fd)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return -1;
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder));)
        if (!STREQ(entry->d_name, ".") && !STREQ(entry->d_name, ".."))
            rc = unlinkat(dirfd(folder), entry->d_name, 0);
    int saved = errno;
    closedir(folder);
    errno = saved;
    return rc;
}

// A folder that is not there yet is no failure: nothing is kept in it.
int unless_absent(const struct error *failure, struct error *err)
{
    if (failure->domain == ERR_SYSTEM && failure->code == ENOENT)
        return 0;
    if (err)
        *err = *failure;
    return -1;
}

SERVE(serve_forget)
{
    char run[RUN_NAME_MAX + 1];
    if (keep_parse(json_str(request, "run", ""), run, NULL, err) < 0)
        return -1;
    struct error failure;
    int fd = keep_folder(run, false, &failure);
    auto_free char *path = xasprintf("%s/%s", agent_keep_dir, run);
    if (fd < 0 && unless_absent(&failure, err) < 0)
        return -1;
    if (fd >= 0 && (clear_folder(fd) < 0 || rmdir(path) < 0))
        return error_errno(err, errno, "the originals in %s cannot be removed", path);
    *result = json_object();
    return 0;
}

// ---- notes ----

int note_effect(const json_t *request, struct error *err)
{
    const json_t *note = json_object_get(request, "note");
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    if (keep_parse(json_str(request, "keep", ""), run, number, err) < 0)
        return -1;
    if (!json_is_object(note))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "the note of the change %s/%s is not an object",
                         run, number);
    auto_fd int folder = keep_folder(run, true, err);
    if (folder < 0)
        return -1;
    auto_free char *text = json_dumps(note, JSON_COMPACT), *name = xasprintf("%s.note", number);
    if ((keep_bytes(folder, name, text, strlen(text)) < 0 && errno != EEXIST) || fsync(folder) < 0)
        return error_errno(err, errno, "%s/%s/%s, the note of a change", agent_keep_dir, run, name);
    return 0;
}

void note_undone(const json_t *request)
{
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    struct error err;
    if (keep_parse(json_str(request, "keep", ""), run, number, &err) < 0)
        return;
    auto_fd int folder = keep_folder(run, false, &err);
    auto_free char *name = xasprintf("%s.undone", number);
    if (folder >= 0 && keep_bytes(folder, name, "", 0) == 0)
        fsync(folder);
}

SERVE(serve_note)
{
    *result = json_object();
    return 0; // the note itself was written on the way here, as every request's is
}

// The object in a text. NULL with *torn: it is the beginning of one.
static json_t *parse_record(const char *text, size_t size, bool *torn)
{
    json_error_t error;
    json_t *record = json_loadb(text, size, 0, &error);
    *torn = !record && (size == 0 || json_error_code(&error) == json_error_premature_end_of_input);
    if (json_is_object(record))
        return record;
    json_decref(record);
    return NULL;
}

// Every entry of a folder whose name ends so, as parsed JSON, by its name without that end. What is torn (its
// change was not begun) is left out; what cannot be read is named in unreadable (NULL: not wanted).
static int read_records(int folder, const char *end, json_t *records, json_t *unreadable)
{
    DIR *entries = fdopendir(dup(folder));
    if (!entries)
        return -1;
    rewinddir(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        size_t len = strlen(entry->d_name), end_len = strlen(end), size;
        auto_free char *text = NULL;
        bool torn = false;
        if (len <= end_len || !STREQ(entry->d_name + len - end_len, end))
            continue;
        auto_free char *name = xstrndup(entry->d_name, len - end_len);
        bool is_read = kept_bytes(folder, entry->d_name, RECORD_MAX, &text, &size) == 0;
        json_t *record = is_read ? parse_record(text, size, &torn) : NULL;
        if (record)
            json_object_set_new(records, name, record);
        else if (!torn && unreadable)
            json_array_append_new(unreadable, json_text(entry->d_name));
    }
    closedir(entries);
    return 0;
}

SERVE(serve_notes)
{
    char run[RUN_NAME_MAX + 1];
    if (keep_parse(json_str(request, "run", ""), run, NULL, err) < 0)
        return -1;
    auto_json json_t *all = json_object(), *notes = json_object(), *unreadable = json_array();
    struct error failure;
    auto_fd int folder = keep_folder(run, false, &failure);
    if (folder < 0 && unless_absent(&failure, err) < 0)
        return -1;
    if (folder >= 0 && read_records(folder, ".note", all, unreadable) < 0)
        return error_errno(err, errno, "reading %s/%s", agent_keep_dir, run);
    const char *number;
    json_t *effect;
    json_object_foreach(all, number, effect) {
        auto_free char *undone = xasprintf("%s.undone", number);
        if (faccessat(folder, undone, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            json_object_set(notes, number, effect);
    }
    *result = json_pack("{s:O, s:O}", "notes", notes, "unreadable", unreadable);
    return 0;
}

// ---- claims ----

// The folder of claims, locked, so that two runs do not look at the same time. Its descriptor, or -1.
static int claim_folder(bool make, struct error *err)
{
    if (make && make_folder(agent_claim_dir) < 0)
        return error_errno(err, errno, "the claims' folder %s cannot be made%s", agent_claim_dir,
                           geteuid() == 0
                               ? ""
                               : " (migrun is not root there: become = \"sudo\" in the site file's "
                                 "ssh makes it so)");
    auto_fd int fd = open(agent_claim_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, make ? LOCK_EX : LOCK_SH) < 0)
        return error_errno(err, errno, "the claims in %s", agent_claim_dir);
    return check_private(fd, agent_claim_dir, 022, err) < 0 ? -1 : steal_fd(&fd);
}

static bool excludes(const json_t *one, const json_t *other)
{
    bool same = STREQ(json_str(one, "instance", "a"), json_str(other, "instance", "b"));
    return !STREQ(json_str(one, "run", ""), json_str(other, "run", "")) &&
           (same || json_flag(one, "exclusive", false) || json_flag(other, "exclusive", false));
}

SERVE(serve_claim)
{
    const json_t *claim = json_object_get(request, "claim");
    char run[RUN_NAME_MAX + 1];
    if (keep_parse(json_str(claim, "run", ""), run, NULL, err) < 0)
        return -1;
    auto_fd int folder = claim_folder(true, err);
    if (folder < 0)
        return -1;
    auto_json json_t *others = json_object();
    if (read_records(folder, ".json", others, NULL) < 0)
        return error_errno(err, errno, "reading %s", agent_claim_dir);
    const char *name;
    json_t *other;
    json_object_foreach(others, name, other)
        if (excludes(claim, other)) {
            *result = json_pack("{s:O}", "held", other);
            return 0;
        }
    auto_free char *text = json_dumps(claim, JSON_COMPACT), *file = xasprintf("%s.json", run),
                   *fresh = xasprintf(".%s.new", run);
    unlinkat(folder, fresh, 0);
    if (keep_bytes(folder, fresh, text, strlen(text)) < 0 || renameat(folder, fresh, folder, file) < 0 ||
        fsync(folder) < 0)
        return error_errno(err, errno, "the claim %s/%s cannot be written", agent_claim_dir, file);
    *result = json_object();
    return 0;
}

void claim_tell(const char *run, const char *text)
{
    struct error err;
    size_t len;
    auto_free char *file = xasprintf("%s.json", run), *fresh = xasprintf(".%s.new", run), *data = NULL;
    auto_fd int folder = claim_folder(true, &err);
    if (folder < 0 || kept_bytes(folder, file, RECORD_MAX, &data, &len) < 0)
        return;
    auto_json json_t *claim = json_loadb(data, len, 0, NULL);
    json_object_set_new(claim, "told", json_text(text));
    auto_free char *told = json_dumps(claim, JSON_COMPACT);
    unlinkat(folder, fresh, 0);
    if (told && keep_bytes(folder, fresh, told, strlen(told)) == 0 &&
        renameat(folder, fresh, folder, file) == 0)
        fsync(folder);
}

SERVE(serve_unclaim)
{
    char run[RUN_NAME_MAX + 1];
    struct error failure;
    if (keep_parse(json_str(request, "run", ""), run, NULL, err) < 0)
        return -1;
    auto_free char *file = xasprintf("%s.json", run);
    auto_fd int folder = claim_folder(false, &failure);
    if (folder < 0 && unless_absent(&failure, err) < 0)
        return -1;
    if (folder >= 0 && ((unlinkat(folder, file, 0) < 0 && errno != ENOENT) || fsync(folder) < 0))
        return error_errno(err, errno, "the claim %s/%s cannot be removed", agent_claim_dir, file);
    *result = json_object();
    return 0;
}

SERVE(serve_claims)
{
    auto_json json_t *claims = json_object(), *list = json_array();
    struct error failure;
    auto_fd int folder = claim_folder(false, &failure);
    if (folder < 0 && unless_absent(&failure, err) < 0)
        return -1;
    if (folder >= 0 && read_records(folder, ".json", claims, NULL) < 0)
        return error_errno(err, errno, "reading %s", agent_claim_dir);
    const char *name;
    json_t *claim;
    json_object_foreach(claims, name, claim)
        json_array_append(list, claim);
    *result = json_pack("{s:O}", "claims", list);
    return 0;
}
