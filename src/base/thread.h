// SPDX-License-Identifier: MIT
// The one way to start a thread.
#ifndef MIGRUN_BASE_THREAD_H
#define MIGRUN_BASE_THREAD_H

#include <pthread.h>

// Starts a thread that takes no signals: they are the main thread's. -1 with errno.
int thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
