// SPDX-License-Identifier: MIT
// What a person sees: events in, text out.
#include "base/io.h"
#include "cli/screen.h"

#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

// Plays events (JSON, with ` for ", as texts are full of quotes) on a screen, and gives what it printed.
static char *play(struct screen *screen, const char *const *events, size_t count)
{
    screen->fd = memfd_create("screen", MFD_CLOEXEC);
    assert_true(screen->fd >= 0);
    struct listener listener = screen_listener(screen);
    for (size_t i = 0; i < count; i++) {
        auto_free char *text = xstrdup(events[i]);
        for (char *p = text; (p = strchr(p, '`'));)
            *p = '"';
        json_error_t error;
        auto_json json_t *event = json_loads(text, 0, &error);
        if (!event)
            fail_msg("event %zu: %s", i, error.text);
        listener.event(listener.data, event);
    }
    screen_end(screen);
    char *printed;
    size_t len;
    lseek(screen->fd, 0, SEEK_SET);
    assert_int_equal(read_whole_fd(screen->fd, 1 << 20, &printed, &len), 0);
    close(screen->fd);
    return printed;
}

static void expect(struct screen screen, const char *const *events, size_t count, const char *wanted)
{
    auto_free char *printed = play(&screen, events, count);
    assert_string_equal(printed, wanted);
}
#define EXPECT(screen, events, wanted) expect(screen, events, COUNT_OF(events), wanted)

static const struct screen plain = {.utf8 = true, .verdict_fd = -1};

#define BEGIN_MEMBERS                                                                                        \
    "`type`:`begin`,`instance`:`instance-00000001`,`uuid`:`4093d372-5966-aca9-9c47-c2a6bbe340b5`,`source`:`" \
    "compute-1`,"                                                                                            \
    "`dest`:`compute-2`,`policy`:`policies/libvirt.lua`,`summary`:`Moves "                                   \
    "it`,`memory`:268435456.0,`vcpus`:1,"
#define BEGIN_PREVIEW                                           \
    "{`time`:100.0,`run`:null," BEGIN_MEMBERS "`preview`:true," \
    "`sentence`:`Preview of moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua`}"
#define BEGIN_RUN                                                                 \
    "{`time`:100.0,`run`:`20261123-140211-k3f`," BEGIN_MEMBERS "`preview`:false," \
    "`sentence`:`Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua`}"
#define START(time, phase, title) \
    "{`time`:" #time ",`type`:`step`,`phase`:`" phase "`,`title`:`" title "`,`index`:0,`status`:`start`}"
#define STEP(time, phase, title, status, text, seconds)                                  \
    "{`time`:" #time ",`type`:`step`,`phase`:`" phase "`,`title`:`" title "`,`index`:0," \
    "`status`:`" status "`,`text`:`" text "`,`seconds`:" #seconds "}"
// A step whose policy gave it no words.
#define SILENT(time, phase, title, seconds)                                              \
    "{`time`:" #time ",`type`:`step`,`phase`:`" phase "`,`title`:`" title "`,`index`:0," \
    "`status`:`ok`,`seconds`:" #seconds "}"
#define CHECK(title, status, text) \
    START(100.0, "check", title), STEP(100.02, "check", title, status, text, 0.02)
#define OWNER(name, status)                                                           \
    "{`time`:103.0,`type`:`effect`,`step`:`own instance "                             \
    "files`,`number`:2,`kind`:`file.owner`,`host`:`compute-2`,"                       \
    "`target`:`/var/lib/nova/instances/instance-00000001/" name "`,`status`:`" status \
    "`,`summary`:`root:root → libvirt-qemu:libvirt-qemu`}"
#define EFFECT(step, kind, host, target, status, summary)                           \
    "{`time`:103.0,`type`:`effect`,`step`:`" step "`,`number`:3,`kind`:`" kind "`," \
    "`host`:`" host "`,`target`:`" target "`,`status`:`" status "`,`summary`:`" summary "`}"
