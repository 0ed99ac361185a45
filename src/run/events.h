// SPDX-License-Identifier: MIT
// What a run tells: one JSON object an event. The text screens, --json and the journal all take the same
// events.
//
// Every event: {"time": epoch seconds, "run": ID (null in a preview), "type": …}. Types:
//
//   begin     instance, uuid, source, dest, policy (as given), summary, preview: bool, memory (bytes), vcpus,
//             sentence ("Moving … from … to …, by …"; a policy without instance: "On compute-1, by …")
//   step      phase: check|prepare|migrate|fixup, title, index, status:
//               start | ok (text: what was seen) | refused (text) | skipped (text: why) | not_needed |
//               failed (text, error)
//             seconds (but at start), and for a preview ok means "would be done"
//   effect    step (title), kind: "file.write", "service", "libvirt.migrate", … (EFFECT_KINDS, gate.h),
//             host, target, summary ("root:root → libvirt-qemu:libvirt-qemu"), detail (a diff, or null),
//             status: would | done | undone | failed | kept, error (text)
//   progress  what: "migration", total, processed, remaining (bytes), percent, bandwidth (bytes/s),
//             dirty_rate (bytes/s), iteration, elapsed, left (seconds or null), last: bool, post_copy: bool,
//             stalled: seconds since when nothing was sent, 0: it goes on
//   message   level: info|warning|error, text; answers: true where it answers a Ctrl-C
//   host      name, answer: yes|no|not_known, text: of a yes what it has, else the first reason, reasons:
//   [{title,
//             text}], warnings: [text], asked: how many checks (of a survey: which host can take the guest);
//             begin's hosts: [the names of all]
//   verdict   outcome: moved|moved_but|not_moved|deleted|refused|in_doubt|interrupted|done|recovered|would|
//             would_not|mistake, status (exit), line (the one line, begins with Moved, Not moved, Refused,
//             In doubt, Interrupted, Done or Would), seconds, downtime (s or null),
//             unlocked: text, where (as in begin) the kernel did not keep a read from changing something,
//             details: [{label: "Cause"|"Remedy"|"Stays"|"More"|"", text: possibly several lines}]
#ifndef MIGRUN_RUN_EVENTS_H
#define MIGRUN_RUN_EVENTS_H

#include "base/error.h"
#include "base/json.h"

// Where events go. event is borrowed.
struct listener {
    void (*event)(void *data, const json_t *event);
    void *data;
};

#endif
