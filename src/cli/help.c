// SPDX-License-Identifier: MIT
// The table of commands as help, as a manual page, and as a script for bash.
#include "cli/commands.h"

#include "base/text.h"
#include "cli/output.h"

#include <ctype.h>
#include <string.h>

enum { WIDTH = 79, TEXT_COLUMN = 25 };

// ---- help ----

// The text, wrapped, with `indent` spaces before each line but the first, which begins at column `at`.
static void put_wrapped(struct buf *out, const char *text, size_t at, size_t indent)
{
    for (bool first = true; *text; first = false) {
        size_t word = strcspn(text, " ");
        if (!first && at + 1 + word > WIDTH) {
            buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_puts(out, " ");
            at++;
        }
        buf_add(out, text, word);
        at += word;
        text += word;
        text += *text == ' ';
    }
    buf_puts(out, "\n");
}

void help_entry(struct buf *out, const char *head, const char *text)
{
    size_t width = 2 + text_columns(head);
    buf_printf(out, "  %s", head);
    if (width + 2 > TEXT_COLUMN)
        buf_printf(out, "\n%*s", TEXT_COLUMN, "");
    else
        buf_printf(out, "%*s", (int)(TEXT_COLUMN - width), "");
    put_wrapped(out, text, TEXT_COLUMN, TEXT_COLUMN);
}

static void put_option(struct buf *out, const struct command_option *option)
{
    char letter[8] = "    ";
    if (option->id < 256)
        snprintf(letter, sizeof letter, "-%c, ", option->id);
    auto_free char *head = xasprintf("%s--%s%s%s", letter, option->name, option->value ? " " : "",
                                     option->value ? option->value : "");
    help_entry(out, head, option->text);
}

static void put_commands(struct buf *out)
{
    buf_puts(out, "\nCommands:\n");
    for (const struct command *command = commands + 1; command->name; command++) {
        auto_free char *words = xasprintf("%s %s", command->name, command->arguments);
        buf_printf(out, "  %-*s", TEXT_COLUMN - 2, words);
        put_wrapped(out, command->summary, TEXT_COLUMN, TEXT_COLUMN);
    }
    buf_puts(out, "\nExit status:\n");
    for (const struct exit_status *exit = exit_statuses; exit->text; exit++) {
        buf_printf(out, "  %3d  ", exit->status);
        put_wrapped(out, exit->text, 7, 7);
    }
    buf_puts(out, "A dry run exits as the run would, as far as it can tell.\n");
}

char *help_text(const struct command *command)
{
    char words[64];
    struct buf out = {0};
    buf_printf(&out, "Usage: %s [OPTION ...]%s%s\n", command_words(command, words),
               *command->arguments ? " " : "", command->arguments);
    put_wrapped(&out, command->about, 0, 0);
    if (command->example)
        buf_printf(&out, "\n  %s\n", command->example);
    buf_puts(&out, "\nOptions:\n");
    for (const struct command_option *option = command->options; option->name; option++)
        put_option(&out, option);
    if (command == commands)
        put_commands(&out);
    return buf_take(&out);
}

// ---- the manual page ----

// A text in roff: dashes as they are typed, and no line that begins with a request.
static void put_roff(struct buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        buf_puts(out, "\\&");
    for (; *text; text++)
        if (*text == '-')
            buf_puts(out, "\\-");
        else if (*text == '\\')
            buf_puts(out, "\\e");
        else
            buf_add(out, text, 1);
}

static void put_manual_option(struct buf *out, const struct command_option *option)
{
    buf_puts(out, ".TP\n\\fB");
    if (option->id < 256)
        buf_printf(out, "\\-%c\\fR, \\fB", option->id);
    buf_puts(out, "\\-\\-");
    put_roff(out, option->name);
    buf_puts(out, "\\fR");
    if (option->value)
        buf_printf(out, " \\fI%s\\fR", option->value);
    buf_puts(out, "\n");
    put_roff(out, option->text);
    buf_puts(out, "\n");
}

static void put_manual_command(struct buf *out, const struct command *command)
{
    char words[64];
    buf_printf(out, ".SS \"%s %s\"\n", command_words(command, words), command->arguments);
    put_roff(out, command->about);
    buf_puts(out, "\n");
    if (command->example) {
        buf_puts(out, ".PP\n.RS\n.EX\n");
        put_roff(out, command->example);
        buf_puts(out, "\n.EE\n.RE\n");
    }
    for (const struct command_option *option = command->options; option->name; option++)
        put_manual_option(out, option);
}

