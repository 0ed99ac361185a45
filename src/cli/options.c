// SPDX-License-Identifier: MIT
#include "cli/options.h"

#include "base/text.h"
#include "cli/commands.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 16 };

static int mistake(const struct command *command, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int mistake(const struct command *command, struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *text = xvasprintf(format, args);
    va_end(args);
    char words[64];
    size_t len = strlen(text);
    return error_set(err, ERR_USAGE, 0, "%s%s See %s --help", text, len && text[len - 1] == '?' ? "" : ".",
                     command_words(command, words));
}

static const struct command *command_with(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        for (const struct command_option *option = command->options; option->name; option++)
            if (STREQ(option->name, name))
                return command;
    return NULL;
}

// word: as it was typed, with its dashes.
static int unknown_option(const struct command *command, const char *word, int letter, struct error *err)
{
    if (strncmp(word, "--", 2) != 0)
        return mistake(command, err, "unknown option '-%c'", letter);
    const char *names[OPTIONS_MAX], *begun[OPTIONS_MAX];
    size_t count = 0, n_begun = 0;
    auto_free char *name = xstrndup(word + 2, strcspn(word + 2, "="));
    for (const struct command_option *option = command->options; option->name; option++) {
        names[count++] = option->name;
        if (strncmp(option->name, name, strlen(name)) == 0)
            begun[n_begun++] = option->name;
    }
    if (n_begun > 1)
        return mistake(command, err, "option '--%s' could be '--%s' or '--%s'", name, begun[0], begun[1]);
    const char *near = nearest_name(name, names, count);
    const struct command *other = near ? NULL : command_with(name);
    char own[64], others[64];
    if (other)
        return mistake(command, err, "%s does not take '--%s'; %s does",
                       command == commands ? "a move" : command_words(command, own), name,
                       other == commands ? "a move" : command_words(other, others));
    return near ? mistake(command, err, "unknown option '--%s'; did you mean '--%s'?", name, near)
                : mistake(command, err, "unknown option '--%s'", name);
}

static int add_param(const struct command *command, struct options *options, const char *name,
                     const char *value, struct error *err)
{
    if (json_object_get(options->params, name))
        return mistake(command, err, "parameter '%s' is given twice", name);
    json_object_set_new(options->params, name, json_text(value));
    return 0;
}

static int add_assignment(const struct command *command, struct options *options, const char *text,
                          struct error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return mistake(command, err, "--param takes NAME=VALUE, not '%s'", text);
    auto_free char *name = xstrndup(text, (size_t)(equals - text));
    if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
        return mistake(command, err, "invalid parameter name '%s' (use letters, digits and _)", name);
    return add_param(command, options, name, equals + 1, err);
}

static int take_option(const struct command *command, struct options *options, int option, const char *value,
                       struct error *err)
{
    switch (option) {
    case 'n': options->preview = true; break;
    case 'v': options->verbose = true; break;
    case 'q': options->quiet = true; break;
    case 'h': options->help = true; break;
    case 'p': return add_assignment(command, options, value, err);
    case OPTION_TIMEOUT: return add_param(command, options, "timeout", value, err);
    case OPTION_SITE: options->site = value; break;
    case OPTION_SOURCE: options->source = value; break;
    case OPTION_STATE: options->state = value; break;
    case OPTION_HOST: options->host = value; break;
    case OPTION_LOGS: options->logs = value; break;
    case OPTION_SINCE: options->since = value; break;
    case OPTION_UNTIL: options->until = value; break;
    case OPTION_BUNDLE: options->bundle = value; break;
    case OPTION_CATALOGUE: options->catalogue = value; break;
    case OPTION_PRUNE: options->prune = value; break;
    case OPTION_JSON: options->json = true; break;
    case OPTION_YES: options->yes = true; break;
    case OPTION_UNLOCKED: options->unlocked = true; break;
    case OPTION_VERSION: options->version = true; break;
    case OPTION_COLOR:
        if (color_parse(value, &options->color) < 0)
            return mistake(command, err, "--color takes auto, always or never, not '%s'", value);
        break;
    default: options->arguments[options->n_arguments++] = value; // 1: no option
    }
    return 0;
}

// The command's options as getopt_long takes them.
static void describe_options(const struct command *command, struct option long_options[OPTIONS_MAX + 1],
                             char letters[2 * OPTIONS_MAX + 3])
{
    size_t count = 0;
    letters += sprintf(letters, "-:");
    for (const struct command_option *option = command->options; option->name; option++) {
        long_options[count++] = (struct option){option->name, option->value ? required_argument : no_argument,
                                                NULL, option->id};
        if (option->id < 256)
            letters += sprintf(letters, "%c%s", option->id, option->value ? ":" : "");
    }
    long_options[count] = (struct option){0};
}

static int take_all(const struct command *command, int argc, char **argv, struct options *options,
                    struct error *err)
{
    struct option long_options[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 3];
    describe_options(command, long_options, letters);
    optind = 0; // glibc: start anew
    opterr = 0;
    int option;
    while (!options->help && !options->version &&
           (option = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (option == '?' && optopt && strncmp(word, "--", 2) == 0)
            return mistake(command, err, "option '%.*s' takes no value", (int)strcspn(word, "="), word);
        if (option == '?')
            return unknown_option(command, word, optopt, err);
        if (option == ':')
            return mistake(command, err, "option '%s' needs a value", word);
        if (take_option(command, options, option, optarg, err) < 0)
            return -1;
    }
    // What follows "--"; or, to ask for help, the word behind it.
    bool asks = options->help || options->version;
    while (optind < argc && (!asks || argv[optind][0] != '-'))
        options->arguments[options->n_arguments++] = argv[optind++];
    return 0;
}

int options_parse(const struct command *command, int argc, char **argv, struct options *options,
                  struct error *err)
{
    *options = (struct options){.params = json_object(),
                                .arguments = xcalloc((size_t)argc + 1, sizeof(char *))};
    if (take_all(command, argc, argv, options, err) < 0)
        return -1;
    if (options->help || options->version)
        return 0;
    if (options->verbose && options->quiet)
        return mistake(command, err, "-v and -q exclude each other");
    if (options->n_arguments < command->least)
        return mistake(command, err, "%s", command->missing);
    return 0;
}

void options_free(struct options *options)
{
    json_decref(options->params);
    free(options->arguments);
    free(options->command_line);
    *options = (struct options){0};
}

char *command_line_text(int argc, char **argv)
{
    struct buf line = {0};
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        buf_puts(&line, i ? " " : "");
        if (*word &&
            !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")]) {
            buf_puts(&line, word);
            continue;
        }
        buf_puts(&line, "'");
        for (; *word; word++)
            if (*word == '\'')
                buf_puts(&line, "'\\''");
            else
                buf_add(&line, word, 1);
        buf_puts(&line, "'");
    }
    return buf_take(&line);
}
