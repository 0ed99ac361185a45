// SPDX-License-Identifier: MIT
#include "world.h"

#include "base/clock.h"
#include "base/io.h"
#include "fake_cloud.h"
#include "machine.h"

#include "base/xml.h"

#include <fcntl.h>
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS = 4, LONG_LOOKS = 10, SWITCHING = 1, PATIENCE = 40, FIRST_NUMBER = 4000, WORLD_MOST = 16 << 20 };

static const char domain_xml[] = "<domain type='kvm' id='1'>\n"
                                 "  <name>" WORLD_GUEST "</name>\n"
                                 "  <uuid>" WORLD_UUID "</uuid>\n"
                                 "  <memory unit='KiB'>262144</memory>\n"
                                 "  <vcpu placement='static'>1</vcpu>\n"
                                 "  <os>\n"
                                 "    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"
                                 "  </os>\n"
                                 "  <cpu mode='custom' match='exact' check='none'>\n"
                                 "    <model fallback='forbid'>qemu64</model>\n"
                                 "  </cpu>\n"
                                 "  <devices>\n"
                                 "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
                                 "    <disk type='file' device='disk'>\n"
                                 "      <driver name='qemu' type='raw' cache='none'/>\n"
                                 "      <source file='" WORLD_FOLDER "/disk'/>\n"
                                 "      <target dev='vda' bus='virtio'/>\n"
                                 "    </disk>\n"
                                 "    <serial type='file'>\n"
                                 "      <source path='" WORLD_FOLDER "/console.log'/>\n"
                                 "      <target type='isa-serial' port='0'/>\n"
                                 "    </serial>\n"
                                 "    <graphics type='vnc' port='5900' autoport='yes' listen='10.88.0.11'>\n"
                                 "      <listen type='address' address='10.88.0.11'/>\n"
                                 "    </graphics>\n"
                                 "  </devices>\n"
                                 "  <seclabel type='dynamic' model='dac' relabel='yes'>\n"
                                 "    <label>+64055:+64055</label>\n"
                                 "    <imagelabel>+64055:+64055</imagelabel>\n"
                                 "  </seclabel>\n"
                                 "</domain>\n";

// ---- the document ----

json_t *world_read(const char *folder)
{
    auto_free char *path = xasprintf("%s/world.json", folder), *text = NULL;
    size_t len;
    json_t *w = read_whole_file(path, WORLD_MOST, &text, &len) == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    if (!w) {
        fprintf(stderr, "there is no world in %s\n", path);
        abort();
    }
    return w;
}

void world_write(const json_t *w, const char *folder)
{
    auto_free char *path = xasprintf("%s/world.json", folder), *fresh = xasprintf("%s/world.new", folder),
                   *text = json_dumps(w, JSON_COMPACT);
    auto_fd int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0 || rename(fresh, path) < 0) {
        fprintf(stderr, "the world %s cannot be written: %s\n", path, strerror(errno));
        abort();
    }
}

static const char *world_folder(void)
{
    const char *folder = getenv("MIGRUN_WORLD");
    if (!folder) {
        fprintf(stderr, "MIGRUN_WORLD names no folder\n");
        abort();
    }
    return folder;
}

json_t *world(void)
{
    static json_t *own;
    if (!own)
        own = world_read(world_folder());
    return own;
}

void world_changed(void)
{
    world_write(world(), world_folder());
    machines_show_guests(world_folder(), world());
}

json_int_t world_next(json_t *w)
{
    json_int_t next = json_int(w, "next", FIRST_NUMBER);
    json_object_set_new(w, "next", json_integer(next + 1));
    return next;
}

// ---- hosts and files ----

json_t *world_host(const json_t *w, const char *name)
{
    return json_object_get(json_object_get(w, "hosts"), name);
}

json_t *world_files(const json_t *w, const char *host, const char *path)
{
    size_t len = strlen(WORLD_INSTANCES);
    bool shared = strncmp(path, WORLD_INSTANCES, len) == 0 && (!path[len] || path[len] == '/');
    return json_object_get(shared ? w : world_host(w, host), shared ? "shared" : "files");
}

