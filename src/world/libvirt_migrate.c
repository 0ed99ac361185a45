// SPDX-License-Identifier: MIT
#include "world/libvirt_internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// ---- names ----

static const struct {
    const char *name;
    unsigned int flag;
} flag_table[] = {
    {"LIVE", VIR_MIGRATE_LIVE},
    {"PEER2PEER", VIR_MIGRATE_PEER2PEER},
    {"TUNNELLED", VIR_MIGRATE_TUNNELLED},
    {"PERSIST_DEST", VIR_MIGRATE_PERSIST_DEST},
    {"UNDEFINE_SOURCE", VIR_MIGRATE_UNDEFINE_SOURCE},
    {"PAUSED", VIR_MIGRATE_PAUSED},
    {"NON_SHARED_DISK", VIR_MIGRATE_NON_SHARED_DISK},
    {"NON_SHARED_INC", VIR_MIGRATE_NON_SHARED_INC},
    {"CHANGE_PROTECTION", VIR_MIGRATE_CHANGE_PROTECTION},
    {"UNSAFE", VIR_MIGRATE_UNSAFE},
    {"OFFLINE", VIR_MIGRATE_OFFLINE},
    {"COMPRESSED", VIR_MIGRATE_COMPRESSED},
    {"ABORT_ON_ERROR", VIR_MIGRATE_ABORT_ON_ERROR},
    {"AUTO_CONVERGE", VIR_MIGRATE_AUTO_CONVERGE},
    {"RDMA_PIN_ALL", VIR_MIGRATE_RDMA_PIN_ALL},
    {"POSTCOPY", VIR_MIGRATE_POSTCOPY},
    {"TLS", VIR_MIGRATE_TLS},
    {"PARALLEL", VIR_MIGRATE_PARALLEL},
    {"NON_SHARED_SYNCHRONOUS_WRITES", VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES},
    {"POSTCOPY_RESUME", VIR_MIGRATE_POSTCOPY_RESUME},
    {"ZEROCOPY", VIR_MIGRATE_ZEROCOPY},
};

static const struct parameter {
    const char *name;
    int type;
    bool list;
} parameter_table[] = {
    {VIR_MIGRATE_PARAM_URI, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_DEST_NAME, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_DEST_XML, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_PERSIST_XML, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_BANDWIDTH, VIR_TYPED_PARAM_ULLONG, false},
    {VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, VIR_TYPED_PARAM_ULLONG, false},
    {VIR_MIGRATE_PARAM_GRAPHICS_URI, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_LISTEN_ADDRESS, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_MIGRATE_DISKS, VIR_TYPED_PARAM_STRING, true},
    {VIR_MIGRATE_PARAM_DISKS_PORT, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_DISKS_URI, VIR_TYPED_PARAM_STRING, false},
    {VIR_MIGRATE_PARAM_COMPRESSION, VIR_TYPED_PARAM_STRING, true},
    {VIR_MIGRATE_PARAM_COMPRESSION_MT_LEVEL, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_COMPRESSION_MT_THREADS, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_COMPRESSION_MT_DTHREADS, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE, VIR_TYPED_PARAM_ULLONG, false},
    {VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, VIR_TYPED_PARAM_INT, false},
    {VIR_MIGRATE_PARAM_TLS_DESTINATION, VIR_TYPED_PARAM_STRING, false},
};

