// SPDX-License-Identifier: MIT
// Files of the host. A path's folder is opened once and everything happens in it; the file itself is held by
// a descriptor before it is judged, so that the file that was looked at is the file that is read or changed.
// Its last part is never followed; where something is to be changed, nor are other users' links on the way to
// its folder (path.c).
#include "world/agent/ops_internal.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { META_MAX = 32 << 20 };

static const int64_t ID_MOST = UINT32_MAX - 1;

// ---- a path ----

struct place {
    const char *path; // as asked, the request's
    char *shown;      // for errors
    char *name;       // its last part
    char *temporary;  // the name that new contents have there until they are in place
    int folder;       // O_PATH
};

static void place_close(struct place *p)
{
    free(p->shown);
    free(p->name);
    free(p->temporary);
    util_close_fd(&p->folder);
}
#define auto_place cleanup(place_close)
#define NO_PLACE     \
    {                \
        .folder = -1 \
    }

static int place_open(const json_t *request, bool changes, struct place *p, struct error *err)
{
    const json_t *value = json_object_get(request, "path");
    p->path = json_string_value(value);
    p->shown = printable(p->path ? p->path : "");
    if (!p->path || *p->path != '/' || strlen(p->path) != json_string_length(value))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%s' is not an absolute path", p->shown);
    size_t len = strlen(p->path), start;
    while (len > 1 && p->path[len - 1] == '/') // a '/' at the end would make the kernel follow a link
        len--;
    for (start = len; p->path[start - 1] != '/'; start--)
        ;
    p->name = len > start ? xstrndup(p->path + start, len - start) : xstrdup(".");
    auto_free char *folder = xstrndup(p->path, start);
    if (changes) {
        p->folder = folder_open(folder, p->shown, err);
        return p->folder < 0 ? -1 : 0;
    }
    p->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return p->folder < 0 ? error_errno(err, errno, "%s", p->shown) : 0;
}

struct fd_path fd_path(int fd)
{
    struct fd_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

// Takes hold of what is there without opening it: O_PATH reads no device and waits for no pipe. Returns the
// descriptor.
static int hold(const struct place *p, struct stat *st, struct error *err)
{
    auto_fd int fd = openat(p->folder, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, st) < 0)
        return error_errno(err, errno, "%s", p->shown);
    return steal_fd(&fd);
}

static int hold_no_link(const struct place *p, struct stat *st, struct error *err)
{
    auto_fd int fd = hold(p, st, err);
    if (fd >= 0 && S_ISLNK(st->st_mode))
        return error_set(err, ERR_SYSTEM, ELOOP,
                         "%s is a symbolic link, which migrun does not follow: name the file it leads to",
                         p->shown);
    return steal_fd(&fd);
}

static int hold_file(const struct place *p, struct stat *st, struct error *err)
{
    auto_fd int fd = hold_no_link(p, st, err);
    if (fd >= 0 && S_ISDIR(st->st_mode))
        return error_set(err, ERR_SYSTEM, EISDIR, "%s is a folder, not a file", p->shown);
    if (fd >= 0 && !S_ISREG(st->st_mode))
        return error_set(err, ERR_SYSTEM, EINVAL, "%s is not a regular file", p->shown);
    return steal_fd(&fd);
}

// Files that look regular, but whoever reads them waits for messages, and takes them away from others.
static bool is_queue(const struct place *p, int held, const struct stat *st)
{
    struct statfs on;
    struct stat kmsg;
    if (fstatfs(held, &on) < 0)
        return false;
    if (on.f_type == TRACEFS_MAGIC || on.f_type == DEBUGFS_MAGIC)
        return strncmp(p->name, "trace_pipe", 10) == 0;
    return on.f_type == PROC_SUPER_MAGIC && stat("/proc/kmsg", &kmsg) == 0 && kmsg.st_ino == st->st_ino;
}