json_t *world_file(const json_t *w, const char *host, const char *path)
{
    return json_object_get(world_files(w, host, path), path);
}

void world_put(json_t *w, const char *host, const char *path, const char *type, int mode, int64_t owner,
               const char *content)
{
    json_object_set_new(world_files(w, host, path), path,
                        json_pack("{s:s, s:i, s:I, s:I, s:s}", "type", type, "mode", mode, "uid",
                                  (json_int_t)owner, "gid", (json_int_t)owner, "content", content));
}

static void put_folder(json_t *w, const char *host, const char *path)
{
    world_put(w, host, path, "directory", 0755, 0, "");
}

bool world_serves(const char *host, const char *unit)
{
    auto_free char *state = machine_unit(host, unit);
    return STREQ(state, "active");
}

json_t *world_domain(const json_t *w, const char *host, const char *name_or_uuid)
{
    json_t *domains = json_object_get(world_host(w, host), "domains"), *domain;
    const char *uuid;
    json_object_foreach(domains, uuid, domain)
        if (STREQ(uuid, name_or_uuid) || STREQ(json_str(domain, "name", ""), name_or_uuid))
            return domain;
    return NULL;
}

// ---- the standard world ----

static void add_host(json_t *w, const char *name, int number)
{
    auto_free char *address = xasprintf("10.88.0.1%d", number);
    json_t *host = json_pack("{s:{}, s:{s:s, s:s}, s:s, s:s, s:{}, s:{}}", "files", "services", "libvirtd",
                             "active", "cron", "active", "address", address, "cpu", "superset", "claims",
                             "domains");
    json_object_set_new(json_object_get(w, "hosts"), name, host);
    static const char *const folders[] = {"/",
                                          "/run",
                                          "/etc",
                                          "/etc/site",
                                          "/etc/migrun",
                                          "/etc/nova",
                                          "/etc/ssh",
                                          "/etc/systemd",
                                          "/etc/systemd/system",
                                          "/etc/systemd/system/sockets.target.wants",
                                          "/root",
                                          "/var",
                                          "/var/log",
                                          "/var/log/libvirt",
                                          "/var/log/libvirt/qemu",
                                          "/tmp",
                                          "/run/libvirt",
                                          "/run/libvirt/qemu",
                                          "/etc/libvirt",
                                          "/etc/libvirt/qemu"};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        put_folder(w, name, folders[i]);
    world_put(w, name, "/etc/site/settings", "file", 0640, 0, "level = 1\ncolour = green\n");
    world_put(w, name, "/etc/libvirt/libvirtd.conf", "file", 0644, 0, "listen_tcp = 1\n");
    world_put(w, name, "/etc/site/old", "file", 0600, WORLD_QEMU, "to be removed\n");
    world_put(w, name, "/var/log/libvirt/qemu/" WORLD_GUEST ".log", "file", 0600, 0, "an earlier line\n");
}

// libvirtd's record of a guest. Caller frees.
static char *record_of(const json_t *domain)
{
    return xasprintf("<domstatus state='running' reason='booted' pid='%d'>\n  <qemuCaps>\n "
                     "   <flag name='migrate-qemu-fd'/>\n    <flag name='vnc'/>\n"
                     "  </qemuCaps>\n%s</domstatus>\n",
                     (int)json_int(domain, "pid", 0), json_str(domain, "xml", ""));
}

