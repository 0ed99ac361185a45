// SPDX-License-Identifier: MIT
// A journal of any bytes: read, judged, and gone on with.
#include "fuzz.h"

#include "base/io.h"
#include "run/journal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char run[] = "r";
static char *state_dir, *path;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    state_dir = own_folder();
    auto_free char *runs = xasprintf("%s/runs", state_dir), *dir = xasprintf("%s/%s", runs, run);
    path = xasprintf("%s/journal.jsonl", dir);
    HOLDS(mkdir(runs, 0700) == 0 && mkdir(dir, 0700) == 0);
    return 0;
}

static void is_well_formed(const struct story *story)
{
    HOLDS(STREQ(story->opening.run, run));
    HOLDS(!story->verdict || (STREQ(json_str(story->verdict, "type", ""), "verdict") &&
                              !STREQ(json_str(story->verdict, "outcome", ""), "in_doubt")));
    for (size_t i = 0; i < story->n_effects; i++) {
        HOLDS(story->effects[i].number > 0 && json_str(story->effects[i].data, "target", NULL));
        for (size_t j = 0; j < i; j++)
            HOLDS(story->effects[i].number != story->effects[j].number);
    }
    size_t i;
    json_t *name;
    json_array_foreach(story->hosts, i, name)
        HOLDS(json_is_string(name));
    HOLDS(*story->cause);
}

static void count(void *data, const json_t *event)
{
    size_t *events = data;
    HOLDS(json_is_object(event));
    ++*events;
}

// What was read stays, and what is added is the last record, however the file ended.
static void goes_on(const struct story *before)
{
    struct story auto_story after = {0};
    struct journal *journal;
    size_t events = 0, lines = json_array_size(before->records);
    HOLDS(journal_resume(state_dir, run, &journal, NULL) == 0);
    HOLDS(journal_recovery(journal, "x", false, NULL) == 0);
    journal_close(journal);
    HOLDS(journal_read(state_dir, run, &after, NULL) == 0);
    is_well_formed(&after);
    HOLDS(json_array_size(after.records) > lines && after.n_effects == before->n_effects);
    for (size_t i = 0; i < lines; i++)
        HOLDS(json_equal(json_array_get(before->records, i), json_array_get(after.records, i)));
    story_events(&after, count, &events);
    HOLDS(events < json_array_size(after.records) && !after.verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HOLDS(fd >= 0 && write_all(fd, data, size) == 0);
    struct story auto_story story = {0};
    struct error err = {0};
    if (journal_read(state_dir, run, &story, &err) < 0) {
        HOLDS((err.domain == ERR_SYSTEM || err.domain == ERR_REFUSED) && *err.message);
        return 0;
    }
    is_well_formed(&story);
    goes_on(&story);
    return 0;
}
