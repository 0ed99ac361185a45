// SPDX-License-Identifier: MIT
// Child processes: input and output, deadlines, what they leave running.
#include "base/clock.h"
#include "base/process.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "old_kernel.h"

static int run(const char *script, const char *input, struct process_request request,
               struct process_result *result, struct error *err)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    request.argv = argv;
    request.input = input;
    request.input_len = input ? strlen(input) : 0;
    return process_run(&request, result, err);
}

static void test_output(void **state)
{
    (void)state;
    struct process_result result;
    assert_int_equal(
        run("cat; echo no >&2; exit 3", "hello", (struct process_request){.watch_fd = -1}, &result, NULL), 0);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out.data, "hello");
    assert_string_equal(result.err.data, "no\n");
    process_result_free(&result);
}

static void test_much_both_ways(void **state)
{
    (void)state;
    size_t len = 3 << 20; // more than pipes hold
    auto_free char *input = xmalloc(len + 1);
    memset(input, 'x', len);
    input[len] = '\0';
    struct process_result result;
    assert_int_equal(run("cat", input, (struct process_request){.watch_fd = -1}, &result, NULL), 0);
    assert_int_equal(result.out.len, len);
    process_result_free(&result);
}

static void test_absent_program(void **state)
{
    (void)state;
    const char *argv[] = {"migrun-no-such-program", NULL};
    struct process_request request = {.argv = argv, .watch_fd = -1};
    struct process_result result;
    struct error err = {0};
    assert_int_equal(process_run(&request, &result, &err), -1);
    assert_non_null(strstr(err.message, "cannot start migrun-no-such-program: No such file or directory"));
}

// A child that ignores TERM, and its own child, are gone when the deadline has passed.
static void test_deadline(void **state)
{
    (void)state;
    struct process_result result;
    assert_int_equal(run("trap '' TERM; sleep 600 & echo $!; wait; while :; do sleep 600; done", NULL,
                         (struct process_request){.watch_fd = -1, .deadline = deadline_in(5000)}, &result,
                         NULL),
                     0);
    assert_true(result.timed_out);
    pid_t left = (pid_t)atoi(result.out.data);
    assert_true(left > 0);
    for (int i = 0; i < 6000 && kill(left, 0) == 0; i++)
        usleep(10000);
    assert_int_equal(kill(left, 0), -1);
    process_result_free(&result);
}

static void test_background_is_not_waited_for(void **state)
{
    (void)state;
    struct process_result result;
    assert_int_equal(run("sleep 600 & echo $!", NULL,
                         (struct process_request){.watch_fd = -1, .deadline = deadline_in(60000)}, &result,
                         NULL),
                     0);
    assert_false(result.timed_out);
    assert_int_equal(result.status, 0);
    kill((pid_t)atoi(result.out.data), SIGKILL);
    process_result_free(&result);
}

static void test_too_much(void **state)
{
    (void)state;
    struct process_result result;
    struct error err = {0};
    assert_int_equal(
        run("yes", NULL, (struct process_request){.watch_fd = -1, .output_limit = 100000}, &result, &err),
        -1);
    assert_int_equal(err.code, EFBIG);
}

static void test_hangup(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    close(pair[1]);
    struct process_result result;
    struct error err = {0};
    assert_int_equal(run("sleep 600", NULL, (struct process_request){.watch_fd = pair[0]}, &result, &err),
                     -1);
    assert_int_equal(err.domain, ERR_HOST);
    close(pair[0]);
}

// Somebody is there still, but nothing comes from them: a network that is gone.
static void test_silence(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(write(pair[1], "ping", 4), 4);
    struct process_result result;
    struct error err = {0};
    assert_int_equal(run("sleep 600", NULL,
                         (struct process_request){.watch_fd = pair[0], .watch_silence_ms = 300}, &result,
                         &err),
                     -1);
    assert_int_equal(err.domain, ERR_HOST);
    close(pair[0]);
    close(pair[1]);
}

