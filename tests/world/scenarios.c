// SPDX-License-Identifier: MIT
#include "scenarios.h"

#include "base/text.h"
#include "fake_cloud.h"

#include <string.h>

// ---- worlds ----

static void guest_shut_off(json_t *w)
{
    json_t *domain = world_domain(w, "compute-1", WORLD_UUID);
    json_object_set_new(domain, "state", json_string("shut off"));
    json_object_set_new(domain, "pid", json_integer(0));
}

static void guest_is_there(json_t *w)
{
    json_t *copy = json_deep_copy(world_domain(w, "compute-1", WORLD_UUID));
    json_object_set_new(copy, "state", json_string("shut off"));
    json_object_set_new(copy, "pid", json_integer(0));
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "domains"), WORLD_UUID, copy);
}

static void older_cpu(json_t *w)
{
    json_object_set_new(world_host(w, "compute-2"), "cpu", json_string("incompatible"));
}

static void no_libvirtd(json_t *w)
{
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "services"), "libvirtd",
                        json_string("inactive"));
}

static void known_for_shared(json_t *w) { json_object_set_new(w, "storage", json_string("shared")); }

static void writes_anew(json_t *w) { json_object_set_new(w, "writes_anew", json_true()); }

static void claimed(json_t *w)
{
    json_t *claim = json_pack("{s:s, s:s, s:s, s:s, s:f, s:b}", "run", "another", "instance", WORLD_UUID,
                              "name", WORLD_GUEST, "by", "root on elsewhere", "since", 0.0, "exclusive", 0);
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "claims"), "another", claim);
}

static void files_of_root(json_t *w)
{
    json_t *disk = world_file(w, "compute-1", WORLD_FOLDER "/disk");
    json_object_set_new(disk, "uid", json_integer(0));
    json_object_set_new(disk, "gid", json_integer(0));
}

static void to_fail(json_t *w) { world_put(w, "compute-1", "/etc/site/fail", "file", 0644, 0, ""); }

// libvirtd of both hosts lets in whoever comes, as --listen or by a socket; sshd has a key.
static void open_to_all(json_t *w)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        world_put(w, hosts[i], "/etc/libvirt/libvirtd.conf", "file", 0640, 0,
                  "# ours\nlisten_tcp = 1\nauth_tcp = \"none\"\n");
        world_put(w, hosts[i], "/etc/ssh/key.pub", "file", 0644, 0, "ssh-ed25519 AAAAhost\n");
    }
}

static void open_by_socket(json_t *w)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    open_to_all(w);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        json_t *services = json_object_get(world_host(w, hosts[i]), "services");
        json_object_update_new(services, json_pack("{s:s, s:s, s:s, s:s}", "libvirtd.socket", "active",
                                                   "libvirtd-tcp.socket", "active", "libvirtd-tls.socket",
                                                   "inactive", "nova-compute", "active"));
        world_put(w, hosts[i], "/etc/nova/nova.conf", "file", 0640, 0, "[DEFAULT]\nhost = it\n[libvirt]\n");
    }
}

// Its port is shut, but for a window.
static void guarded_there(json_t *w)
{
    json_t *services = json_object_get(world_host(w, "compute-2"), "services");
    world_put(w, "compute-2", "/etc/migrun/guard.nft", "file", 0644, 0, "table inet migrun_guard\n");
    json_object_set_new(services, "migrun-guard", json_string("active"));
}

static void transient(json_t *w)
{
    json_t *domain = world_domain(w, "compute-1", WORLD_UUID);
    json_object_set_new(domain, "persistent", json_false());
    json_object_set_new(domain, "autostart", json_false());
}

static void locked(json_t *w)
{
    json_object_update_new(json_object_get(fake_cloud(w), "server"),
                           json_pack("{s:b, s:s}", "locked", 1, "reason", "kept here for its owner"));
}