static int unknown_name(struct error *err, const char *kind, const char *name, const char *near)
{
    return error_set(err, ERR_POLICY, 0, "libvirt knows no migration %s '%s'%s%s%s", kind, name,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// The flags of an array of names (or of an object whose true members are names).
static int parse_flags(const json_t *flags, unsigned int *bits, struct error *err)
{
    const char *names[COUNT_OF(flag_table)];
    *bits = 0;
    if (!flags || json_is_null(flags))
        return 0;
    if (!json_is_array(flags))
        return error_set(err, ERR_POLICY, 0,
                         "a migration's flags are a list of names, such as { \"LIVE\", \"PEER2PEER\" }");
    for (size_t i = 0; i < COUNT_OF(flag_table); i++)
        names[i] = flag_table[i].name;
    size_t i;
    const json_t *item;
    json_array_foreach(flags, i, item) {
        const char *name = json_string_value(item);
        if (!name)
            return error_set(err, ERR_POLICY, 0, "flag %zu of the migration is not a string", i + 1);
        size_t k = 0;
        while (k < COUNT_OF(flag_table) && !STREQ(flag_table[k].name, name))
            k++;
        if (k == COUNT_OF(flag_table)) {
            auto_free char *upper = xstrdup(strncmp(name, "VIR_MIGRATE_", 12) == 0 ? name + 12 : name);
            for (char *p = upper; *p; p++)
                *p = (char)toupper((unsigned char)*p);
            return unknown_name(err, "flag", name, nearest_name(upper, names, COUNT_OF(names)));
        }
        *bits |= flag_table[k].flag;
    }
    return 0;
}

struct parameters {
    virTypedParameterPtr list;
    int count, room;
};

static void parameters_free(struct parameters *p) { virTypedParamsFree(p->list, p->count); }
#define auto_parameters cleanup(parameters_free)

static int add_parameter(struct parameters *out, const struct parameter *parameter, const json_t *value,
                         struct error *err)
{
    int added;
    if (parameter->type == VIR_TYPED_PARAM_STRING) {
        const char *text = json_string_value(value);
        if (!text)
            return error_set(err, ERR_POLICY, 0, "the migration parameter '%s' is %s", parameter->name,
                             parameter->list ? "a text or a list of texts" : "a text");
        added = virTypedParamsAddString(&out->list, &out->count, &out->room, parameter->name, text);
    } else {
        bool integral = json_is_integer(value) ||
                        (json_is_real(value) && json_real_value(value) >= 0 &&
                         json_real_value(value) < 9e15 &&
                         json_real_value(value) == (double)(int64_t)json_real_value(value));
        int64_t number = json_is_integer(value) ? json_integer_value(value)
                         : integral             ? (int64_t)json_real_value(value)
                                                : -1;
        if (!integral || number < 0 || (parameter->type == VIR_TYPED_PARAM_INT && number > INT32_MAX))
            return error_set(err, ERR_POLICY, 0, "the migration parameter '%s' is a whole number, 0 or more",
                             parameter->name);
        added = parameter->type == VIR_TYPED_PARAM_INT
                    ? virTypedParamsAddInt(&out->list, &out->count, &out->room, parameter->name, (int)number)
                    : virTypedParamsAddULLong(&out->list, &out->count, &out->room, parameter->name,
                                              (unsigned long long)number);
    }
    if (added < 0)
        return virt_error(err, "this machine", "prepare the migration's parameters");
    return 0;
}

static int parse_parameters(const json_t *params, struct parameters *out, struct error *err)
{
    const char *names[COUNT_OF(parameter_table)];
    const char *name;
    json_t *value;
    if (params && !json_is_object(params) && !json_is_null(params))
        return error_set(err, ERR_POLICY, 0, "a migration's parameters are a table of names and values");
    for (size_t i = 0; i < COUNT_OF(parameter_table); i++)
        names[i] = parameter_table[i].name;
    json_object_foreach((json_t *)params, name, value) {
        const struct parameter *parameter = NULL;
        for (size_t i = 0; i < COUNT_OF(parameter_table) && !parameter; i++)
            if (STREQ(parameter_table[i].name, name))
                parameter = &parameter_table[i];
        if (!parameter)
            return unknown_name(err, "parameter", name, nearest_name(name, names, COUNT_OF(names)));
        if (!json_is_array(value) || !parameter->list) {
            if (add_parameter(out, parameter, value, err) < 0)
                return -1;
            continue;
        }
        size_t i;
        const json_t *item;
        json_array_foreach(value, i, item)
            if (add_parameter(out, parameter, item, err) < 0)
                return -1;
    }
    return 0;
}

static int check(const json_t *params, const json_t *flags, struct parameters *parameters, unsigned int *bits,
                 struct error *err)
{
    if (parse_flags(flags, bits, err) < 0 || parse_parameters(params, parameters, err) < 0)
        return -1;
    if (*bits & VIR_MIGRATE_OFFLINE)
        return error_set(err, ERR_POLICY, 0,
                         "the flag OFFLINE moves a definition, not a guest: migrun moves running guests");
    if (!(*bits & VIR_MIGRATE_PEER2PEER))
        return error_set(
            err, ERR_POLICY, 0,
            "a migration needs the flag PEER2PEER: libvirt then runs it from host to host, and it "
            "does not die with the program that asked for it");
    return 0;
}

int virt_migrate_check(const json_t *params, const json_t *flags, struct error *err)
{
    auto_parameters struct parameters parameters = {0};
    unsigned int bits;
    return check(params, flags, &parameters, &bits, err);
}

// ---- migrating ----

// Belongs to the caller and to its thread together: a migration that is left behind goes on.
struct virt_migration {
    atomic_int users;
    char *uri, *host, *uuid, *dest_uri;
    struct parameters parameters;
    unsigned int flags;
    int done_fd; // an eventfd, readable once the result stands
    int result;
    struct error error;
};

static void migration_unref(struct virt_migration *m)
{
    if (atomic_fetch_sub(&m->users, 1) > 1)
        return;
    parameters_free(&m->parameters);
    util_close_fd(&m->done_fd);
    free(m->uri);
    free(m->host);
    free(m->uuid);
    free(m->dest_uri);
    free(m);
}

// On a connection of its own: where two threads call on one, libvirt 9.0's client may let the second wait
// (for the job information, for the abort) until something else arrives, as the wake-up of the first can be
// lost.
static void *migrate(void *arg)
{
    struct virt_migration *m = arg;
    virConnectPtr connection = virt_connect(m->uri, false, m->host, &m->error);
    virDomainPtr domain = connection ? virt_lookup(connection, m->uuid) : NULL;
    auto_free char *what = xasprintf("migrate %s to %s", domain ? virDomainGetName(domain) : m->uuid,
                                     m->dest_uri);
    m->result = domain ? virDomainMigrateToURI3(domain, m->dest_uri, m->parameters.list,
                                                (unsigned int)m->parameters.count, m->flags)
                       : -1;
    if (m->result < 0 && connection)
        virt_error(&m->error, m->host, what);
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    uint64_t one = 1;
    ssize_t ignored = write(m->done_fd, &one, sizeof one);
    (void)ignored;
    migration_unref(m);
    return NULL;
}

int virt_migrate_start(struct virt *virt, const char *uuid, const char *dest_uri, const json_t *params,
                       const json_t *flags, struct virt_migration **migration, struct error *err)
{
    *migration = NULL;
    struct virt_migration *m = xcalloc(1, sizeof *m);
    atomic_init(&m->users, 1);
    m->done_fd = -1;
    m->uri = xstrdup(virt_uri(virt));
    m->host = xstrdup(virt_name(virt));
    m->uuid = xstrdup(uuid);
    m->dest_uri = xstrdup(dest_uri);
    pthread_t thread;
    if (check(params, flags, &m->parameters, &m->flags, err) < 0) {
        migration_unref(m);
        return -1;
    }
    m->done_fd = eventfd(0, EFD_CLOEXEC);
    atomic_store(&m->users, 2);
    if (m->done_fd < 0 || thread_start(&thread, migrate, m) < 0) {
        error_errno(err, errno, "cannot start a thread for the migration of domain '%s'", uuid);
        atomic_store(&m->users, 1);
        migration_unref(m);
        return -1;
    }
    pthread_detach(thread);
    *migration = m;
    return 0;
}

int virt_migrate_wait(struct virt_migration *m, int wait_ms)
{
    // deadline_in(0) would be no deadline; one that has just passed only looks.
    return wait_readable(m->done_fd, wait_ms > 0 ? deadline_in(wait_ms) : now_ms()) == 1;
}

int virt_migrate_end(struct virt_migration *m, struct error *err)
{
    int result = virt_migrate_wait(m, 0)
                     ? m->result
                     : error_set(err, ERR_TIMEOUT, 0,
                                 "the migration of domain '%s' on %s was left while it goes on", m->uuid,
                                 m->host);
    if (result < 0 && m->error.domain != ERR_NONE && err)
        *err = m->error;
    migration_unref(m);
    return result;
}

static int run_abort(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    return domain && virDomainAbortJob(domain) == 0 ? 0 : call_fail(call);
}

int virt_migrate_abort(struct virt *virt, const char *uuid, struct error *err)
{
    struct call *call = call_new(run_abort, false, "abort the job of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    return virt_ask(virt, call, 0, NULL, NULL, err);
}
