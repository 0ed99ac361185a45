// SPDX-License-Identifier: MIT
#include "run/inquiry.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/io.h"
#include "base/thread.h"
#include "run/facts.h"
#include "run/hosts.h"
#include "run/open.h"
#include "world/logs/search.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS_MOST = 256, SEARCH_MS = 60000, COUNT_MS = 10000 };

struct inquiry {
    struct run_options options;
    struct run own;       // with the hosts that it has connected to
    struct run *borrowed; // NULL, or a run some of whose hosts are asked
    json_t *away;         // {host: why it was not reached}
    json_t *folders;      // {host: path}, or NULL
    json_t *prefixes; // {host: with which the names of its files begin}, of a folder of several hosts' files
    json_t *names, *ahead, *facts;
};

const json_t *inquiry_hosts(const struct inquiry *inquiry) { return inquiry->names; }
const json_t *inquiry_ahead(const struct inquiry *inquiry) { return inquiry->ahead; }
const json_t *inquiry_facts(const struct inquiry *inquiry) { return inquiry->facts; }

static struct inquiry *inquiry_new(void)
{
    struct inquiry *q = xcalloc(1, sizeof *q);
    q->names = json_array();
    q->ahead = json_object();
    q->facts = json_object();
    q->away = json_object();
    q->options.preview = true; // its agents only read
    q->own = (struct run){.options = &q->options, .janitor = -1, .went_well = true};
    return q;
}

void inquiry_close(struct inquiry *q)
{
    if (!q)
        return;
    if (q->own.dir)
        run_close(&q->own);
    json_decref(q->names);
    json_decref(q->ahead);
    json_decref(q->facts);
    json_decref(q->away);
    json_decref(q->folders);
    json_decref(q->prefixes);
    free(q);
}

static struct run_host *host_of(const struct inquiry *q, const char *name)
{
    struct run_host *h = q->borrowed ? run_find_host(q->borrowed, name) : NULL;
    return h ? h : run_find_host(&q->own, name);
}

// ---- where their logs lie ----

json_t *inquiry_places(const struct inquiry *q)
{
    json_t *places = json_object(), *name;
    size_t i;
    json_array_foreach(q->names, i, name) {
        const struct run_host *h = host_of(q, json_string_value(name));
        if (h)
            json_object_set(places, json_string_value(name),
                            json_object_get(host_spec(h->agent)->settings, "logs"));
    }
    return places;
}

json_t *inquiry_folders(const struct inquiry *q)
{
    auto_json json_t *places = inquiry_places(q);
    json_t *folders = q->folders ? json_pack("[s]", "/") : json_pack("[s, s]", "/var/log", "/var/log/kolla");
    const char *host, *key;
    json_t *logs, *path;
    json_object_foreach(places, host, logs)
        json_object_foreach(logs, key, path) {
            const char *text = json_string_value(path), *slash = strrchr(text, '/');
            if (strncmp(text, "/var/log/", 9) != 0 && slash > text)
                json_array_append_new(folders, json_stringn(text, (size_t)(slash - text)));
        }
    return folders;
}

// ---- folders ----

// "sosreport-compute-1-2026-11-24-abcdef" is compute-1's.
static char *host_of_folder(const char *folder, const char *name)
{
    static const char *const files[] = {"hostname", "etc/hostname", "sos_commands/host/hostname"};
    for (size_t i = 0; i < COUNT_OF(files) && strncmp(name, "sosreport-", 10) == 0; i++) {
        auto_free char *path = xasprintf("%s/%s", folder, files[i]), *text = NULL;
        size_t len;
        if (read_whole_file(path, 4096, &text, &len) < 0)
            continue;
        text[strcspn(text, " \t\r\n")] = '\0';
        if (*text)
            return printable(text);
    }
    return printable(name);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// Whether a folder holds the files of one host, and no folders of hosts.
static bool is_one_host(DIR *dir)
{
    static const char *const signs[] = {"var",     "sos_commands", "etc",      "*.log",
                                        "*.log.*", "syslog*",      "messages*"};
    bool found = false;
    for (struct dirent *entry; (entry = readdir(dir)) && !found;)
        for (size_t i = 0; i < COUNT_OF(signs); i++)
            found = found || fnmatch(signs[i], entry->d_name, 0) == 0;
    rewinddir(dir);
    return found;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static void add_folder(struct inquiry *q, const char *path, const char *name)
{
    auto_free char *host = host_of_folder(path, name);
    json_object_set_new(q->folders, host, json_string(path));
    json_array_append_new(q->names, json_text(host));
}

static void add_folders(struct inquiry *q, DIR *dir, const char *path)
{
    char *names[FOLDERS_MOST] = {NULL};
    size_t n = 0;
    for (struct dirent *entry; n < FOLDERS_MOST && (entry = readdir(dir));) {
        auto_free char *inner = xasprintf("%s/%s", path, entry->d_name);
        if (*entry->d_name != '.' && is_folder(inner))
            names[n++] = xstrdup(entry->d_name);
    }
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        auto_free char *inner = xasprintf("%s/%s", path, names[i]);
        add_folder(q, inner, names[i]);
        free(names[i]);
    }
}

// "compute-1-nova-compute.log" is compute-1's. The length of what stands before the log's own name; 0:
// nothing.
static size_t prefix_length(const char *name)
{
    static const char *const own[] = {"nova-",     "libvirtd", "virtqemud", "neutron-",
                                      "placement", "syslog",   "messages"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        const char *at = strstr(name, own[i]);
        if (at && at > name + 1 && strchr("-_.", at[-1]))
            return (size_t)(at - name);
    }
    return 0;
}

// The files of several hosts in one folder. false: their names do not begin with the hosts'.
static bool add_prefixes(struct inquiry *q, DIR *dir, const char *path)
{
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t len = prefix_length(entry->d_name);
        if (!len)
            continue;
        auto_free char *prefix = xstrndup(entry->d_name, len), *name = xstrndup(entry->d_name, len - 1),
                       *host = printable(name);
        if (json_object_get(q->folders, host))
            continue;
        json_object_set_new(q->folders, host, json_string(path));
        json_object_set_new(q->prefixes, host, json_text(prefix));
        json_array_append_new(q->names, json_text(host));
    }
    rewinddir(dir);
    return json_object_size(q->prefixes) > 0;
}