// Folders of libvirt's records of guests. Their daemon has them in memory and writes them anew; only a
// surgery changes them.
static const struct {
    const char *path;
    bool alone; // what is below it are sockets and the like
} records[] = {{"/run/libvirt/qemu", true},
               {"/etc/libvirt/qemu", false},
               {"/var/lib/libvirt/qemu/save", false},
               {"/var/lib/libvirt/qemu/snapshot", false},
               {"/var/lib/libvirt/qemu/checkpoint", false}};

// By device and inode, so that it does not matter which path led to it.
static bool is_folder_of_records(const struct stat *st, bool from_below)
{
    struct stat record;
    for (size_t i = 0; i < COUNT_OF(records); i++)
        if (!(from_below && records[i].alone) && stat(records[i].path, &record) == 0 &&
            record.st_dev == st->st_dev && record.st_ino == st->st_ino)
            return true;
    return false;
}

// Whether a folder, or one above it, is one of records.
static bool is_of_records(int folder)
{
    struct stat st, above;
    auto_fd int at = dup(folder);
    if (at < 0 || fstat(at, &st) < 0)
        return true; // it cannot be told
    for (bool from_below = false;; from_below = true) {
        if (is_folder_of_records(&st, from_below))
            return true;
        auto_fd int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (up < 0 || fstat(up, &above) < 0)
            return true;
        if (above.st_dev == st.st_dev && above.st_ino == st.st_ino)
            return false; // the root
        st = above;
        util_close_fd(&at);
        at = steal_fd(&up);
    }
}

static int refuse_record(const struct place *p, struct error *err)
{
    return error_set(
        err, ERR_REFUSED, REFUSED_OTHER,
        "%s is a record of libvirt's, which its daemon writes anew: only an edit_xml while it is "
        "stopped changes it",
        p->shown);
}

static int check_no_record(const struct place *p, struct error *err)
{
    return is_of_records(p->folder) ? refuse_record(p, err) : 0;
}

// No regular file is waited for.
static int reopen(const struct place *p, int held, const struct stat *st, struct error *err)
{
    if (is_queue(p, held, st))
        return error_set(err, ERR_SYSTEM, EINVAL,
                         "%s is not a regular file: reading it would take its messages away", p->shown);
    int fd = open(fd_path(held).text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? error_errno(err, errno, "cannot read %s", p->shown) : fd;
}

static int contents(const struct place *p, int held, const struct stat *st, size_t limit, char **data,
                    size_t *len, struct error *err)
{
    auto_fd int fd = reopen(p, held, st, err);
    if (fd < 0)
        return -1;
    if (read_whole_fd(fd, limit, data, len) == 0)
        return 0;
    if (errno != EFBIG)
        return error_errno(err, errno, "cannot read %s", p->shown);
    auto_free char *most = bytes_text((double)limit);
    return error_set(err, ERR_SYSTEM, EFBIG, "%s is larger than the %s that are read", p->shown, most);
}

int file_open(const json_t *request, char **shown, struct stat *st, struct error *err)
{
    struct place auto_place p = NO_PLACE;
    if (place_open(request, false, &p, err) < 0)
        return -1;
    auto_fd int held = hold_file(&p, st, err);
    int fd = held < 0 ? -1 : reopen(&p, held, st, err);
    *shown = xstrdup(p.shown);
    return fd;
}

// ---- what a file is ----

char *user_name(uid_t uid)
{
    const struct passwd *user = getpwuid(uid);
    return user ? xstrdup(user->pw_name) : NULL;
}

char *group_name(gid_t gid)
{
    const struct group *group = getgrgid(gid);
    return group ? xstrdup(group->gr_name) : NULL;
}

static const char *type_word(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFBLK: return "block";
    case S_IFCHR: return "char";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    default: return "file";
    }
}

