// SPDX-License-Identifier: MIT
#include "cli/options.h"

#include "base/text.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_TIMEOUT = 256,
    OPTION_SITE,
    OPTION_SOURCE,
    OPTION_STATE,
    OPTION_JSON,
    OPTION_COLOR,
    OPTION_VERSION,
    OPTION_HOST,
    OPTION_PRUNE,
    OPTION_YES
};

static const struct option long_options[] = {
    {"dry-run", no_argument, NULL, 'n'},
    {"param", required_argument, NULL, 'p'},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"site", required_argument, NULL, OPTION_SITE},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"state", required_argument, NULL, OPTION_STATE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"verbose", no_argument, NULL, 'v'},
    {"quiet", no_argument, NULL, 'q'},
    {"color", required_argument, NULL, OPTION_COLOR},
    {"host", required_argument, NULL, OPTION_HOST},
    {"prune", required_argument, NULL, OPTION_PRUNE},
    {"yes", no_argument, NULL, OPTION_YES},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {0},
};

#define SEE_HELP "See migrun --help"

static int mistake(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int mistake(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_setv(err, ERR_USAGE, 0, format, args);
    va_end(args);
    return -1;
}

// word: as it was typed, with its dashes.
static int unknown_option(const char *word, int letter, struct error *err)
{
    if (strncmp(word, "--", 2) != 0)
        return mistake(err, "unknown option '-%c'. " SEE_HELP, letter);
    const char *names[COUNT_OF(long_options)], *begun[COUNT_OF(long_options)];
    size_t count = 0, n_begun = 0;
    auto_free char *name = xstrndup(word + 2, strcspn(word + 2, "="));
    for (const struct option *option = long_options; option->name; option++) {
        names[count++] = option->name;
        if (strncmp(option->name, name, strlen(name)) == 0)
            begun[n_begun++] = option->name;
    }
    if (n_begun > 1)
        return mistake(err, "option '--%s' could be '--%s' or '--%s'. " SEE_HELP, name, begun[0], begun[1]);
    const char *near = nearest_name(name, names, count);
    return near ? mistake(err, "unknown option '--%s'; did you mean '--%s'? " SEE_HELP, name, near)
                : mistake(err, "unknown option '--%s'. " SEE_HELP, name);
}

static int add_param(struct options *options, const char *name, const char *value, struct error *err)
{
    if (json_object_get(options->params, name))
        return mistake(err, "parameter '%s' is given twice. " SEE_HELP, name);
    json_object_set_new(options->params, name, json_text(value));
    return 0;
}

static int add_assignment(struct options *options, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return mistake(err, "--param takes NAME=VALUE, not '%s'. " SEE_HELP, text);
    auto_free char *name = xstrndup(text, (size_t)(equals - text));
    if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
        return mistake(err, "'%s' is no name of a parameter (letters, digits and _). " SEE_HELP, name);
    return add_param(options, name, equals + 1, err);
}

static int take_option(struct options *options, int option, const char *value, struct error *err)
{
    switch (option) {
    case 'n': options->preview = true; break;
    case 'v': options->verbose = true; break;
    case 'q': options->quiet = true; break;
    case 'h': options->help = true; break;
    case 'p': return add_assignment(options, value, err);
    case OPTION_TIMEOUT: return add_param(options, "timeout", value, err);
    case OPTION_SITE: options->site = value; break;
    case OPTION_SOURCE: options->source = value; break;
    case OPTION_STATE: options->state = value; break;
    case OPTION_HOST: options->host = value; break;
    case OPTION_PRUNE: options->prune = value; break;
    case OPTION_JSON: options->json = true; break;
    case OPTION_YES: options->yes = true; break;
    case OPTION_VERSION: options->version = true; break;
    case OPTION_COLOR:
        if (color_parse(value, &options->color) < 0)
            return mistake(err, "--color takes auto, always or never, not '%s'. " SEE_HELP, value);
        break;
    default: options->arguments[options->n_arguments++] = value; // 1: no option
    }
    return 0;
}

static const char *const move_options[] = {"dry-run", "param",   "timeout", "site",  "source",  "state",
                                           "json",    "verbose", "quiet",   "color", "version", NULL};

static int check_allowed(const char *const *allowed, int option, struct error *err)
{
    const struct option *known = long_options;
    while (known->name && known->val != option)
        known++;
    if (!known->name || option == 'h')
        return 0;
    for (; *allowed; allowed++)
        if (STREQ(*allowed, known->name))
            return 0;
    return mistake(err, "option '--%s' belongs to another command. " SEE_HELP, known->name);
}

int options_parse(int argc, char **argv, struct options *options, struct error *err)
{
    if (options_parse_for(move_options, argc, argv, options, err) < 0)
        return -1;
    if (options->n_arguments == 0 && !options->help && !options->version)
        return mistake(err, "no policy is named. " SEE_HELP);
    return 0;
}

int options_parse_for(const char *const *allowed, int argc, char **argv, struct options *options,
                      struct error *err)
{
    *options = (struct options){.params = json_object(),
                                .arguments = xcalloc((size_t)argc + 1, sizeof(char *))};
    optind = 0; // glibc: start anew
    opterr = 0;
    int option;
    while (!options->help && !options->version &&
           (option = getopt_long(argc, argv, "-:np:vqh", long_options, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (option == '?' && optopt && strncmp(word, "--", 2) == 0)
            return mistake(err, "option '%.*s' takes no value. " SEE_HELP, (int)strcspn(word, "="), word);
        if (option == '?')
            return unknown_option(word, optopt, err);
        if (option == ':')
            return mistake(err, "option '%s' needs a value. " SEE_HELP, word);
        if (check_allowed(allowed, option, err) < 0 || take_option(options, option, optarg, err) < 0)
            return -1;
    }
    if (options->help || options->version)
        return 0;
    while (optind < argc) // what follows "--"
        options->arguments[options->n_arguments++] = argv[optind++];
    if (options->verbose && options->quiet)
        return mistake(err, "-v and -q exclude each other. " SEE_HELP);
    return 0;
}

void options_free(struct options *options)
{
    json_decref(options->params);
    free(options->arguments);
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
