// SPDX-License-Identifier: MIT
// migrun check, migrun policies and migrun POLICY --help: what is told of policies that do not run.
#include "base/io.h"
#include "cli/commands.h"
#include "lua/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/migrun-check-XXXXXX";

static char *put(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

#define STEP "{ 'a', phase = 'check', run = function(run) return 'x' end }"
#define GOOD(more) "return { api = 1, summary = 'Does it', " more " steps = { " STEP " } }\n"

// What a command prints, and its status.
static char *output_of(int (*run)(struct options *options, struct error *err), struct options *options,
                       int *status)
{
    auto_free char *path = xasprintf("%s/output", folder);
    struct error err = {0};
    char *text = NULL;
    size_t len;
    int kept = dup(STDOUT_FILENO);
    fflush(stdout);
    assert_non_null(freopen(path, "w", stdout));
    *status = run(options, &err);
    fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &len), 0);
    return text;
}

static char *checked(const char *const *paths, bool json, int *status)
{
    struct options options = {.arguments = (const char **)(uintptr_t)paths, .json = json};
    while (paths[options.n_arguments])
        options.n_arguments++;
    return output_of(check_run, &options, status);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    int status;
    auto_free char *good = put("good.lua", GOOD("")),
                   *bad = put("bad.lua",
                              "local ours = require 'ours'\nreturn { api = 1, summary = 's', steps = {\n"
                              "  { 'a', phase = 'check', run = function(run)\n"
                              "    run.dest:read()\n    return ours, nosuch\n  end } } }\n"),
                   *ours = put("ours.lua", "return { zzzzzz }\n");
    auto_free char *text = checked((const char *const[]){good, bad, NULL}, false, &status);
    auto_free char *wanted = xasprintf("%s: no mistake was found\n"
                                       "%s:4:14: 'path' is missing: read(path)\n"
                                       "    4 |     run.dest:read()\n"
                                       "      |              ^\n"
                                       "%s:5:18: undefined global 'nosuch'\n"
                                       "    5 |     return ours, nosuch\n"
                                       "      |                  ^\n"
                                       "%s:1:10: undefined global 'zzzzzz'\n"
                                       "    1 | return { zzzzzz }\n"
                                       "      |          ^\n",
                                       good, bad, bad, ours);
    assert_int_equal(status, 1);
    assert_string_equal(text, wanted);
    auto_free char *fine = checked((const char *const[]){good, NULL}, false, &status);
    assert_int_equal(status, 0);
    unlink(ours);
    unlink(bad);
    unlink(good);
}

// Each policy is a line, whatever is wrong with it.
static void mistakes_as_data(void **state)
{
    (void)state;
    int status;
    auto_free char *bad = put("bad.lua", "\nreturn { api = 1,"), *raises = put("raises.lua", "\nerror 'x'");
    auto_free char *text = checked((const char *const[]){bad, raises, "./nowhere.lua", NULL}, true, &status);
    char *rest = NULL;
    const char *const messages[] = {"unexpected symbol near <eof>", "x",
                                    "there is no policy ./nowhere.lua: no such file"};
    const json_int_t lines[] = {2, 2, 0};
    assert_int_equal(status, 1);
    char *line = strtok_r(text, "\n", &rest);
    for (size_t i = 0; i < 3; i++, line = strtok_r(NULL, "\n", &rest)) {
        assert_non_null(line);
        auto_json json_t *row = json_loads(line, 0, NULL);
        const json_t *problem = json_array_get(json_object_get(row, "problems"), 0);
        assert_string_equal(json_str(problem, "message", ""), messages[i]);
        assert_int_equal(json_int(problem, "line", 0), lines[i]);
    }
    assert_null(line);
    unlink(bad);
    unlink(raises);
}

static int tell_of_policy(struct options *options, struct error *err) { return policy_help(options, err); }