#define MIGRATE_DIFF                                                                                      \
    "--- instance-00000001 on compute-1\\n+++ instance-00000001 on compute-2\\n@@ devices/graphics[1]\\n" \
    "-    <graphics type='vnc' listen='10.88.0.11'>\\n+    <graphics type='vnc' listen='10.88.0.12'>\\n"
#define MIGRATE(status, more)                                        \
    "{`time`:101.0,`type`:`effect`,`step`:`the "                     \
    "guest`,`number`:1,`kind`:`libvirt.migrate`,`host`:`compute-2`," \
    "`target`:`instance-00000001`,`status`:`" status                 \
    "`,`summary`:`peer to peer, to qemu+tcp://compute-2/system, up to 5 min`" more "}"
#define PROGRESS(time, percent, processed, last)                                  \
    "{`time`:" #time ",`type`:`progress`,`what`:`migration`,`total`:268435456.0," \
    "`processed`:" #processed ",`remaining`:1048576.0,`percent`:" #percent        \
    ",`bandwidth`:123731968.0,`dirty_rate`:3145728.0,"                            \
    "`iteration`:2,`elapsed`:1.0,`left`:0.9,`last`:" last "}"
#define VERDICT(outcome, status, line, details)                                                 \
    "{`time`:105.0,`type`:`verdict`,`outcome`:`" outcome "`,`status`:" #status ",`line`:`" line \
    "`,`seconds`:2.1,`downtime`:0.24,`details`:[" details "]}"
#define DETAIL(label, text) "{`label`:`" label "`,`text`:`" text "`}"
#define MOVED                                                                                              \
    VERDICT("moved", 0,                                                                                    \
            "Moved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in all, paused " \
            "0.24 s, files owned right.",                                                                  \
            "")

// ---- previews ----

static void preview(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_PREVIEW,
        CHECK("guest is running", "ok", "running since 14:02, no job"),
        CHECK("hosts reach each other", "ok",
              "compute-1 → compute-2:16509, 49152-49215 · compute-2 → compute-1"),
        START(100.3, "migrate", "the guest"),
        MIGRATE("would", ",`detail`:`" MIGRATE_DIFF "`"),
        SILENT(100.4, "migrate", "the guest", 0.1),
        START(100.4, "fixup", "own instance files"),
        OWNER("disk", "would"),
        OWNER("console.log", "would"),
        STEP(100.5, "fixup", "own instance files", "ok",
             "after the move, where libvirt leaves them to root:", 0.1),
        VERDICT("would", 0,
                "Would move instance-00000001 to compute-2: 2 checks passed, 2 changes. Run it without "
                "--dry-run.",
                ""),
    };
    EXPECT(
        plain, events,
        "Preview: nothing is changed. instance-00000001 (256 MiB, 1 vCPU) from compute-1 to compute-2, by "
        "policies/libvirt.lua\n"
        "\n"
        "check    guest is running               running since 14:02, no job\n"
        "check    hosts reach each other         compute-1 → compute-2:16509, 49152-49215 · compute-2 → "
        "compute-1\n"
        "\n"
        "migrate  the guest                      peer to peer, to qemu+tcp://compute-2/system, up to 5 min\n"
        "           --- instance-00000001 on compute-1\n"
        "           +++ instance-00000001 on compute-2\n"
        "           @@ devices/graphics[1]\n"
        "           -    <graphics type='vnc' listen='10.88.0.11'>\n"
        "           +    <graphics type='vnc' listen='10.88.0.12'>\n"
        "\n"
        "fixup    own instance files             after the move, where libvirt leaves them to root:\n"
        "           …/instance-00000001/disk          root:root → libvirt-qemu:libvirt-qemu\n"
        "           …/instance-00000001/console.log   root:root → libvirt-qemu:libvirt-qemu\n"
        "\n"
        "Would move instance-00000001 to compute-2: 2 checks passed, 2 changes. Run it without --dry-run.\n");
}