static void disabled_there(json_t *w)
{
    json_t *service = json_object_get(json_object_get(fake_cloud(w), "services"), "compute-2");
    json_object_update_new(service, json_pack("{s:s, s:s}", "status", "disabled", "reason", "broken fan"));
}

static void another_task(json_t *w)
{
    json_object_set_new(json_object_get(fake_cloud(w), "server"), "task", json_string("rebooting"));
}

static void does_not_rewrite(json_t *w) { json_object_set_new(fake_cloud(w), "rewrites", json_false()); }

static void secret_services(json_t *w) { json_object_set_new(fake_cloud(w), "secret", json_true()); }

// ---- the table ----

#define DESERTED "nova-compute on compute-1, which works on it, is down: start it, which settles it"
#define ABORTING "Stopping: "
#define UNDO_RAISES "silence on compute-1 (taken back by the step's own undo): the alarms' server is away"
#define DELETED "Not moved: somebody deleted " CLOUD_SERVER " in Nova meanwhile, and neither "

#define TO_SSH "{\"transport\": \"ssh\"}"

const struct scenario scenarios[] = {
    {"policies/libvirt.lua", "ok", .status = 0},
    {"policies/libvirt.lua", "fail", .status = 3},
    {"policies/libvirt.lua", "fail-after-switch", .status = 0},
    {"policies/libvirt.lua", "lost", .status = 0},
    {"policies/libvirt.lua", "lost-fail", .status = 3},
    {"policies/libvirt.lua", "split", .status = 5},
    {"policies/libvirt.lua", "left-over", .status = 4},
    {"policies/libvirt.lua", "endless", .status = 3},
    {"policies/libvirt.lua", "late-abort", .status = 0},
    {"policies/libvirt.lua", "shut-down", .status = 3,
     .says = WORLD_GUEST " was shut down on compute-1 meanwhile (shutdown)"},
    {"policies/libvirt.lua", "shut-down", "transient guest", transient, .status = 3,
     .says = WORLD_GUEST " has ended meanwhile: neither compute-1 nor compute-2 has it"},
    {"policies/libvirt.lua", "destroyed", .status = 3,
     .says = WORLD_GUEST " was destroyed on compute-1 meanwhile (destroyed)"},
    {"policies/libvirt.lua", "crashed", .status = 3,
     .says = WORLD_GUEST " crashed on compute-1 meanwhile (crashed)"},
    {"policies/libvirt.lua", "suspended", .status = 3,
     .says = "Not moved: " WORLD_GUEST " is paused on compute-1 (user), as somebody left it"},
    {"policies/libvirt.lua", "io-error", .status = 4,
     .says = "Moved, but " WORLD_GUEST " stands paused on compute-2 (I/O error)"},
    {"policies/libvirt.lua", "suspended-there", .status = 4,
     .says = "Moved, but " WORLD_GUEST " stands paused on compute-2 (user)"},
    {"policies/libvirt.lua", "shut-down-there", .status = 4,
     .says = "Moved, but " WORLD_GUEST " was shut down on compute-2 meanwhile (shutdown)"},
    {"policies/libvirt.lua", "shut-down", .status = 3, .cut = "virt compute-1 migrate",
     .says = WORLD_GUEST " was shut down on compute-1 meanwhile (shutdown)"},
    {"policies/libvirt.lua", "io-error", .status = 4, .cut = "virt compute-1 migrate",
     .says = "Moved, but " WORLD_GUEST " stands paused on compute-2 (I/O error)"},
    {"policies/status-xml.lua", "crashed", .status = 3,
     .says = WORLD_GUEST " crashed on compute-1 meanwhile (crashed)"},
    {"policies/libvirt.lua", "ok", "storage known for shared", known_for_shared, .steps = true, .status = 0},
    {"policies/libvirt.lua", "ok", "transient guest", transient, .steps = true, .status = 0},
    {"policies/libvirt.lua", "ok", "guest shut off", guest_shut_off, .status = 2},
    {"policies/libvirt.lua", "ok", "guest there already", guest_is_there, .status = 2},
    {"policies/libvirt.lua", "ok", "older CPU there", older_cpu, .status = 2},
    {"policies/libvirt.lua", "ok", "no libvirtd there", no_libvirtd, .status = 2},
    {"policies/libvirt.lua", "ok", "claimed by another run", claimed, .steps = true, .status = 2},
    {"policies/libvirt.lua", "ok", .status = 0, .preview = true},
    {"policies/libvirt.lua", "ok", .steps = true, .status = 0, .cut = "virt compute-1 migrate"},
    {"policies/libvirt.lua", "fail", .status = 3, .cut = "virt compute-1 migrate"},
    {"policies/status-xml.lua", "ok", .steps = true, .status = 0},
    {"policies/status-xml.lua", "ok", "records written anew", writes_anew, .steps = true, .status = 0},
    {"policies/status-xml.lua", "fail", "records written anew", writes_anew, .steps = true, .status = 3},
    {"policies/status-xml.lua", "fail", .steps = true, .status = 3},
    {"policies/status-xml.lua", "lost", .status = 0},
    {"policies/status-xml.lua", "ok", .status = 0, .preview = true},
    {"policies/status-xml.lua", "ok", .steps = true, .status = 3, .cut = "host compute-1 surgery /run"},
    {"policies/status-xml.lua", "fail", .status = 3, .cut = "virt compute-1 migrate"},
    {"policies/status-xml.lua", "ok", .status = 0, .elsewhere = true},
    {"policies/status-xml.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"policies/fix-ownership.lua", "ok", "files of root", files_of_root, .steps = true, .status = 0,
     .stays = true},
    {"policies/fix-ownership.lua", "ok", .status = 0, .stays = true},
    {"examples/drain.lua", "ok", .steps = true, .status = 0},
    {"examples/drain.lua", "fail", .status = 3},
    {"examples/drain.lua", "lost", .status = 0},
    {"examples/drain.lua", "split", .status = 5},
    {"examples/drain.lua", "ok", .status = 0, .preview = true},
    {"tests/world/effects.lua", "ok", .steps = true, .status = 0,
     .unsaid = "touch /run/silence on compute-2"},
    {"tests/world/effects.lua", "fail", .steps = true, .status = 3,
     .unsaid = "touch /run/silence on compute-2"},
    {"tests/world/effects.lua", "fail-after-switch", .status = 0},
    {"tests/world/effects.lua", "fail", .steps = true, .status = 3, .cut = "virt compute-1 migrate"},
    {"tests/world/effects.lua", "ok", .steps = true, .status = 3, .cut = "host compute-2 command"},
    {"tests/world/effects.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"examples/drain.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"tests/world/settings.lua", "ok", "to fail", to_fail, .status = 3, .stays = true},
    {"tests/world/settings.lua", "ok", .steps = true, .status = 0, .stays = true, .undoes = true,
     .says = "Undone: 9 changes of run", .unsaid = "touch /run/note on compute-1"},
    {"policies/libvirt.lua", "ok", "a guard there", guarded_there, .steps = true, .status = 0},
    {"policies/libvirt.lua", "fail", "a guard there", guarded_there, .status = 3},
    {"policies/libvirt.lua", "ok", "a guard there", guarded_there, .status = 0,
     .cut = "virt compute-1 migrate"},
    {"policies/libvirt.lua", "ok", "a guard there", guarded_there, .status = 0, .elsewhere = true},
    {"policies/nova.lua", "ok", "a guard there", guarded_there, .status = 0, .cloud = true},
    {"policies/prepare-host.lua", "ok", "open to all", open_to_all, .steps = true, .status = 0, .stays = true,
     .hosts = true, .params = TO_SSH},
    {"policies/prepare-host.lua", "ok", "open by a socket", open_by_socket, .status = 0, .stays = true,
     .hosts = true, .params = TO_SSH},
    {"policies/prepare-host.lua", "ok", "open by a socket", open_by_socket, .status = 0, .stays = true,
     .hosts = true, .params = TO_SSH, .undoes = true, .says = "Undone: "},
    {"policies/prepare-host.lua", "ok", "open to all", open_to_all, .status = 2, .stays = true, .hosts = true,
     .params = TO_SSH, .preview = true},
    {"tests/world/effects.lua", "ok", .status = 0, .elsewhere = true},
    {"tests/world/effects.lua", "fail", .status = 3, .elsewhere = true},
    {"tests/world/undo-raises.lua", "ok", .status = 4, .says = UNDO_RAISES},
    {"tests/world/undo-raises.lua", "fail", .status = 6, .says = UNDO_RAISES},
    {"tests/world/no-destination.lua", "ok", .status = 3, .cloud = true, .dest = "any", .stays = true,
     .says = "this run has no destination"},
    {"policies/nova.lua", "ok", .steps = true, .status = 0, .cloud = true},
    {"policies/nova.lua", "fail", .status = 3, .cloud = true},
    {"policies/nova.lua", "fail-after-switch", .status = 0, .cloud = true},
    {"policies/nova.lua", "split", .status = 5, .cloud = true},
    {"policies/nova.lua", "left-over", .status = 4, .cloud = true},
    {"policies/nova.lua", "endless", .status = 3, .cloud = true},
    {"policies/nova.lua", "late-abort", .status = 0, .cloud = true},
    {"policies/nova.lua", "refused", .status = 3, .cloud = true},
    {"policies/nova.lua", "no-valid-host", .status = 3, .cloud = true},
    {"policies/nova.lua", "never-begins", .status = 5, .cloud = true},
    {"policies/nova.lua", "stays-queued", .status = 3, .cloud = true},
    {"policies/nova.lua", "queued-dest-dies", .status = 3, .cloud = true, .unsaid = "is down: start it"},
    {"policies/nova.lua", "dest-dies", .status = 3, .cloud = true,
     .says = "Nova says that the migration failed", .unsaid = "is down: start it"},
    {"policies/nova.lua", "compute-dies", .status = 4, .cloud = true, .says = DESERTED, .unsaid = ABORTING},
    {"policies/nova.lua", "compute-dies", "any host", .status = 4, .cloud = true, .dest = "any",
     .says = DESERTED, .unsaid = ABORTING},
    {"policies/nova.lua", "compute-dies", "services not told of", secret_services, .status = 4, .cloud = true,
     .unsaid = "is down: start it"},
    {"policies/nova.lua", "compute-dies-fail", .status = 5, .cloud = true, .says = DESERTED,
     .unsaid = ABORTING},
    {"policies/nova.lua", "seems-down", .status = 0, .cloud = true, .unsaid = "is down: start it"},
    {"policies/nova.lua", "shut-down", .status = 3, .cloud = true,
     .says = " was shut down on compute-1 meanwhile (shutdown)"},
    {"policies/nova.lua", "suspended", .status = 3, .cloud = true, .says = " is paused on compute-1 (user)"},
    {"policies/nova.lua", "io-error", .status = 4, .cloud = true,
     .says = " stands paused on compute-2 (I/O error)"},
    {"policies/nova.lua", "deleted", .status = 3, .cloud = true, .says = DELETED, .unsaid = ABORTING},
    {"policies/nova.lua", "deleted", "any host", .status = 3, .cloud = true, .dest = "any", .says = DELETED,
     .unsaid = ABORTING},
    {"policies/nova.lua", "ok", .status = 0, .cloud = true, .preview = true},
    {"policies/nova.lua", "ok", "any host", .status = 0, .cloud = true, .dest = "any"},
    {"policies/nova.lua", "fail", "any host", .status = 3, .cloud = true, .dest = "any"},
    {"policies/nova.lua", "no-valid-host", "any host", .status = 3, .cloud = true, .dest = "any"},
    {"policies/nova.lua", "ok", "locked in Nova", locked, .status = 0, .cloud = true},
    {"policies/nova.lua", "ok", "nova-compute disabled there", disabled_there, .status = 2, .cloud = true},
    {"policies/nova.lua", "ok", "another task", another_task, .status = 2, .cloud = true},
    {"policies/nova.lua", "ok", .status = 0, .cloud = true, .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "fail", .status = 3, .cloud = true, .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "compute-dies", .status = 4, .cloud = true, .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "ok", "any host", .status = 0, .cloud = true, .dest = "any",
     .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "fail", "any host", .status = 3, .cloud = true, .dest = "any",
     .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "split", .status = 5, .cloud = true, .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "deleted", .status = 3, .cloud = true, .cut = "http nova POST os-migrateLive",
     .says = DELETED, .unsaid = ABORTING},
    {"policies/nova.lua", "never-begins", .status = 5, .cloud = true, .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "no-valid-host", .status = 3, .cloud = true,
     .cut = "http nova POST os-migrateLive"},
    {"policies/nova.lua", "ok", .status = 0, .cloud = true, .elsewhere = true},
    {"policies/nova.lua", "ok", "any host", .status = 0, .cloud = true, .dest = "any", .elsewhere = true},
    {"policies/nova.lua", "fail", .status = 3, .cloud = true, .elsewhere = true},
    {"policies/nova.lua", "compute-dies", .status = 4, .cloud = true, .elsewhere = true},
    {"policies/nova-status-xml.lua", "deleted", .status = 3, .cloud = true, .says = DELETED,
     .unsaid = ABORTING},
    {"policies/nova-status-xml.lua", "ok", "Nova that does not rewrite", does_not_rewrite, .status = 0,
     .cloud = true},
    {"policies/nova-status-xml.lua", "fail", .status = 3, .cloud = true},
    {"policies/nova-status-xml.lua", "ok", "locked in Nova", locked, .status = 0, .cloud = true},
    {"policies/nova-status-xml.lua", "fail", "locked in Nova", locked, .steps = true, .status = 3,
     .cloud = true},
    {"policies/nova-status-xml.lua", "ok", .status = 0, .cloud = true, .preview = true},
    {"policies/nova-status-xml.lua", "ok", .steps = true, .status = 3, .cloud = true,
     .cut = "host compute-1 surgery /run"},
    {"policies/nova-status-xml.lua", "ok", "locked in Nova", locked, .status = 0, .cloud = true,
     .cut = "http nova POST os-migrateLive"},
    {"policies/nova-status-xml.lua", "fail", "locked in Nova", locked, .status = 3, .cloud = true,
     .cut = "http nova POST os-migrateLive"},
    {"policies/nova-status-xml.lua", "ok", .status = 0, .cloud = true, .elsewhere = true},
    {0},
};

char *scenario_name(const struct scenario *s)
{
    struct buf name = {0};
    buf_printf(&name, "%s, %s", strrchr(s->policy, '/') + 1, s->outcome);
    if (s->world)
        buf_printf(&name, ", %s", s->world);
    if (s->preview)
        buf_puts(&name, ", preview");
    if (s->cut)
        buf_printf(&name, ", recovery after %s", s->cut);
    if (s->elsewhere)
        buf_puts(&name, ", recovered elsewhere");
    if (s->undoes)
        buf_puts(&name, ", undone");
    return buf_take(&name);
}

const struct scenario *find_scenario(const char *name)
{
    for (const struct scenario *s = scenarios; s->policy; s++) {
        auto_free char *own = scenario_name(s);
        if (STREQ(own, name))
            return s;
    }
    return NULL;
}

json_t *scenario_world(const struct scenario *s, const char *outcome)
{
    json_t *w = world_standard();
    json_object_set_new(w, "outcome", json_string(outcome));
    if (s->cloud)
        fake_cloud_add(w);
    if (s->vary)
        s->vary(w);
    return w;
}
