// SPDX-License-Identifier: MIT
#include "cli/commands.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define SITE                                                                                            \
    {                                                                                                   \
        OPTION_SITE, "site", "FILE", "the site file (default: $MIGRUN_SITE, else /etc/migrun/site.lua)" \
    }
#define STATE                                                                                               \
    {                                                                                                       \
        OPTION_STATE, "state", "FOLDER",                                                                    \
            "where runs are recorded (default: /var/lib/migrun for root, ~/.local/state/migrun for others)" \
    }
#define VERBOSE                                                                         \
    {                                                                                   \
        'v', "verbose", NULL, "show each check as it is answered, and every difference" \
    }
#define QUIET                                                                      \
    {                                                                              \
        'q', "quiet", NULL, "show only warnings, and the verdict with its reasons" \
    }
#define JSON                                                        \
    {                                                               \
        OPTION_JSON, "json", NULL, "print one JSON object per line" \
    }
#define COLOR                                                  \
    {                                                          \
        OPTION_COLOR, "color", "WHEN", "auto, always or never" \
    }
#define VERSION                                              \
    {                                                        \
        OPTION_VERSION, "version", NULL, "print the version" \
    }
#define UNLOCKED                                                                                  \
    {                                                                                             \
        OPTION_UNLOCKED, "unlocked", NULL,                                                        \
            "read also where the kernel cannot keep a preview or a check from changing something" \
    }
#define HELP                                 \
    {                                        \
        'h', "help", NULL, "print this help" \
    }

static const struct command_option move_options[] = {
    {'n', "dry-run", NULL, "show every change and make none"},
    {'p', "param", "NAME=VALUE", "set a parameter of the policy"},
    {OPTION_TIMEOUT, "timeout", "TIME", "give up and abort after this long: 90s, 5m, 1h30m"},
    {OPTION_SOURCE, "source", "HOST", "where the guest runs, if migrun cannot find out"},
    UNLOCKED,
    SITE,
    STATE,
    VERBOSE,
    QUIET,
    JSON,
    COLOR,
    VERSION,
    HELP,
    {0},
};

static const struct command_option recover_options[] = {
    {'n', "dry-run", NULL, "show what would be done and change nothing"},
    {OPTION_HOST, "host", "HOST",
     "finish the runs that HOST keeps records of, when their controller is gone for good; shows what "
     "would be undone, and asks"},
    {OPTION_YES, "yes", NULL, "do not ask"},
    UNLOCKED,
    SITE,
    STATE,
    VERBOSE,
    QUIET,
    JSON,
    COLOR,
    HELP,
    {0},
};

static const struct command_option undo_options[] = {
    {'n', "dry-run", NULL, "show what would be undone and change nothing"},
    {OPTION_YES, "yes", NULL, "do not ask"},
    UNLOCKED,
    SITE,
    STATE,
    VERBOSE,
    QUIET,
    JSON,
    COLOR,
    HELP,
    {0},
};

static const struct command_option history_options[] = {
    {OPTION_PRUNE, "prune", "AGE|RUN",
     "forget finished runs older than AGE (30d, 12h, 0s), here and on their hosts, except those that left "
     "something to be done (exit 4 to 6); or forget the named runs (RUN ...), whatever they left"},
    {'n', "dry-run", NULL, "show which runs would be forgotten, and forget none"},
    {OPTION_YES, "yes", NULL, "do not ask"},
    SITE,
    STATE,
    JSON,
    HELP,
    {0},
};

static const struct command_option diagnose_options[] = {
    {OPTION_LOGS, "logs", "DIR",
     "read copies, and ask no host: DIR holds a folder for each host, with paths as there, or its sosreport"},
    {OPTION_SINCE, "since", "TIME", "look no further back: 2h, 3d, \"2026-11-24 03:44\""},
    {OPTION_UNTIL, "until", "TIME", "nor at what came later"},
    {OPTION_BUNDLE, "bundle", "FILE",
     "write the lines that were read into FILE, a packed tar, with secrets masked, for somebody else's eyes"},
    {OPTION_CATALOGUE, "catalogue", "FILE",
     "a site's own causes and remedies (default: /etc/migrun/catalogue.lua)"},
    SITE,
    STATE,
    {'v', "verbose", NULL, "show all lines of that migration, in the order in which they were written"},
    JSON,
    HELP,
    {0},
};

static const struct command_option show_options[] = {STATE, JSON, COLOR, HELP, {0}};

static const struct command_option list_options[] = {JSON, HELP, {0}};

static const struct command_option help_options[] = {HELP, {0}};

