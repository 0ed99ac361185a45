// SPDX-License-Identifier: MIT
// A journal of any bytes: read, judged, and gone on with.
#include "fuzz.h"
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

static void is_well_formed(const json_t *records)
{
    HOLDS(json_is_array(records));
    const json_t *first = json_array_get(records, 0), *verdict = journal_verdict(records);
    HOLDS(STREQ(json_str(first, "type", ""), "open") && STREQ(json_str(first, "run", ""), run));
    size_t i;
    json_t *record;
    bool is_one = !verdict;
    json_array_foreach((json_t *)(uintptr_t)records, i, record) {
        HOLDS(json_is_object(record) && json_str(record, "type", NULL));
        is_one |= record == verdict;
    }
    HOLDS(is_one);
    HOLDS(!verdict || (STREQ(json_str(verdict, "type", ""), "verdict") &&
                       !STREQ(json_str(verdict, "outcome", ""), "in_doubt")));
}

// What was read stays, and what is added is the last record, however the file ended.
static void goes_on(const json_t *before)
{
    auto_json json_t *line = json_pack("{s:s}", "type", "recover"), *after = NULL;
    struct journal *journal;
    HOLDS(journal_resume(state_dir, run, &journal, NULL) == 0);
    HOLDS(journal_add(journal, line, false, NULL) == 0);
    journal_close(journal);
    HOLDS(journal_read(state_dir, run, &after, NULL) == 0);
    is_well_formed(after);
    size_t i, count = json_array_size(after);
    json_t *record;
    HOLDS(count > json_array_size(before));
    json_array_foreach((json_t *)(uintptr_t)before, i, record)
        HOLDS(json_equal(record, json_array_get(after, i)));
    HOLDS(json_equal(line, json_array_get(after, count - 1)));
    HOLDS(!journal_verdict(after));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HOLDS(fd >= 0 && write_all(fd, data, size) == 0);
    auto_json json_t *records = NULL;
    struct error err = {0};
    if (journal_read(state_dir, run, &records, &err) < 0) {
        HOLDS(err.domain == ERR_SYSTEM && *err.message && !records);
        return 0;
    }
    is_well_formed(records);
    goes_on(records);
    return 0;
}
