// SPDX-License-Identifier: MIT
// Stands in for src/world/libvirt*.c: libvirtds of the fake world. A look at a guest lets its migration go on
// by a step.
#include "clock.h"
#include "fault.h"
#include "world.h"

#include "base/interrupt.h"
#include "world/libvirt.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

enum { ENDLESS_WAIT_MS = 100000 }; // so that a deadline for a guest that never converges is not far

struct virt {
    char *name;
    bool read_only;
};

// ---- points ----

static int failed(const struct virt *virt, const char *what, struct error *err)
{
    if (fault_is_gone(virt->name))
        return error_set(err, ERR_HOST, HOST_LOST, "cannot %s: the libvirt connection to %s was given up",
                         what, virt->name);
    return error_set(err, ERR_LIBVIRT, VIR_ERR_INTERNAL_ERROR,
                     "cannot %s on %s: internal error: client socket is closed", what, virt->name);
}

// Before a call: whether it comes to libvirtd at all.
static int call_begin(const struct virt *virt, const char *what, enum fault *fault, struct error *err)
{
    *fault = fault_begin("virt", virt->name, "%s", what);
    if (*fault == FAULT_FAIL || *fault == FAULT_ERROR || fault_is_gone(virt->name))
        return failed(virt, what, err);
    if (!world_serves(virt->name, "libvirtd"))
        return error_set(
            err, ERR_LIBVIRT, VIR_ERR_NO_CONNECT,
            "cannot %s on %s: Failed to connect socket to '/run/libvirt/libvirt-sock': Connection refused",
            what, virt->name);
    if (world_take_over(world(), virt->name))
        world_changed();
    return 0;
}

// After it: what its caller hears.
static int call_end(const struct virt *virt, const char *what, enum fault fault, int rc, struct error *err)
{
    fault_end();
    if (fault == FAULT_AFTER)
        return failed(virt, what, err);
    if (fault == FAULT_INTERRUPT && interrupt_count > 0)
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted while asking libvirt on %s to %s", virt->name,
                         what);
    return rc;
}

static void look(void)
{
    if (!world_moves(world()))
        return;
    world_look(world());
    world_changed();
}

static json_t *find(const struct virt *virt, const char *name_or_uuid, struct error *err)
{
    json_t *domain = world_domain(world(), virt->name, name_or_uuid);
    if (!domain)
        error_set(err, ERR_LIBVIRT, VIR_ERR_NO_DOMAIN, "cannot look at domain '%s' on %s: Domain not found",
                  name_or_uuid, virt->name);
    return domain;
}

// ---- the connection ----

int virt_start(const char *uri, bool read_only, const char *name, struct virt **virt, struct error *err)
{
    (void)uri;
    (void)err;
    *virt = xcalloc(1, sizeof **virt);
    (*virt)->name = xstrdup(name);
    (*virt)->read_only = read_only;
    return 0;
}

int virt_finish(struct virt *virt, int64_t timeout_ms, struct error *err)
{
    (void)timeout_ms;
    enum fault fault;
    int rc = call_begin(virt, "connect", &fault, err);
    return call_end(virt, "connect", fault, rc, err);
}

bool virt_given_up(struct virt *virt)
{
    (void)virt;
    return false;
}

void virt_close(struct virt *virt)
{
    if (!virt)
        return;
    free(virt->name);
    free(virt);
}

void virt_set_patience(struct virt *virt, int64_t ms)
{
    (void)virt;
    (void)ms;
}

int virt_set_full_uri(struct virt *virt, const char *full_uri)
{
    (void)virt;
    (void)full_uri;
    return 0;
}

// ---- what it says ----

static json_t *job_of(const struct virt *virt, const char *uuid)
{
    const json_t *migration = json_object_get(world(), "migration");
    if (!json_is_object(migration) || !STREQ(json_str(migration, "uuid", ""), uuid))
        return NULL;
    bool out = STREQ(json_str(migration, "from", ""), virt->name);
    return json_pack("{s:s, s:s}", "type", "unbounded", "operation",
                     out ? "outgoing migration" : "incoming migration");
}

