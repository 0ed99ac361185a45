// SPDX-License-Identifier: MIT
// A run: its hosts, its instance, its steps in order by the rules of their phases, and the verdict. Knows no
// Lua: a policy is a struct procedure here.
#ifndef MIGRUN_RUN_RUN_H
#define MIGRUN_RUN_RUN_H

#include "run/events.h"
#include "world/host.h"
#include "world/libvirt.h"

struct run_options {
    const char *policy;           // as given: a file, or a name
    const char *const *arguments; // what follows it: INSTANCE HOST, or what the policy takes
    size_t n_arguments;
    json_t *params;     // object of strings
    const char *site;   // file, or NULL: $MIGRUN_SITE, /etc/migrun/site.lua when it is there
    const char *source; // host, or NULL: looked for
    const char *state;  // where runs are recorded, NULL: as usual (journal.h)
    bool preview;
    bool unlocked; // what the kernel cannot keep from changing something may be run all the same
    bool verbose;
    const char *command_line; // for the journal
};

// Exit statuses (the design's table).
enum outcome {
    OUTCOME_MOVED = 0, // and DONE, and a preview that would
    OUTCOME_MISTAKE = 1,
    OUTCOME_REFUSED = 2,
    OUTCOME_NOT_MOVED = 3,
    OUTCOME_MOVED_BUT = 4,
    OUTCOME_IN_DOUBT = 5,
    OUTCOME_NOT_RESTORED = 6,
    OUTCOME_INTERRUPTED = 130,
};

enum phase { PHASE_CHECK, PHASE_PREPARE, PHASE_MIGRATE, PHASE_FIXUP };
extern const char *const phase_names[4];

struct step {
    const char *title;
    enum phase phase;
    const char **needs; // titles of checks
    size_t n_needs;
    const char *topic; // of a check that an operator may know better about (-p i_know=TOPIC), or NULL
    bool known;        // and does: its refusal is told, and does not count
    bool temporary;    // what it changes is taken back at every end of the run, last first
    bool undoes;       // it has a function that takes back what it did (procedure->undo)
};

struct run;

// A policy, as the floors below Lua see it. perform's text says what was seen or done; wanted's says why.
struct procedure {
    const char *name;        // as the operator gave it
    const char *path, *text; // its file
    json_t *secrets;         // what its secret parameters hold (mask_forms), or NULL: never shown nor kept
    json_t *modules;         // of the site's own that it required: {name: text}, for a recovery
    const char *summary;
    // hosts: one or more; with an instance: to be asked about it, or "any" for all of the site
    bool takes_instance, takes_host, takes_hosts, migrates;
    bool nova;   // its instance is Nova's: the source is asked of Nova, HOST may be "any", the verdict asks
                 // Nova too
    bool audits; // a preview ends with status 2 where a check warns
    struct step *steps;
    size_t n_steps;
    int (*wanted)(void *data, size_t step, bool *wanted, char **why, struct error *err);
    int (*perform)(void *data, size_t step, char **text, struct error *err);
    // After the fix-ups: is what the step put right, right? 1: the step has no such question.
    int (*verify)(void *data, size_t step, char **text, struct error *err);
    // Takes back what a step did that says how (step.undoes): where its changes are undone; for a temporary
    // one at every end. Its own changes are not undone in their turn. NULL: no step says how.
    int (*undo)(void *data, size_t step, char **text, struct error *err);
    // Cause and remedy of a failed migration: an array of {label, text} (events.h). Never fails the run.
    json_t *(*explain)(void *data, const struct error *failure);
    // Told before its steps are performed for which run that is (with what that one has saved), and NULL
    // afterwards. May be NULL.
    void (*attach)(void *data, struct run *run);
    void *data;
};

// One host of a run.
struct run_host {
    struct run *run;
    struct host *agent;
    struct virt *virt; // NULL: its libvirtd did not answer (a policy that takes no instance may go on)
    json_t *facts;     // the agent's, with libvirt's as .libvirt.…
    char *libvirt_error;
    double asked;    // when its facts were
    bool apart;      // it is run.here, and none of the run's own
    char *nova_name; // what Nova calls it, NULL: as the site does
};

struct effect;
struct journal;
struct cloud;

// A text before and after a change; after NULL: it stays as it is.
struct text_pair {
    char *before, *after;
};

// Nova's record of a migration as it was seen last; since when, and when it is time to ask who works on it
// (milliseconds, now_ms()); before: the id of the newest that there was before the run's own.
struct nova_record {
    json_t *end; // the record, once the migration has ended: nothing changes in it any more
    char *seen;
    int64_t since, ask, before;
    bool ended; // as it was seen last, and so for good
};

