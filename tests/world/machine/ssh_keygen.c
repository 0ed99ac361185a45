// SPDX-License-Identifier: MIT
// Stands in for ssh-keygen: the key of a host is the same in every run.
#include "programs.h"

#include "base/io.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(const char *path, const char *text, mode_t mode)
{
    if (!step(true, "ssh-keygen %s", path))
        return -1;
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 || fchmod(fd, mode) < 0 ? -1 : write_all(fd, text, strlen(text));
}

int ssh_keygen_main(int argc, char **argv)
{
    const char *path = argv[argc - 1];
    auto_free char *public = xasprintf("%s.pub", path);
    if (put(path, "a key\n", 0600) == 0 && put(public, "ssh-ed25519 AAAAkey migrun\n", 0644) == 0)
        return 0;
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
}