static void preview_without_instance(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{`type`:`begin`,`instance`:null,`uuid`:null,`source`:null,`dest`:`compute-2`,`policy`:`drain.lua`,`"
        "preview`:true,`memory`:0,`vcpus`:0,"
        "`sentence`:`Preview for compute-2, by drain.lua`}",
        STEP(100.0, "prepare", "stop the service", "skipped", "not needed here", 0),
        "{`type`:`verdict`,`outcome`:`would`,`status`:0,`line`:`Would change nothing: 0 checks "
        "passed.`,`details`:[]}",
    };
    EXPECT(plain, events,
           "Preview: nothing is changed. For compute-2, by drain.lua\n"
           "\n"
           "prepare  stop the service               skipped: not needed here\n"
           "\n"
           "Would change nothing: 0 checks passed.\n");
}

// ---- runs ----

#define RUN_EVENTS                                                                                     \
    BEGIN_RUN, CHECK("guest is running", "ok", "running since 14:02, no job"),                         \
        CHECK("cpu is compatible", "ok", "guest's qemu64 runs on compute-2"),                          \
        START(100.1, "check", "memory fits"),                                                          \
        STEP(100.12, "check", "memory fits", "ok", "needs 256 MiB, 11.3 GiB free on compute-2", 0.02), \
        START(100.2, "migrate", "the guest"), PROGRESS(101.0, 61.0, 164626432.0, "false"),             \
        PROGRESS(102.2, 100.0, 268435456.0, "true"), MIGRATE("done", ",`detail`:`" MIGRATE_DIFF "`"),  \
        SILENT(102.2, "migrate", "the guest", 2.0), START(102.2, "fixup", "own instance files"),       \
        OWNER("disk", "done"), SILENT(102.21, "fixup", "own instance files", 0.01), MOVED

static void checks_alone(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{`type`:`begin`,`instance`:`x`,`uuid`:`u`,`source`:`compute-1`,`dest`:`compute-2`,`policy`:`"
        "preflight`,`preview`:false,`asks`:true,`memory`:0,"
        "`vcpus`:0,`sentence`:`For x, from compute-1 to compute-2, by preflight`}",
        CHECK("guest is running", "ok", "running since 14:02, no job"),
        "{`type`:`verdict`,`outcome`:`done`,`status`:0,`line`:`Done: 1 check passed.`,`details`:[]}",
    };
    EXPECT(plain, events,
           "For x, from compute-1 to compute-2, by preflight\n"
           "check    guest is running               running since 14:02, no job\n"
           "\n"
           "Done: 1 check passed.\n");
}

static void run_into_a_file(void **state)
{
    (void)state;
    static const char *const events[] = {RUN_EVENTS};
    EXPECT(plain, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "check    3 passed                                                                         0.1 s\n"
           "migrate  the guest                      peer to peer, to qemu+tcp://compute-2/system, up to 5 "
           "min  2.0 s\n"
           "           100 %  256 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2\n"
           "fixup    own instance files             disk root:root → libvirt-qemu:libvirt-qemu\n"
           "\n"
           "Moved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in all, paused 0.24 "
           "s, files owned right.\n");
}

static void run_verbose(void **state)
{
    (void)state;
    static const char *const events[] = {RUN_EVENTS};
    struct screen verbose = plain;
    verbose.verbose = true;
    EXPECT(verbose, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "check    guest is running               running since 14:02, no job\n"
           "check    cpu is compatible              guest's qemu64 runs on compute-2\n"
           "check    memory fits                    needs 256 MiB, 11.3 GiB free on compute-2\n"
           "migrate  the guest                      peer to peer, to qemu+tcp://compute-2/system, up to 5 "
           "min  2.0 s\n"
           "           --- instance-00000001 on compute-1\n"
           "           +++ instance-00000001 on compute-2\n"
           "           @@ devices/graphics[1]\n"
           "           -    <graphics type='vnc' listen='10.88.0.11'>\n"
           "           +    <graphics type='vnc' listen='10.88.0.12'>\n"
           "           100 %  256 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2\n"
           "fixup    own instance files             disk root:root → libvirt-qemu:libvirt-qemu\n"
           "\n"
           "Moved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in all, paused 0.24 "
           "s, files owned right.\n");
}

