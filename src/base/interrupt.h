// SPDX-License-Identifier: MIT
// Requests to stop: SIGINT, SIGTERM and SIGHUP are counted.
#ifndef MIGRUN_BASE_INTERRUPT_H
#define MIGRUN_BASE_INTERRUPT_H

#include <signal.h>

// The one global: how often we were asked to stop. Only signal handlers write it.
extern volatile sig_atomic_t interrupt_count;
// A file descriptor that polls readable once an interrupt came (a pipe written by the handler); -1 before
// util_signals.
int interrupt_fd(void);
// Installs the handlers of the three signals, ignores SIGPIPE. Called once, by main.
void util_signals(void);
// Once armed with these words (copied), the third interrupt writes them to stderr and ends the process at
// once.
void interrupts_last_words(const char *words);
// From now on the three signals are ignored, so that work that can no longer be undone is finished.
void interrupts_hold(void);

#endif
