// SPDX-License-Identifier: MIT
// A folder, an environment and a cloud of a test's own: the cloud is a fake HTTP server, and what it answers
// names it as FAKE.
#ifndef MIGRUN_TESTS_FAKE_CLOUD_H
#define MIGRUN_TESTS_FAKE_CLOUD_H

#include "fake_http.h"

#include <ftw.h>
#include <sys/stat.h>

static struct fake_http fake;
static char folder[64]; // the working directory and HOME

static inline void clear_environment(void)
{
    extern char **environ;
    for (char **entry = environ; *entry;) {
        auto_free char *name = xstrndup(*entry, strcspn(*entry, "="));
        if (strncmp(name, "OS_", 3) == 0)
            unsetenv(name);
        else
            entry++;
    }
}

static inline int enter_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/migrun-test-XXXXXX");
    clear_environment();
    return mkdtemp(folder) && chdir(folder) == 0 && setenv("HOME", folder, 1) == 0 &&
                   unsetenv("XDG_CONFIG_HOME") == 0
               ? 0
               : -1;
}

static inline int fake_cloud_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

// To be called when the clients have closed their connections, as leave_folder is.
static inline void fake_cloud_stop(void)
{
    if (fake.answers)
        fake_http_stop(&fake);
    fake = (struct fake_http){0};
}

static inline int leave_folder(void)
{
    fake_cloud_stop();
    return chdir("/") == 0 ? nftw(folder, fake_cloud_remove, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

// A file of the folder, with what is above it.
static inline void put(const char *name, const char *text)
{
    auto_free char *path = xasprintf("%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0700);
    }
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fputs(text, file);
    fclose(file);
}

// The text with the fake's URL where it says FAKE. Caller frees.
static inline char *with_url(const char *text)
{
    auto_buf struct buf mine = {0};
    for (const char *p = text; *p;)
        if (strncmp(p, "FAKE", 4) == 0) {
            buf_puts(&mine, fake.url);
            p += 4;
        } else {
            buf_add(&mine, p++, 1);
        }
    return buf_take(&mine);
}

static inline void fake_cloud_start(json_t *answers)
{
    fake_http_start(&fake, answers);
    auto_free char *told = json_dumps(answers, JSON_COMPACT), *mine = with_url(told);
    json_decref(fake.answers);
    fake.answers = json_loads(mine, 0, NULL);
}

// JSON in single quotes, which C leaves as they are.
static inline json_t *json_of(const char *text)
{
    auto_free char *mine = xstrdup(text);
    json_error_t wrong;
    for (char *p = mine; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *json = json_loads(mine, JSON_DECODE_ANY, &wrong);
    if (!json) {
        fprintf(stderr, "%s: %s\n", wrong.text, text);
        abort();
    }
    return json;
}

// The last request for a path, or NULL.
static inline const json_t *last_asked(const char *path)
{
    const json_t *found = NULL;
    size_t i;
    json_t *asked;
    json_array_foreach(fake.asked, i, asked)
        found = STREQ(json_str(asked, "path", ""), path) ? asked : found;
    return found;
}

static inline size_t asked_for(const char *path)
{
    size_t n = 0, i;
    json_t *asked;
    pthread_mutex_lock(&fake.lock); // what is asked ahead comes meanwhile
    json_array_foreach(fake.asked, i, asked)
        n += STREQ(json_str(asked, "path", ""), path);
    pthread_mutex_unlock(&fake.lock);
    return n;
}

#endif