static void run_quiet(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_RUN,
        "{`type`:`message`,`level`:`info`,`text`:`looking`}",
        "{`type`:`message`,`level`:`warning`,`text`:`autostart could not be set`}",
        START(100.0, "check", "guest is running"),
        STEP(100.0, "check", "guest is running", "refused", "it is paused", 0),
        VERDICT("refused", 2, "Refused, nothing was touched: 1 of 1 check says no (guest is running).",
                DETAIL("More", "see the log")),
    };
    struct screen quiet = plain;
    quiet.quiet = true;
    EXPECT(quiet, events,
           "warning: autostart could not be set\n"
           "Refused, nothing was touched: 1 of 1 check says no (guest is running).\n"
           "  guest is running  it is paused\n"
           "  More    see the log\n");
}

static void progress_that_stalls(void **state)
{
    (void)state;
    static const char *const events[] = {
        START(100.0, "migrate", "the guest"),
        "{`type`:`progress`,`time`:106.0,`total`:268435456.0,`processed`:134217728.0,`percent`:50.0,"
        "`bandwidth`:0.0,`dirty_rate`:1048576.0,`iteration`:1,`left`:null,`last`:false,`stalled`:4.2}",
        "{`type`:`progress`,`time`:112.0,`total`:268435456.0,`processed`:201326592.0,`percent`:75.0,"
        "`bandwidth`:10485760.0,`dirty_rate`:1048576.0,`iteration`:2,`left`:null,`last`:false,"
        "`post_copy`:true,`stalled`:0.0}",
    };
    EXPECT(plain, events,
           "migrate  the guest    50 %  128 of 256 MiB  nothing sent for 5 s\n"
           "migrate  the guest    75 %  192 of 256 MiB  10 MiB/s  post-copy  round 2\n");
}

// A line every five seconds of the events' own time, and the last one stays below the step.
static void long_run(void **state)
{
    (void)state;
    static const char *const events[] = {
        START(100.0, "migrate", "the guest"),
        PROGRESS(101.0, 5.0, 13421772.0, "false"),
        PROGRESS(105.0, 61.0, 164626432.0, "false"),
        PROGRESS(109.9, 70.0, 187904819.0, "false"),
        PROGRESS(110.0, 80.0, 214748365.0, "false"),
        PROGRESS(112.0, 100.0, 268435456.0, "true"),
        MIGRATE("done", ""),
        STEP(112.0, "migrate", "the guest", "ok", "moved by Nova", 12.0),
    };
    EXPECT(plain, events,
           "migrate  the guest    61 %  157 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left\n"
           "migrate  the guest    80 %  205 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left\n"
           "migrate  the guest                      moved by Nova                                      12 s\n"
           "           peer to peer, to qemu+tcp://compute-2/system, up to 5 min\n"
           "           100 %  256 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2\n");
}

static void effects_of_a_run(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_RUN,
        // Alike: one answer. Not alike: a line each. What the answer says already is not said twice.
        START(103.0, "fixup", "own instance files"),
        OWNER("disk", "done"),
        OWNER("disk.config", "done"),
        SILENT(103.0, "fixup", "own instance files", 0),
        START(103.0, "fixup", "a title that is quite a bit longer than usual"),
        OWNER("disk", "done"),
        EFFECT("x", "service", "compute-2", "libvirtd", "done", "active, is restarted"),
        SILENT(103.0, "fixup", "a title that is quite a bit longer than usual", 0),
        START(103.0, "fixup", "settings"),
        EFFECT("settings", "file.write", "compute-2", "/etc/nova/nova.conf", "done", "is changed"),
        STEP(103.0, "fixup", "settings", "ok", "nova.conf is changed", 0),
        START(103.0, "fixup", "nothing"),
        SILENT(103.0, "fixup", "nothing", 0),
        START(103.0, "check", "silent"),
        SILENT(103.0, "check", "silent", 0),
    };
    struct screen verbose = plain;
    verbose.verbose = true;
    EXPECT(verbose, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "fixup    own instance files             disk, disk.config root:root → libvirt-qemu:libvirt-qemu\n"
           "fixup    a title that is quite a bit longer than usual  2 changes\n"
           "           …/instance-00000001/disk   root:root → libvirt-qemu:libvirt-qemu\n"
           "           libvirtd on compute-2      active, is restarted\n"
           "fixup    settings                       nova.conf is changed\n"
           "fixup    nothing                        nothing to change\n"
           "check    silent                         yes\n");
}

