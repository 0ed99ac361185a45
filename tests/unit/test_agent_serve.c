// SPDX-License-Identifier: MIT
// A request and its answer, as they cross the wire; commands of the host.
#include "base/clock.h"
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct agent agent;

// What comes of a request, as migrun gets it.
static void ask(json_t *head, const char *body, struct message *answer)
{
    struct message request = {
        .head = head, .body = body ? xstrdup(body) : NULL, .body_len = body ? strlen(body) : 0};
    struct wire_reader reader = {0};
    int pair[2];
    assert_non_null(head);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(agent_answer(&agent, &request, pair[1]), 0);
    close(pair[1]);
    char chunk[65536];
    for (ssize_t n; (n = read(pair[0], chunk, sizeof chunk)) > 0;)
        wire_feed(&reader, chunk, (size_t)n);
    close(pair[0]);
    *answer = (struct message){0};
    struct error err;
    if (wire_take(&reader, answer, &err) < 0)
        fail_msg("%s", err.message);
    wire_reader_free(&reader);
    message_free(&request);
}

static void is_error(const struct message *answer, enum error_domain domain, int code, const char *says)
{
    const json_t *error = json_object_get(answer->head, "error");
    assert_non_null(error);
    assert_string_equal(json_str(error, "domain", ""), error_domain_name(domain));
    assert_int_equal(json_int(error, "code", -1), code);
    if (!strstr(json_str(error, "message", ""), says))
        fail_msg("'%s' does not say '%s'", json_str(error, "message", ""), says);
}

static int setup(void **state)
{
    (void)state;
    agent = (struct agent){.stdin_fd = -1};
    return 0;
}

// ---- answers ----

static void an_answer_has_the_id_of_its_request(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i}", "op", "ping", "id", 7), NULL, &answer);
    assert_int_equal(json_int(answer.head, "id", -1), 7);
    assert_true(json_is_object(json_object_get(answer.head, "result")));
}

static void a_ping_without_an_id_is_not_answered(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s}", "op", "ping"), NULL, &answer);
    assert_null(answer.head);
}

static void an_operation_that_is_none(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i}", "op", "format-the-disk", "id", 7), NULL, &answer);
    is_error(&answer, ERR_BUG, 0, "format-the-disk");
}

static void an_agent_that_reads_changes_nothing(void **state)
{
    (void)state;
    static const char *const ops_that_write[] = {"write", "remove", "command", "chown", "note", "claim"};
    agent.read_only = true;
    for (size_t i = 0; i < COUNT_OF(ops_that_write); i++) {
        auto_message struct message answer = {0};
        ask(json_pack("{s:s, s:i, s:[s]}", "op", ops_that_write[i], "id", 1, "argv", "true"), NULL, &answer);
        is_error(&answer, ERR_REFUSED, REFUSED_PHASE, "started to read only");
    }
}

// An answer that the wire does not take is an error of that request alone: the agent goes on. (JSON writes a
// control character as six.)
static void an_answer_that_is_too_large(void **state)
{
    (void)state;
    auto_message struct message answer = {0}, next = {0};
    ask(json_pack("{s:s, s:i, s:[s,s,s]}", "op", "command", "id", 7, "argv", "/bin/sh", "-c",
                  "head -c 4000000 /dev/zero | tr '\\0' '\\001' >&2"),
        NULL, &answer);
    assert_int_equal(json_int(answer.head, "id", -1), 7);
    is_error(&answer, ERR_SYSTEM, EMSGSIZE, "too large to be sent");
    ask(json_pack("{s:s, s:i}", "op", "ping", "id", 8), NULL, &next);
    assert_int_equal(json_int(next.head, "id", -1), 8);
}

// ---- commands ----

static void a_command_gets_its_input_and_says_how_it_ended(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i, s:b, s:[s,s,s]}", "op", "command", "id", 1, "stdin", 1, "argv", "/bin/sh", "-c",
                  "cat; echo why >&2; exit 3"),
        "some input", &answer);
    const json_t *result = json_object_get(answer.head, "result");
    assert_int_equal(json_int(result, "status", -1), 3);
    assert_int_equal(json_int(result, "signal", -1), 0);
    assert_string_equal(json_str(result, "stderr", ""), "why\n");
    assert_string_equal(answer.body, "some input");
}

