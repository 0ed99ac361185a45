// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "base/xml.h"
#include "world/libvirt_internal.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 30000, CLOSE_TIMEOUT_MS = 2000, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 3 };

// Belongs to the caller and to the worker together: a worker that hangs in libvirt keeps what it works on.
struct virt {
    atomic_int users;
    char *uri, *name;
    bool read_only;
    pthread_t worker;
    int exited_fd;                   // an eventfd: the worker has closed the connection and goes
    struct call *connecting, *facts; // begun, and not yet asked for (the caller's)
    int64_t patience;                // for a call that has no limit of its own, 0: as usual
    char *full_uri;
    struct virt *full; // the second connection
    bool full_ready;

    pthread_mutex_t lock; // guards the members below
    pthread_cond_t wake;
    struct call *first, **last;
    bool closing;
    char *dead;               // why the connection was given up
    virConnectPtr connection; // opened and closed by the worker
};

// ---- threads, waiting ----

static void silence(void *data, virErrorPtr error)
{
    (void)data;
    (void)error;
}

static void *event_loop(void *unused)
{
    while (virEventRunDefaultImpl() == 0)
        ;
    return unused;
}

// libvirt has one event loop a process, and one error printer: set up once, before the first connection.
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    pthread_t thread;
    xml_init(); // each connection's thread reads XML
    virSetErrorFunc(NULL, silence);
    if (virEventRegisterDefaultImpl() == 0 && thread_start(&thread, event_loop, NULL) == 0)
        pthread_detach(thread);
}

static void announce(int event_fd)
{
    uint64_t one = 1;
    ssize_t ignored = write(event_fd, &one, sizeof one);
    (void)ignored;
}

int wait_readable(int fd, int64_t deadline)
{
    sig_atomic_t interrupts = interrupt_count;
    for (;;) {
        // The interrupts' descriptor stays readable after the first: from then on the count is looked at now
        // and then.
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = interrupts ? -1 : interrupt_fd(), .events = POLLIN}};
        int wait = deadline_poll_ms(deadline);
        if (interrupts && (wait < 0 || wait > 50))
            wait = 50;
        if (poll(fds, COUNT_OF(fds), wait) > 0 && fds[0].revents)
            return 1;
        interrupts_notice();
        if (interrupt_count != interrupts)
            return -1;
        if (deadline && now_ms() >= deadline)
            return 0;
    }
}

// ---- calls ----

struct call *call_new(int (*run)(virConnectPtr, struct call *), bool reads, const char *what, ...)
{
    struct call *call = xcalloc(1, sizeof *call);
    struct buf text = {0};
    va_list args;
    char line[512];
    va_start(args, what);
    vsnprintf(line, sizeof line, what, args);
    va_end(args);
    buf_puts(&text, line);
    call->what = buf_take(&text);
    call->run = run;
    call->reads = reads;
    call->done_fd = eventfd(0, EFD_CLOEXEC);
    atomic_init(&call->users, 1);
    return call;
}

static void call_free(struct call *call)
{
    if (!call || atomic_fetch_sub(&call->users, 1) > 1)
        return;
    for (size_t i = 0; i < COUNT_OF(call->args); i++)
        free(call->args[i]);
    free(call->what);
    free(call->text);
    json_decref(call->json);
    util_close_fd(&call->done_fd);
    free(call);
}

int virt_error(struct error *err, const char *host, const char *what)
{
    virErrorPtr last = virGetLastError();
    error_set(err, ERR_LIBVIRT, last ? last->code : VIR_ERR_INTERNAL_ERROR, "cannot %s on %s: %s", what, host,
              last && last->message ? last->message : "libvirt does not say why");
    if (err)
        err->vir_domain = last ? last->domain : 0;
    return -1;
}

int call_fail(struct call *call) { return virt_error(&call->error, call->host, call->what); }

// Gives the call to the worker. -1 when the connection was given up.
static int post(struct virt *virt, struct call *call, struct error *err)
{
    if (call->done_fd < 0)
        return error_errno(err, EMFILE, "cannot %s on %s", call->what, virt->name);
    pthread_mutex_lock(&virt->lock);
    int result = 0;
    if (virt->dead) {
        result = error_set(err, ERR_HOST, HOST_LOST,
                           "cannot %s: the libvirt connection to %s was given up, because %s", call->what,
                           virt->name, virt->dead);
    } else {
        atomic_fetch_add(&call->users, 1);
        *virt->last = call;
        virt->last = &call->next;
        pthread_cond_signal(&virt->wake);
    }
    pthread_mutex_unlock(&virt->lock);
    return result;
}

