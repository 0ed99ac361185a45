// SPDX-License-Identifier: MIT
// Child processes: input and output, deadlines, what they leave running, and that a reading command can
// change nothing.
#include "base/clock.h"
#include "base/lockdown.h"
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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

static void refuse_calls(const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sock_filter program[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)numbers[i], 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {.len = COUNT_OF(program), .filter = program};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
            _exit(20);
    }
}

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

// ---- a command that only reads ----

static void lock_in(void *unused, int error_fd)
{
    (void)unused;
    if (lockdown_command(false) < 0) {
        dprintf(error_fd, "lockdown: %s", strerror(errno));
        _exit(127);
    }
}

static bool succeeds(const char *script)
{
    struct process_result result;
    struct error err = {0};
    if (run(script, NULL, (struct process_request){.watch_fd = -1, .before_exec = lock_in}, &result, &err) <
        0)
        fail_msg("%s", err.message);
    bool ok = result.status == 0;
    process_result_free(&result);
    return ok;
}

static void test_reading_command(void **state)
{
    (void)state;
    char folder[] = "/tmp/migrun-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *file = xasprintf("%s/file", folder), *make = xasprintf("echo x > %s", file);
    assert_int_equal(system(make), 0);
    setenv("FILE", file, 1);
    auto_free char *self = xasprintf("%d", (int)getpid());
    setenv("OTHER", self, 1);
    assert_true(succeeds("cat $FILE > /dev/null && ls / > /dev/null"));
    static const char *const changes[] = {
        "echo y > $FILE",
        "rm -f $FILE",
        "mv $FILE $FILE.new",
        "mkdir $FILE.d",
        "ln -s x $FILE.l",
        "ln $FILE $FILE.h",
        "truncate -s 0 $FILE",
        "mkfifo $FILE.f",
        "echo y > /dev/shm/migrun-test",
        "kill -0 $OTHER",
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1'",
        "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) or exit 1'",
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        if (succeeds(changes[i]))
            fail_msg("passed: %s", changes[i]);
    static const char *const as_root[] = {"chmod 600 $FILE", "chown 1:1 $FILE", "touch $FILE",
                                          "mount -t tmpfs x /mnt", "sysctl -w vm.swappiness=60 2>/dev/null"};
    for (size_t i = 0; geteuid() == 0 && i < COUNT_OF(as_root); i++)
        if (succeeds(as_root[i]))
            fail_msg("passed: %s", as_root[i]);
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 2);
    unlink(file);
    rmdir(folder);
}

// A process that locks itself in still reads, and its commands stay locked in.
static void test_lockdown_self(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct lockdown got;
        struct error err;
        if (lockdown_self(&got, &err) < 0)
            _exit(10);
        if (!got.landlock && !got.read_only)
            _exit(0); // nothing to be had from this kernel
        int written = open("/tmp/migrun-test-locked", O_CREAT | O_WRONLY, 0600);
        if (written >= 0)
            _exit(11);
        if (geteuid() == 0 && got.read_only && chmod("/tmp", 01777) == 0)
            _exit(12);
        _exit(succeeds("cat /etc/passwd > /dev/null") && !succeeds("echo x > /tmp/migrun-test-locked") ? 0
                                                                                                       : 13);
    }
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
        cmocka_unit_test(test_default_signals),
        cmocka_unit_test(test_an_old_kernel),
        cmocka_unit_test(test_reading_command),
        cmocka_unit_test(test_lockdown_self),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
