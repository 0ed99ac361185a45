// SPDX-License-Identifier: MIT
// Runs programs from a list of arguments, never through a shell.
#ifndef MIGRUN_BASE_PROCESS_H
#define MIGRUN_BASE_PROCESS_H

#include "base/error.h"
#include "base/text.h"
#include <sys/types.h>

struct process_request {
    const char *const *argv; // NULL-terminated; argv[0] is looked up in PATH
    const void *input;       // for its stdin, or NULL for /dev/null
    size_t input_len;
    int64_t deadline;    // now_ms() based; 0: none. When it passes the child's process group gets TERM, 2 s
                         // later KILL.
    size_t output_limit; // bytes of stdout and of stderr (0: 16 MiB); more is ERR_SYSTEM EFBIG
    int keep_fd;         // 0, or a descriptor that it keeps under its number (all others are closed)
    int watch_fd; // -1, or a descriptor whose hang-up (or EOF) ends the child too (the agent's own stdin)
    int watch_silence_ms; // 0, or for how long it may be silent before the child is ended (nothing is read)
    void (*before_exec)(void *arg, int error_fd); // NULL, or called in the child (the sandbox); arg below.
    void *before_exec_arg;
    bool nothing_left; // what it leaves running in its process group is killed
};
struct process_result {
    int status; // exit status, or -1 when a signal ended it
    int signal; // that signal, or 0
    bool timed_out;
    struct buf out, err;
};
// Runs to the end; notices deadline and interrupt (interrupt_fd(), where util_signals was called). -1 only
// when it could not be started, was interrupted or went over output_limit; a bad exit status is in the
// result.
int process_run(const struct process_request *request, struct process_result *result, struct error *err);
// Its stderr as one printable line ("" if empty), for use in an error's sentence. Caller frees.
char *process_said(const struct process_result *result);
void process_result_free(struct process_result *result);

#endif