static void add_guest(json_t *w, const char *host)
{
    put_folder(w, host, WORLD_INSTANCES);
    put_folder(w, host, WORLD_FOLDER);
    world_put(w, host, WORLD_FOLDER "/disk", "file", 0644, WORLD_QEMU, "a disk");
    world_put(w, host, WORLD_FOLDER "/console.log", "file", 0600, 0, "booted\n");
    json_t *domain = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:b, s:b, s:I, s:i, s:s, s:s}", "name",
                               WORLD_GUEST, "uuid", WORLD_UUID, "id", 1, "pid", world_next(w), "state",
                               "running", "reason", "booted", "persistent", 1, "autostart", 1, "memory",
                               (json_int_t)256 << 20, "vcpus", 1, "xml", domain_xml, "inactive_xml",
                               domain_xml);
    json_object_set_new(json_object_get(world_host(w, host), "domains"), WORLD_UUID, domain);
    auto_free char *record = record_of(domain);
    world_put(w, host, WORLD_STATUS, "file", 0600, 0, record);
    world_put(w, host, WORLD_DEFINITION, "file", 0600, 0, domain_xml);
}

json_t *world_standard(void)
{
    json_t *w = json_pack("{s:s, s:{}, s:s, s:n, s:n, s:i, s:{}}", "storage", "local", "shared", "outcome",
                          "ok", "migration", "last", "next", FIRST_NUMBER, "hosts");
    add_host(w, "compute-1", 1);
    add_host(w, "compute-2", 2);
    add_guest(w, "compute-1");
    return w;
}

// ---- what libvirtd has on its host's disk ----

static void put_records(const json_t *w, const char *host)
{
    const json_t *domain = world_domain(w, host, WORLD_UUID);
    auto_free char *record = record_of(domain);
    machine_put(host, WORLD_STATUS, 0600, 0, record);
    if (json_flag(domain, "persistent", false))
        machine_put(host, WORLD_DEFINITION, 0600, 0, json_str(domain, "inactive_xml", ""));
}

static void remove_records(const char *host, bool definition)
{
    machine_remove(host, WORLD_STATUS);
    if (definition)
        machine_remove(host, WORLD_DEFINITION);
}

// The guest's XML in what a libvirtd read at its start.
static bool take_over(json_t *w, const char *host, const char *what, const char *member)
{
    auto_free char *text = machine_taken(host, what);
    json_t *domain = text ? world_domain(w, host, WORLD_UUID) : NULL;
    const char *xml = domain ? strstr(text, "<domain ") : NULL, *end = xml ? strstr(xml, "</domain>") : NULL;
    if (end)
        json_object_set_new(domain, member, json_stringn(xml, (size_t)(end - xml) + strlen("</domain>\n")));
    return end != NULL;
}

bool world_take_over(json_t *w, const char *host)
{
    bool status = take_over(w, host, "status", "xml"),
         definition = take_over(w, host, "definition", "inactive_xml");
    return status || definition;
}

static void take_over_all(json_t *w)
{
    const char *name;
    json_t *host;
    json_object_foreach(json_object_get(w, "hosts"), name, host)
        world_take_over(w, name);
}

// ---- migrations ----

const struct world_outcome world_outcomes[] = {
    {.name = "ok", .ends = ENDS_MOVED},
    {.name = "fail", .ends = ENDS_STAYED, .client_fails = true},
    {.name = "fail-after-switch", .ends = ENDS_MOVED, .client_fails = true},
    {.name = "lost", .ends = ENDS_MOVED, .client_lost = true},
    {.name = "lost-fail", .ends = ENDS_STAYED, .client_lost = true},
    {.name = "split", .ends = ENDS_SPLIT, .client_fails = true},
    {.name = "left-over", .ends = ENDS_MOVED, .left_over = true},
    {.name = "endless", .ends = ENDS_MOVED, .endless = true},
    {.name = "late-abort", .ends = ENDS_MOVED, .endless = true, .late = true},
    {.name = "shut-down", .ends = ENDS_STOPPED, .client_fails = true, .stops = "shutdown"},
    {.name = "destroyed", .ends = ENDS_STOPPED, .client_fails = true, .stops = "destroyed"},
    {.name = "crashed", .ends = ENDS_STOPPED, .client_fails = true, .stops = "crashed"},
    {.name = "suspended", .ends = ENDS_STOOD, .client_fails = true},
    {.name = "io-error", .ends = ENDS_MOVED, .stands = "I/O error"},
    {.name = "suspended-there", .ends = ENDS_MOVED, .client_fails = true, .stands = "user"},
    {.name = "shut-down-there", .ends = ENDS_MOVED, .stops = "shutdown"},
    {.name = "refused", .ends = ENDS_STAYED, .refused = true},
    {.name = "no-valid-host", .ends = ENDS_STAYED, .no_valid_host = true},
    {.name = "never-begins", .ends = ENDS_STAYED, .never_begins = true, .stuck = true},
    {.name = "stays-queued", .ends = ENDS_STAYED, .stays_queued = true, .stuck = true},
    {.name = "queued-dest-dies", .ends = ENDS_STAYED, .stays_queued = true, .dest_dies = true, .stuck = true},
    {.name = "dest-dies", .ends = ENDS_STAYED, .dest_dies = true},
    {.name = "compute-dies", .ends = ENDS_MOVED, .compute_dies = true},
    {.name = "compute-dies-fail", .ends = ENDS_STAYED, .client_fails = true, .compute_dies = true},
    {.name = "seems-down", .ends = ENDS_MOVED, .seems_down = true},
    {.name = "deleted", .ends = ENDS_MOVED, .deleted = true},
    {0},
};

