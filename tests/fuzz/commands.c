// SPDX-License-Identifier: MIT
// A journal of any bytes, and the commands that an operator asks about it, as whole runs: history, show and
// recover, whose hosts cannot be reached. Each ends with a status of its own or a sentence.
#include "fuzz.h"

#include "base/io.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *state_dir, *path, *site;

static void put(const char *name, const void *data, size_t size)
{
    auto_fd int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HOLDS(fd >= 0 && write_all(fd, data, size) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static const char hosts[] = "return { hosts = { 'compute-1', 'compute-2' } }\n";
    state_dir = own_folder();
    auto_free char *runs = xasprintf("%s/runs", state_dir), *dir = xasprintf("%s/r", runs);
    path = xasprintf("%s/journal.jsonl", dir);
    site = xasprintf("%s/site.lua", state_dir);
    HOLDS(mkdir(runs, 0700) == 0 && mkdir(dir, 0700) == 0);
    put(site, hosts, strlen(hosts));
    setenv("PATH", state_dir, 1); // there is no ssh in it
    locale_utf8();
    return 0;
}

static void ask(const char *const *words)
{
    struct options options;
    struct error err = {0};
    char *argv[12] = {(char *)(uintptr_t) "migrun"};
    int argc = 1;
    const struct command *command = command_named(words[0]);
    while (words[argc]) {
        argv[argc] = (char *)(uintptr_t)words[argc];
        argc++;
    }
    int status = options_parse(command, argc, argv, &options, &err);
    options.command_line = xstrdup("fuzz");
    if (status == 0)
        status = command->run(&options, &err);
    HOLDS(status >= 0 ? status < 128 : *err.message != '\0');
    options_free(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    put(path, data, size);
    const char *const all[][10] = {
        {"history", "--state", state_dir},
        {"history", "--state", state_dir, "--json"},
        {"show", "r", "--state", state_dir, "-v"},
        {"show", "r", "--state", state_dir, "--json"},
        {"recover", "-n", "r", "--state", state_dir, "--site", site},
        {"recover", "r", "--state", state_dir, "--site", site, "--json"},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        ask(all[i]);
    return 0;
}
