// SPDX-License-Identifier: MIT
// migrun: the table of commands, and how a mistake is told.
#include "base/interrupt.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/text.h"

#include <fcntl.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"move", move_main}, // also what is meant where no command is named
    {"recover", recover_main},
    {"history", history_main},
    {"show", show_main},
};

// "policies/mine.lua:14:9: …": the message names its place itself.
static bool begins_with_place(const char *message)
{
    for (const char *colon = message; *colon && *colon != '\n'; colon++) {
        size_t digits = *colon == ':' ? strspn(colon + 1, "0123456789") : 0;
        if (digits && colon[1 + digits] == ':')
            return colon > message;
        if (*colon == ':' && colon[1] == ' ')
            return false;
    }
    return false;
}

int complain(const struct error *err)
{
    bool placed = (err->domain == ERR_POLICY || err->domain == ERR_SITE) && begins_with_place(err->message);
    bool utf8 = STREQ(nl_langinfo(CODESET), "UTF-8");
    auto_buf struct buf text = {0};
    buf_puts(&text, placed ? "" : "migrun: ");
    for (const char *line = err->message; *line;) {
        size_t length = strcspn(line, "\n");
        auto_free char *raw = xstrndup(line, length);
        for (char *tab = strchr(raw, '\t'); tab; tab = strchr(tab, '\t'))
            *tab = ' '; // one column each, as the caret below a line of source counts them
        auto_free char *clean = shown_text(raw, utf8);
        buf_printf(&text, "%s\n", clean);
        line += length;
        line += *line == '\n';
    }
    write_all(STDERR_FILENO, text.data, text.len);
    return 1;
}

// A standard descriptor that is closed would be given to the next file or socket that is opened, which would
// then be printed into. Read-only, so that printing fails as it should.
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

// The first word that is neither an option nor an option's value: a command's name may stand behind options
// too.
static int first_word(int argc, char **argv)
{
    static const char *const with_value[] = {"-p",      "--param", "--timeout", "--site", "--source",
                                             "--state", "--color", "--host",    "--prune"};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        for (size_t v = 0; v < COUNT_OF(with_value); v++)
            if (STREQ(argv[i], with_value[v])) {
                i++;
                break;
            }
    }
    return 0;
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    util_signals();
    locale_utf8();
    int word = first_word(argc, argv);
    for (size_t i = 0; word > 0 && i < COUNT_OF(commands); i++)
        if (STREQ(argv[word], commands[i].name)) {
            memmove(argv + word, argv + word + 1, (size_t)(argc - word) * sizeof *argv); // with its NULL
            return commands[i].main(argc - 1, argv);
        }
    return argc > 0 ? commands[0].main(argc, argv) : 1;
}