static json_t *brief(const json_t *domain)
{
    static const char *const copied[] = {"name",       "uuid",      "state",  "reason",
                                         "persistent", "autostart", "memory", "vcpus"};
    json_t *object = json_object();
    for (size_t i = 0; i < COUNT_OF(copied); i++)
        json_object_set(object, copied[i], json_object_get(domain, copied[i]));
    json_object_set(object, "max_memory", json_object_get(domain, "memory"));
    json_object_set(object, "id", json_int(domain, "pid", 0) ? json_object_get(domain, "id") : json_null());
    return object;
}

static json_t *facts_of(const struct virt *virt)
{
    json_t *domains = json_array(), *domain;
    const json_t *host = world_host(world(), virt->name);
    const char *uuid;
    json_object_foreach(json_object_get(host, "domains"), uuid, domain)
        json_array_append_new(domains, brief(domain));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:{s:I, s:I}, s:o}", "uri", "qemu:///system",
                     "hostname", virt->name, "libvirt", "9.0.0", "hypervisor", "7.2.22", "cpus", 4, "arch",
                     "x86_64", "cpu_model", "qemu64", "memory", "total", (json_int_t)8 << 30, "free",
                     (json_int_t)6 << 30, "domains", domains);
}

int virt_facts(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err)
{
    (void)timeout_ms;
    enum fault fault;
    *facts = NULL;
    int rc = call_begin(virt, "gather facts", &fault, err);
    if (rc == 0)
        *facts = facts_of(virt);
    rc = call_end(virt, "gather facts", fault, rc, err);
    if (rc < 0)
        json_decref(steal(facts));
    return rc;
}

int virt_facts_start(struct virt *virt, struct error *err)
{
    (void)virt;
    (void)err;
    return 0;
}

int virt_facts_finish(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err)
{
    return virt_facts(virt, timeout_ms, facts, err);
}

int virt_domain(struct virt *virt, const char *name_or_uuid, json_t **domain, struct error *err)
{
    enum fault fault;
    *domain = NULL;
    int rc = call_begin(virt, "look at a domain", &fault, err);
    if (rc == 0)
        look();
    const json_t *there = rc == 0 ? find(virt, name_or_uuid, err) : NULL;
    if (call_end(virt, "look at a domain", fault, there ? 0 : -1, err) < 0)
        return -1;
    json_t *job = job_of(virt, json_str(there, "uuid", ""));
    *domain = brief(there);
    json_object_update_new(*domain, json_pack("{s:b, s:i, s:b, s:s, s:o}", "updated", 0, "snapshots", 0,
                                              "managed_save", 0, "os_type", "hvm", "job",
                                              job ? job : json_string("none")));
    return 0;
}

// A text of a domain.
static int text_of(struct virt *virt, const char *uuid, const char *what, bool inactive, char **xml,
                   struct error *err)
{
    enum fault fault;
    *xml = NULL;
    int rc = call_begin(virt, what, &fault, err);
    const json_t *domain = rc == 0 ? find(virt, uuid, err) : NULL;
    rc = call_end(virt, what, fault, domain ? 0 : -1, err);
    if (rc == 0)
        *xml = xstrdup(json_str(domain, inactive ? "inactive_xml" : "xml", ""));
    return rc;
}

int virt_domain_xml(struct virt *virt, const char *uuid, unsigned int flags, char **xml, struct error *err)
{
    return text_of(virt, uuid, "read the XML of a domain", flags & VIR_DOMAIN_XML_INACTIVE, xml, err);
}

int virt_migratable_xml(struct virt *virt, const char *uuid, bool inactive, char **xml, struct error *err)
{
    return text_of(virt, uuid, inactive ? "read the migratable definition" : "read the migratable XML",
                   inactive, xml, err);
}

// An answer that needs no domain; value is stolen.
static int answer(struct virt *virt, const char *what, json_t *value, json_t **result, struct error *err)
{
    enum fault fault;
    int rc = call_begin(virt, what, &fault, err);
    rc = call_end(virt, what, fault, rc, err);
    *result = rc == 0 ? value : NULL;
    if (rc < 0)
        json_decref(value);
    return rc;
}

static int answer_text(struct virt *virt, const char *what, const char *text, char **result,
                       struct error *err)
{
    auto_json json_t *none = NULL;
    int rc = answer(virt, what, json_null(), &none, err);
    *result = rc == 0 ? xstrdup(text) : NULL;
    return rc;
}

