// SPDX-License-Identifier: MIT
// What the topics of the agent's operations share; ops.h says what each operation does.
#ifndef MIGRUN_WORLD_AGENT_OPS_INTERNAL_H
#define MIGRUN_WORLD_AGENT_OPS_INTERNAL_H

#include "world/agent/ops.h"

#include <sys/stat.h>

// Declares, or heads, the function that serves an operation; most need only some of what they are given.
#define SERVE(name)                                                                                      \
    int name(__attribute__((unused)) struct agent *agent, __attribute__((unused)) const json_t *request, \
             __attribute__((unused)) const char *body, __attribute__((unused)) size_t body_len,          \
             json_t **result, __attribute__((unused)) struct buf *result_body,                           \
             __attribute__((unused)) struct error *err)

SERVE(serve_stat);
SERVE(serve_read);
SERVE(serve_list);
SERVE(serve_write);
SERVE(serve_remove);
SERVE(serve_restore);
SERVE(serve_tidy);
SERVE(serve_forget);
SERVE(serve_chown);
SERVE(serve_chmod);
SERVE(serve_log);
SERVE(serve_search);
SERVE(serve_count);
SERVE(serve_command);
SERVE(serve_service);
SERVE(serve_reach);
SERVE(serve_watch);
SERVE(serve_pulse);
SERVE(serve_login);
SERVE(serve_facts);
SERVE(serve_listeners);
SERVE(serve_storage);

const struct op *op_find(const char *name); // NULL: there is none

// The folder of libvirt's configuration as its daemon sees it ("/proc/812/root/etc/libvirt", or just the
// folder). *unseen: the daemon runs in a container, which may not be looked into from here (in a preview, or
// not as root). Caller frees. (daemon_config.c)
char *daemon_config(const char *folder, bool *unseen);

SERVE(serve_note);
SERVE(serve_notes);
SERVE(serve_claim);
SERVE(serve_unclaim);
SERVE(serve_claims);
SERVE(serve_surgery);

// KEEP_DIR and CLAIM_DIR; only a unit test puts them elsewhere.
extern const char *agent_keep_dir, *agent_claim_dir;
void keep_at_home(void); // an agent that is not root keeps originals and notes in its user's home

// What is kept for a run (kept.c). keep_parse cuts "RUN/N" (number NULL: "RUN") into its parts, which are
// plain names afterwards.
enum { RUN_NAME_MAX = 64, KEEP_NUMBER_MAX = 9 };
int keep_parse(const char *keep, char run[RUN_NAME_MAX + 1], char number[KEEP_NUMBER_MAX + 1],
               struct error *err);
int keep_folder(const char *run, bool make, struct error *err); // its descriptor
int keep_bytes(int folder, const char *name, const void *data,
               size_t len); // a new file, synced; -1 with errno
int kept_bytes(int folder, const char *name, size_t limit, char **data, size_t *len); // -1 with errno
int make_folder(const char *path);
int unless_absent(const struct error *failure,
                  struct error *err); // 0 where what failed is that a folder is not there yet
// Adds what became of a run, meanwhile, to its claim here, for whoever finds it. Nothing happens where there
// is none.
void claim_tell(const char *run, const char *text);
// Writes a request's note to keep's place, unless it is there.
int note_effect(const json_t *request, struct error *err);
// Remembers that the change of a request's keep was undone.
void note_undone(const json_t *request);

// Where the file behind a descriptor, whatever its name is now, can be reached by a path.
struct fd_path {
    char text[32];
};
struct fd_path fd_path(int fd);
// The folder of a path, held (O_PATH), in which something is to be changed. Other users' links on the way
// are refused, and those of a process (/proc/1/root). shown: the path, for errors.
int folder_open(const char *path, const char *shown, struct error *err);
// Whether another user than root, or this one, may put something there.
bool folder_is_others(int folder);
// The regular file at a request's path, to be read; its last part is not followed. shown: the path, for
// errors; caller frees it.
int file_open(const json_t *request, char **shown, struct stat *st, struct error *err);
// Extended attributes of a file, shown as that in errors: {name: hex}. attributes_set gives it these and no
// others (but for labels that the host does not let anybody give). -1: ERR_SYSTEM with errno.
int attributes_of(int fd, const char *shown, json_t **attributes, struct error *err);
int attributes_set(int fd, const char *shown, const json_t *wanted, struct error *err);

// Mounts of this host, in their order: [{target, source, fstype}]; and the one that a path lies on.
json_t *mounts(void);
const json_t *mount_below(const json_t *all, const char *path);

// The network interfaces (links.c), and memory, CPUs, NUMA nodes and huge pages (hardware.c): ops.h, facts.
json_t *links(void);
void add_hardware(json_t *facts);

// Of texts of the kernel's. file_text: NULL where it cannot be read; caller frees. next_line cuts the next
// line off a text, NULL at its end; trimmed takes blanks away, in place.
char *file_text(const char *path);
char *next_line(char **text);
char *trimmed(char *text);
void set_text(json_t *object, const char *key, const char *text); // nothing where text is NULL

// The addresses of a name; an error tells the remedy.
struct addrinfo;
int resolve(const char *host, struct addrinfo **addresses, struct error *err);
void free_addresses(struct addrinfo **addresses);

// A user's or group's name, or NULL when the host knows none. Caller frees.
char *user_name(uid_t uid);
char *group_name(gid_t gid);

// Runs what only reads, kept from changing anything (base/lockdown.h). sockets: it may reach this host's UNIX
// sockets. unlocked: NULL, or it is run all the same where the kernel cannot keep it from that, and *unlocked
// is set.
struct process_request;
struct process_result;
int run_to_read(struct process_request *run, bool sockets, bool *unlocked, struct process_result *ended,
                struct error *err);

// States of units by one call of systemctl: {state, sub, pid, found} each, in the order of the names. A name
// that is no unit's is state "unknown". An agent that only reads keeps systemctl to that; NULL: none.
struct unit_state {
    char state[16];         // active, inactive, failed, unknown
    char word[24], sub[32]; // systemd's own words
    int64_t pid;
    int64_t start_ms, stop_ms; // how long the unit lets a start and a stop take; 0: not known
    bool found;
};
// Whether a UNIX socket takes connections: 0, or errno. One that this user may not use is one that does.
int socket_connects(const char *path);
int units_show(const struct agent *agent, const char *const *units, size_t count, int64_t deadline,
               struct unit_state *states, struct error *err);

#endif
