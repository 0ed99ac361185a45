// Small helpers of every floor: cleanup attributes, strings, deadlines, the interrupt flag.
#ifndef MIGRUN_BASE_UTIL_H
#define MIGRUN_BASE_UTIL_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Cleanup attributes, in the manner of bubblewrap: a variable frees itself when it leaves its scope, unless stolen.
#define cleanup(fn) __attribute__((cleanup(fn)))
#define auto_free cleanup(util_free_pointer)
#define auto_fd cleanup(util_close_fd)
#define auto_json cleanup(util_json_decref)
#define auto_buf cleanup(buf_free)
void util_free_pointer(void *pointer_to_pointer);
void util_close_fd(int *fd); // closes fd >= 0, keeps errno
void util_json_decref(json_t **json);
static inline void *steal_pointer(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer, *value = *p;
    *p = NULL;
    return value;
}
#define steal(p) ((__typeof__(*(p)))steal_pointer(p))
static inline int steal_fd(int *fd) { int value = *fd; *fd = -1; return value; }

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define STREQ(a, b) (strcmp((a), (b)) == 0)

// Memory: these never return NULL; out of memory ends the process (abort), as in every C tool of the field.
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A growing text; data is always NUL-terminated once something was added (NULL before).
struct buf { char *data; size_t len, cap; };
void buf_free(struct buf *b);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b); // the text, never NULL; the buffer is empty afterwards

// Time. Deadlines are absolute milliseconds of CLOCK_MONOTONIC; 0 means none.
int64_t now_ms(void);
int64_t deadline_in(int64_t milliseconds);      // 0 or less: no deadline
int deadline_poll_ms(int64_t deadline);         // for poll(2): -1 without a deadline, else 0…INT_MAX
double wall_time(void);                         // seconds since the epoch
// Text of a duration for people: "0.2 s", "12 s", "3 min 20 s", "1 h 5 min".
char *duration_text(double seconds);
// "10", "10s", "5m", "1h30m", "250ms" into seconds. -1 when the text is no duration.
int duration_parse(const char *text, double *seconds);
// "256 MiB", "11.3 GiB" of a number of bytes.
char *bytes_text(double bytes);

// The one global: how often we were asked to stop (SIGINT, SIGTERM, SIGHUP). Only signal handlers write it.
extern volatile sig_atomic_t interrupt_count;
// A file descriptor that polls readable once an interrupt came (a pipe written by the handler); -1 before util_signals.
int interrupt_fd(void);
// Installs the handlers of the three signals, ignores SIGPIPE. Called once, by main.
void util_signals(void);
// Once armed with these words (copied), the third interrupt writes them to stderr and ends the process at once.
void interrupts_last_words(const char *words);
// In a child: signals as a program finds them at its start.
void util_signals_default(void);
// From now on the three signals are ignored: what cannot be undone any more is finished.
void interrupts_hold(void);

// Text for a terminal or one line of a log: control characters and broken UTF-8 as \xNN. Caller frees.
char *printable(const char *text);
// The entry of names (count of them) nearest to word by edit distance, or NULL when none is near.
const char *nearest_name(const char *word, const char *const *names, size_t count);

// Whole file into memory (NUL-terminated past *len). limit in bytes. -1 with errno (EFBIG over the limit).
int read_whole_fd(int fd, size_t limit, char **data, size_t *len);
int read_whole_file(const char *path, size_t limit, char **data, size_t *len);
int write_all(int fd, const void *data, size_t len); // -1 with errno
// Lower-case hex of the SHA-256 of data. out needs 65 bytes.
void sha256_hex(const void *data, size_t len, char out[65]);

// json_t helpers: a member's value or a default when it is absent or of another type.
const char *json_str(const json_t *object, const char *key, const char *fallback);
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
double json_num(const json_t *object, const char *key, double fallback);
bool json_flag(const json_t *object, const char *key, bool fallback);
// A JSON string of any bytes: what is not UTF-8 is escaped as printable() does.
json_t *json_text(const char *text);

#endif