const struct world_outcome *world_outcome(const json_t *w)
{
    const char *name = json_str(w, "outcome", "ok");
    for (const struct world_outcome *outcome = world_outcomes; outcome->name; outcome++)
        if (STREQ(outcome->name, name))
            return outcome;
    fprintf(stderr, "no migration ends '%s'\n", name);
    abort();
}

static bool has(const json_t *list, const char *word)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
        if (STREQ(json_string_value(entry), word))
            return true;
    return false;
}

// The side that lets the guest go gives its files back to root, unless it knows that others use them too.
static void restore_labels(const json_t *w)
{
    if (STREQ(json_str(w, "storage", ""), "local"))
        machine_give("compute-1", WORLD_FOLDER "/disk", 0);
}

static void set_state(json_t *domain, const char *state, const char *reason)
{
    json_object_set_new(domain, "state", json_string(state));
    json_object_set_new(domain, "reason", json_string(reason));
}

// The first address in the XML that is not the host's own and not every host's, or NULL. Caller frees.
static char *foreign_address(const json_t *w, const char *host, const char *text)
{
    struct xml *doc;
    char **addresses = NULL, *foreign = NULL;
    size_t count = 0;
    const char *own = json_str(world_host(w, host), "address", "");
    if (xml_parse(text, strlen(text), &doc, NULL) < 0)
        return xstrdup("no XML");
    if (xml_values(doc, "devices/graphics/@listen | devices/graphics/listen/@address", &addresses, &count,
                   NULL) == 0)
        for (size_t i = 0; i < count && !foreign; i++)
            if (!STREQ(addresses[i], "0.0.0.0") && !STREQ(addresses[i], "127.0.0.1") &&
                !STREQ(addresses[i], own))
                foreign = xstrdup(addresses[i]);
    strv_free(addresses);
    xml_free(doc);
    return foreign;
}

