// SPDX-License-Identifier: MIT
#include "world/logs/stream.h"

#include "base/memory.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *suffix, *program;
} packers[] = {{".gz", "gzip"}, {".zst", "zstd"}, {".xz", "xz"}, {".bz2", "bzip2"}};

static const char *packer_of(const char *path, size_t *plain)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < COUNT_OF(packers); i++) {
        size_t n = strlen(packers[i].suffix);
        if (len > n && STREQ(path + len - n, packers[i].suffix)) {
            *plain = len - n;
            return packers[i].program;
        }
    }
    *plain = len;
    return NULL;
}

size_t stream_plain_length(const char *path)
{
    size_t plain;
    packer_of(path, &plain);
    return plain;
}

int stream_program(const char *const *argv, int in, struct stream *stream, struct error *err)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot make a pipe to %s", argv[0]);
    pid_t pid = spawn(&(struct spawn){.in = in, .out = out[1], .err = -1, .dies_by = SIGKILL});
    if (pid == 0)
        spawn_exec(argv, STDERR_FILENO, false);
    int failure = errno;
    close(out[1]);
    if (pid < 0) {
        close(out[0]);
        return error_errno(err, failure, "cannot start %s", argv[0]);
    }
    *stream = (struct stream){.fd = out[0], .pid = pid, .size = -1};
    return 0;
}

int stream_open(const char *path, struct stream *stream, struct error *err)
{
    size_t plain;
    const char *program = packer_of(path, &plain);
    struct stat st;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, errno, "cannot be opened");
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_SYSTEM, EINVAL, "is not a regular file");
    if (program)
        return stream_program((const char *const[]){program, "-dc", NULL}, fd, stream, err);
    *stream = (struct stream){.fd = steal_fd(&fd), .size = st.st_size, .is_plain = true};
    return 0;
}

int stream_close(struct stream *stream, struct error *err)
{
    int status = 0;
    char rest;
    bool ended = stream->pid > 0 && read(stream->fd, &rest, 1) == 0;
    if (stream->fd >= 0)
        close(stream->fd);
    if (stream->pid > 0) {
        if (!ended)
            kill(stream->pid, SIGKILL);
        while (waitpid(stream->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    *stream = (struct stream){.fd = -1};
    if (!ended || status == 0)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 127
               ? error_set(err, ERR_SYSTEM, ENOENT, "the program that unpacks it is not installed")
               : error_set(err, ERR_SYSTEM, EIO, "it is damaged, and was read as far as it goes");
}