struct run {
    const struct run_options *options;
    const struct site *site;
    const struct procedure *procedure;
    struct listener listener;
    char id[40];
    double started;
    char *dir;               // private: forwarded sockets
    int janitor;             // closing it (our end does, too) has the folder removed
    struct run_host **hosts; // all that are open
    size_t n_hosts;
    struct run_host *source, *dest, *here;
    // Hosts of the site that were asked for the guest too: which of them could take it is asked when the
    // named one cannot, or by a survey. None is left once something is changed.
    struct run_host **spares;
    size_t n_spares;
    bool surveys;        // the policy's checks are asked of several hosts (survey.c)
    json_t *away;        // {host: why it could not be asked}
    json_t *heard;       // the warnings of checks whose answers are not shown, or NULL
    json_t *instance;    // virt_domain at the source, and its QEMU's pid, uid, gid, user, group, files
    char *instance_xml;  // its live XML then
    struct cloud *cloud; // NULL: nobody asked for it yet (run/cloud.h)
    json_t *server;      // the instance as Nova has it (nova_server), NULL: it is not Nova's
    struct nova_record nova_record;
    json_t *saved;   // what steps share
    json_t *overlay; // a preview's changes, as later reads see them
    struct journal *journal;
    enum phase phase;
    const struct step *step; // the one that runs, or NULL
    int pure;                // >0: inside a function that must not touch the world
    struct effect *surgery;  // the one that is open (change.h), or NULL
    char *spoilt;            // what went wrong in it, also where the policy caught the error
    struct effect **effects; // made, in order
    size_t n_effects, next_effect;
    const struct effect *undoing; // the one that is being undone, or NULL
    size_t to_undo;               // that one, and those that are still to be
    bool migration_attempted, moved;
    double migration_began; // epoch; 0: none was attempted
    int64_t stops_at;       // when the migration's timeout is over (now_ms()), 0: none was begun
    bool by_nova;           // it was Nova that was asked for the migration
    bool recovers;          // it ends a run that was cut off
    const char *cause;      // why that one had stopped
    bool claimed;           // its hosts have its claim
    bool exclusive;         // which is for the whole of them
    bool went_well;         // its logins are kept for the next run
    bool told_lost;         // that a connection is lost was said
    double downtime;        // seconds, -1: not known
    double progress_kept;   // when progress went into the journal last
    struct {
        double done, since;   // bytes that were processed when that last grew, and when
        bool possible, begun; // post-copy: the migration may switch to it, and has
        int64_t ask;          // when it is time to ask whether it has (now_ms())
        int64_t broken;       // once it broke: until when it may be joined again (now_ms())
    } pace;
    json_t *kept;      // array of texts: what a failure leaves as it is
    size_t n_would;    // a preview's changes
    size_t n_warnings; // that were told
    char *unlocked;    // NULL, or what the kernel did not keep from changing something (--unlocked)
};

// Loads nothing, changes nothing: connects to the hosts, finds the instance, gathers facts. run->options,
// site, procedure, listener are set by the caller. Errors say what is wrong with which host; run_close in
// every case.
int run_open(struct run *run, struct error *err);
// The steps, and the verdict: returns the exit status. Everything it has to say goes to the listener.
int run_execute(struct run *run);
// Ends a run that was cut off (and opened again: recover.c) where a failure, of that cause, would have ended
// it; a preview tells how. Returns the exit status.
int run_finish(struct run *run, const char *cause);
// Undoes what a run that has ended made, where nobody has changed it since. Returns the exit status.
int run_undo(struct run *run);
void run_close(struct run *run);
// All of these: opens it, executes it, closes it. Returns the exit status; -1 with err where the options or
// the site have a mistake (nothing was touched, and nothing was told to the listener).
int run_perform(const struct run_options *options, const struct site *site, const struct procedure *procedure,
                const struct listener *listener, struct error *err);

// Asks every host for a sign of life, and connects once again to those that give none. Not in a preview,
// which is locked in.
void run_reconnect(struct run *run);

// ---- claims (claim.c) ----
// Tells the run's hosts whose it is (a preview only looks whether it could). ERR_REFUSED REFUSED_CLAIMED when
// another run has its claim there. exclusive: of the whole host.
int run_claim(struct run *run, bool exclusive, struct error *err);
void run_unclaim(struct run *run);
// "root on controller": who runs this migrun. Static text.
const char *run_author(void);

// The machine that migrun runs on; its agent is started when it is first asked for.
int run_here(struct run *run, struct run_host **here, struct error *err);
const char *run_host_name(const struct run_host *h);
// The host where the guest is, by what is known (after a move that happened, or in its preview: the
// destination).
struct run_host *run_instance_host(struct run *run);