// Waits for a posted call. A late one is left to its worker, and the connection with it; after an interrupt
// the connection is still good for what has to be undone and verified: the worker gets to that when the call
// has ended.
static int await(struct virt *virt, struct call *call, int64_t timeout_ms, struct error *err)
{
    int64_t timeout = timeout_ms > 0 ? timeout_ms : virt->patience ? virt->patience : DEFAULT_TIMEOUT_MS;
    int ended = wait_readable(call->done_fd, deadline_in(timeout));
    if (ended < 0)
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted while asking libvirt on %s to %s", virt->name,
                         call->what);
    if (ended == 0) {
        auto_free char *patience = duration_text((double)timeout / 1000);
        pthread_mutex_lock(&virt->lock);
        if (!virt->dead)
            virt->dead = xasprintf("it did not answer within %s when asked to %s", patience, call->what);
        pthread_mutex_unlock(&virt->lock);
        return error_set(err, ERR_TIMEOUT, 0, "libvirt on %s did not answer within %s when asked to %s",
                         virt->name, patience, call->what);
    }
    if (call->result < 0 && err)
        *err = call->error;
    return call->result;
}

int virt_ask(struct virt *virt, struct call *call, int64_t timeout_ms, json_t **json, char **text,
             struct error *err)
{
    int result = post(virt, call, err);
    if (result == 0)
        result = await(virt, call, timeout_ms, err);
    if (json)
        *json = result == 0 ? steal(&call->json) : NULL;
    if (text)
        *text = result == 0 ? steal(&call->text) : NULL;
    call_free(call);
    return result;
}

// ---- facts, in two halves ----

int virt_facts_start(struct virt *virt, struct error *err)
{
    call_free(virt->facts);
    virt->facts = call_new(virt_gather_facts, true, "gather facts");
    return post(virt, virt->facts, err);
}

int virt_facts_finish(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err)
{
    *facts = NULL;
    if (!virt->facts)
        return error_set(err, ERR_BUG, 0, "the facts of libvirt on %s were not asked for", virt->name);
    int result = await(virt, virt->facts, timeout_ms, err);
    if (result == 0)
        *facts = steal(&virt->facts->json);
    call_free(steal(&virt->facts));
    return result;
}

int virt_facts(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err)
{
    return virt_facts_start(virt, err) < 0 ? -1 : virt_facts_finish(virt, timeout_ms, facts, err);
}

// ---- the worker ----

static void virt_unref(struct virt *virt)
{
    if (atomic_fetch_sub(&virt->users, 1) > 1)
        return;
    util_close_fd(&virt->exited_fd);
    pthread_mutex_destroy(&virt->lock);
    pthread_cond_destroy(&virt->wake);
    free(virt->dead);
    free(virt->full_uri);
    free(virt->uri);
    free(virt->name);
    free(virt);
}

static void set_connection(struct virt *virt, virConnectPtr connection)
{
    pthread_mutex_lock(&virt->lock);
    virConnectPtr old = virt->connection;
    virt->connection = connection;
    pthread_mutex_unlock(&virt->lock);
    if (old)
        virConnectClose(old);
}

// A socket that migrun forwards says nothing to anybody. Caller frees.
static char *connecting(const char *uri)
{
    return strstr(uri, "?socket=") ? xstrdup("connect to libvirt")
                                   : xasprintf("connect to libvirt (%s)", uri);
}

virConnectPtr virt_connect(const char *uri, bool read_only, const char *name, struct error *err)
{
    virConnectPtr connection = read_only ? virConnectOpenReadOnly(uri) : virConnectOpen(uri);
    if (!connection) {
        auto_free char *what = connecting(uri);
        virt_error(err, name, what);
        return NULL;
    }
    virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT); // not every connection has it
    return connection;
}

// Connects, also anew when libvirtd went away meanwhile (it is restarted under a surgery).
static int connect_now(struct virt *virt, struct call *call)
{
    if (virt->connection && virConnectIsAlive(virt->connection) != 0)
        return 0;
    set_connection(virt, NULL);
    virConnectPtr connection = virt_connect(virt->uri, virt->read_only, virt->name, &call->error);
    if (!connection)
        return -1;
    set_connection(virt, connection);
    return 0;
}

static int run_connect(virConnectPtr connection, struct call *call)
{
    (void)connection;
    (void)call;
    return 0; // the worker has connected before it comes here
}