// Who previews where nothing enforces it reads that first.
static void preview_that_nothing_enforces(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{`type`:`begin`,`instance`:null,`uuid`:null,`source`:null,`dest`:`compute-2`,`policy`:`drain.lua`,"
        "`preview`:true,`memory`:0,`vcpus`:0,`unlocked`:`here: no seccomp`,"
        "`sentence`:`Preview for compute-2, by drain.lua`}",
    };
    EXPECT(plain, events, "Preview, not enforced (here: no seccomp). For compute-2, by drain.lua\n");
}

static void messages(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{`type`:`message`,`level`:`warning`,`text`:`this kernel has no Landlock`}",
        START(100.0, "prepare", "listen on every address"),
        "{`type`:`message`,`level`:`info`,`text`:`stops libvirtd on compute-1 for about 1 s; 37 guests run "
        "on, unmanaged meanwhile`}",
        "{`type`:`message`,`level`:`warning`,`text`:`one guest is paused`}",
        "{`type`:`message`,`level`:`info`,`text`:`Stopping: aborting the migration (the guest stays on "
        "compute-1)`,`answers`:true}",
        "{`type`:`something new`}",
    };
    EXPECT(plain, events,
           "warning: this kernel has no Landlock\n"
           "prepare  listen on every address        stops libvirtd on compute-1 for about 1 s; 37 guests run "
           "on, unmanaged meanwhile\n"
           "prepare  listen on every address        warning: one guest is paused\n"
           "Stopping: aborting the migration (the guest stays on compute-1)\n");
}

// ---- refusals and failures ----

static void refusal(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_RUN,
        CHECK("guest is running", "ok", "running since 14:02, no job"),
        CHECK("cpu is compatible", "refused",
              "compute-3 lacks avx2, bmi2 of the guest's CPU (Haswell-noTSX)"),
        CHECK("memory fits", "refused",
              "needs 16384 MiB; 128000 × 1.5 − 512 reserved − 192100 used = −612 MiB on compute-3"),
        STEP(100.0, "check", "same disk on both hosts", "skipped",
             "/var/lib/nova/instances is not mounted on compute-3", 0),
        VERDICT("refused", 2,
                "Refused, nothing was touched: 2 of 3 checks say no (cpu is compatible, memory fits).",
                DETAIL("", "compute-5 could take this guest: it has the CPU, and 41200 MiB free.")),
    };
    EXPECT(plain, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "check    guest is running               running since 14:02, no job\n"
           "check    cpu is compatible              NO: compute-3 lacks avx2, bmi2 of the guest's CPU "
           "(Haswell-noTSX)\n"
           "check    memory fits                    NO: needs 16384 MiB; 128000 × 1.5 − 512 reserved − "
           "192100 used = −612 MiB on compute-3\n"
           "check    same disk on both hosts        skipped: /var/lib/nova/instances is not mounted on "
           "compute-3\n"
           "\n"
           "Refused, nothing was touched: 2 of 3 checks say no (cpu is compatible, memory fits).\n"
           "  compute-5 could take this guest: it has the CPU, and 41200 MiB free.\n");
}

// A run that could not begin: nothing stands before its verdict.
static void refused_at_once(void **state)
{
    (void)state;
    static const char *const events[] = {
        VERDICT("refused", 2, "Refused, nothing was touched: no connection to compute-2.", "")};
    EXPECT(plain, events, "Refused, nothing was touched: no connection to compute-2.\n");
}