// ---- telling (emit.c) ----
// Adds time, run and type to fields (stolen), and passes it on to the listener and, but for progress, to the
// journal.
// Masks the secrets in it, so that callers need not.
void run_emit(struct run *run, const char *type, json_t *fields);
// A copy of data as it is shown and written down: secrets masked, also those that the run's parameters hold.
json_t *run_masked(const struct run *run, const json_t *data);
void run_message(struct run *run, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- stopping (stop.c) ----
// From now on each interrupt is answered with what the run does about it; NULL: no more.
void run_answer_interrupts(struct run *run);
// A message that answers an interrupt.
void run_answer(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Remembers what the kernel did not enforce: the header and the verdict say it (the first of several).
void run_not_enforced(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- reads, as a preview sees them (reads.c) ----
// stat's members, or NULL when there is nothing at path.
int run_stat(struct run_host *h, const char *path, json_t **stat, struct error *err);
// *data NULL: no such file. stat may be NULL.
int run_read(struct run_host *h, const char *path, char **data, size_t *len, json_t **stat,
             struct error *err);
int run_list(struct run_host *h, const char *path, json_t **entries, struct error *err);
// commands: the site's for this service ({state, sockets, …}); NULL, or without a state: systemd is asked.
int run_service_state(struct run_host *h, const char *unit, const json_t *commands, char **state,
                      struct error *err);
// The same as {state, start_timeout, stop_timeout}: how long the unit lets these take, in ms, where it tells.
int run_service(struct run_host *h, const char *unit, const json_t *commands, json_t **seen,
                struct error *err);
// Waits until it is active and responds. In a preview one that would have been stopped does not come.
int run_service_wait(struct run_host *h, const char *unit, const json_t *commands, int64_t timeout_ms,
                     struct error *err);
// Whether the unit is the daemon that has the host's guests.
bool run_is_libvirtd(const struct run_host *h, const char *unit);
// A log from offset on, where line lines are before it: its text, and {size, lines, line}; offset -1: no
// text. ERR_SYSTEM ENOENT: there is none.
int run_log(struct run_host *h, const char *path, int64_t offset, int64_t line, struct message *answer,
            struct error *err);
// A command that only reads (args stolen, ops.h): no preview can predict it.
int run_command(struct run_host *h, json_t *args, const char *input, size_t input_len, int64_t timeout_ms,
                struct message *answer, struct error *err);
// Whether the host reaches ports (whole numbers) of another: {address, ports}.
int run_reach(struct run_host *h, const char *other, const json_t *ports, int64_t timeout_ms,
              json_t **reached, struct error *err);
// Of the agent's watch and pulse (agent/ops.h, args stolen): what the host hears, and whom it asks. *result
// NULL: it does neither (any more).
int run_listen(struct run_host *h, const char *op, json_t *args, int64_t timeout_ms, json_t **result,
               struct error *err);
// What lies below each of these paths, after a wait: {path: …}.
// Whether the libvirtd that a URI names lets this host in: refused NULL, or why not (caller frees).
int run_login(struct run_host *h, const char *uri, char **refused, struct error *err);
// Who listens on these ports there: an array (ops.h).
int run_listeners(struct run_host *h, const json_t *ports, json_t **listeners, struct error *err);
int run_storage(struct run_host *h, const json_t *paths, int64_t wait_ms, json_t **storage,
                struct error *err);
void overlay_set(struct run_host *h, const char *kind, const char *target, json_t *value); // value stolen
json_t *overlay_get(const struct run_host *h, const char *kind, const char *target); // borrowed, or NULL

// ---- where the guest is (verdict.c) ----
enum whereabouts {
    GUEST_AT_SOURCE,
    GUEST_STANDS_AT_SOURCE, // there, and paused by somebody or something other than the migration
    GUEST_AT_DEST,
    GUEST_STANDS_AT_DEST,
    GUEST_STOPPED,         // it was shut down, destroyed or it crashed before it had moved
    GUEST_STOPPED_AT_DEST, // … after it had
    GUEST_DELETED,         // in Nova
    GUEST_UNCLEAR,
};
// text: what each host says ("compute-1: running, compute-2: absent"); state: the words of the one that
// counts.
// moves: its migration still runs. lost: post-copy broke, and the half at the destination is gone.
struct seen_guest {
    char *text, *state;
    bool moves, lost;
};
void seen_guest_free(struct seen_guest *seen);
// Asks both libvirtds, and the agents where that leaves doubt (the table: ends.c). seen: NULL, or filled.
enum whereabouts run_whereabouts(struct run *run, struct seen_guest *seen);

#endif