static int refuse(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int refuse(struct error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_setv(err, ERR_LIBVIRT, code, format, args);
    va_end(args);
    return error_prefix(err, "cannot migrate " WORLD_GUEST);
}

int world_migrate(json_t *w, const char *from, const char *uuid, const char *to, const json_t *params,
                  const json_t *flags, struct error *err)
{
    json_t *domain = world_domain(w, from, uuid);
    if (!domain || !STREQ(json_str(domain, "state", ""), "running"))
        return refuse(err, VIR_ERR_OPERATION_INVALID, "domain is not running");
    if (!json_is_null(json_object_get(w, "migration")))
        return refuse(err, VIR_ERR_OPERATION_INVALID, "another migration job is already running");
    if (!world_serves(to, "libvirtd"))
        return refuse(err, VIR_ERR_SYSTEM_ERROR,
                      "unable to connect to server at '%s:16509': Connection refused", to);
    if (world_domain(w, to, uuid))
        return refuse(err, VIR_ERR_OPERATION_FAILED, "domain '%s' already exists with uuid %s",
                      json_str(domain, "name", ""), uuid);
    const char *xml = json_str(params, "destination_xml", json_str(domain, "xml", ""));
    auto_free char *foreign = foreign_address(w, to, xml);
    if (foreign) {
        auto_free char *line = xasprintf(
            "qemu-system-x86_64: -vnc %s:0: Failed to bind socket: Cannot assign requested address", foreign);
        machine_append(to, "/var/log/libvirt/qemu/" WORLD_GUEST ".log", line);
        restore_labels(w);
        return refuse(err, VIR_ERR_INTERNAL_ERROR, "qemu unexpectedly closed the monitor: %s", line);
    }
    machine_give(to, WORLD_FOLDER "/disk", WORLD_QEMU);
    json_t *incoming = json_deep_copy(domain);
    json_object_set_new(incoming, "id", json_integer(world_next(w)));
    json_object_set_new(incoming, "pid", json_integer(world_next(w)));
    json_object_set_new(incoming, "xml", json_string(xml));
    json_object_set_new(
        incoming, "inactive_xml",
        json_string(json_str(params, "persistent_xml", json_str(domain, "inactive_xml", ""))));
    json_object_set_new(incoming, "persistent", json_false());
    json_object_set_new(incoming, "autostart", json_false());
    set_state(incoming, "paused", "migrating");
    json_object_set_new(json_object_get(world_host(w, to), "domains"), uuid, incoming);
    json_object_set_new(w, "last", json_null());
    json_object_set_new(w, "migration",
                        json_pack("{s:s, s:s, s:s, s:i, s:b, s:b, s:b}", "uuid", uuid, "from", from, "to", to,
                                  "left",
                                  world_outcome(w)->endless      ? PATIENCE
                                  : world_outcome(w)->seems_down ? LONG_LOOKS
                                                                 : LOOKS,
                                  "persist", has(flags, "PERSIST_DEST"), "undefine",
                                  has(flags, "UNDEFINE_SOURCE"), "aborted", 0));
    return 0;
}

// libvirt forgets a transient guest that stops.
static void stop(json_t *w, const char *host, const char *uuid)
{
    json_t *domain = world_domain(w, host, uuid);
    remove_records(host, false);
    if (json_flag(domain, "persistent", false)) {
        set_state(domain, "shut off", world_outcome(w)->stops);
        json_object_set_new(domain, "pid", json_integer(0));
    } else {
        json_object_del(json_object_get(world_host(w, host), "domains"), uuid);
    }
    restore_labels(w);
}

static void end_moved(json_t *w, const json_t *migration, bool left_over)
{
    const char *uuid = json_str(migration, "uuid", ""), *from = json_str(migration, "from", ""),
               *to = json_str(migration, "to", "");
    json_t *source = world_domain(w, from, uuid), *dest = world_domain(w, to, uuid);
    set_state(dest, world_outcome(w)->stands ? "paused" : "running",
              world_outcome(w)->stands ? world_outcome(w)->stands : "migrated");
    json_object_set_new(dest, "persistent", json_boolean(json_flag(migration, "persist", false)));
    bool stays = json_flag(source, "persistent", false) &&
                 (left_over || !json_flag(migration, "undefine", false));
    if (stays) {
        set_state(source, "shut off", "migrated");
        json_object_set_new(source, "pid", json_integer(0));
    } else {
        json_object_del(json_object_get(world_host(w, from), "domains"), uuid);
    }
    remove_records(from, !stays);
    put_records(w, to);
    restore_labels(w);
    if (world_outcome(w)->stops)
        stop(w, to, uuid);
}

static void end_stayed(json_t *w, const json_t *migration)
{
    const char *uuid = json_str(migration, "uuid", "");
    json_object_del(json_object_get(world_host(w, json_str(migration, "to", "")), "domains"), uuid);
    set_state(world_domain(w, json_str(migration, "from", ""), uuid), "running", "migration canceled");
    restore_labels(w);
}

static void end_resting(json_t *w, const json_t *migration, enum ends ends)
{
    const char *uuid = json_str(migration, "uuid", ""), *from = json_str(migration, "from", "");
    end_stayed(w, migration);
    if (ends == ENDS_STOPPED)
        stop(w, from, uuid);
    else
        set_state(world_domain(w, from, uuid), "paused", "user");
}

static void end_split(json_t *w, const json_t *migration)
{
    const char *uuid = json_str(migration, "uuid", "");
    set_state(world_domain(w, json_str(migration, "from", ""), uuid), "paused", "post-copy failed");
    set_state(world_domain(w, json_str(migration, "to", ""), uuid), "running", "post-copy failed");
}

static void end(json_t *w, const json_t *migration)
{
    const struct world_outcome *outcome = world_outcome(w);
    bool was_asked = json_flag(migration, "aborted", false), aborted = was_asked && !outcome->late;
    bool rests = outcome->ends == ENDS_STOPPED || outcome->ends == ENDS_STOOD; // abort or not
    enum ends ends = aborted && !rests ? ENDS_STAYED : outcome->ends;
    if (ends == ENDS_MOVED)
        end_moved(w, migration, outcome->left_over);
    else if (ends == ENDS_STAYED)
        end_stayed(w, migration);
    else if (rests)
        end_resting(w, migration, ends);
    else
        end_split(w, migration);
    json_object_set_new(w, "last",
                        aborted                 ? json_string("migration out job: canceled by client")
                        : outcome->client_fails ? json_string("migration out job: unexpectedly failed")
                                                : json_true());
    json_object_set_new(w, "migration", json_null());
}

static void look_at_migration(json_t *w)
{
    auto_json json_t *migration = json_incref(json_object_get(w, "migration"));
    if (!json_is_object(migration))
        return;
    json_int_t left = json_int(migration, "left", 0) - 1;
    json_object_set_new(migration, "left", json_integer(left));
    if (left == SWITCHING && (world_outcome(w)->ends == ENDS_MOVED || world_outcome(w)->ends == ENDS_SPLIT))
        set_state(world_domain(w, json_str(migration, "from", ""), json_str(migration, "uuid", "")), "paused",
                  "migrating");
    if (left <= 0 || json_flag(migration, "aborted", false))
        end(w, migration);
}

void world_look(json_t *w)
{
    take_over_all(w); // before Nova, or the migration, asks for the guest's XML
    look_at_migration(w);
    fake_cloud_step(w);
}

bool world_moves(const json_t *w)
{
    return json_is_object(json_object_get(w, "migration")) || fake_cloud_is_busy(w);
}

void world_abort(json_t *w)
{
    json_t *migration = json_object_get(w, "migration");
    // What has begun to switch over is past an abort.
    if (json_is_object(migration) && json_int(migration, "left", 0) > SWITCHING)
        json_object_set_new(migration, "aborted", json_true());
}

bool world_guest_rests(const json_t *w)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    const struct world_outcome *outcome = world_outcome(w);
    bool can = outcome->stands || outcome->stops || outcome->ends == ENDS_STOOD, lives = false;
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        lives = lives || STREQ(json_str(world_domain(w, hosts[i], WORLD_UUID), "state", ""), "running");
    return can && !lives && json_is_null(json_object_get(w, "migration"));
}

void world_destroy(json_t *w, const char *uuid)
{
    const char *name;
    json_t *host;
    json_object_foreach(json_object_get(w, "hosts"), name, host) {
        remove_records(name, true);
        json_object_del(json_object_get(host, "domains"), uuid);
    }
    json_object_set_new(w, "last", json_string("domain is not running"));
    json_object_set_new(w, "migration", json_null());
}

void world_settle(json_t *w)
{
    take_over_all(w);
    for (int i = 0; i < PATIENCE && world_moves(w); i++)
        world_look(w);
}