int inquiry_of_folder(const char *path, struct inquiry **inquiry, struct error *err)
{
    auto_free char *real = realpath(path, NULL);
    DIR *dir = real ? opendir(real) : NULL;
    if (!dir)
        return error_set(err, ERR_USAGE, 0,
                         "--logs %s cannot be read: %s; it takes a folder with one folder for each host",
                         path, strerror(errno));
    struct inquiry *q = inquiry_new();
    q->folders = json_object();
    q->prefixes = json_object();
    if (!is_one_host(dir))
        add_folders(q, dir, real);
    else if (!add_prefixes(q, dir, real))
        add_folder(q, real, strrchr(real, '/') + 1);
    closedir(dir);
    if (json_array_size(q->names)) {
        *inquiry = q;
        return 0;
    }
    inquiry_close(q);
    return error_set(err, ERR_USAGE, 0,
                     "--logs %s holds no logs: it takes a folder with one folder for each host", path);
}

struct reader {
    pthread_t thread;
    bool started;
    const char *root;
    const json_t *query;
    json_t *answer;
};

static json_t *error_answer(const char *why) { return json_pack("{s:o}", "error", json_text(why)); }

static void *read_folder(void *data)
{
    struct reader *r = data;
    const struct search_way way = {.root = r->root, .client_fd = -1};
    struct error err;
    if (search_logs(&way, r->query, &r->answer, &err) < 0)
        r->answer = error_answer(err.message);
    return NULL;
}

static void ask_folders(struct inquiry *q, json_t *queries, json_t *answers)
{
    size_t n = 0, count = json_object_size(queries);
    struct reader *readers = xcalloc(count + 1, sizeof *readers);
    const char *host;
    json_t *query;
    json_object_foreach(queries, host, query) {
        struct reader *r = &readers[n++];
        if (json_object_get(q->prefixes, host))
            json_object_set(query, "prefix", json_object_get(q->prefixes, host));
        r->root = json_str(q->folders, host, "");
        r->query = query;
        r->started = thread_start(&r->thread, read_folder, r) == 0;
        if (!r->started)
            read_folder(r);
    }
    n = 0;
    json_object_foreach(queries, host, query) {
        if (readers[n].started)
            pthread_join(readers[n].thread, NULL);
        json_object_set_new(answers, host, readers[n++].answer);
    }
    free(readers);
}

// ---- hosts ----

// By how much its clock is ahead: between our question and its answer.
static int measure_clock(struct inquiry *q, struct run_host *h, struct error *err)
{
    auto_message struct message answer = {0};
    double asked = wall_time();
    if (host_call(h->agent, "search", json_pack("{s:[], s:[]}", "folders", "sets"), NULL, 0, 0, &answer,
                  err) < 0)
        return -1;
    double answered = wall_time(),
           clock = json_num(json_object_get(answer.head, "result"), "clock", answered);
    json_object_set_new(q->ahead, run_host_name(h), json_real(clock - (asked + answered) / 2));
    return 0;
}

static int lose(struct inquiry *q, size_t i, const struct error *failure, struct error *err)
{
    if (failure->domain == ERR_INTERRUPTED) {
        *err = *failure;
        return -1;
    }
    json_object_set_new(q->away, run_host_name(q->own.hosts[i]), json_text(failure->message));
    run_drop_host(&q->own, i);
    return 0;
}

