// SPDX-License-Identifier: MIT
// Requests to stop: SIGINT, SIGTERM and SIGHUP are counted.
#ifndef MIGRUN_BASE_INTERRUPT_H
#define MIGRUN_BASE_INTERRUPT_H

#include <signal.h>

// The one global: how often we were asked to stop, but for what came while they were held. Signal handlers
// write it, and interrupts_release.
extern volatile sig_atomic_t interrupt_count;
// A file descriptor that polls readable once an interrupt was counted (a pipe written by the handler); -1
// before util_signals.
int interrupt_fd(void);
// Installs the handlers of the three signals, ignores SIGPIPE. Called once, by main.
void util_signals(void);
// Once armed with these words (copied), the third interrupt writes them to stderr and ends the process at
// once.
void interrupts_last_words(const char *words);
// From now on an interrupt stops nothing, so that work that cannot be left half done is finished; the third
// still ends the process at once.
void interrupts_hold(void);
// What came while they were held counts from now on.
void interrupts_release(void);
// Each interrupt is answered by a call of answer(data, how many there were), NULL: by nothing; on the thread
// that waits.
void interrupts_answer(void (*answer)(void *data, int count), void *data);
// Answers those that were not answered yet. Whatever waits calls it now and then, on the main thread.
void interrupts_notice(void);

#endif
