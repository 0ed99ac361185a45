// SPDX-License-Identifier: MIT
#include "programs.h"

#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

// Whoever comes later to this host waits for its guards (machine_await_guards).
static void tell_of_guard(void)
{
    int fd = open(MACHINE_STAND_INS "/guard.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_SH) < 0)
        abort();
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (STREQ(name, "systemctl"))
        return systemctl_main(argc, argv);
    if (STREQ(name, "virsh"))
        return virsh_main(argc, argv);
    if (STREQ(name, "ssh-keygen"))
        return ssh_keygen_main(argc, argv);
    if (STREQ(name, "nft"))
        return nft_main(argc, argv);
    if (STREQ(name, "journalctl"))
        return 0;
    if (STREQ(name, "sshd") || STREQ(name, "nova-compute")) {
        puts(STREQ(name, "sshd") ? "hostkey /etc/ssh/key" : "26.2.1");
        return 0;
    }
    if (argc == 3 && STREQ(argv[1], "--guard")) {
        steps_are_no_points();
        tell_of_guard();
    }
    return agent_main(argc, argv);
}
