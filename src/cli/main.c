// SPDX-License-Identifier: MIT
// migrun: finds the command and runs it.
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static bool takes_value(const char *word)
{
    for (const struct command *command = commands; command->name; command++)
        for (const struct command_option *option = command->options; option->name; option++)
            if (option->value &&
                (word[1] == '-' ? STREQ(option->name, word + 2) : word[1] == option->id && !word[2]))
                return true;
    return false;
}

// The command that the first word names which is neither an option nor an option's value (a command may stand
// behind options too); the word is taken away.
static const struct command *choose_command(int *argc, char **argv)
{
    int i = 1;
    while (i < *argc && argv[i][0] == '-' && !STREQ(argv[i], "--"))
        i += takes_value(argv[i]) ? 2 : 1;
    const struct command *command = i < *argc ? command_named(argv[i]) : NULL;
    if (!command)
        return commands;
    memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv); // with its NULL
    --*argc;
    return command;
}

static int run_command(const struct command *command, struct options *options, struct error *err)
{
    if (options->version)
        return output_print("migrun " MIGRUN_VERSION "\n");
    if (!options->help)
        return command->run(options, err);
    if (command == commands && options->n_arguments)
        return policy_help(options, err);
    auto_free char *text = help_text(command);
    return output_print(text);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    occupy_standard_descriptors();
    spawn_keep_private();
    util_signals();
    locale_utf8();
    if (argc < 1)
        return 1;
    auto_free char *words = command_line_text(argc - 1, argv + 1);
    const struct command *command = choose_command(&argc, argv);
    int status = options_parse(command, argc, argv, &options, &err);
    options.command_line = xasprintf("migrun %s", words);
    if (status == 0)
        status = run_command(command, &options, &err);
    if (status < 0)
        status = output_mistake(&err, options.json || output_wants_json(argc, argv));
    options_free(&options);
    return status;
}
