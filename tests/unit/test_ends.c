// SPDX-License-Identifier: MIT
// How a migration has ended: the table, by what libvirt and the agents say.
#include "run/ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct said {
    const char *state, *reason;
    bool job;
    enum qemu_seen qemu;
};

#define NOT_ASKED                          \
    {                                      \
        "unknown", "", false, QEMU_UNASKED \
    }
#define GONE                              \
    {                                     \
        "absent", "", false, QEMU_UNASKED \
    }
#define NO_GUEST                       \
    {                                  \
        "absent", "", false, QEMU_NONE \
    }

static struct guest_place place(struct said said)
{
    struct guest_place p = {.job = said.job, .qemu = said.qemu};
    p.seen = STREQ(said.state, "absent") ? PLACE_ABSENT : guest_seen(said.state, said.reason, true);
    return p;
}

static void expect(enum whereabouts where, struct said source, struct said dest)
{
    struct guest_place s = place(source), d = place(dest);
    if (where_it_ended(&s, &d, NULL) != where)
        fail_msg("%s (%s) and %s (%s): %d, not %d", source.state, source.reason, dest.state, dest.reason,
                 where_it_ended(&s, &d, NULL), where);
}

static void a_guest_that_runs_on_has_not_moved(void **state)
{
    (void)state;
    expect(GUEST_AT_SOURCE, (struct said){"running", "migration canceled", false, 0}, (struct said)GONE);
    expect(GUEST_AT_SOURCE, (struct said){"running", "booted", false, 0}, (struct said)NOT_ASKED);
    expect(GUEST_AT_SOURCE, (struct said){"blocked", "", false, 0},
           (struct said){"shut off", "unknown", false, 0});
    expect(GUEST_UNCLEAR, (struct said){"running", "booted", true, 0}, (struct said)GONE);
    expect(GUEST_UNCLEAR, (struct said){"running", "booted", false, 0},
           (struct said){"paused", "migrating", false, 0});
}

static void a_guest_that_runs_there_has_moved(void **state)
{
    (void)state;
    expect(GUEST_AT_DEST, (struct said)GONE, (struct said){"running", "migrated", false, 0});
    expect(GUEST_AT_DEST, (struct said){"shut off", "migrated", false, 0},
           (struct said){"running", "migrated", false, 0});
    expect(GUEST_UNCLEAR, (struct said)NOT_ASKED, (struct said){"running", "migrated", false, 0});
    expect(GUEST_UNCLEAR, (struct said){"unknown", "", false, QEMU_THERE},
           (struct said){"running", "migrated", false, 0});
    expect(GUEST_AT_DEST, (struct said){"unknown", "", false, QEMU_NONE},
           (struct said){"running", "migrated", false, 0});
    expect(GUEST_UNCLEAR, (struct said){"unknown", "", false, QEMU_NONE},
           (struct said){"running", "post-copy", false, 0});
}

static void a_guest_that_stands_is_where_it_stands(void **state)
{
    (void)state;
    static const char *const reasons[] = {"user", "I/O error", "watchdog", "saving", "crashed", "dumping"};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        expect(GUEST_STANDS_AT_DEST, (struct said)GONE, (struct said){"paused", reasons[i], false, 0});
        expect(GUEST_STANDS_AT_SOURCE, (struct said){"paused", reasons[i], false, 0}, (struct said)GONE);
    }
    expect(GUEST_STANDS_AT_SOURCE, (struct said){"pmsuspended", "", false, 0}, (struct said)GONE);
    expect(GUEST_STANDS_AT_SOURCE, (struct said){"crashed", "panicked", false, 0}, (struct said)GONE);
    expect(GUEST_UNCLEAR, (struct said){"paused", "user", false, 0}, (struct said)NOT_ASKED);
    expect(GUEST_STANDS_AT_SOURCE, (struct said){"paused", "user", false, 0},
           (struct said){"unknown", "", false, QEMU_NONE});
    expect(GUEST_UNCLEAR, (struct said)GONE, (struct said){"paused", "migrating", false, 0});
    expect(GUEST_UNCLEAR, (struct said){"paused", "migrating", false, 0}, (struct said)GONE);
}

