// SPDX-License-Identifier: MIT
#include "cli/bundle.h"

#include "base/mask.h"
#include "base/process.h"
#include "world/logs/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes the folders on the way to a file.
static int make_way(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0700), failure = errno;
        *slash = '/';
        if (rc < 0 && failure != EEXIST)
            return -1;
    }
    return 0;
}

static int write_text(const char *folder, const char *name, const char *text, struct error *err)
{
    auto_free char *path = xasprintf("%s/%s", folder, name), *masked = mask_secrets(text);
    if (make_way(path) < 0)
        return error_errno(err, errno, "cannot make the folders of %s", path);
    FILE *file = fopen(path, "a");
    if (!file)
        return error_errno(err, errno, "cannot write %s", path);
    bool failed = fputs(masked, file) < 0;
    failed = fclose(file) != 0 || failed;
    return failed ? error_errno(err, errno, "cannot write %s", path) : 0;
}

// A path may be the host's own idea of one.
static bool is_plain(const char *path) { return !strstr(path, "..") && *path; }

static char *name_of(const char *host, const char *path)
{
    auto_free char *plain = xstrndup(path, stream_plain_length(path));
    return STREQ(plain, "journal") ? xasprintf("%s/var/log/journal.txt", host)
                                   : xasprintf("%s/%s", host, *plain == '/' ? plain + 1 : plain);
}

// The lines of one file, together, so that a secret of several lines is found.
static int write_file(const char *folder, const char *host, const json_t *answer, size_t index,
                      struct error *err)
{
    const json_t *file = json_array_get(json_object_get(answer, "files"), index);
    const char *path = json_str(file, "as", json_str(file, "path", ""));
    auto_buf struct buf text = {0};
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(answer, "lines"), i, line)
        if ((size_t)json_int(line, "file", -1) == index)
            buf_printf(&text, "%s\n", json_str(line, "text", ""));
    if (!text.len || !is_plain(path) || !is_plain(host) || strchr(host, '/'))
        return 0;
    auto_free char *name = name_of(host, path);
    return write_text(folder, name, text.data, err);
}

static int write_all_files(const char *folder, const json_t *read, const json_t *answer, struct error *err)
{
    const char *host;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)read, host, one)
        for (size_t i = 0; i < json_array_size(json_object_get(one, "files")); i++)
            if (write_file(folder, host, one, i, err) < 0)
                return -1;
    auto_free char *text = json_dumps(answer, JSON_INDENT(2) | JSON_SORT_KEYS);
    return write_text(folder, ".diagnosis.json", text ? text : "{}", err);
}

static int run(const char *const *argv, struct error *err)
{
    struct process_result result = {0};
    const struct process_request request = {.argv = argv, .watch_fd = -1};
    if (process_run(&request, &result, err) < 0)
        return -1;
    auto_free char *said = process_said(&result);
    int status = result.status;
    process_result_free(&result);
    return status == 0 ? 0 : error_set(err, ERR_COMMAND, status, "%s failed: %s", argv[0], said);
}

int bundle_write(const char *path, const json_t *read, const json_t *answer, struct error *err)
{
    char folder[] = "/tmp/migrun-bundle-XXXXXX";
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, ERR_USAGE, 0, "--bundle %s cannot be made: %s", path, strerror(errno));
    close(fd);
    int rc = mkdtemp(folder) ? 0 : error_errno(err, errno, "cannot make a folder in /tmp");
    if (rc == 0) {
        rc = write_all_files(folder, read, answer, err);
        if (rc == 0)
            rc = run((const char *const[]){"tar", "-czf", path, "-C", folder, ".", NULL}, err);
        run((const char *const[]){"rm", "-rf", folder, NULL}, NULL);
    }
    if (rc < 0)
        unlink(path);
    return rc;
}
