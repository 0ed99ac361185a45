// SPDX-License-Identifier: MIT
#include "cli/confirm.h"

#include "base/io.h"
#include "base/memory.h"

#include <ctype.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

int confirm(const char *what, bool yes, struct error *err)
{
    char answer[64];
    if (yes)
        return 1;
    if (!isatty(STDIN_FILENO))
        return error_set(
            err, ERR_USAGE, 0,
            "cannot ask whether to %s, as this is not a terminal: use --yes, or -n to see it only", what);
    auto_free char *question = xasprintf("%c%s? [y/N] ", toupper((unsigned char)*what), what + 1);
    write_all(STDOUT_FILENO, question, strlen(question));
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n = poll(&input, 1, -1) == 1 ? read(STDIN_FILENO, answer, sizeof answer) : 0; // Ctrl-C: no
    return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}
