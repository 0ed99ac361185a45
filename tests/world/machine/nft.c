// SPDX-License-Identifier: MIT
// Stands in for nft: a table is a file of its name in /run.
#include "programs.h"

#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = 4096 };

// Of the last "table inet NAME" in a text.
static char *path_of(const char *text)
{
    static const char before[] = "table inet ";
    const char *found = NULL;
    for (const char *next = text; (next = strstr(next, before)); next += strlen(before))
        found = next + strlen(before);
    return found ? xasprintf("/run/%.*s", (int)strcspn(found, " ;{\n"), found) : NULL;
}

// nft -f -, with tables on its stdin; nft 'add table inet NAME; delete table inet NAME'.
int nft_main(int argc, char **argv)
{
    char text[TEXT_MOST + 1];
    bool loads = argc == 3 && STREQ(argv[1], "-f");
    size_t len = loads ? fread(text, 1, TEXT_MOST, stdin) : 0;
    text[len] = '\0';
    auto_free char *path = path_of(loads ? text : argv[argc - 1]);
    if (!path || !step(true, "nft %s", loads ? "loads" : "deletes"))
        return 1;
    if (!loads)
        return unlink(path) < 0 && errno != ENOENT;
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0;
}
