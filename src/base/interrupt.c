// SPDX-License-Identifier: MIT
#include "base/interrupt.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

volatile sig_atomic_t interrupt_count;
static int interrupt_pipe[2] = {-1, -1};
static char last_words[256];

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    interrupt_count++;
    if (interrupt_count >= 3 && last_words[0]) {
        ssize_t unused = write(STDERR_FILENO, last_words, strlen(last_words));
        (void)unused;
        _exit(130);
    }
    ssize_t ignored = write(interrupt_pipe[1], "", 1);
    (void)ignored;
    errno = saved;
}

int interrupt_fd(void) { return interrupt_pipe[0]; }

void util_signals(void)
{
    if (pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        abort();
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

void interrupts_last_words(const char *words) { snprintf(last_words, sizeof last_words, "%s", words); }

void interrupts_hold(void)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}