// Checks that did not simply pass are shown beside those that did.
static void checks_that_stand_out(void **state)
{
    (void)state;
    static const char *const events[] = {
        CHECK("guest is running", "ok", "running"),
        STEP(100.0, "check", "same disk", "skipped", "not needed here", 0),
        MOVED,
    };
    EXPECT(plain, events,
           "check    1 passed\n"
           "check    same disk                      skipped: not needed here\n"
           "\n"
           "Moved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in all, paused 0.24 "
           "s, files owned right.\n");
}

#define BIND "QEMU on compute-2 could not listen on 10.88.0.11:5900, an address of compute-1"
#define BIND_LOG "compute-2:/var/log/libvirt/qemu/instance-00000001.log:41"
#define FAILED_MIGRATION                                                                    \
    "{`time`:101.6,`type`:`effect`,`step`:`the guest`,`number`:2,`kind`:`libvirt.migrate`," \
    "`host`:`compute-2`,`target`:`instance-00000001`,`status`:`failed`,"                    \
    "`summary`:`peer to peer`,`error`:`Cannot assign requested address`}"
#define FAILED_STEP                                                                \
    "{`time`:101.6,`type`:`step`,`phase`:`migrate`,`title`:`the guest`,`index`:1," \
    "`status`:`failed`,`text`:`Cannot assign requested address`}"
#define FAILED_UNDO                                                                     \
    "{`time`:102.0,`type`:`effect`,`step`:`open the port`,`number`:1,`kind`:`service`," \
    "`host`:`compute-1`,`target`:`nftables`,`status`:`failed`,"                         \
    "`summary`:`inactive → active`,`error`:`no connection`}"
#define FAILED_CAUSE \
    DETAIL("Cause", BIND "\\n" BIND_LOG "\\n  Failed to bind socket: Cannot assign requested address")
#define FAILED_REMEDY DETAIL("Remedy", "use policies/libvirt.lua") "," DETAIL("Stays", "nothing")
#define FAILED_DETAILS FAILED_CAUSE "," FAILED_REMEDY "," DETAIL("More", "migrun show 20261123-140211-k3f")

static void failure(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_RUN,
        START(100.0, "prepare", "listen on every address"),
        EFFECT("listen on every address", "file.write", "compute-1", "/etc/libvirt/qemu.conf", "done",
               "is changed"),
        STEP(100.9, "prepare", "listen on every address", "ok", "vnc_listen is 0.0.0.0", 0.9),
        START(101.0, "migrate", "the guest"),
        FAILED_MIGRATION,
        FAILED_STEP,
        EFFECT("listen on every address", "file.write", "compute-1", "/etc/libvirt/qemu.conf", "undone",
               "is changed"),
        FAILED_UNDO,
        VERDICT("not_moved", 3, "Not moved: instance-00000001 runs on compute-1 as before; 3 changes undone.",
                FAILED_DETAILS),
    };
    EXPECT(plain, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "prepare  listen on every address        vnc_listen is 0.0.0.0                             0.9 s\n"
           "           /etc/libvirt/qemu.conf on compute-1   is changed\n"
           "migrate  the guest                      failed after 0.6 s: Cannot assign requested address\n"
           "undone   listen on every address        /etc/libvirt/qemu.conf on compute-1   is changed\n"
           "undo     open the port                  FAILED: nftables on compute-1   inactive → active: no "
           "connection\n"
           "\n"
           "Not moved: instance-00000001 runs on compute-1 as before; 3 changes undone.\n"
           "  Cause   " BIND "\n"
           "          compute-2:/var/log/libvirt/qemu/instance-00000001.log:41\n"
           "            Failed to bind socket: Cannot assign requested address\n"
           "  Remedy  use policies/libvirt.lua\n"
           "  Stays   nothing\n"
           "  More    migrun show 20261123-140211-k3f\n");
}

