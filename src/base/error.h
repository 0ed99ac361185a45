// SPDX-License-Identifier: MIT
// Errors below src/lua: a function returns 0, or -1 with a filled struct error. Nothing here prints or exits.
#ifndef MIGRUN_BASE_ERROR_H
#define MIGRUN_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

// Who says no. The domain decides how a caller treats the failure, the code tells the exact kind.
enum error_domain {
    ERR_NONE = 0,
    ERR_USAGE,     // the command line; code unused
    ERR_SITE,      // the site file
    ERR_POLICY,    // a mistake in a policy (its Lua, its table); code unused
    ERR_SYSTEM,    // a system call here or on a host; code = errno
    ERR_HOST,      // a host: not reached, agent missing, connection lost; code = enum host_error
    ERR_LIBVIRT,   // libvirt; code = virErrorNumber
    ERR_XML,       // not well-formed, or an XPath that is none
    ERR_COMMAND,   // a command of a host ended badly; code = its exit status
    ERR_OPENSTACK, // a service of the cloud says no, or gives no answer; code = the HTTP status, 0 when none
                   // came (unsent tells whether the request was sent at all)
    ERR_REFUSED,   // migrun itself says no (a write in a check, a file that changed meanwhile); code = enum
                   // refused
    ERR_TIMEOUT,   // a deadline passed
    ERR_INTERRUPTED, // Ctrl-C, SIGTERM, a lost terminal
    ERR_BUG,         // a fault of migrun's own
};

enum refused {
    REFUSED_OTHER = 0,
    REFUSED_PHASE,      // the phase (or a preview, or a pure function) allows no change
    REFUSED_CHANGED,    // somebody else changed the thing since it was looked at
    REFUSED_UNDECLARED, // an edit changes more than it declared
    REFUSED_CHECK,      // run:refuse of a policy
    REFUSED_CLAIMED,    // another run has its claim there
};

enum host_error {
    HOST_OTHER = 0,
    HOST_UNREACHED, // no connection: name, network, ssh refused
    HOST_AUTH,      // ssh's authentication, or its host key
    HOST_NO_AGENT,  // migrun-agent is not there
    HOST_VERSION,   // agent of another version
    HOST_LOST,      // the connection broke
};

struct error {
    enum error_domain domain;
    int code;
    int vir_domain;     // ERR_LIBVIRT: virErrorDomain
    bool unsent;        // a request failed before any of it was sent: nothing can have come of it
    char source[256];   // where it comes from: "compute-2", "policies/mine.lua:14:9"; empty when unknown
    char message[1536]; // one sentence: what was attempted on what, and why it failed
};

// Fills err (NULL is allowed) and returns -1, so that `return error_set(...)` reads well.
int error_set(struct error *err, enum error_domain domain, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int error_setv(struct error *err, enum error_domain domain, int code, const char *format, va_list args);
// The same for errno: ERR_SYSTEM, code = errno_value, ": strerror" appended.
int error_errno(struct error *err, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Puts "format: " before the message that is there. Returns -1.
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Compilers and analyzers of other files see that these return -1, so that they follow no path on which a
// function has failed and returned 0.
static inline int error_minus_one(int minus_one)
{
    (void)minus_one;
    return -1;
}
#define error_set(...) error_minus_one(error_set(__VA_ARGS__))
#define error_setv(...) error_minus_one(error_setv(__VA_ARGS__))
#define error_errno(...) error_minus_one(error_errno(__VA_ARGS__))
#define error_prefix(...) error_minus_one(error_prefix(__VA_ARGS__))
// The domain's name as Lua and --json show it ("libvirt", "host", …), and back (ERR_BUG for an unknown name).
const char *error_domain_name(enum error_domain domain);
enum error_domain error_domain_from_name(const char *name);

#endif