static void a_command_that_is_not_given_input_finds_its_end(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i, s:[s]}", "op", "command", "id", 1, "argv", "cat"), "not for it", &answer);
    assert_int_equal(json_int(json_object_get(answer.head, "result"), "status", -1), 0);
    assert_int_equal(answer.body_len, 0);
}

static void a_command_that_takes_too_long(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i, s:i, s:[s,s]}", "op", "command", "id", 1, "timeout", 1, "argv", "sleep", "600"),
        NULL, &answer);
    assert_true(json_flag(json_object_get(answer.head, "result"), "timed_out", false));
}

static void commands_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *argv, *says;
    } rows[] = {
        {"[]", "needs a program"},
        {"[\"\"]", "needs a program"},
        {"[\"echo\", 7]", "argument 1"},
        {"[\"echo\", \"a\\u0000b\"]", "argument 1"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_message struct message answer = {0};
        ask(json_pack("{s:s, s:i, s:o}", "op", "command", "id", 1, "argv",
                      json_loads(rows[i].argv, JSON_ALLOW_NUL, NULL)),
            NULL, &answer);
        is_error(&answer, ERR_REFUSED, REFUSED_OTHER, rows[i].says);
    }
}

static void a_program_that_is_not_there(void **state)
{
    (void)state;
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i, s:[s]}", "op", "command", "id", 1, "argv", "/no/such/program"), NULL, &answer);
    is_error(&answer, ERR_SYSTEM, ENOENT, "cannot start /no/such/program");
}

// What only reads leaves nothing behind, and reaches no socket.
static void a_command_that_reads(void **state)
{
    (void)state;
    char file[] = "/tmp/migrun-test-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    auto_free char *script = xasprintf("echo changed >%s", file);
    auto_message struct message answer = {0};
    ask(json_pack("{s:s, s:i, s:b, s:[s,s,s]}", "op", "command", "id", 1, "reads", 1, "argv", "/bin/sh", "-c",
                  script),
        NULL, &answer);
    assert_int_not_equal(json_int(json_object_get(answer.head, "result"), "status", 0), 0);
    unlink(file);
}

// Users and groups may be those of a directory, whose daemon (SSSD, nslcd, systemd-userdbd) is asked through
// a UNIX socket. The getent is a script that does nothing else; other programs that read may not do it.
static void who_looks_a_name_up_may_ask_a_daemon(void **state)
{
    (void)state;
    static const struct {
        const char *program, *database, *family;
        int status;
    } rows[] = {
        {"getent", "passwd", "AF_UNIX", 0},      {"getent", "group", "AF_UNIX", 0},
        {"getent", "passwd", "AF_INET", 13},     {"getent", "hosts", "AF_UNIX", 13},
        {"not-getent", "passwd", "AF_UNIX", 13},
    };
    char folder[] = "/tmp/migrun-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *before = xstrdup(getenv("PATH")), *path = xasprintf("%s:%s", folder, before);
    setenv("PATH", path, 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *file = xasprintf("%s/%s", folder, rows[i].program);
        FILE *script = fopen(file, "we");
        fprintf(script, "#!/bin/sh\nexec perl -MSocket -e 'socket(S, %s, SOCK_STREAM, 0) or exit $!'\n",
                rows[i].family);
        fchmod(fileno(script), 0755);
        fclose(script);
        auto_message struct message answer = {0};
        ask(json_pack("{s:s, s:i, s:b, s:[s,s,s,s]}", "op", "command", "id", 1, "reads", 1, "argv",
                      rows[i].program, "--", rows[i].database, "somebody"),
            NULL, &answer);
        assert_int_equal(json_int(json_object_get(answer.head, "result"), "status", -1), rows[i].status);
        unlink(file);
    }
    setenv("PATH", before, 1);
    rmdir(folder);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, setup)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_the_id_of_its_request),
        TEST(a_ping_without_an_id_is_not_answered),
        TEST(an_operation_that_is_none),
        TEST(an_agent_that_reads_changes_nothing),
        TEST(an_answer_that_is_too_large),
        TEST(a_command_gets_its_input_and_says_how_it_ended),
        TEST(a_command_that_is_not_given_input_finds_its_end),
        TEST(a_command_that_takes_too_long),
        TEST(commands_that_are_none),
        TEST(a_program_that_is_not_there),
        TEST(a_command_that_reads),
        TEST(who_looks_a_name_up_may_ask_a_daemon),
    };
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