static void a_guest_that_was_stopped_has_ended(void **state)
{
    (void)state;
    static const char *const reasons[] = {"shutdown", "destroyed", "crashed", "failed", "saved", "unknown"};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        expect(GUEST_STOPPED, (struct said){"shut off", reasons[i], false, QEMU_NONE}, (struct said)NO_GUEST);
        expect(GUEST_STOPPED_AT_DEST, (struct said)NO_GUEST,
               (struct said){"shut off", reasons[i], false, QEMU_NONE});
    }
    expect(GUEST_STOPPED, (struct said)NO_GUEST, (struct said)NO_GUEST);
    expect(GUEST_STOPPED, (struct said){"shut off", "shutdown", false, 0}, (struct said)GONE);
}

// libvirtd lost the guest's record, and its QEMU runs on.
static void a_guest_whose_qemu_is_there_has_not(void **state)
{
    (void)state;
    expect(GUEST_UNCLEAR, (struct said){"shut off", "unknown", false, QEMU_THERE}, (struct said)NO_GUEST);
    expect(GUEST_UNCLEAR, (struct said){"shut off", "shutdown", false, QEMU_NONE},
           (struct said){"absent", "", false, QEMU_THERE});
    expect(GUEST_UNCLEAR, (struct said){"absent", "", false, QEMU_THERE}, (struct said)NO_GUEST);
    expect(GUEST_UNCLEAR, (struct said)GONE, (struct said)GONE);
}

// The destination gives the files back to root while it puts away what it had begun.
static void a_guest_that_is_being_put_away_is_waited_for(void **state)
{
    (void)state;
    const struct guest_place runs = {.seen = PLACE_RUNS}, absent = {.seen = PLACE_ABSENT},
                             transient = {.seen = guest_seen("shut off", "failed", false)};
    assert_int_equal(where_it_ended(&runs, &transient, NULL), GUEST_UNCLEAR);
    assert_int_equal(where_it_ended(&transient, &absent, NULL), GUEST_UNCLEAR);
}

// Why it is off is not known, and nobody was asked for its QEMU.
static void a_guest_that_libvirtd_may_have_lost_is_not_certain(void **state)
{
    (void)state;
    expect(GUEST_UNCLEAR, (struct said){"shut off", "unknown", false, QEMU_UNASKED}, (struct said)GONE);
    expect(GUEST_UNCLEAR, (struct said)GONE, (struct said){"shut off", "daemon", false, QEMU_UNASKED});
}

static void what_is_in_two_halves_is_not_certain(void **state)
{
    (void)state;
    expect(GUEST_UNCLEAR, (struct said){"paused", "post-copy failed", false, 0},
           (struct said){"running", "post-copy failed", false, 0});
    expect(GUEST_UNCLEAR, (struct said)GONE, (struct said){"running", "post-copy failed", false, 0});
    expect(GUEST_UNCLEAR, (struct said){"running", "booted", false, 0},
           (struct said){"running", "migrated", false, 0});
    expect(GUEST_UNCLEAR, (struct said)NOT_ASKED, (struct said)NOT_ASKED);
    expect(GUEST_UNCLEAR, (struct said)NOT_ASKED, (struct said)GONE);
}

static void the_agents_are_asked_where_it_hangs_on_them(void **state)
{
    (void)state;
    bool asks;
    struct guest_place off = {.seen = PLACE_OFF}, absent = {.seen = PLACE_ABSENT},
                       runs = {.seen = PLACE_RUNS};
    assert_int_equal(where_it_ended(&off, &absent, &asks), GUEST_STOPPED);
    assert_true(asks);
    assert_int_equal(where_it_ended(&runs, &absent, &asks), GUEST_AT_SOURCE);
    assert_false(asks);
    absent.qemu = off.qemu = QEMU_NONE;
    assert_int_equal(where_it_ended(&off, &absent, &asks), GUEST_STOPPED);
    assert_false(asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_that_runs_on_has_not_moved),
        cmocka_unit_test(a_guest_that_runs_there_has_moved),
        cmocka_unit_test(a_guest_that_stands_is_where_it_stands),
        cmocka_unit_test(a_guest_that_was_stopped_has_ended),
        cmocka_unit_test(a_guest_whose_qemu_is_there_has_not),
        cmocka_unit_test(a_guest_that_is_being_put_away_is_waited_for),
        cmocka_unit_test(a_guest_that_libvirtd_may_have_lost_is_not_certain),
        cmocka_unit_test(what_is_in_two_halves_is_not_certain),
        cmocka_unit_test(the_agents_are_asked_where_it_hangs_on_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