// The step that failed says where it stood; a longer label moves all texts.
static void failure_half_way(void **state)
{
    (void)state;
    static const char *const events[] = {
        START(100.0, "migrate", "the guest"),
        PROGRESS(101.0, 61.0, 164626432.0, "false"),
        STEP(102.0, "migrate", "the guest", "failed", "interrupted; the migration was aborted", 0),
        STEP(102.0, "fixup", "own instance files", "failed", "disk is root's", 0),
        VERDICT("not_moved", 6, "Not moved, and 1 thing could not be put back.",
                DETAIL("Not undone", "a") "," DETAIL("Stays", "b")),
    };
    EXPECT(
        plain, events,
        "migrate  the guest                      failed after 2.0 s: interrupted; the migration was aborted\n"
        "           61 %  157 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left\n"
        "fixup    own instance files             failed: disk is root's\n"
        "\n"
        "Not moved, and 1 thing could not be put back.\n"
        "  Not undone  a\n"
        "  Stays       b\n");
}

// ---- what comes from outside ----

static void hostile_names(void **state)
{
    (void)state;
    static const char *const events[] = {
        CHECK("title\\u001b[2J", "refused", "name \\u001b]0;gone\\u0007 and \\u009b1m\\r over"),
        "{`type`:`message`,`level`:`warning`,`text`:`two\\nlines \\u001b[1m`}",
        VERDICT("refused", 2, "Refused: \\u001b[31m.", DETAIL("Cause", "tab\\there\\n\\u007f")),
    };
    EXPECT(plain, events,
           "warning: two\n"
           "lines \\x1b[1m\n"
           "check    title\\x1b[2J                   NO: name \\x1b]0;gone\\x07 and \\u{9b}1m\\x0d over\n"
           "\n"
           "Refused: \\x1b[31m.\n"
           "  Cause   tab\\x09here\n"
           "          \\x7f\n");
}

// Text that is no UTF-8 reaches events escaped (json_text); made by hand it must not pass either.
static void broken_utf8(void **state)
{
    (void)state;
    struct screen screen = plain;
    screen.fd = memfd_create("screen", MFD_CLOEXEC);
    auto_json json_t *event = json_pack("{s:s, s:s, s:o, s:s, s:o}", "type", "step", "phase", "fixup",
                                        "title", json_text("n\xc3\xa4me \xff\xc3("), "status", "ok", "text",
                                        json_stringn_nocheck("a\xe2\x86", 3));
    struct listener listener = screen_listener(&screen);
    listener.event(listener.data, event);
    screen_end(&screen);
    char printed[200] = "";
    assert_true(pread(screen.fd, printed, sizeof printed - 1, 0) > 0);
    close(screen.fd);
    assert_string_equal(printed, "fixup    n\xc3\xa4me \\xff\\xc3(                 a\\xe2\\x86\n");
}

static void ascii(void **state)
{
    (void)state;
    static const char *const events[] = {
        BEGIN_RUN,
        START(103.0, "fixup", "own instance files"),
        OWNER("disk", "done"),
        OWNER("disk.info", "done"),
        EFFECT("x", "service", "compute-2", "libvirtd", "done", "active → inactive"),
        STEP(103.0, "fixup", "own instance files", "ok", "3 × “done” é", 0.3),
    };
    struct screen screen = {.verdict_fd = -1};
    EXPECT(screen, events,
           "Moving instance-00000001 from compute-1 to compute-2, by policies/libvirt.lua   run "
           "20261123-140211-k3f\n"
           "fixup    own instance files             3 x \"done\" \\xc3\\xa9                               "
           "0.3 s\n"
           "           .../instance-00000001/disk        root:root -> libvirt-qemu:libvirt-qemu\n"
           "           .../instance-00000001/disk.info   root:root -> libvirt-qemu:libvirt-qemu\n"
           "           libvirtd on compute-2             active -> inactive\n");
}

// ---- terminals ----

