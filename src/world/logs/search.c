// SPDX-License-Identifier: MIT
#include "world/logs/search.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "world/logs/find.h"
#include "world/logs/stamp.h"
#include "world/logs/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK = 128 << 10,
    LINE_LOOKED_AT = 64 << 10, // what follows in a longer line is passed over
    WHOLE_BELOW = 8 << 20,     // a file that is read from its begin: its clock may have jumped
    PROBE = 256 << 10,
    BEYOND = 1 << 20, // so much after the end of the window, times may still go back
    BACK_S = 120,     // so much before its begin
    OLD_S = 86400,    // a file that was last written so long before it is not opened
    FOLLOWING_MOST = 20,
    DROP_MOST = 500, // the oldest lines, at a time
    JOURNAL_S = 2 * 86400,
    PROGRAMS_MOST = 8,
    TIMEOUT_MS = 20000,
};

struct texts {
    const char **v;
    size_t *len, n;
};

struct set {
    const char *name;
    struct texts words, without;
    bool all;
};

struct search {
    const struct search_way *way;
    double since, until, now; // NAN: no bound
    int zone;
    int64_t deadline;
    struct texts needles;
    struct set *sets;
    size_t n_sets, most, bytes, left;
    bool last;
    double carried; // the time of the last line of the log that was rotated before, or NAN
    size_t following;
    json_t *lines, *files;
    char chunk[CHUNK];
};

// Of one file while it is read.
struct reading {
    struct search *s;
    const struct set *set;
    size_t file;       // its index in the answer
    double time;       // of the line before; NAN: none had one
    int64_t number;    // of the next line; 0: not counted
    int64_t past;      // bytes since the window's end
    size_t following;  // lines without a time that may still follow the one that was kept
    bool whole, ended; // ended: nothing that is wanted comes any more
};

static void texts_of(const json_t *list, struct texts *texts)
{
    size_t count = json_array_size(list);
    texts->v = xcalloc(count + 1, sizeof *texts->v);
    texts->len = xcalloc(count + 1, sizeof *texts->len);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !*text)
            continue;
        texts->len[texts->n] = strlen(text);
        texts->v[texts->n++] = text;
    }
}

static void texts_free(struct texts *texts)
{
    free(texts->v);
    free(texts->len);
}

static bool holds(const struct texts *texts, const char *data, size_t len)
{
    for (size_t i = 0; i < texts->n; i++)
        if (memmem(data, len, texts->v[i], texts->len[i]))
            return true;
    return false;
}

// Whether anything in it could be wanted.
static bool may_be_wanted(const struct reading *r, const char *data, size_t len)
{
    return r->set->all || holds(&r->s->needles, data, len) || holds(&r->set->words, data, len);
}

static bool is_wanted(const struct reading *r, const char *line, size_t len)
{
    if (holds(&r->set->without, line, len))
        return holds(&r->set->words, line, len);
    return may_be_wanted(r, line, len);
}

static bool is_over(const struct search *s)
{
    struct pollfd gone = {.fd = s->way->client_fd};
    return interrupt_count > 0 || now_ms() >= s->deadline || (gone.fd >= 0 && poll(&gone, 1, 0) > 0);
}

// ---- lines ----

static void drop_oldest(struct search *s, size_t count)
{
    json_t *kept = json_array();
    size_t i;
    json_t *line;
    json_array_foreach(s->lines, i, line)
        if (i >= count)
            json_array_append(kept, line);
        else
            s->bytes -= json_string_length(json_object_get(line, "text"));
    json_decref(s->lines);
    s->lines = kept;
    s->left += count;
}

static void keep_line(struct reading *r, const char *text, size_t len, int64_t at)
{
    struct search *s = r->s;
    bool full = json_array_size(s->lines) >= s->most || s->bytes >= SEARCH_BYTES_MOST;
    if (full && !s->last) {
        s->left++;
        return;
    }
    if (full && json_array_size(s->lines) >= s->most + DROP_MOST)
        drop_oldest(s, DROP_MOST);
    auto_free char *copy = xstrndup(text, len < SEARCH_LINE_MOST ? len : SEARCH_LINE_MOST);
    size_t cut = strlen(copy); // NULs end it
    while (cut && (copy[cut - 1] == '\r' || copy[cut - 1] == ' '))
        copy[--cut] = '\0';
    json_t *shown = json_text(copy);
    s->bytes += json_string_length(shown);
    json_array_append_new(s->lines,
                          json_pack("{s:I, s:o, s:o, s:I, s:o}", "file", (json_int_t)r->file, "time",
                                    isnan(r->time) ? json_null() : json_real(r->time), "line",
                                    r->number ? json_integer((json_int_t)r->number) : json_null(), "at",
                                    (json_int_t)at, "text", shown));
}