int virt_job(struct virt *virt, const char *uuid, bool completed, json_t **job, struct error *err)
{
    json_t *now = completed ? json_pack("{s:s, s:i}", "type", "completed", "downtime", 42)
                            : job_of(virt, uuid);
    json_t *value = now ? now : json_pack("{s:s}", "type", "none");
    if (now)
        json_object_update_new(value, json_pack("{s:I, s:I, s:I, s:i}", "memory_total", (json_int_t)256 << 20,
                                                "memory_processed", (json_int_t)128 << 20, "memory_remaining",
                                                (json_int_t)128 << 20, "time_elapsed", 100));
    return answer(virt, completed ? "ask for the last job" : "ask for the job", value, job, err);
}

int virt_stats(struct virt *virt, const char *uuid, unsigned int stats, json_t **values, struct error *err)
{
    (void)uuid;
    (void)stats;
    return answer(virt, "read statistics", json_pack("{s:i}", "state.state", 1), values, err);
}

int virt_blocks(struct virt *virt, const char *uuid, json_t **blocks, struct error *err)
{
    (void)uuid;
    json_t *disk = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s}", "target", "vda", "source",
                             WORLD_FOLDER "/disk", "type", "file", "format", "raw", "cache", "none",
                             "readonly", 0, "shareable", 0, "job", "none");
    return answer(virt, "look at block devices", json_pack("[o]", disk), blocks, err);
}

int virt_disk_errors(struct virt *virt, const char *uuid, json_t **errors, struct error *err)
{
    bool broken = STREQ(json_str(world_domain(world(), virt->name, uuid), "reason", ""), "I/O error");
    return answer(virt, "ask for the disk errors",
                  broken ? json_pack("{s:s}", "vda", "no space") : json_object(), errors, err);
}

int virt_volume(struct virt *virt, const char *pool, const char *name, json_t **volume, struct error *err)
{
    (void)name;
    return answer(virt, "look at a volume",
                  json_pack("{s:s, s:s, s:s}", "path", WORLD_FOLDER "/disk", "key", WORLD_FOLDER "/disk",
                            "source", pool),
                  volume, err);
}

int virt_resources(struct virt *virt, json_t **resources, struct error *err)
{
    return answer(virt, "list networks, secrets and filters",
                  json_pack("{s:[], s:[], s:[], s:{}}", "networks", "secrets", "filters", "unknown"),
                  resources, err);
}

int virt_capabilities(struct virt *virt, char **xml, struct error *err)
{
    return answer_text(virt, "read the capabilities", "<capabilities/>", xml, err);
}

int virt_domain_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                             const char *virttype, char **xml, struct error *err)
{
    (void)emulator;
    (void)arch;
    (void)machine;
    (void)virttype;
    return answer_text(virt, "read the domain capabilities", "<domainCapabilities/>", xml, err);
}

int virt_baseline_cpu(struct virt *virt, const json_t *cpus, const char *arch, const char *virttype,
                      char **xml, struct error *err)
{
    (void)cpus;
    (void)arch;
    (void)virttype;
    return answer_text(virt, "find a CPU that all hosts have", "<cpu><model>qemu64</model></cpu>", xml, err);
}

int virt_node_memory(struct virt *virt, json_t **memory, struct error *err)
{
    return answer(virt, "ask for the memory",
                  json_pack("{s:I, s:I}", "total", (json_int_t)8 << 30, "free", (json_int_t)6 << 30), memory,
                  err);
}

int virt_compare_cpu(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                     const char *virttype, const char *cpu_xml, json_t **result, struct error *err)
{
    (void)emulator;
    (void)arch;
    (void)machine;
    (void)virttype;
    (void)cpu_xml;
    const char *cpu = json_str(world_host(world(), virt->name), "cpu", "superset");
    const char *message = STREQ(cpu, "incompatible") ? "missing features: avx" : "";
    return answer(virt, "compare a guest's CPU", json_pack("{s:s, s:s}", "result", cpu, "message", message),
                  result, err);
}

// ---- changes ----

static int may_change(const struct virt *virt, const char *what, struct error *err)
{
    if (!virt->read_only)
        return 0;
    return error_set(err, ERR_LIBVIRT, VIR_ERR_OPERATION_DENIED,
                     "cannot %s on %s: read only access prevents it", what, virt->name);
}

