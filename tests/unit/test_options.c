// SPDX-License-Identifier: MIT
// The command line of each command, and what is made from the table of commands.
#include "cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_MAX = 16 };

// Parses the words, up to NULL, behind the program's name.
static int parse_for(const char *command, const char *const *words, struct options *options,
                     struct error *err)
{
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "migrun"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    *err = (struct error){0};
    return options_parse(command_named(command), argc, argv, options, err);
}

static int parse(const char *const *words, struct options *options, struct error *err)
{
    return parse_for("move", words, options, err);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct options good(const char *const *words)
{
    struct options options;
    struct error err;
    if (parse(words, &options, &err) < 0)
        fail_msg("%s", err.message);
    return options;
}

static void bad(const char *const *words, const char *message)
{
    struct options options;
    struct error err;
    assert_int_equal(parse(words, &options, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    assert_string_equal(err.message, message);
    options_free(&options);
}

static void nothing_but_arguments(void **state)
{
    (void)state;
    struct options o = good(WORDS("libvirt.lua", "instance-00000001", "compute-2"));
    assert_int_equal(o.n_arguments, 3);
    assert_string_equal(o.arguments[0], "libvirt.lua");
    assert_string_equal(o.arguments[2], "compute-2");
    assert_false(o.help || o.version || o.preview || o.json || o.verbose || o.quiet);
    assert_int_equal(o.color, COLOR_AUTO);
    assert_null(o.site);
    assert_null(o.source);
    assert_null(o.state);
    assert_int_equal(json_object_size(o.params), 0);
    options_free(&o);
}

static void long_options(void **state)
{
    (void)state;
    struct options o = good(WORDS("--dry-run", "--json", "--verbose", "--site", "s.lua", "--source=a",
                                  "--state", "dir", "--color=never", "p.lua"));
    assert_true(o.preview && o.json && o.verbose);
    assert_false(o.quiet);
    assert_string_equal(o.site, "s.lua");
    assert_string_equal(o.source, "a");
    assert_string_equal(o.state, "dir");
    assert_int_equal(o.color, COLOR_NEVER);
    assert_int_equal(o.n_arguments, 1);
    options_free(&o);
    o = good(WORDS("--quiet", "p.lua", "--color", "always"));
    assert_true(o.quiet);
    assert_int_equal(o.color, COLOR_ALWAYS);
    options_free(&o);
}

static void short_options(void **state)
{
    (void)state;
    struct options o = good(WORDS("-nv", "p.lua", "-pa=1", "-p", "b=x=y"));
    assert_true(o.preview && o.verbose);
    assert_string_equal(json_str(o.params, "a", ""), "1");
    assert_string_equal(json_str(o.params, "b", ""), "x=y");
    options_free(&o);
    o = good(WORDS("-q", "p.lua"));
    assert_true(o.quiet);
    options_free(&o);
}

static void options_anywhere(void **state)
{
    (void)state;
    struct options o = good(WORDS("p.lua", "-n", "i", "--param", "x=", "h"));
    assert_true(o.preview);
    assert_int_equal(o.n_arguments, 3);
    assert_string_equal(o.arguments[1], "i");
    assert_string_equal(o.arguments[2], "h");
    assert_string_equal(json_str(o.params, "x", "absent"), "");
    options_free(&o);
}

static void two_dashes_end_options(void **state)
{
    (void)state;
    struct options o = good(WORDS("-n", "p.lua", "--", "-i", "--json"));
    assert_true(o.preview);
    assert_false(o.json);
    assert_int_equal(o.n_arguments, 3);
    assert_string_equal(o.arguments[0], "p.lua");
    assert_string_equal(o.arguments[1], "-i");
    assert_string_equal(o.arguments[2], "--json");
    options_free(&o);
    o = good(WORDS("--", "p.lua", "--"));
    assert_int_equal(o.n_arguments, 2);
    assert_string_equal(o.arguments[1], "--");
    options_free(&o);
}

static void timeout_is_a_parameter(void **state)
{
    (void)state;
    struct options o = good(WORDS("p.lua", "--timeout", "5m"));
    assert_string_equal(json_str(o.params, "timeout", ""), "5m");
    options_free(&o);
    bad(WORDS("p.lua", "--timeout", "5m", "-p", "timeout=1m"),
        "parameter 'timeout' is given twice. See migrun --help");
}

// They end the parsing: what stands behind them may be wrong, and no policy is needed.
static void help_and_version(void **state)
{
    (void)state;
    struct options o = good(WORDS("--help", "--nonsense"));
    assert_true(o.help);
    options_free(&o);
    o = good(WORDS("p.lua", "-h"));
    assert_true(o.help);
    assert_string_equal(o.arguments[0], "p.lua");
    options_free(&o);
    o = good(WORDS("-h", "p.lua", "--nonsense"));
    assert_int_equal(o.n_arguments, 1);
    assert_string_equal(o.arguments[0], "p.lua");
    options_free(&o);
    o = good(WORDS("--version"));
    assert_true(o.version);
    options_free(&o);
}

static void mistakes(void **state)
{
    (void)state;
    bad(WORDS("--drydrun", "p.lua"),
        "unknown option '--drydrun'; did you mean '--dry-run'? See migrun --help");
    bad(WORDS("p.lua", "--tiemout=3s"),
        "unknown option '--tiemout'; did you mean '--timeout'? See migrun --help");
    bad(WORDS("--frobnicate"), "unknown option '--frobnicate'. See migrun --help");
    bad(WORDS("--ver", "p.lua"), "option '--ver' could be '--verbose' or '--version'. See migrun --help");
    bad(WORDS("-x", "p.lua"), "unknown option '-x'. See migrun --help");
    bad(WORDS("-nx", "p.lua"), "unknown option '-x'. See migrun --help");
    bad(WORDS("p.lua", "--site"), "option '--site' needs a value. See migrun --help");
    bad(WORDS("p.lua", "-p"), "option '-p' needs a value. See migrun --help");
    bad(WORDS("--json=yes", "p.lua"), "option '--json' takes no value. See migrun --help");
    bad(WORDS("--color=blue", "p.lua"), "--color takes auto, always or never, not 'blue'. See migrun --help");
    bad(WORDS("-p", "timeout", "p.lua"), "--param takes NAME=VALUE, not 'timeout'. See migrun --help");
    bad(WORDS("-p", "a b=1", "p.lua"),
        "invalid parameter name 'a b' (use letters, digits and _). See migrun --help");
    bad(WORDS("-p", "=1", "p.lua"),
        "invalid parameter name '' (use letters, digits and _). See migrun --help");
    bad(WORDS("-p", "a=1", "-pa=2", "p.lua"), "parameter 'a' is given twice. See migrun --help");
    bad(WORDS("-v", "-q", "p.lua"), "-v and -q exclude each other. See migrun --help");
    bad(WORDS("-n"), "no policy is named. See migrun --help");
    bad(WORDS("--"), "no policy is named. See migrun --help");
}

static void bad_for(const char *command, const char *const *words, const char *message)
{
    struct options options;
    struct error err;
    assert_int_equal(parse_for(command, words, &options, &err), -1);
    assert_string_equal(err.message, message);
    options_free(&options);
}

static void options_of_other_commands(void **state)
{
    (void)state;
    bad(WORDS("--host", "compute-2", "p.lua"),
        "a move does not take '--host'; migrun recover does. See migrun --help");
    bad_for("recover", WORDS("--timeout", "5m"),
            "migrun recover does not take '--timeout'; a move does. See migrun recover --help");
    bad_for("recover", WORDS("-p", "a=1"), "unknown option '-p'. See migrun recover --help");
    bad_for("history", WORDS("--prne=3d"),
            "unknown option '--prne'; did you mean '--prune'? See migrun history --help");
    bad_for("history", WORDS("--color=never"),
            "migrun history does not take '--color'; a move does. See migrun history --help");
    bad_for("show", WORDS("--json"),
            "show takes the name of one run (migrun history lists them). See migrun show --help");
    bad_for("help", WORDS("-n"), "unknown option '-n'. See migrun help --help");
}

// A word that only one option of the command begins with is that option, whatever other commands have.
static void abbreviations_are_the_commands_own(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    assert_int_equal(parse_for("recover", WORDS("--ver", "--so"), &options, &err), -1);
    assert_string_equal(err.message, "unknown option '--so'. See migrun recover --help");
    assert_true(options.verbose);
    options_free(&options);
}

static void each_text_has_each_option(void **state)
{
    (void)state;
    auto_free char *page = manual_page(), *script = bash_completion();
    for (const struct command *command = commands; command->name; command++) {
        auto_free char *help = help_text(command);
        for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") < 80);
        auto_free char *head = xasprintf(".SS \"migrun %s", command == commands ? "POLICY" : command->name);
        const char *section = strstr(page, head);
        assert_non_null(section);
        for (const struct command_option *option = command->options; option->name; option++) {
            auto_free char *typed = xasprintf("--%s", option->name);
            assert_non_null(strstr(help, typed));
            assert_non_null(strstr(script, typed));
            auto_free char *first = xstrndup(option->name, strcspn(option->name, "-")),
                           *printed = xasprintf("\\-\\-%s", first);
            section = strstr(section, printed); // in the order of the table
            assert_non_null(section);
            assert_true(option->id >= 256 || strchr("nphvq", option->id));
        }
    }
    for (const struct exit_status *exit = exit_statuses; exit->text; exit++)
        assert_non_null(strstr(page, exit->text));
}

// What bash offers for the words of a line, the last of which is being typed.
static void completes(const char *line, const char *wanted)
{
    char script[] = "/tmp/migrun-completion-XXXXXX", answer[4096];
    auto_free char *text = bash_completion();
    int fd = mkstemp(script);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    auto_free char *run = xasprintf(
        "cd / && bash -c '. %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "_migrun; echo \"${COMPREPLY[*]}\"'",
        script, line);
    FILE *pipe = popen(run, "r");
    assert_non_null(pipe);
    size_t len = fread(answer, 1, sizeof answer - 1, pipe);
    answer[len] = '\0';
    assert_int_equal(pclose(pipe), 0);
    unlink(script);
    answer[strcspn(answer, "\n")] = '\0';
    assert_string_equal(answer, wanted);
}

static void bash_completes(void **state)
{
    (void)state;
    completes("migrun recover --h", "--host --help");
    completes("migrun -p recover --s", "--source --site --state");
    completes("migrun --site s.lua recover --s", "--site --state");
    completes("migrun history --color \"\"", "auto always never");
    completes("migrun help sh", "show");
    completes("migrun his", "history");
    completes("migrun check --j", "--json");
    completes("migrun pol", "policies");
}

static void expect_line(const char *const *words, const char *wanted)
{
    char *argv[WORDS_MAX];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    auto_free char *line = command_line_text(argc, argv);
    assert_string_equal(line, wanted);
}

static void command_line(void **state)
{
    (void)state;
    expect_line(WORDS("migrun", "-n", "--site=/etc/a.lua", "p.lua", "i", "h"),
                "migrun -n --site=/etc/a.lua p.lua i h");
    expect_line(WORDS("migrun", "-p", "a=b c"), "migrun -p 'a=b c'");
    expect_line(WORDS("migrun", "", "it's", "$HOME"), "migrun '' 'it'\\''s' '$HOME'");
    expect_line(WORDS("~", "a;b", "*", "ü"), "'~' 'a;b' '*' 'ü'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_arguments),
        cmocka_unit_test(long_options),
        cmocka_unit_test(short_options),
        cmocka_unit_test(options_anywhere),
        cmocka_unit_test(two_dashes_end_options),
        cmocka_unit_test(timeout_is_a_parameter),
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(command_line),
        cmocka_unit_test(options_of_other_commands),
        cmocka_unit_test(abbreviations_are_the_commands_own),
        cmocka_unit_test(each_text_has_each_option),
        cmocka_unit_test(bash_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
