// SPDX-License-Identifier: MIT
// Commands of the host: a list of arguments, never a shell.
#include "base/clock.h"
#include "base/lockdown.h"
#include "base/process.h"
#include "world/agent/surgery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 60000 };

// Whether a command only looks a user or a group up by its name. That may be one of a directory, whose daemon
// (SSSD, nslcd, systemd-userdbd) is asked through a UNIX socket.
static bool looks_a_name_up(const char *const *argv, size_t count)
{
    return count == 4 && STREQ(argv[0], "getent") && STREQ(argv[1], "--") &&
           (STREQ(argv[2], "passwd") || STREQ(argv[2], "group"));
}

#define CANNOT "this kernel cannot keep it from writing"

static void only_read(void *arg, int error_fd)
{
    const bool *sockets = arg;
    if (lockdown_command(*sockets) < 0) {
        dprintf(error_fd, CANNOT " (%s): --unlocked runs it all the same", strerror(errno));
        _exit(127);
    }
}

int run_to_read(struct process_request *run, bool sockets, bool *unlocked, struct process_result *ended,
                struct error *err)
{
    struct error failure;
    run->before_exec = only_read;
    run->before_exec_arg = &sockets;
    run->nothing_left = true;
    if (process_run(run, ended, &failure) == 0)
        return 0;
    if (unlocked && strstr(failure.message, CANNOT)) {
        *unlocked = true;
        run->before_exec = NULL;
        return process_run(run, ended, err);
    }
    if (err)
        *err = failure;
    return -1;
}

SERVE(serve_command)
{
    const json_t *words = json_object_get(request, "argv");
    size_t count = json_array_size(words);
    auto_free const char **argv = xcalloc(count + 1, sizeof *argv);
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(words, i);
        argv[i] = json_string_value(word);
        if (!argv[i] || strlen(argv[i]) != json_string_length(word))
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "argument %zu of the command must be a string",
                             i);
    }
    if (!count || !*argv[0])
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "a command needs a program to run");
    int64_t timeout = json_int(request, "timeout", 0);
    struct process_request run = {
        .argv = argv,
        .input = json_flag(request, "stdin", false) ? (body ? body : "") : NULL,
        .input_len = body_len,
        .output_limit = WIRE_OUTPUT_MOST,
        .deadline = deadline_in(timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS),
        .watch_fd = agent->stdin_fd,
        .watch_silence_ms = agent->surgery ? SURGERY_SILENCE_MS : 0,
    };
    struct process_result cleanup(process_result_free) ended = {0};
    if (agent->surgery && run.deadline > surgery_deadline(agent))
        run.deadline = surgery_deadline(agent);
    bool unlocked = false, accepted = json_flag(request, "unlocked", false);
    int rc = json_flag(request, "reads", false)
                 ? run_to_read(&run, looks_a_name_up(argv, count), accepted ? &unlocked : NULL, &ended, err)
                 : process_run(&run, &ended, err);
    if (rc < 0) {
        if (err->domain == ERR_HOST)
            surgery_leave(agent);
        return -1;
    }
    *result = json_pack("{s:i, s:i, s:b, s:o}", "status", ended.status, "signal", ended.signal, "timed_out",
                        ended.timed_out, "stderr", json_text(ended.err.data ? ended.err.data : ""));
    if (unlocked)
        json_object_set_new(*result, "unlocked", json_true());
    *result_body = ended.out;
    ended.out = (struct buf){0};
    return 0;
}