int virt_set_autostart(struct virt *virt, const char *uuid, bool on, struct error *err)
{
    enum fault fault;
    int rc = call_begin(virt, "switch the autostart", &fault, err);
    json_t *domain = rc == 0 && may_change(virt, "switch the autostart", err) == 0 ? find(virt, uuid, err)
                                                                                   : NULL;
    if (domain && !json_flag(domain, "persistent", false))
        domain = error_set(err, ERR_LIBVIRT, VIR_ERR_OPERATION_INVALID,
                           "cannot switch the autostart of a transient domain") < 0
                     ? NULL
                     : domain;
    if (domain) {
        json_object_set_new(domain, "autostart", json_boolean(on));
        world_changed();
    }
    return call_end(virt, "switch the autostart", fault, domain ? 0 : -1, err);
}

// ---- migrating ----

struct virt_migration {
    char *host;
    bool ended;
    int result;
    struct error error;
};

int virt_migrate_check(const json_t *params, const json_t *flags, struct error *err)
{
    (void)params;
    size_t i;
    json_t *flag;
    json_array_foreach(flags, i, flag)
        if (STREQ(json_string_value(flag), "PEER2PEER"))
            return 0;
    return error_set(err, ERR_POLICY, 0, "a migration needs the flag PEER2PEER");
}

static char *host_of(const char *uri)
{
    const char *name = strstr(uri, "://");
    name = name ? name + 3 : uri;
    return xstrndup(name, strcspn(name, "/:"));
}

static int told(struct virt_migration *m, int result)
{
    m->ended = true;
    m->result = result;
    return 1;
}

int virt_migrate_start(struct virt *virt, const char *uuid, const char *dest_uri, const json_t *params,
                       const json_t *flags, struct virt_migration **migration, struct error *err)
{
    enum fault fault;
    if (virt_migrate_check(params, flags, err) < 0)
        return -1;
    struct virt_migration *m = *migration = xcalloc(1, sizeof *m);
    m->host = xstrdup(virt->name);
    auto_free char *to = host_of(dest_uri);
    // libvirt's answer, good or bad, comes to who waits for the migration's end.
    int rc = call_begin(virt, "migrate", &fault, &m->error);
    if (rc == 0) {
        rc = may_change(virt, "migrate", &m->error) < 0
                 ? -1
                 : world_migrate(world(), virt->name, uuid, to, params, flags, &m->error);
        world_changed();
    }
    fault_end();
    if (fault == FAULT_AFTER)
        rc = failed(virt, "migrate", &m->error);
    if (rc < 0)
        told(m, -1);
    return 0;
}

int virt_migrate_wait(struct virt_migration *m, int wait_ms)
{
    if (m->ended)
        return 1;
    const struct virt source = {.name = m->host};
    enum fault fault = fault_begin("virt", m->host, "wait for the migration");
    clock_skip(world_outcome(world())->endless ? ENDLESS_WAIT_MS : wait_ms);
    look();
    fault_end();
    bool breaks = fault == FAULT_FAIL || fault == FAULT_ERROR || fault == FAULT_AFTER;
    if (breaks || world_outcome(world())->client_lost || fault_is_gone(m->host)) {
        failed(&source, "migrate " WORLD_GUEST, &m->error);
        return told(m, -1);
    }
    if (json_is_object(json_object_get(world(), "migration")))
        return 0;
    const json_t *last = json_object_get(world(), "last");
    if (json_is_string(last))
        error_set(&m->error, ERR_LIBVIRT, VIR_ERR_OPERATION_FAILED,
                  "cannot migrate " WORLD_GUEST " on %s: operation failed: %s", m->host,
                  json_string_value(last));
    return told(m, json_is_string(last) ? -1 : 0);
}

int virt_migrate_abort(struct virt *virt, const char *uuid, struct error *err)
{
    (void)uuid;
    enum fault fault;
    int rc = call_begin(virt, "abort the job", &fault, err);
    if (rc == 0) {
        world_abort(world());
        world_changed();
    }
    return call_end(virt, "abort the job", fault, rc, err);
}

int virt_migrate_end(struct virt_migration *m, struct error *err)
{
    int result = m->ended ? m->result
                          : error_set(&m->error, ERR_TIMEOUT, 0,
                                      "the migration on %s was left while it goes on", m->host);
    if (result < 0 && err)
        *err = m->error;
    free(m->host);
    free(m);
    return result;
}
