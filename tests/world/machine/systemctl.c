// SPDX-License-Identifier: MIT
// Stands in for systemctl: a unit is a file of its state. A libvirtd that starts takes over what it finds of
// its guest: the record, and the definition.
#include "programs.h"

#include "base/io.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKET "/run/libvirt/libvirt-sock"
enum { TEXT_MOST = 16 << 20 };

static char *unit_path(const char *unit)
{
    size_t len = strlen(unit), end = strlen(".service");
    if (len > end && STREQ(unit + len - end, ".service"))
        len -= end;
    return xasprintf(MACHINE_STAND_INS "/units/%.*s", (int)len, unit);
}

static char *text_of(const char *path)
{
    char *text;
    size_t len;
    return read_whole_file(path, TEXT_MOST, &text, &len) == 0 ? text : NULL;
}

static void write_text(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
        abort();
}

// ---- libvirtd ----

// A libvirtd may write a record that it took over in other words than it was edited in; its own stay the
// same.
static void write_anew(const char *path, char *text)
{
    static const char edited[] = "listen='0.0.0.0'";
    char *found;
    if (access(MACHINE_STAND_INS "/writes-anew", F_OK) < 0)
        return;
    while ((found = strstr(text, edited))) {
        found[strlen("listen=")] = '"';
        found[strlen(edited) - 1] = '"';
    }
    write_text(path, text);
}

static void take_over(const char *folder, const char *what)
{
    auto_free char *to = xasprintf(MACHINE_STAND_INS "/taken/%s", what);
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        auto_free char *path = xasprintf("%s/%s", folder, entry->d_name),
                       *text = strstr(entry->d_name, ".xml") && entry->d_name[0] != '.' ? text_of(path)
                                                                                        : NULL;
        if (text && STREQ(what, "status"))
            write_anew(path, text);
        if (text)
            write_text(to, text);
    }
    if (entries)
        closedir(entries);
}

static void start_libvirtd(void)
{
    take_over("/run/libvirt/qemu", "status");
    take_over("/etc/libvirt/qemu", "definition");
    if (link(MACHINE_STAND_INS "/libvirtd.sock", SOCKET) < 0 && errno != EEXIST)
        abort();
}

// ---- acting ----

static int act(const char *action, const char *unit)
{
    auto_free char *path = unit_path(unit), *state = text_of(path);
    bool starts = !STREQ(action, "stop"), libvirtd = STREQ(unit, "libvirtd"),
         ran = state && STREQ(state, "active");
    if (!state) {
        fprintf(stderr, "Failed to %s %s: Unit %s not found.\n", action, unit, unit);
        return 5;
    }
    if (!step(true, "systemctl %s %s", action, unit)) {
        fprintf(stderr, "Job for %s failed.\n", unit);
        return 1;
    }
    write_text(path, starts ? "active" : "inactive");
    if (libvirtd && (!starts || STREQ(action, "restart")))
        unlink(SOCKET);
    if (libvirtd && starts && (!ran || STREQ(action, "restart")))
        start_libvirtd();
    return 0;
}

static void show(const char *unit)
{
    auto_free char *path = unit_path(unit), *state = text_of(path);
    bool active = state && STREQ(state, "active");
    printf("LoadState=%s\nActiveState=%s\nSubState=%s\nMainPID=%d\nTimeoutStartUSec=1min 30s\n"
           "TimeoutStopUSec=1min 30s\n",
           state ? "loaded" : "not-found", state ? state : "inactive", active ? "running" : "dead",
           active ? 700 : 0);
}

// The sockets that start a service: those that there are.
static void show_sockets(const char *unit)
{
    DIR *units = opendir(MACHINE_STAND_INS "/units");
    for (struct dirent *entry; units && (entry = readdir(units));)
        if (strstr(entry->d_name, ".socket") && strncmp(entry->d_name, unit, strlen(unit)) == 0)
            printf("%s ", entry->d_name);
    if (units)
        closedir(units);
}

// A socket's link, by which it is started with the machine.
static int enable(const char *unit, bool on)
{
    auto_free char *path = xasprintf("/etc/systemd/system/sockets.target.wants/%s", unit),
                   *to = xasprintf("/lib/systemd/system/%s", unit);
    if (!step(true, "systemctl %s %s", on ? "enable" : "disable", unit))
        return 1;
    return (on ? symlink(to, path) == 0 || errno == EEXIST : unlink(path) == 0 || errno == ENOENT) ? 0 : 1;
}

int systemctl_main(int argc, char **argv)
{
    int first = 2, status = 0;
    while (first < argc && !STREQ(argv[first], "--"))
        first++;
    const char *action = argc > 1 ? argv[1] : "";
    if (argc == 3 && (STREQ(action, "enable") || STREQ(action, "disable")))
        return enable(argv[2], STREQ(action, "enable"));
    bool values = argc > 3 && STREQ(argv[3], "--value");
    for (int i = first + 1; i < argc && status == 0; i++) {
        if (STREQ(action, "start") || STREQ(action, "stop") || STREQ(action, "restart"))
            status = act(action, argv[i]);
        else if (STREQ(action, "show") && values && strstr(argv[2], "TriggeredBy"))
            show_sockets(argv[i]);
        else if (STREQ(action, "show") && !values) {
            printf("%s", i > first + 1 ? "\n" : "");
            show(argv[i]);
        } else if (!STREQ(action, "show") && !STREQ(action, "reset-failed"))
            status = 1;
    }
    return status;
}
