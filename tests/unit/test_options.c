// SPDX-License-Identifier: MIT
// The command line of a move.
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WORDS_MAX = 16 };

// Parses the words, up to NULL, behind the program's name.
static int parse(const char *const *words, struct options *options, struct error *err)
{
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "migrun"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    *err = (struct error){0};
    return options_parse(argc, argv, options, err);
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
        "'a b' is no name of a parameter (letters, digits and _). See migrun --help");
    bad(WORDS("-p", "=1", "p.lua"),
        "'' is no name of a parameter (letters, digits and _). See migrun --help");
    bad(WORDS("-p", "a=1", "-pa=2", "p.lua"), "parameter 'a' is given twice. See migrun --help");
    bad(WORDS("-v", "-q", "p.lua"), "-v and -q exclude each other. See migrun --help");
    bad(WORDS("-n"), "no policy is named. See migrun --help");
    bad(WORDS("--"), "no policy is named. See migrun --help");
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
        cmocka_unit_test(nothing_but_arguments),  cmocka_unit_test(long_options),
        cmocka_unit_test(short_options),          cmocka_unit_test(options_anywhere),
        cmocka_unit_test(two_dashes_end_options), cmocka_unit_test(timeout_is_a_parameter),
        cmocka_unit_test(help_and_version),       cmocka_unit_test(mistakes),
        cmocka_unit_test(command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