static void take_line(struct reading *r, const char *text, size_t len, int64_t at)
{
    struct search *s = r->s;
    struct stamp stamp;
    bool stamped = stamp_read(text, len, &stamp);
    if (stamped)
        r->time = stamp_time(&stamp, s->zone, s->now);
    bool before = r->time<s->since, after = r->time> s->until;
    r->past = after ? r->past + (int64_t)len : 0;
    r->ended = !r->whole && r->past > BEYOND;
    // A log without times tells by its needles alone.
    bool timeless = isnan(r->time) && !isnan(s->since), follows = !stamped && r->following > 0;
    r->following -= follows;
    bool wanted = timeless ? r->set->all || holds(&s->needles, text, len) : is_wanted(r, text, len);
    if (wanted && stamped)
        r->following = FOLLOWING_MOST;
    else if (stamped)
        r->following = 0;
    if (!before && !after && (wanted || follows))
        keep_line(r, text, len, at);
}

static int64_t count_lines(const char *data, size_t len)
{
    int64_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += data[i] == '\n';
    return count;
}

// Where nothing in a piece is wanted, its lines are but counted, and its last time is the next line's.
static bool pass_over(struct reading *r, const char *data, size_t len)
{
    if (r->following || !isnan(r->s->since) || may_be_wanted(r, data, len))
        return false;
    const char *last = len > 1 ? memrchr(data, '\n', len - 1) : NULL;
    last = last ? last + 1 : data;
    struct stamp stamp;
    if (stamp_read(last, (size_t)(data + len - last), &stamp))
        r->time = stamp_time(&stamp, r->s->zone, r->s->now);
    if (r->number)
        r->number += count_lines(data, len);
    return true;
}

static void take_lines(struct reading *r, const char *data, size_t len, int64_t at)
{
    if (pass_over(r, data, len))
        return;
    for (const char *p = data, *end = data + len; p < end && !r->ended;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        take_line(r, p, (size_t)(stop - p), at + (p - data));
        r->number += r->number && newline ? 1 : 0;
        p = stop + 1;
    }
}

// Waits for a program's output. false: time is over.
static bool has_bytes(const struct search *s, const struct stream *stream)
{
    struct pollfd out = {.fd = stream->fd, .events = POLLIN};
    while (!is_over(s))
        if (stream->is_plain || poll(&out, 1, 200) > 0)
            return true;
    return false;
}

// Reads from a place to the end of what is wanted. 1: to the end; 0: time was over; -1 with errno.
static int read_lines(struct reading *r, const struct stream *stream, int64_t from, bool torn)
{
    struct search *s = r->s;
    size_t held = 0;
    bool passing = torn; // over the rest of a line
    for (int64_t at = from; !r->ended;) {
        if (!has_bytes(s, stream))
            return 0;
        ssize_t n = stream->is_plain ? pread(stream->fd, s->chunk + held, CHUNK - held, at + (int64_t)held)
                                     : read(stream->fd, s->chunk + held, CHUNK - held);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        char *data = s->chunk;
        size_t len = held + (size_t)n, skipped = 0;
        if (passing) {
            const char *newline = memchr(data, '\n', len);
            skipped = newline ? (size_t)(newline + 1 - data) : len;
            passing = !newline && n > 0;
            r->number += r->number && newline ? 1 : 0;
        }
        data += skipped;
        len -= skipped;
        at += (int64_t)skipped;
        const char *last = memrchr(data, '\n', len);
        size_t whole = last ? (size_t)(last + 1 - data) : n == 0 ? len : 0;
        take_lines(r, data, whole, at);
        held = len - whole;
        if (n == 0)
            return 1;
        if (held >= LINE_LOOKED_AT && !r->ended) {
            take_line(r, data + whole, held, at + (int64_t)whole);
            at += (int64_t)(whole + held);
            held = 0;
            passing = true;
            continue;
        }
        memmove(s->chunk, data + whole, held);
        at += (int64_t)whole;
    }
    return 1;
}

// ---- a place by its time ----

// The time of the first line with one in a piece; NAN: none.
static double time_in(const struct search *s, const char *data, size_t len, bool torn)
{
    const char *p = data, *end = data + len;
    if (torn) {
        const char *newline = memchr(p, '\n', len);
        p = newline ? newline + 1 : end;
    }
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        struct stamp stamp;
        if (stamp_read(p, (size_t)(stop - p), &stamp))
            return stamp_time(&stamp, s->zone, s->now);
        p = stop + 1;
    }
    return NAN;
}

static double time_at(struct search *s, int fd, int64_t at)
{
    ssize_t n = pread(fd, s->chunk, CHUNK, at);
    return n > 0 ? time_in(s, s->chunk, (size_t)n, at > 0) : NAN;
}