// Whatever is open here, and not only what is closed on exec.
static void test_nothing_is_inherited(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    struct process_result result;
    assert_int_equal(run("ls /proc/self/fd | head -n 3; ls /proc/self/fd | wc -l", NULL,
                         (struct process_request){.watch_fd = -1}, &result, NULL),
                     0);
    assert_string_equal(result.out.data, "0\n1\n2\n4\n"); // ls has the folder open
    process_result_free(&result);
    close(pair[0]);
    close(pair[1]);
}

// A cloud's passwords and a policy's secrets are this process's own; what ssh needs is passed on.
static void test_secrets_are_not_inherited(void **state)
{
    (void)state;
    struct process_result result;
    const char *const secrets[] = {"OS_PASSWORD", "OS_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET",
                                   SPAWN_SECRET "VAULT"};
    for (size_t i = 0; i < COUNT_OF(secrets); i++)
        setenv(secrets[i], "sesame", 1);
    setenv("OS_USERNAME", "admin", 1);
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    assert_int_equal(run("env | grep sesame; echo $OS_USERNAME $SSH_AUTH_SOCK", NULL,
                         (struct process_request){.watch_fd = -1}, &result, NULL),
                     0);
    assert_string_equal(result.out.data, "admin /run/agent\n");
    assert_string_equal(getenv("OS_PASSWORD"), "sesame");
    process_result_free(&result);
}

// Neither a core file nor a debugger of its user's gets them, and what it starts can be debugged as ever.
static void test_memory_is_private(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit cores;
        spawn_keep_private();
        bool dumpable = prctl(PR_GET_DUMPABLE);
#ifdef __SANITIZE_ADDRESS__
        dumpable = false;
#endif
        _exit(getrlimit(RLIMIT_CORE, &cores) == 0 && cores.rlim_cur == 0 && !dumpable ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

// The signals that this process ignores or blocks are nobody else's matter.
static void test_default_signals(void **state)
{
    (void)state;
    sigset_t term, before;
    struct process_result result;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    void (*handler)(int) = signal(SIGTERM, SIG_IGN);
    assert_int_equal(
        run("kill -TERM $$; exit 7", NULL, (struct process_request){.watch_fd = -1}, &result, NULL), 0);
    signal(SIGTERM, handler);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(result.signal, SIGTERM);
    process_result_free(&result);
}

// ---- a kernel without the newer system calls ----

// Runs in a process of its own, whose exit status says what was wrong.
static int on_an_old_kernel(void)
{
    static const int newer[] = {SYS_pidfd_open, SYS_close_range};
    refuse_calls(newer, COUNT_OF(newer));
    struct process_result result;
    if (run("cat; exit 3", "hello", (struct process_request){.watch_fd = -1, .deadline = deadline_in(60000)},
            &result, NULL) < 0)
        return 21;
    if (result.timed_out || result.status != 3 || !STREQ(result.out.data, "hello"))
        return 22;
    process_result_free(&result);
    // What it leaves running holds its pipes open.
    if (run("sleep 600 & echo $!", NULL,
            (struct process_request){.watch_fd = -1, .deadline = deadline_in(60000)}, &result, NULL) < 0 ||
        result.timed_out)
        return 23;
    kill((pid_t)atoi(result.out.data), SIGKILL);
    process_result_free(&result);
    if (run("sleep 600", NULL, (struct process_request){.watch_fd = -1, .deadline = deadline_in(1)}, &result,
            NULL) < 0 ||
        !result.timed_out || !result.signal)
        return 24;
    process_result_free(&result);
    return 0;
}

static void test_an_old_kernel(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_an_old_kernel());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_much_both_ways),
        cmocka_unit_test(test_absent_program),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_background_is_not_waited_for),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_hangup),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_nothing_is_inherited),
        cmocka_unit_test(test_secrets_are_not_inherited),
        cmocka_unit_test(test_memory_is_private),
        cmocka_unit_test(test_default_signals),
        cmocka_unit_test(test_an_old_kernel),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