static void serve(struct virt *virt, struct call *call)
{
    call->host = virt->name;
    for (int attempt = 0;; attempt++) {
        call->result = connect_now(virt, call);
        if (call->result < 0)
            return;
        call->result = call->run(virt->connection, call);
        if (call->result == 0 || !call->reads || attempt > 0 || virConnectIsAlive(virt->connection) != 0)
            return;
        json_decref(call->json);
        call->json = NULL;
        free(steal(&call->text));
    }
}

static void *work(void *arg)
{
    struct virt *virt = arg;
    for (bool closing = false; !closing;) {
        pthread_mutex_lock(&virt->lock);
        while (!virt->first && !virt->closing)
            pthread_cond_wait(&virt->wake, &virt->lock);
        closing = virt->closing;
        struct call *call = virt->first;
        virt->first = closing || !call ? NULL : call->next;
        if (!virt->first)
            virt->last = &virt->first;
        pthread_mutex_unlock(&virt->lock);
        if (closing) {
            for (struct call *next; call; call = next) { // no longer waited for
                next = call->next;
                call_free(call);
            }
            break;
        }
        serve(virt, call);
        announce(call->done_fd);
        call_free(call);
    }
    set_connection(virt, NULL);
    announce(virt->exited_fd);
    virt_unref(virt);
    return NULL;
}

int virt_start(const char *uri, bool read_only, const char *name, struct virt **out, struct error *err)
{
    pthread_once(&library_once, library_init);
    *out = NULL;
    struct virt *virt = xcalloc(1, sizeof *virt);
    atomic_init(&virt->users, 2);
    virt->uri = xstrdup(uri);
    virt->name = xstrdup(name);
    virt->read_only = read_only;
    virt->last = &virt->first;
    virt->exited_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&virt->lock, NULL);
    pthread_cond_init(&virt->wake, NULL);
    if (virt->exited_fd < 0 || thread_start(&virt->worker, work, virt) < 0) {
        error_errno(err, errno, "cannot start a thread for the libvirt connection to %s", name);
        atomic_store(&virt->users, 1);
        virt_unref(virt);
        return -1;
    }
    auto_free char *what = connecting(uri);
    virt->connecting = call_new(run_connect, true, "%s", what);
    if (post(virt, virt->connecting, err) < 0) {
        virt_close(virt);
        return -1;
    }
    *out = virt;
    return 0;
}

int virt_finish(struct virt *virt, int64_t timeout_ms, struct error *err)
{
    if (!virt->connecting)
        return 0;
    int result = await(virt, virt->connecting, timeout_ms, err);
    call_free(steal(&virt->connecting));
    return result;
}

void virt_close(struct virt *virt)
{
    if (!virt)
        return;
    virt_close(virt->full);
    call_free(virt->connecting);
    call_free(virt->facts);
    pthread_mutex_lock(&virt->lock);
    virt->closing = true;
    bool dead = virt->dead;
    pthread_cond_signal(&virt->wake);
    pthread_mutex_unlock(&virt->lock);
    // A worker that does not come back from libvirt is left behind; it lets go of everything if it ever does.
    struct pollfd exited = {.fd = virt->exited_fd, .events = POLLIN};
    int64_t deadline = deadline_in(CLOSE_TIMEOUT_MS);
    int ready;
    while ((ready = poll(&exited, 1, dead ? 0 : deadline_poll_ms(deadline))) < 0 && errno == EINTR)
        ;
    if (ready > 0)
        pthread_join(virt->worker, NULL);
    else
        pthread_detach(virt->worker);
    virt_unref(virt);
}

bool virt_given_up(struct virt *virt)
{
    pthread_mutex_lock(&virt->lock);
    bool dead = virt->dead;
    pthread_mutex_unlock(&virt->lock);
    return dead;
}

const char *virt_name(const struct virt *virt) { return virt->name; }

const char *virt_uri(const struct virt *virt) { return virt->uri; }

void virt_set_patience(struct virt *virt, int64_t ms) { virt->patience = ms; }

int virt_set_full_uri(struct virt *virt, const char *full_uri)
{
    free(virt->full_uri);
    virt->full_uri = full_uri ? xstrdup(full_uri) : NULL;
    return 0;
}

struct virt *virt_full(struct virt *virt, struct error *err)
{
    if (!virt->read_only || !virt->full_uri)
        return virt;
    if (!virt->full && virt_start(virt->full_uri, false, virt->name, &virt->full, err) < 0)
        return NULL;
    if (virt_finish(virt->full, 0, err) < 0) {
        virt_close(steal(&virt->full));
        return NULL;
    }
    return virt->full;
}