static void what_a_policy_takes(void **state)
{
    (void)state;
    int status;
    auto_free char *path = put(
        "mine.lua", GOOD("takes = { 'host' }, params = { speed = { type = 'integer', default = 3, min = 1, "
                         "max = 9, unit = 'MiB/s', help = 'how fast' }, ticket = { type = 'string', "
                         "pattern = 'OPS%d+', help = 'why' }, mode = { type = 'string', choices = { 'a', "
                         "'b' }, default = 'b' }, wait = { type = 'duration', default = '1m' } },"));
    struct options options = {.arguments = (const char *[]){path, NULL}, .n_arguments = 1};
    auto_free char *text = output_of(tell_of_policy, &options, &status);
    assert_int_equal(status, 0);
    auto_free char *wanted = xasprintf(
        "Usage: migrun [OPTION ...] %s HOST\n"
        "Does it\n"
        "\n"
        "Parameters (-p NAME=VALUE):\n"
        "  mode                   (string: a, b, default b)\n"
        "  speed                  how fast (integer, at least 1 MiB/s, at most 9 MiB/s,\n"
        "                         default 3 MiB/s)\n"
        "  ticket                 why (string, matches OPS%%d+, required)\n"
        "  wait                   (duration, default 60 s)\n"
        "\n"
        "Options: migrun --help\n",
        path);
    assert_string_equal(text, wanted);
    unlink(path);
}

// A byte order mark, and a line for the kernel, are no part of a policy.
static void what_stands_before_a_policy(void **state)
{
    (void)state;
    const char *const texts[] = {"\xEF\xBB\xBF" GOOD(""), "#!/usr/bin/env migrun\r\n" GOOD(""),
                                 "\xEF\xBB\xBF#!/usr/bin/env migrun\n" GOOD("")};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        auto_free char *path = put("start.lua", texts[i]);
        struct policy policy;
        struct error err = {0};
        json_t *about = NULL;
        if (policy_inspect(&policy, path, &about, &err) < 0)
            fail_msg("%s", err.message);
        assert_string_equal(json_str(about, "summary", ""), "Does it");
        json_decref(about);
        policy_free(&policy);
        unlink(path);
    }
}

static void a_module_is_no_policy(void **state)
{
    (void)state;
    auto_free char *path = put("module.lua", "return { of_a_policy = function() end }");
    struct policy policy;
    struct error err = {0};
    json_t *about = NULL;
    assert_int_equal(policy_inspect(&policy, path, &about, &err), -1);
    assert_true(policy.stranger);
    assert_null(about);
    policy_free(&policy);
    unlink(path);
}

// What the program beside this test prints, with 2>&1.
static char *migrun(const char *words)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    *strstr(self, "/tests/unit/") = '\0';
    auto_free char *line = xasprintf("%s/migrun %s 2>&1", self, words);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    char *text = xcalloc(1, 1 << 16);
    assert_true(fread(text, 1, (1 << 16) - 1, pipe) > 0);
    pclose(pipe);
    return text;
}

// Those that came with migrun are found, and all of them are right.
static void policies_are_listed(void **state)
{
    (void)state;
    auto_free char *text = migrun("policies --json"), *shown = migrun("policies");
    char *rest = NULL;
    size_t count = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        auto_json json_t *row = json_loads(line, 0, NULL);
        if (strncmp(json_str(row, "path", "/etc/"), "/etc/", 5) == 0)
            continue;
        count++;
        assert_true(*json_str(row, "summary", "") && *json_str(row, "arguments", ""));
        assert_non_null(strstr(shown, json_str(row, "policy", "?")));
    }
    assert_true(count >= 9);
}

static void the_nearest_name(void **state)
{
    (void)state;
    auto_free char *one = migrun("libvrt.lua a b"), *two = migrun("preflihgt"), *none = migrun("something");
    assert_non_null(strstr(one, "; did you mean 'libvirt.lua'? (migrun policies lists them)"));
    assert_non_null(strstr(two, "; did you mean 'preflight.lua'?"));
    assert_null(strstr(none, "did you mean"));
}

// A parameter without a default is asked for before anything is.
static void a_parameter_that_is_required(void **state)
{
    (void)state;
    auto_free char *path = put("needs.lua", GOOD("params = { ticket = { type = 'string', help = 'why' } },"));
    auto_json json_t *none = json_object(), *some = json_pack("{s:s}", "ticket", "OPS-1");
    struct policy policy;
    struct error err = {0};
    assert_int_equal(policy_load(&policy, path, none, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    assert_non_null(strstr(err.message, "parameter 'ticket' is required: why (-p ticket=…)"));
    policy_free(&policy);
    assert_int_equal(policy_load(&policy, path, some, &err), 0);
    policy_free(&policy);
    unlink(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    auto_free char *output = xasprintf("%s/output", folder);
    unlink(output);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(mistakes_as_data),
        cmocka_unit_test(what_a_policy_takes),
        cmocka_unit_test(what_stands_before_a_policy),
        cmocka_unit_test(a_module_is_no_policy),
        cmocka_unit_test(policies_are_listed),
        cmocka_unit_test(the_nearest_name),
        cmocka_unit_test(a_parameter_that_is_required),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
