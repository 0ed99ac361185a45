// SPDX-License-Identifier: MIT
// Whether another host's libvirtd lets this one in, asked by this host's own virsh: with its ssh, its keys
// and its certificates, as a migration from here would be.
#include "base/clock.h"
#include "base/process.h"
#include "world/agent/ops_internal.h"

#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 20000 };

// "qemu+ssh://host[:port]/system", and nothing behind it: a URI's parameters name programs and files.
static bool is_plain(const char *uri)
{
    static const char *const schemes[] = {"qemu+ssh://", "qemu+tls://", "qemu+tcp://"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        const char *host = uri + strlen(schemes[i]);
        if (strncmp(uri, schemes[i], strlen(schemes[i])) != 0)
            continue;
        size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]@");
        return len && *host != '-' && STREQ(host + len, "/system");
    }
    return false;
}

SERVE(serve_login)
{
    const char *uri = json_str(request, "uri", "");
    int64_t timeout = json_int(request, "timeout", 0);
    if (!is_plain(uri)) {
        auto_free char *shown = printable(uri);
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "'%.200s' is no URI of another host's libvirtd; qemu+ssh://HOST/system, qemu+tls:// "
                         "and qemu+tcp:// are",
                         shown);
    }
    // Without a terminal ssh asks nobody for a password.
    auto_free char *full = xasprintf("%s%s", uri, uri[5] == 's' ? "?no_tty=1" : "");
    const char *const argv[] = {"virsh", "-q", "-r", "-c", full, "hostname", NULL};
    struct process_request run = {.argv = argv,
                                  .deadline = deadline_in(timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS),
                                  .watch_fd = agent->stdin_fd,
                                  .output_limit = 65536};
    struct process_result cleanup(process_result_free) ended = {0};
    if (process_run(&run, &ended, err) < 0)
        return -1;
    auto_free char *said = process_said(&ended);
    *result = json_object();
    if (ended.timed_out)
        json_object_set_new(*result, "error", json_string("no answer in time"));
    else if (ended.status != 0)
        json_object_set_new(*result, "error", json_text(*said ? said : "virsh gives no reason"));
    return 0;
}