static int learn(struct inquiry *q, struct error *err)
{
    struct error failure;
    for (size_t i = 0; i < q->own.n_hosts;)
        if (measure_clock(q, q->own.hosts[i], &failure) == 0 && facts_ask(q->own.hosts[i], &failure) == 0)
            i++;
        else if (lose(q, i, &failure, err) < 0)
            return -1;
    for (size_t i = 0; i < q->own.n_hosts;) {
        struct run_host *h = q->own.hosts[i];
        if (facts_take(h, &failure) == 0) {
            json_object_set(q->facts, run_host_name(h), h->facts);
            i++;
        } else if (lose(q, i, &failure, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int inquiry_of_hosts(const struct site *site, const json_t *hosts, struct inquiry **inquiry,
                     struct error *err)
{
    struct inquiry *q = inquiry_new();
    q->own.site = site;
    *inquiry = q;
    auto_json json_t *wanted = json_object();
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)hosts, i, name) {
        if (!json_object_get(wanted, json_string_value(name)))
            json_array_append(q->names, name);
        json_object_set_new(wanted, json_string_value(name), json_true());
    }
    if (run_prepare(&q->own, err) < 0 || run_meet(&q->own, wanted, q->away, err) < 0 || learn(q, err) < 0) {
        inquiry_close(q);
        *inquiry = NULL;
        return -1;
    }
    return 0;
}

static void borrow(struct inquiry *q, struct run_host *h)
{
    double asked = json_num(json_object_get(h->facts, "clock"), "asked", 0),
           answered = json_num(json_object_get(h->facts, "clock"), "answered", 0),
           told = json_num(h->facts, "told", 0), time = json_num(h->facts, "time", 0);
    json_array_append_new(q->names, json_string(run_host_name(h)));
    if (!h->facts)
        return;
    json_object_set(q->facts, run_host_name(h), h->facts);
    if (asked > 0 && told > 0)
        json_object_set_new(q->ahead, run_host_name(h), json_real((told - answered + time - asked) / 2));
}

int inquiry_of_run(struct run *run, struct inquiry **inquiry, struct error *err)
{
    struct inquiry *q = inquiry_new();
    q->own.site = run->site;
    q->borrowed = run;
    borrow(q, run->source);
    if (run->dest && run->dest != run->source)
        borrow(q, run->dest);
    auto_json json_t *wanted = json_object();
    size_t i;
    json_t *name;
    json_array_foreach(run->by_nova ? site_control_names(run->site) : NULL, i, name) {
        if (run_find_host(run, json_string_value(name)))
            continue;
        json_array_append(q->names, name);
        json_object_set_new(wanted, json_string_value(name), json_true());
    }
    *inquiry = q;
    if (!json_object_size(wanted) || (run_prepare(&q->own, err) == 0 &&
                                      run_meet(&q->own, wanted, q->away, err) == 0 && learn(q, err) == 0))
        return 0;
    inquiry_close(q);
    *inquiry = NULL;
    return -1;
}

static int ask_hosts(struct inquiry *q, json_t *queries, json_t *answers, struct error *err)
{
    struct error failure;
    bool interrupted = false;
    const char *host;
    json_t *query;
    json_object_foreach(queries, host, query) {
        struct run_host *h = host_of(q, host);
        if (!h)
            json_object_set_new(answers, host, error_answer(json_str(q->away, host, "it was not reached")));
        else if (host_send(h->agent, "search", json_deep_copy(query), NULL, 0, &failure) < 0)
            json_object_set_new(answers, host, error_answer(failure.message));
    }
    json_object_foreach(queries, host, query) {
        auto_message struct message answer = {0};
        if (json_object_get(answers, host))
            continue;
        if (host_receive(host_of(q, host)->agent, SEARCH_MS, &answer, &failure) == 0)
            json_object_set(answers, host, json_object_get(answer.head, "result"));
        else if (failure.domain == ERR_INTERRUPTED)
            interrupted = true; // what the others answer is taken from their streams all the same
        else
            json_object_set_new(answers, host, error_answer(failure.message));
    }
    return interrupted ? error_set(err, ERR_INTERRUPTED, 0, "interrupted while the hosts read their logs")
                       : 0;
}

// ---- both ----

int inquiry_ask(struct inquiry *q, const json_t *question, json_t **answers, struct error *err)
{
    json_t *queries = json_object_get(question, "queries");
    *answers = json_object();
    if (!q->folders)
        return ask_hosts(q, queries, *answers, err);
    ask_folders(q, queries, *answers);
    return interrupt_count ? error_set(err, ERR_INTERRUPTED, 0, "interrupted while logs were read") : 0;
}

json_t *inquiry_count(struct inquiry *q, const char *host, const char *path, json_t *places)
{
    auto_json json_t *query = json_pack("{s:s, s:O, s:i}", "path", path, "at", places, "timeout", COUNT_MS),
                     *result = NULL;
    auto_message struct message answer = {0};
    struct error err;
    if (q->folders) {
        const struct search_way way = {.root = json_str(q->folders, host, ""), .client_fd = -1};
        return search_count(&way, query, &result, &err) < 0 ? NULL
                                                            : json_incref(json_object_get(result, "lines"));
    }
    struct run_host *h = host_of(q, host);
    if (!h || host_call(h->agent, "count", json_incref(query), NULL, 0, COUNT_MS + 5000, &answer, &err) < 0)
        return NULL;
    return json_incref(json_object_get(json_object_get(answer.head, "result"), "lines"));
}
