// SPDX-License-Identifier: MIT
// What a verdict leaves behind: claims of a run that is not over, journals of runs that left something.
#include "run/journal.h"
#include "run/prune.h"
#include "run/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static void hear(void *data, const json_t *event)
{
    (void)data;
    (void)event;
}

static const struct listener nobody = {.event = hear};

static bool keeps_claims(enum outcome status, const char *outcome)
{
    struct run_options options = {0};
    struct run run = {.options = &options, .listener = nobody, .claimed = true, .downtime = -1};
    assert_int_equal(verdict_tell(&run, status, outcome, NULL, "so it ended"), status);
    return run.claimed;
}

static void claims_go_with_the_end_of_a_run(void **state)
{
    (void)state;
    assert_false(keeps_claims(OUTCOME_MOVED, "moved"));
    assert_false(keeps_claims(OUTCOME_NOT_MOVED, "not_moved"));
    assert_false(keeps_claims(OUTCOME_NOT_RESTORED, "not_moved"));
    assert_false(keeps_claims(OUTCOME_INTERRUPTED, "interrupted"));
}

// A recovery that was interrupted leaves its run as unfinished as it was.
static void claims_of_a_run_that_is_not_over_stay(void **state)
{
    (void)state;
    assert_true(keeps_claims(OUTCOME_IN_DOUBT, "in_doubt"));
    assert_true(keeps_claims(OUTCOME_INTERRUPTED, "in_doubt"));
}

// A run that had no host and ended long ago.
static void put_run(const char *dir, const char *name, enum outcome status)
{
    struct journal *journal;
    struct error err;
    const struct opening opening = {.run = name, .time = 1};
    auto_json json_t *verdict = json_pack("{s:f, s:s, s:s, s:s, s:i, s:s}", "time", 2.0, "run", name, "type",
                                          "verdict", "outcome", "not_moved", "status", (int)status, "line",
                                          "");
    if (journal_open(dir, &opening, &journal, &err) < 0 || journal_event(journal, verdict, &err) < 0)
        fail_msg("%s", err.message);
    journal_close(journal);
}

static void runs_that_left_something_are_not_forgotten(void **state)
{
    (void)state;
    char dir[] = "/tmp/migrun-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    put_run(dir, "moved", OUTCOME_MOVED);
    put_run(dir, "not-moved", OUTCOME_NOT_MOVED);
    put_run(dir, "moved-but", OUTCOME_MOVED_BUT);
    put_run(dir, "not-restored", OUTCOME_NOT_RESTORED);
    auto_json json_t *names = NULL;
    struct error err = {0};
    if (prune_by_age(dir, 0, &nobody, &names, &err) < 0)
        fail_msg("%s", err.message);
    auto_free char *text = json_dumps(names, JSON_COMPACT);
    assert_string_equal(text, "[\"moved\",\"not-moved\"]");
    remove_all(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_go_with_the_end_of_a_run),
        cmocka_unit_test(claims_of_a_run_that_is_not_over_stay),
        cmocka_unit_test(runs_that_left_something_are_not_forgotten),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