static json_t *stat_json(const struct stat *st)
{
    auto_free char *user = user_name(st->st_uid), *group = group_name(st->st_gid);
    return json_pack(
        "{s:s, s:i, s:I, s:I, s:s*, s:s*, s:I, s:f, s:I, s:I, s:I}", "type", type_word(st->st_mode), "mode",
        (int)(st->st_mode & 07777), "uid", (json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid, "user",
        user, "group", group, "size", (json_int_t)st->st_size, "mtime",
        (double)st->st_mtim.tv_sec + (double)st->st_mtim.tv_nsec / 1e9, "inode", (json_int_t)st->st_ino,
        "device", (json_int_t)st->st_dev, "links", (json_int_t)st->st_nlink);
}

// What a file is after a change.
static int tell(const struct place *p, int fd, json_t **result, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_errno(err, errno, "%s", p->shown);
    *result = stat_json(&st);
    return 0;
}

SERVE(serve_stat)
{
    struct place auto_place p = NO_PLACE;
    struct stat st;
    if (place_open(request, false, &p, err) < 0)
        return -1;
    auto_fd int fd = hold(&p, &st, err);
    if (fd < 0)
        return -1;
    *result = stat_json(&st);
    return 0;
}

SERVE(serve_read)
{
    struct place auto_place p = NO_PLACE;
    struct stat st;
    int64_t limit = json_int(request, "limit", WIRE_BODY_MAX);
    size_t most = limit < 0 || limit > (int64_t)WIRE_BODY_MAX ? WIRE_BODY_MAX : (size_t)limit;
    if (place_open(request, false, &p, err) < 0)
        return -1;
    auto_fd int fd = hold_file(&p, &st, err);
    if (fd < 0 || contents(&p, fd, &st, most, &result_body->data, &result_body->len, err) < 0)
        return -1;
    char hash[65];
    sha256_hex(result_body->data, result_body->len, hash);
    *result = stat_json(&st);
    json_object_set_new(*result, "sha256", json_string(hash));
    return 0;
}

static int is_entry(const struct dirent *entry)
{
    return !STREQ(entry->d_name, ".") && !STREQ(entry->d_name, "..");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

SERVE(serve_list)
{
    struct place auto_place p = NO_PLACE;
    struct stat st;
    if (place_open(request, false, &p, err) < 0)
        return -1;
    auto_fd int fd = hold_no_link(&p, &st, err);
    if (fd < 0)
        return -1;
    struct dirent **names;
    int count = scandir(fd_path(fd).text, &names, is_entry, by_name);
    if (count < 0)
        return error_errno(err, errno, "cannot list %s", p.shown);
    json_t *entries = json_array();
    for (int i = 0; i < count; i++) {
        if (fstatat(fd, names[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) { // else it went away meanwhile
            json_t *entry = stat_json(&st);
            json_object_set_new(entry, "name", json_text(names[i]->d_name));
            json_array_append_new(entries, entry);
        }
        free(names[i]);
    }
    free(names);
    *result = json_pack("{s:o}", "entries", entries);
    return 0;
}

// ---- a file as it was found ----

struct file {
    bool absent;
    dev_t device;
    ino_t inode;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    json_t *attributes; // NULL: as the folder gives them to a new file
    char *data;
    size_t len;
    char hash[65];
};

static void file_free(struct file *f)
{
    json_decref(f->attributes);
    free(f->data);
}
#define auto_file cleanup(file_free)

static int changed(const struct place *p, const char *how, struct error *err)
{
    return error_set(err, ERR_REFUSED, REFUSED_CHANGED,
                     "%s %s since it was looked at, so it is left as it is", p->shown, how);
}

static int find(const struct place *p, struct file *f, struct error *err)
{
    struct stat st;
    struct error failure;
    auto_fd int fd = hold_file(p, &st, &failure);
    if (fd < 0) {
        f->absent = failure.domain == ERR_SYSTEM && failure.code == ENOENT;
        if (!f->absent && err)
            *err = failure;
        return f->absent ? 0 : -1;
    }
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->mode = st.st_mode & 07777;
    f->uid = st.st_uid;
    f->gid = st.st_gid;
    if (contents(p, fd, &st, WIRE_BODY_MAX, &f->data, &f->len, err) < 0 ||
        attributes_of(fd, p->shown, &f->attributes, err) < 0)
        return -1;
    sha256_hex(f->data, f->len, f->hash);
    return 0;
}

static int check_expectation(const struct place *p, const struct file *found, const json_t *request,
                             struct error *err)
{
    const json_t *expect = json_object_get(request, "expect");
    const char *hash = json_str(expect, "sha256", NULL);
    bool absent = json_flag(expect, "absent", false);
    if (!expect)
        return 0;
    if (!absent && !hash)
        return error_set(err, ERR_BUG, 0, "what is expected of %s is neither a hash nor that it is absent",
                         p->shown);
    if (absent)
        return found->absent ? 0 : changed(p, "was made", err);
    if (found->absent)
        return changed(p, "was removed", err);
    return STREQ(hash, found->hash) ? 0 : changed(p, "was changed", err);
}

// Right before the change: the very file that was found, with the contents that it had (and that were kept),
// is still the one there.
static int check_still(const struct place *p, const struct file *found, struct error *err)
{
    struct file auto_file now = {0};
    if (find(p, &now, err) < 0)
        return -1;
    if (now.absent != found->absent)
        return changed(p, now.absent ? "was removed" : "was made", err);
    bool same = now.absent || (now.device == found->device && now.inode == found->inode &&
                               now.mode == found->mode && now.uid == found->uid && now.gid == found->gid &&
                               STREQ(now.hash, found->hash) && json_equal(now.attributes, found->attributes));
    return same ? 0 : changed(p, "was changed", err);
}

// ---- numbers ----

// A number of a request, which stays as it is where there is none.
static int take_number(const json_t *request, const char *key, int64_t least, int64_t most, int64_t *number,
                       struct error *err)
{
    const json_t *given = json_object_get(request, key);
    int64_t value = json_int(request, key, least - 1);
    if (given && (value < least || value > most))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s must be a number from %lld to %lld", key,
                         (long long)least, (long long)most);
    *number = given ? value : *number;
    return 0;
}

// -1: as it is.
static int take_owner(const json_t *request, int64_t *uid, int64_t *gid, struct error *err)
{
    return take_number(request, "uid", -1, ID_MOST, uid, err) < 0 ||
                   take_number(request, "gid", -1, ID_MOST, gid, err) < 0
               ? -1
               : 0;
}

static int take_mode(const json_t *request, int64_t *mode, struct error *err)
{
    return take_number(request, "mode", 0, 07777, mode, err);
}

// ---- originals, kept: RUN/N holds the bytes, RUN/N.json what it takes to put them back ----

static json_t *meta_of(const struct place *p, const struct file *f)
{
    return f->absent ? json_pack("{s:s, s:b}", "path", p->path, "absent", 1)
                     : json_pack("{s:s, s:s, s:i, s:I, s:I, s:O}", "path", p->path, "sha256", f->hash, "mode",
                                 (int)f->mode, "uid", (json_int_t)f->uid, "gid", (json_int_t)f->gid,
                                 "attributes", f->attributes);
}

// Nothing that is kept is ever overwritten: the first original under a name is the true one.
static int keep(const struct place *p, const struct file *f, const char *name, struct error *err)
{
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    if (keep_parse(name, run, number, err) < 0)
        return -1;
    auto_fd int folder = keep_folder(run, true, err);
    if (folder < 0)
        return -1;
    auto_json json_t *meta = meta_of(p, f);
    auto_free char *text = json_dumps(meta, JSON_INDENT(2)), *meta_name = xasprintf("%s.json", number);
    if ((!f->absent && keep_bytes(folder, number, f->data, f->len) < 0) ||
        keep_bytes(folder, meta_name, text, strlen(text)) < 0 || fsync(folder) < 0)
        return error_errno(err, errno, "the original of %s cannot be kept as %s/%s", p->shown, agent_keep_dir,
                           name);
    return 0;
}

static int kept(const struct place *p, const char *name, struct file *f, struct error *err)
{
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    if (keep_parse(name, run, number, err) < 0)
        return -1;
    auto_fd int folder = keep_folder(run, false, err);
    if (folder < 0)
        return -1;
    auto_free char *meta_name = xasprintf("%s.json", number), *text = NULL;
    size_t len;
    if (kept_bytes(folder, meta_name, META_MAX, &text, &len) < 0)
        return error_errno(err, errno, "the original of %s, %s/%s", p->shown, agent_keep_dir, name);
    auto_json json_t *meta = json_loadb(text, len, 0, NULL);
    if (!meta || !STREQ(json_str(meta, "path", ""), p->path))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s/%s is not the original of %s", agent_keep_dir,
                         name, p->shown);
    f->absent = json_flag(meta, "absent", false);
    if (f->absent)
        return 0;
    if (kept_bytes(folder, number, WIRE_BODY_MAX, &f->data, &f->len) < 0)
        return error_errno(err, errno, "the original of %s, %s/%s", p->shown, agent_keep_dir, name);
    sha256_hex(f->data, f->len, f->hash);
    f->attributes = json_incref(json_object_get(meta, "attributes"));
    int64_t mode = 0600, uid = -1, gid = -1;
    bool told = take_mode(meta, &mode, NULL) == 0 && take_owner(meta, &uid, &gid, NULL) == 0;
    f->mode = (mode_t)mode;
    f->uid = (uid_t)uid;
    f->gid = (gid_t)gid;
    if (!told || !STREQ(f->hash, json_str(meta, "sha256", "")) || !json_is_object(f->attributes))
        return error_set(err, ERR_SYSTEM, EIO, "the original of %s, %s/%s, is damaged", p->shown,
                         agent_keep_dir, name);
    return 0;
}

// ---- changes to contents ----

static int sync_folder(const struct place *p, struct error *err)
{
    auto_fd int fd = openat(p->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        return error_errno(err, errno, "%s is changed, but its folder cannot be synced", p->shown);
    return 0;
}

// What a change that was cut off left there.
static int remove_temporary(const struct place *p, struct error *err)
{
    struct stat st;
    bool there = fstatat(p->folder, p->temporary, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there || unlinkat(p->folder, p->temporary, 0) == 0)
        return 0;
    return error_errno(err, errno, "cannot remove %s from the folder of %s", p->temporary, p->shown);
}

// The name is the change's own, so that whoever ends a change finds the file that its agent left there when
// it died.
static int name_temporary(const json_t *request, struct place *p, struct error *err)
{
    const char *keep = json_str(request, "keep", NULL);
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    uint64_t random;
    if (keep && keep_parse(keep, run, number, err) < 0)
        return -1;
    if (!keep && getrandom(&random, sizeof random, 0) != sizeof random)
        return error_errno(err, errno, "no random number for a temporary file's name");
    p->temporary = keep ? xasprintf(".migrun-%s-%s", run, number)
                        : xasprintf(".migrun-%016llx", (unsigned long long)random);
    return 0;
}

static int make_temporary(const struct place *p, struct error *err)
{
    if (remove_temporary(p, err) < 0)
        return -1;
    int fd = openat(p->folder, p->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? error_errno(err, errno, "cannot write in the folder of %s", p->shown) : fd;
}

SERVE(serve_tidy)
{
    struct place auto_place p = NO_PLACE;
    struct error failure;
    if (place_open(request, true, &p, &failure) < 0) {
        if (unless_absent(&failure, err) < 0)
            return -1;
    } else if (name_temporary(request, &p, err) < 0 || remove_temporary(&p, err) < 0) {
        return -1;
    }
    *result = json_object();
    return 0;
}

// The mode comes last: an owner's change clears the set-id bits, an ACL's sets the group's.
static int fill(const struct place *p, int fd, const struct file *wanted, struct error *err)
{
    struct stat st;
    if (write_all(fd, wanted->data, wanted->len) < 0 || fstat(fd, &st) < 0)
        return error_errno(err, errno, "cannot write %s", p->shown);
    bool owned = (wanted->uid == (uid_t)-1 || wanted->uid == st.st_uid) &&
                 (wanted->gid == (gid_t)-1 || wanted->gid == st.st_gid);
    if (!owned && fchown(fd, wanted->uid, wanted->gid) < 0)
        return error_errno(err, errno, "cannot give %s its owner %lld:%lld", p->shown, (long long)wanted->uid,
                           (long long)wanted->gid);
    if (wanted->attributes && attributes_set(fd, p->shown, wanted->attributes, err) < 0)
        return -1;
    if (fchmod(fd, wanted->mode) < 0 || fsync(fd) < 0)
        return error_errno(err, errno, "cannot write %s", p->shown);
    return 0;
}

// Where nothing was, nothing is replaced. A hard link does what renameat2 does where the file system has no
// flags for it.
static int put_first(const struct place *p)
{
    const char *from = p->temporary;
    if (renameat2(p->folder, from, p->folder, p->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return linkat(p->folder, from, p->folder, p->name, 0) < 0 ? -1 : unlinkat(p->folder, from, 0);
}

static int put_in_place(const struct place *p, const struct file *found, struct error *err)
{
    if (check_still(p, found, err) < 0)
        return -1;
    int rc = found->absent ? put_first(p) : renameat(p->folder, p->temporary, p->folder, p->name);
    if (rc < 0 && found->absent && errno == EEXIST)
        return changed(p, "was made", err);
    return rc < 0 ? error_errno(err, errno, "cannot put %s in place", p->shown) : 0;
}

// Puts wanted where found was, whole or not at all, and tells what is there then. name: found is kept under
// it first.
static int replace(const struct place *p, const struct file *found, const struct file *wanted,
                   const char *name, json_t **result, struct error *err)
{
    auto_fd int fd = make_temporary(p, err);
    if (fd < 0)
        return -1;
    if (fill(p, fd, wanted, err) < 0 || (name && keep(p, found, name, err) < 0) ||
        put_in_place(p, found, err) < 0) {
        unlinkat(p->folder, p->temporary, 0);
        return -1;
    }
    return sync_folder(p, err) < 0 ? -1 : tell(p, fd, result, err);
}

static int take_away(const struct place *p, const struct file *found, const char *name, json_t **result,
                     struct error *err)
{
    if ((name && keep(p, found, name, err) < 0) || check_still(p, found, err) < 0)
        return -1;
    if (!found->absent && unlinkat(p->folder, p->name, 0) < 0)
        return error_errno(err, errno, "cannot remove %s", p->shown);
    if (sync_folder(p, err) < 0)
        return -1;
    *result = json_object();
    return 0;
}

// What every change begins with: the place, what is there, and whether it is what the caller saw. agent:
// NULL for a change of a surgery that may change records.
static int look(const struct agent *agent, const json_t *request, struct place *p, struct file *found,
                struct error *err)
{
    return place_open(request, true, p, err) < 0 || (agent && check_no_record(p, err) < 0) ||
                   name_temporary(request, p, err) < 0 || find(p, found, err) < 0
               ? -1
               : check_expectation(p, found, request, err);
}

SERVE(serve_write)
{
    struct place auto_place p = NO_PLACE;
    struct file auto_file found = {0};
    if (look(agent, request, &p, &found, err) < 0)
        return -1;
    struct file wanted = found.absent ? (struct file){.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1}
                                      : found;
    wanted.data = (char *)(uintptr_t)body;
    wanted.len = body_len;
    int64_t mode = wanted.mode, uid = wanted.uid, gid = wanted.gid;
    if (take_mode(request, &mode, err) < 0 || take_owner(request, &uid, &gid, err) < 0)
        return -1;
    wanted.mode = (mode_t)mode;
    wanted.uid = (uid_t)uid;
    wanted.gid = (gid_t)gid;
    return replace(&p, &found, &wanted, json_str(request, "keep", NULL), result, err);
}

SERVE(serve_remove)
{
    struct place auto_place p = NO_PLACE;
    struct file auto_file found = {0};
    if (look(agent, request, &p, &found, err) < 0)
        return -1;
    if (found.absent)
        return error_errno(err, ENOENT, "%s", p.shown);
    return take_away(&p, &found, json_str(request, "keep", NULL), result, err);
}

SERVE(serve_restore)
{
    struct place auto_place p = NO_PLACE;
    struct file auto_file found = {0}, original = {0};
    if (look(agent, request, &p, &found, err) < 0 ||
        kept(&p, json_str(request, "keep", ""), &original, err) < 0)
        return -1;
    return original.absent ? take_away(&p, &found, NULL, result, err)
                           : replace(&p, &found, &original, NULL, result, err);
}

// ---- owner and mode ----

// Whoever may write to the folder may have made the name: of a file of somebody else's.
static int check_one_name(const struct place *p, const struct stat *st, struct error *err)
{
    if (!S_ISREG(st->st_mode) || st->st_nlink < 2 || !folder_is_others(p->folder))
        return 0;
    return error_set(
        err, ERR_REFUSED, REFUSED_OTHER,
        "%s has %lu names (hard links), and not only root may make one in its folder: change its "
        "owner or mode by hand, once it is clear which file it is",
        p->shown, (unsigned long)st->st_nlink);
}

static int check_members(const struct place *p, const struct stat *st, const json_t *request,
                         struct error *err)
{
    const json_t *expect = json_object_get(request, "expect");
    const struct {
        const char *name;
        json_int_t value;
        const char *how;
    } members[] = {
        {"device", (json_int_t)st->st_dev, "was replaced by another file"},
        {"inode", (json_int_t)st->st_ino, "was replaced by another file"},
        {"uid", st->st_uid, "was given another owner"},
        {"gid", st->st_gid, "was given another group"},
        {"mode", st->st_mode & 07777, "was given another mode"},
    };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (json_int(expect, members[i].name, members[i].value) != members[i].value)
            return changed(p, members[i].how, err);
    return 0;
}

// Takes hold of the file whose owner or mode is to change: it is the one that was looked at.
static int hold_expected(const json_t *request, struct place *p, struct stat *st, struct error *err)
{
    if (place_open(request, true, p, err) < 0 || check_no_record(p, err) < 0)
        return -1;
    auto_fd int fd = hold_no_link(p, st, err);
    if (fd < 0)
        return -1;
    if (is_folder_of_records(st, false))
        return refuse_record(p, err);
    return check_members(p, st, request, err) < 0 || check_one_name(p, st, err) < 0 ? -1 : steal_fd(&fd);
}

SERVE(serve_chown)
{
    struct place auto_place p = NO_PLACE;
    struct stat st;
    int64_t uid = -1, gid = -1;
    if (take_owner(request, &uid, &gid, err) < 0)
        return -1;
    auto_fd int fd = hold_expected(request, &p, &st, err);
    if (fd < 0)
        return -1;
    if (S_ISREG(st.st_mode) && getxattr(fd_path(fd).text, "security.capability", NULL, 0) > 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s has capabilities, which another owner would take from it: chown it by hand, and "
                         "setcap it again",
                         p.shown);
    if (fchownat(fd, "", (uid_t)uid, (gid_t)gid, AT_EMPTY_PATH) < 0)
        return error_errno(err, errno, "cannot give %s to %lld:%lld", p.shown, (long long)uid,
                           (long long)gid);
    return tell(&p, fd, result, err);
}

SERVE(serve_chmod)
{
    struct place auto_place p = NO_PLACE;
    struct stat st;
    int64_t mode = -1;
    if (take_mode(request, &mode, err) < 0)
        return -1;
    if (mode < 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "a change of mode needs one");
    auto_fd int fd = hold_expected(request, &p, &st, err);
    if (fd < 0)
        return -1;
    if (chmod(fd_path(fd).text, (mode_t)mode) < 0) // fchmod refuses a descriptor that only holds
        return error_errno(err, errno, "cannot give %s the mode %04o", p.shown, (unsigned)mode);
    return tell(&p, fd, result, err);
}