char *manual_page(void)
{
    struct buf out = {0};
    char words[64];
    buf_puts(&out, ".TH MIGRUN 1 \"\" \"migrun " MIGRUN_VERSION "\"\n.SH NAME\nmigrun \\- ");
    put_roff(&out, commands[0].summary);
    buf_puts(&out, "\n.SH SYNOPSIS\n");
    for (const struct command *command = commands; command->name; command++)
        buf_printf(&out, "%s\\fB%s\\fR [\\fIOPTION\\fR ...] %s\n", command == commands ? "" : ".br\n",
                   command_words(command, words), command->arguments);
    buf_puts(&out, ".SH COMMANDS\n");
    for (const struct command *command = commands; command->name; command++)
        put_manual_command(&out, command);
    buf_puts(&out, ".SH EXIT STATUS\n");
    for (const struct exit_status *exit = exit_statuses; exit->text; exit++) {
        buf_printf(&out, ".TP\n\\fB%d\\fR\n", exit->status);
        put_roff(&out, exit->text);
        buf_puts(&out, "\n");
    }
    buf_puts(&out, ".PP\nA dry run exits as the run would, as far as it can tell.\n"
                   ".SH FILES\n"
                   ".TP\n\\fI/etc/migrun/site.lua\\fR\nthe site: its hosts and how to reach them\n"
                   ".TP\n\\fI/etc/migrun/policies\\fR\npolicies that can be named without a path\n"
                   ".TP\n\\fI/var/lib/migrun/runs\\fR\nthe journals of runs\n"
                   ".SH SEE ALSO\n.BR virsh (1),\n.BR ssh (1)\n");
    return buf_take(&out);
}

// ---- completion ----

static void put_option_words(struct buf *out, const struct command *command)
{
    for (const struct command_option *option = command->options; option->name; option++)
        buf_printf(out, "%s--%s", option == command->options ? "" : " ", option->name);
}

// The options of all commands that take a value, each once, as a pattern of bash's case.
static void put_value_pattern(struct buf *out)
{
    buf_puts(out, "-p");
    for (const struct command *command = commands; command->name; command++)
        for (const struct command_option *option = command->options; option->name; option++) {
            auto_free char *word = xasprintf("|--%s", option->name);
            if (option->value && !strstr(out->data, word))
                buf_puts(out, word);
        }
}

char *bash_completion(void)
{
    struct buf out = {0};
    auto_buf struct buf values = {0};
    put_value_pattern(&values);
    buf_printf(
        &out,
        "# bash completion of migrun, from `migrun help completion`\n"
        "_migrun()\n{\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command= n=0 i\n"
        "    COMPREPLY=()\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case ${COMP_WORDS[i]} in\n"
        "        %s) ((i++)) ;;\n"
        "        -*) ;;\n"
        "        *) ((n++)) || command=${COMP_WORDS[i]} ;;\n"
        "        esac\n"
        "    done\n"
        "    case $before in\n"
        "    --site) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
        "    --state) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
        "    --color) COMPREPLY=($(compgen -W 'auto always never' -- \"$word\")); return ;;\n"
        "    %s) return ;;\n"
        "    esac\n"
        "    case $command:$word in\n",
        values.data, values.data);
    for (const struct command *command = commands + 1; command->name; command++) {
        buf_printf(&out, "    %s:-*) COMPREPLY=($(compgen -W '", command->name);
        put_option_words(&out, command);
        buf_puts(&out, "' -- \"$word\")) ;;\n");
    }
    buf_puts(&out, "    *:-*) COMPREPLY=($(compgen -W '");
    put_option_words(&out, commands);
    buf_puts(&out, "' -- \"$word\")) ;;\n"
                   "    recover:*|show:*) COMPREPLY=($(compgen -W \"$(migrun history 2>/dev/null |\n"
                   "        awk 'NR > 1 { print $1 }')\" -- \"$word\")) ;;\n"
                   "    :*|help:*|check:*)\n"
                   "        [ \"$command\" = check ] || COMPREPLY=($(compgen -W '");
    for (const struct command *command = commands; command->name; command++)
        buf_printf(&out, "%s%s", command == commands ? "" : " ", command->name);
    buf_puts(&out,
             "' -- \"$word\"))\n"
             "        [ \"$command\" = help ] && return\n"
             "        compopt -o filenames 2>/dev/null\n"
             "        COMPREPLY+=($(compgen -f -X '!*.lua' -- \"$word\") $(compgen -d -- \"$word\")\n"
             "            $(cd /etc/migrun/policies 2>/dev/null && compgen -f -X '!*.lua' -- \"$word\")\n"
             "            $(cd " MIGRUN_PREFIX "/share/migrun/policies 2>/dev/null &&\n"
             "                compgen -f -X '!*.lua' -- \"$word\")) ;;\n"
             "    esac\n}\n"
             "complete -F _migrun migrun\n");
    return buf_take(&out);
}

// ---- migrun help ----

static char *text_about(const char *word, struct error *err)
{
    if (!word)
        return help_text(commands);
    const struct command *command = command_named(word);
    if (command)
        return help_text(command);
    if (STREQ(word, "man"))
        return manual_page();
    if (STREQ(word, "completion"))
        return bash_completion();
    const char *names[16];
    size_t count = 0;
    for (command = commands; command->name; command++)
        names[count++] = command->name;
    const char *near = nearest_name(word, names, count);
    error_set(err, ERR_USAGE, 0, "unknown command '%s'%s%s%s See migrun --help", word,
              near ? "; did you mean '" : ".", near ? near : "", near ? "'?" : "");
    return NULL;
}

int help_run(struct options *options, struct error *err)
{
    if (options->n_arguments > 1)
        return error_set(err, ERR_USAGE, 0, "help takes one command's name. See migrun --help");
    auto_free char *text = text_about(options->n_arguments ? options->arguments[0] : NULL, err);
    return text ? output_print(text) : -1;
}