// A place in a large file before which nothing was written since then.
static int64_t place_of(struct search *s, int fd, int64_t size, double since)
{
    int64_t low = 0, high = size;
    while (high - low > PROBE) {
        int64_t middle = low + (high - low) / 2;
        double time = time_at(s, fd, middle);
        if (isnan(time))
            return low;
        if (time < since)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static double begin_of(struct search *s, const char *path)
{
    struct stream stream;
    if (stream_open(path, &stream, NULL) < 0)
        return NAN;
    size_t len = 0;
    ssize_t n;
    while (len < CHUNK && (n = read(stream.fd, s->chunk + len, CHUNK - len)) > 0)
        len += (size_t)n;
    stream_close(&stream, NULL);
    return time_in(s, s->chunk, len, false);
}

// ---- files ----

static int by_begin(const void *one, const void *other)
{
    const struct log_file *a = one, *b = other;
    if (isnan(a->begin) || isnan(b->begin))
        return isnan(a->begin) - isnan(b->begin);
    return (a->begin > b->begin) - (a->begin < b->begin);
}

static void note_file(struct search *s, const char *path, const char *as, const char *set, const char *error)
{
    json_t *file = json_pack("{s:o, s:o, s:s}", "path", json_text(path), "as", json_text(as), "set", set);
    if (error)
        json_object_set_new(file, "error", json_text(error));
    json_array_append_new(s->files, file);
}

static void read_stream(struct search *s, const struct log_file *file, struct stream *stream)
{
    struct reading r = {.s = s,
                        .set = &s->sets[file->set],
                        .file = json_array_size(s->files) - 1,
                        .time = s->carried,
                        .following = s->following,
                        .number = file->path ? 1 : 0, // the journal's lines have none
                        .whole = stream->is_plain && stream->size < WHOLE_BELOW};
    int64_t from = 0;
    if (stream->is_plain && !r.whole && !isnan(s->since))
        from = place_of(s, stream->fd, stream->size, s->since - BACK_S);
    if (from > 0)
        r.number = 0;
    struct error err = {0};
    json_t *told = json_array_get(s->files, r.file);
    int rc = read_lines(&r, stream, from, from > 0), failure = errno;
    if (rc == 0)
        json_object_set_new(told, "error", json_string("was not read to its end: it takes too long"));
    else if (rc < 0)
        json_object_set_new(told, "error", json_text(strerror(failure)));
    s->carried = r.time;
    s->following = r.following;
    if (stream_close(stream, &err) < 0 && rc > 0 && !r.ended)
        json_object_set_new(told, "error", json_text(err.message));
}

static void read_file(struct search *s, const struct log_file *file)
{
    auto_free char *path = xasprintf("%s%s", s->way->root, file->path);
    struct stream stream;
    struct error err;
    int rc = stream_open(path, &stream, &err);
    note_file(s, file->path, file->as, s->sets[file->set].name, rc < 0 ? err.message : NULL);
    if (rc == 0)
        read_stream(s, file, &stream);
}

// A log and what it was rotated to: those that the window touches, the oldest first. A file ends where the
// next one begins.
static void read_group(struct search *s, struct log_file *files, size_t n)
{
    bool bounded = !isnan(s->since) || !isnan(s->until);
    for (size_t i = 0; i < n; i++) {
        auto_free char *path = xasprintf("%s%s", s->way->root, files[i].path);
        bool old = files[i].mtime < s->since - OLD_S;
        files[i].begin = old ? -INFINITY : n > 1 || bounded ? begin_of(s, path) : NAN;
    }
    qsort(files, n, sizeof *files, by_begin);
    s->carried = NAN;
    s->following = 0;
    for (size_t i = 0; i < n && !is_over(s); i++) {
        double next = i + 1 < n ? files[i + 1].begin : NAN;
        bool outside = files[i].begin > s->until || next < s->since;
        if (!outside && !isinf(files[i].begin))
            read_file(s, &files[i]);
    }
}

static void read_files(struct search *s, const json_t *query)
{
    struct log_files found = {0};
    find_logs(s->way->root, json_object_get(query, "folders"), json_object_get(query, "sets"),
              json_str(query, "prefix", ""), &found);
    for (size_t i = 0, n; i < found.n; i += n) {
        const struct log_file *first = &found.v[i];
        for (n = 1; i + n < found.n && found.v[i + n].stem == first->stem &&
                    memcmp(found.v[i + n].path, first->path, first->stem) == 0;)
            n++;
        read_group(s, &found.v[i], n);
    }
    log_files_free(&found);
}

// The journal: all of the window, or only what programs of some names wrote; of the last days, where there is
// no window.
static void read_journal(struct search *s, const json_t *programs)
{
    size_t set = 0, i;
    json_t *program;
    while (set < s->n_sets && !STREQ(s->sets[set].name, "journal"))
        set++;
    if (set == s->n_sets)
        return;
    double from = isnan(s->since) ? s->now - JOURNAL_S : s->since;
    auto_free char *since = xasprintf("--since=@%.0f", floor(from)),
                   *until = isnan(s->until) ? NULL : xasprintf("--until=@%.0f", ceil(s->until));
    enum { OWN_WORDS = 6 };
    char matches[PROGRAMS_MOST][32];
    const char *argv[OWN_WORDS + PROGRAMS_MOST + 1] = {
        "journalctl", "--quiet", "--no-pager", "--output=short-unix", since, until ? until : "--no-hostname"};
    size_t n = OWN_WORDS;
    json_array_foreach((json_t *)(uintptr_t)programs, i, program) {
        if (i >= PROGRAMS_MOST)
            break;
        snprintf(matches[i], sizeof matches[i], "_COMM=%s", json_string_value(program));
        argv[n++] = matches[i]; // what libvirtd writes has no identifier
    }
    struct stream stream;
    struct error err;
    s->carried = NAN;
    s->following = 0;
    if (stream_program((const char *const *)argv, -1, &stream, &err) < 0)
        return;
    note_file(s, "journal", "journal", "journal", NULL);
    read_stream(s, &(struct log_file){.path = NULL, .set = set}, &stream);
}

static double bound_of(const json_t *query, const char *key) { return json_num(query, key, NAN); }

static void search_begin(struct search *s, const struct search_way *way, const json_t *query)
{
    const json_t *sets = json_object_get(query, "sets");
    int64_t most = json_int(query, "most", SEARCH_MOST), timeout = json_int(query, "timeout", TIMEOUT_MS);
    s->way = way;
    s->since = bound_of(query, "since");
    s->until = bound_of(query, "until");
    s->now = isnan(s->until) ? wall_time() : s->until;
    s->zone = (int)json_int(query, "zone", ZONE_LOCAL);
    s->deadline = deadline_in(timeout > 0 ? timeout : TIMEOUT_MS);
    s->most = most > 0 && most < SEARCH_MOST ? (size_t)most : SEARCH_MOST;
    s->last = json_flag(query, "last", false);
    s->lines = json_array();
    s->files = json_array();
    s->n_sets = json_array_size(sets);
    s->sets = xcalloc(s->n_sets + 1, sizeof *s->sets);
    texts_of(json_object_get(query, "needles"), &s->needles);
    for (size_t i = 0; i < s->n_sets; i++) {
        const json_t *set = json_array_get(sets, i);
        s->sets[i] = (struct set){.name = json_str(set, "name", ""), .all = json_flag(set, "all", false)};
        texts_of(json_object_get(set, "words"), &s->sets[i].words);
        texts_of(json_object_get(set, "without"), &s->sets[i].without);
    }
}

static void search_end(struct search *s)
{
    for (size_t i = 0; i < s->n_sets; i++) {
        texts_free(&s->sets[i].words);
        texts_free(&s->sets[i].without);
    }
    texts_free(&s->needles);
    free(s->sets);
    free(s);
}

int search_logs(const struct search_way *way, const json_t *query, json_t **result, struct error *err)
{
    (void)err;
    struct search *s = xcalloc(1, sizeof *s);
    search_begin(s, way, query);
    read_files(s, query);
    const json_t *journal = json_object_get(query, "journal");
    if (json_is_true(journal) || json_array_size(journal))
        read_journal(s, journal);
    if (json_array_size(s->lines) > s->most)
        drop_oldest(s, json_array_size(s->lines) - s->most);
    *result = json_pack("{s:o, s:o, s:I, s:f}", "lines", s->lines, "files", s->files, "left",
                        (json_int_t)s->left, "clock", wall_time());
    search_end(s);
    return 0;
}

// ---- lines by their number ----

int search_count(const struct search_way *way, const json_t *query, json_t **result, struct error *err)
{
    const json_t *places = json_object_get(query, "at");
    auto_free char *path = xasprintf("%s%s", way->root, json_str(query, "path", "")), *chunk = xmalloc(CHUNK);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, errno, "cannot open %s", path);
    int64_t deadline = deadline_in(json_int(query, "timeout", TIMEOUT_MS)), at = 0, number = 1;
    json_t *lines = json_array();
    size_t i;
    json_t *place;
    json_array_foreach((json_t *)(uintptr_t)places, i, place) {
        while (at < json_integer_value(place) && now_ms() < deadline) {
            int64_t left = json_integer_value(place) - at;
            ssize_t n = pread(fd, chunk, left < CHUNK ? (size_t)left : CHUNK, at);
            if (n <= 0)
                break;
            number += count_lines(chunk, (size_t)n);
            at += n;
        }
        if (at != json_integer_value(place))
            break;
        json_array_append_new(lines, json_integer((json_int_t)number));
    }
    *result = json_pack("{s:o}", "lines", lines);
    return 0;
}
