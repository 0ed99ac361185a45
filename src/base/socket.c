// SPDX-License-Identifier: MIT
#include "base/socket.h"

#include "base/memory.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int address_of(const char *path, struct sockaddr_un *address, socklen_t *len)
{
    size_t n = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, n);
    if (*path == '@')
        address->sun_path[0] = '\0';
    // An abstract name has no NUL at its end, and all of it counts.
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path != '@'));
    return 0;
}

int unix_connect(const char *path, int type)
{
    struct sockaddr_un address;
    socklen_t len;
    if (address_of(path, &address, &len) < 0)
        return -1;
    auto_fd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, len) == 0 ? steal_fd(&fd) : -1;
}

int unix_listen(const char *path, int backlog)
{
    struct sockaddr_un address;
    socklen_t len;
    if (address_of(path, &address, &len) < 0)
        return -1;
    unlink(path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, backlog) == 0
               ? steal_fd(&fd)
               : -1;
}