static void colour(void **state)
{
    (void)state;
    static const char *const events[] = {
        CHECK("memory fits", "refused", "too little"),
        START(100.3, "migrate", "the guest"),
        MIGRATE("done", ",`detail`:`--- a\\n+++ b\\n@@ x\\n-old\\n+new\\n same`"),
        SILENT(100.4, "migrate", "the guest", 0),
        MOVED,
    };
    struct screen screen = plain;
    screen.color = screen.verbose = true;
    EXPECT(
        screen, events,
        "check    memory fits                    \033[31mNO: too little\033[0m\n"
        "migrate  the guest                      peer to peer, to qemu+tcp://compute-2/system, up to 5 min\n"
        "           \033[31m--- a\033[0m\n"
        "           \033[32m+++ b\033[0m\n"
        "           \033[36m@@ x\033[0m\n"
        "           \033[31m-old\033[0m\n"
        "           \033[32m+new\033[0m\n"
        "            same\n"
        "\n"
        "\033[32mMoved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in all, paused "
        "0.24 s, files owned right.\033[0m\n");
}

// One line is rewritten in place; what is longer than the terminal's 80 columns is wrapped below its own
// column.
static void terminal(void **state)
{
    (void)state;
    static const char *const events[] = {
        START(100.0, "check", "memory fits"),
        STEP(100.0, "check", "memory fits", "ok", "fits", 0),
        START(100.0, "migrate", "the guest"),
        PROGRESS(101.0, 61.0, 164626432.0, "false"),
        "{`type`:`message`,`level`:`info`,`text`:`Stopping: aborting the migration`,`answers`:true}",
        STEP(102.0, "migrate", "the guest", "failed",
             "interrupted in the middle of it; the migration was aborted, and libvirt agreed", 0),
        MOVED,
    };
    struct screen screen = plain;
    screen.live = true;
#define LIVE_PROGRESS "migrate   61 %  157 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left"
    EXPECT(screen, events,
           "check    memory fits  …"
           "\r\033[K"
           "check    1 passed\n"
           "migrate  the guest  …"
           "\r\033[K" LIVE_PROGRESS "\r\033[KStopping: aborting the migration\n" LIVE_PROGRESS "\r\033[K"
           "migrate  the guest                      failed after 2.0 s: interrupted in the\n"
           "                                        middle of it; the migration was aborted,\n"
           "                                        and libvirt agreed\n"
           "           61 %  157 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left\n"
           "\n"
           "Moved: instance-00000001 runs on compute-2 and is gone from compute-1; 2.1 s in\n"
           "all, paused 0.24 s, files owned right.\n");
}

static void nobody_reads(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    struct screen screen = plain;
    screen.fd = ends[1];
    screen.verdict_fd = memfd_create("stderr", MFD_CLOEXEC);
    struct listener listener = screen_listener(&screen);
    auto_json json_t *say = json_pack("{s:s, s:s, s:s}", "type", "message", "level", "warning", "text",
                                      "not seen");
    auto_json json_t *end = json_pack("{s:s, s:s, s:i, s:s, s:[]}", "type", "verdict", "outcome", "moved",
                                      "status", 0, "line", "Moved: it runs.", "details");
    listener.event(listener.data, say);
    listener.event(listener.data, end);
    screen_end(&screen);
    close(ends[1]);
    char told[100] = "";
    assert_true(pread(screen.verdict_fd, told, sizeof told - 1, 0) > 0);
    close(screen.verdict_fd);
    assert_string_equal(told, "Moved: it runs.\n");
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preview),
        cmocka_unit_test(preview_without_instance),
        cmocka_unit_test(run_into_a_file),
        cmocka_unit_test(checks_alone),
        cmocka_unit_test(run_verbose),
        cmocka_unit_test(run_quiet),
        cmocka_unit_test(progress_that_stalls),
        cmocka_unit_test(long_run),
        cmocka_unit_test(effects_of_a_run),
        cmocka_unit_test(preview_that_nothing_enforces),
        cmocka_unit_test(messages),
        cmocka_unit_test(refusal),
        cmocka_unit_test(checks_that_stand_out),
        cmocka_unit_test(failure),
        cmocka_unit_test(failure_half_way),
        cmocka_unit_test(hostile_names),
        cmocka_unit_test(broken_utf8),
        cmocka_unit_test(ascii),
        cmocka_unit_test(colour),
        cmocka_unit_test(terminal),
        cmocka_unit_test(nobody_reads),
        cmocka_unit_test(refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
