// SPDX-License-Identifier: MIT
// Shared by the surgery (surgery.c), its actions (surgery_serve.c), its guard (guard.c) and its check of the
// guests (managed.c).
//
// KEEP_DIR/RUN/N.surgery has all that anyone needs to restore the originals: {unit, managed: it is libvirtd,
// commands (the site's, or none), units: [what was active, sockets first], with, without: [sockets'
// units that a commit starts too, or leaves stopped], socket (libvirt's), log: {path,
// size}, guests: [{name, uuid, pid, state, persistent}], edits: [{path, keep: "RUN/M", expect, sha256}]
// (M.new is what goes into place), agent: pid, phase: open|committed|put back, text, at, lost: [text],
// unrestored: [text] (those of lost that tell of files), down: the service did not start}. The
// agent that carries it out holds N.lock; whoever gets that lock knows that the agent is dead.
#ifndef MIGRUN_WORLD_AGENT_SURGERY_H
#define MIGRUN_WORLD_AGENT_SURGERY_H

#include "world/agent/ops_internal.h"

// How long libvirtd may be away for what the policy does meanwhile; how long migrun may be silent then; and
// after which time the guard takes an agent that says nothing for dead.
enum { SURGERY_OPEN_MS = 30000, SURGERY_SILENCE_MS = 6000, SURGERY_GUARD_MS = 180000 };

struct surgery {
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    int folder, lock; // descriptors
    json_t *manifest;
    int64_t opened;
};
#define NO_SURGERY               \
    {                            \
        .folder = -1, .lock = -1 \
    }

// ---- surgery.c ----
// The manifest of "RUN/N", with its folder open; manifest NULL: there is none.
int surgery_load(const char *keep, struct surgery *s, struct error *err);
// The manifest again, from the folder that is open: whatever has the name "RUN/N" since.
int surgery_read(struct surgery *s, struct error *err);
int surgery_store(const struct surgery *s, struct error *err);     // synced
int surgery_lock(struct surgery *s, bool wait, struct error *err); // 1: got it, 0: somebody has it
void surgery_free(struct surgery *s);                              // closes, restores nothing
bool surgery_is_open(const struct surgery *s);
const char *surgery_unit(const struct surgery *s);
// Sets the end in the manifest (surgery_store writes it). lost is stolen.
void surgery_set_end(struct surgery *s, const char *phase, const char *text, json_t *lost);
// Records what is to be stopped and started again. Refuses where the unit does not run, or where systemd
// would stop others with it.
int surgery_record_units(struct surgery *s, struct error *err);
void surgery_mark_log(struct surgery *s, const char *path);    // what follows in it is told after a failure
int surgery_stop(const struct surgery *s, struct error *err);  // all of it, and looks whether it is stopped
int surgery_start(const struct surgery *s, struct error *err); // all of it; twice, if need be
int surgery_start_changed(const struct surgery *s, struct error *err); // and with, but not without
// Restores the originals (but where libvirtd has taken the edit over and written the file anew), starts what
// was active, looks at the guests. who: for the sentence ("its guard"). What could not be got back is in the
// manifest's lost.
void surgery_put_back(struct surgery *s, const char *who, const char *why);
// Ends one whose agent or migrun is gone: it is committed where the service has taken the edits over, and put
// back where it has not.
void surgery_end_left(struct surgery *s, const char *who, const char *why);
// Of one that ended with something lost: what did not start is started, and guests may have been brought back
// since; originals that could not be restored stay lost.
void surgery_look_again(struct surgery *s);
// The same as surgery_put_back after a failure of migrun's own step. err gets why it failed, what the log
// says, what was restored and what could not be. Returns -1.
int surgery_fail(struct surgery *s, const char *why, struct error *err);

// ---- surgery_serve.c ----
// Until when the agent may wait for migrun's next word.
int64_t surgery_deadline(const struct agent *agent);
void surgery_leave(struct agent *agent); // migrun is gone: what is open is put back

// ---- managed.c ----
// The guests that libvirtd knows to run, by its status files; each must be fit for a restart of libvirtd.
// Refuses with the reason.
int guests_read(const json_t *manifest, json_t **guests, struct error *err);
// What became of them: an array of sentences, empty when each is listed, with the same QEMU, and its monitor
// answers.
json_t *guests_lost(const json_t *manifest);
// The qemu hooks pass what libvirtd asks them at its start, or the reason why not.
int hooks_pass(const json_t *guests, struct error *err);

// ---- guard.c ----
int guard_arm(const struct surgery *s, struct error *err);
int guard_main(const char *keep);

#endif
