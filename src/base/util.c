#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void util_free_pointer(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void util_close_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

void util_json_decref(json_t **json)
{
    json_decref(*json);
}

static void *or_abort(void *p)
{
    if (!p)
        abort();
    return p;
}

void *xmalloc(size_t size) { return or_abort(malloc(size ? size : 1)); }
void *xcalloc(size_t count, size_t size) { return or_abort(calloc(count ? count : 1, size ? size : 1)); }
void *xrealloc(void *p, size_t size) { return or_abort(realloc(p, size ? size : 1)); }
char *xstrdup(const char *text) { return or_abort(strdup(text)); }
char *xstrndup(const char *text, size_t length) { return or_abort(strndup(text, length)); }

char *xasprintf(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

static void buf_room(struct buf *b, size_t more)
{
    if (more >= SIZE_MAX / 2 - b->len)
        abort();
    if (b->len + more + 1 > b->cap) {
        b->cap = (b->len + more + 1) * 2;
        b->data = xrealloc(b->data, b->cap);
    }
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    buf_room(b, len);
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        abort();
    buf_room(b, (size_t)n);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
    va_end(again);
    b->len += (size_t)n;
}

char *buf_take(struct buf *b)
{
    char *text = b->data ? b->data : xstrdup("");
    *b = (struct buf){0};
    return text;
}

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t deadline_in(int64_t milliseconds)
{
    return milliseconds > 0 ? now_ms() + milliseconds : 0;
}

int deadline_poll_ms(int64_t deadline)
{
    if (!deadline)
        return -1;
    int64_t left = deadline - now_ms();
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

double wall_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

char *duration_text(double seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 0.095)
        return xasprintf("%.2f s", seconds);
    if (seconds < 9.95)
        return xasprintf("%.1f s", seconds);
    long whole = (long)(seconds + 0.5);
    if (whole < 60)
        return xasprintf("%ld s", whole);
    if (whole < 3600)
        return whole % 60 ? xasprintf("%ld min %ld s", whole / 60, whole % 60) : xasprintf("%ld min", whole / 60);
    return whole / 60 % 60 ? xasprintf("%ld h %ld min", whole / 3600, whole / 60 % 60) : xasprintf("%ld h", whole / 3600);
}

int duration_parse(const char *text, double *seconds)
{
    static const struct { const char *suffix; double factor; } units[] = {
        {"ms", 0.001}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400},
    };
    double sum = 0;
    const char *p = text;
    if (!*p)
        return -1;
    while (*p) {
        char *end;
        if (*p < '0' || *p > '9')
            return -1;
        double value = strtod(p, &end);
        size_t letters = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        double factor = letters == 0 && !*end && p == text ? 1 : 0;
        for (size_t i = 0; i < COUNT_OF(units); i++)
            if (letters == strlen(units[i].suffix) && strncmp(end, units[i].suffix, letters) == 0)
                factor = units[i].factor;
        if (factor == 0)
            return -1;
        sum += value * factor;
        p = end + letters;
    }
    if (!(sum < 1e9))
        return -1;
    *seconds = sum;
    return 0;
}

char *bytes_text(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    double value = bytes < 0 ? -bytes : bytes;
    while (value >= 1024 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    int decimals = unit >= 3 && value < 100 ? 1 : 0;
    char *text = xasprintf("%.*f", decimals, value);
    if (decimals && text[strlen(text) - 1] == '0')
        text[strlen(text) - 2] = '\0'; // 16.0 GiB is 16 GiB
    char *whole = xasprintf("%s%s %s", bytes < 0 ? "-" : "", text, units[unit]);
    free(text);
    return whole;
}

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

int interrupt_fd(void)
{
    return interrupt_pipe[0];
}

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

void interrupts_last_words(const char *words)
{
    snprintf(last_words, sizeof last_words, "%s", words);
}

void util_signals_default(void)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        signal(ours[i], SIG_DFL);
}

void interrupts_hold(void)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

// Length of the UTF-8 character at p (2 to 4 bytes), or 0 when there is none.
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    if (p[0] == 0xc2 && p[1] < 0xa0) // C1 controls
        return 0;
    return n;
}

static char *escaped(const char *text, bool controls)
{
    struct buf out = {0};
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = utf8_length(p);
        if (n) {
            buf_add(&out, p, n);
            p += n;
        } else if (*p < 0x80 && (!controls || (*p >= 0x20 && *p != 0x7f))) {
            buf_add(&out, p++, 1);
        } else {
            buf_printf(&out, "\\x%02x", *p++);
        }
    }
    return buf_take(&out);
}

char *printable(const char *text)
{
    return escaped(text, true);
}

json_t *json_text(const char *text)
{
    auto_free char *clean = escaped(text, false);
    return json_string(clean);
}

// Damerau-Levenshtein distance of two short words (optimal string alignment: a swap of neighbours counts as one).
static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t la = strlen(a), lb = strlen(b), d[3][MAX + 1];
    if (la > MAX || lb > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = d[i % 3], *above = d[(i + 2) % 3], *above2 = d[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[la % 3][lb];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, names[i]);
        if (distance <= best_distance && (!best || distance < best_distance)) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

int read_whole_fd(int fd, size_t limit, char **data, size_t *len)
{
    auto_buf struct buf b = {0};
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > limit) {
            errno = EFBIG;
            return -1;
        }
        buf_room(&b, (size_t)st.st_size + 1);
    }
    for (;;) {
        buf_room(&b, 65536);
        ssize_t n = read(fd, b.data + b.len, b.cap - b.len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        b.len += (size_t)n;
        if (b.len > limit) {
            errno = EFBIG;
            return -1;
        }
    }
    b.data[b.len] = '\0';
    *len = b.len;
    *data = buf_take(&b);
    return 0;
}

int read_whole_file(const char *path, size_t limit, char **data, size_t *len)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : read_whole_fd(fd, limit, data, len);
}

int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

void sha256_hex(const void *data, size_t len, char out[65])
{
    SHA256Data(data, len, out);
}

const char *json_str(const json_t *object, const char *key, const char *fallback)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : fallback;
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_real(value))
        return json_is_integer(value) ? json_integer_value(value) : fallback;
    double real = json_real_value(value);
    return real > -0x1p63 && real < 0x1p63 ? (int64_t)real : fallback; // what does not fit says nothing
}

double json_num(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_flag(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