const struct command commands[] = {
    {
        .name = "move",
        .arguments = "POLICY INSTANCE HOST",
        .summary = "move a running virtual machine to another host by a policy",
        .about =
            "Carries out POLICY, verifies where the machine runs afterwards, and reports it. POLICY is a "
            "path (./mine.lua), or the name of a policy in /etc/migrun/policies or of one that came with "
            "migrun.",
        .example = "migrun --dry-run libvirt.lua instance-00000001 compute-2",
        .least = 1,
        .missing = "no policy is named",
        .run = move_run,
        .options = move_options,
    },
    {
        .name = "recover",
        .arguments = "[RUN ...]",
        .summary = "finish runs that were cut off",
        .about = "Asks both hosts, follows a migration that is still running, undoes the preparations of a "
                 "move that did not happen, and fixes up one that did. Without RUN, it finishes every run "
                 "that was cut off; a finished run that left something behind is tried again if RUN names "
                 "it. The exit status is the worst of the runs that were finished, 0 when there was none.",
        .example = "migrun recover --dry-run",
        .run = recover_run,
        .options = recover_options,
    },
    {
        .name = "undo",
        .arguments = "RUN",
        .summary = "undo what a finished run changed",
        .about = "Shows what RUN changed and nobody has changed since, asks, and puts it back, last first. A "
                 "run that moved a guest is not undone: another move brings the guest back.",
        .example = "migrun undo --dry-run 20261127-090012-x4b",
        .least = 1,
        .missing = "undo takes the name of one run (migrun history lists them)",
        .run = undo_run,
        .options = undo_options,
    },
    {
        .name = "history",
        .arguments = "",
        .summary = "list the runs and how each ended",
        .about = "Lists the runs of this controller that changed something; --prune forgets old ones.",
        .example = "migrun history --prune 30d",
        .run = history_run,
        .options = history_options,
    },
    {
        .name = "show",
        .arguments = "RUN",
        .summary = "show what a run did, step by step, with every difference",
        .about = "Tells the story of one run as its journal has it (migrun history lists the runs).",
        .least = 1,
        .missing = "show takes the name of one run (migrun history lists them)",
        .run = show_run,
        .options = show_options,
    },
    {
        .name = "diagnose",
        .arguments = "WHICH",
        .summary = "tell why a migration failed, by the logs of all hosts",
        .about = "Reads the logs of the hosts (of QEMU, libvirt, Nova, Neutron, Placement, the system) at "
                 "the time of a migration, whoever asked for it, and tells the first cause, what to do, and "
                 "the lines that say so. WHICH is an instance's name or uuid (its last migration), the name "
                 "of a run, or a request id of Nova's. The exit status is 2 where the cause is not "
                 "known.",
        .example = "migrun diagnose web-17",
        .least = 1,
        .missing = "diagnose takes the name of one instance, run or request",
        .run = diagnose_run,
        .options = diagnose_options,
    },
    {
        .name = "check",
        .arguments = "POLICY ...",
        .summary = "find the mistakes of policies",
        .about = "Looks through policies, and the modules beside them that they require, and runs no step: "
                 "syntax, names, the arguments and options of every call, fields of facts, phases, "
                 "parameters. Each mistake is told with its file, line and column. Every run does the same "
                 "first. The exit status is 1 where there is a mistake.",
        .example = "migrun check ./mine.lua",
        .least = 1,
        .missing = "no policy is named",
        .run = check_run,
        .options = list_options,
    },
    {
        .name = "policies",
        .arguments = "",
        .summary = "list the policies that can be named, and what each does",
        .about = "Lists the policies in /etc/migrun/policies and those that came with migrun. 'migrun POLICY "
                 "--help' tells what arguments and parameters one takes.",
        .example = "migrun libvirt.lua --help",
        .run = policies_run,
        .options = list_options,
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .summary = "print the help of a command",
        .about = "Prints the help of COMMAND. 'migrun help man' prints the manual page, 'migrun help "
                 "completion' a script that makes bash complete migrun's command line.",
        .run = help_run,
        .options = help_options,
    },
    {0},
};

const struct exit_status exit_statuses[] = {
    {0, "moved and verified (a policy that moves nothing: done)"},
    {1, "a mistake in the command line, the site file or the policy; nothing was touched"},
    {2, "refused; nothing was touched"},
    {3, "not moved; every change was undone"},
    {4, "moved, but something failed afterwards"},
    {5, "in doubt: look at both hosts before you touch anything"},
    {6, "not moved, and something could not be undone"},
    {130, "interrupted, and undone"},
    {0},
};

const struct command *command_named(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (STREQ(command->name, name))
            return command;
    return NULL;
}

const char *command_words(const struct command *command, char words[static 64])
{
    bool first = command == commands;
    snprintf(words, 64, "migrun%s%s", first ? "" : " ", first ? "" : command->name);
    return words;
}
