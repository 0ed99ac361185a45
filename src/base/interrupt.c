// SPDX-License-Identifier: MIT
#include "base/interrupt.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

volatile sig_atomic_t interrupt_count;
static volatile sig_atomic_t total, holding;
static int interrupt_pipe[2] = {-1, -1}, answered;
static char last_words[256];
static void (*answer)(void *data, int count);
static void *answer_data;

static void count_all(void)
{
    interrupt_count = total;
    ssize_t ignored = write(interrupt_pipe[1], "", 1);
    (void)ignored;
}

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    total++;
    if (total >= 3 && last_words[0]) {
        ssize_t unused = write(STDERR_FILENO, last_words, strlen(last_words));
        (void)unused;
        _exit(130);
    }
    if (!holding)
        count_all();
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

void interrupts_hold(void) { holding = 1; }

void interrupts_release(void)
{
    holding = 0;
    if (total > interrupt_count)
        count_all();
}

void interrupts_answer(void (*told)(void *data, int count), void *data)
{
    answer = told;
    answer_data = data;
}

void interrupts_notice(void)
{
    while (answered < total)
        if (answered++, answer)
            answer(answer_data, answered);
}
