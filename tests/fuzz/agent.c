// SPDX-License-Identifier: MIT
// Any request to an agent that reads only: what could change something is refused, all else is answered.
// Paths lead into a folder of the fuzzer's, and the network is one that answers by a host's name.
#include "fuzz.h"

#include "base/io.h"
#include "world/agent/ops_internal.h"
#include "world/agent/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static void put(const char *name, const void *data, size_t len)
{
    auto_free char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    HOLDS(fd >= 0 && write_all(fd, data, len) == 0);
}

static void make_folder_at(const char *name)
{
    auto_free char *path = at(name);
    HOLDS(mkdir(path, 0700) == 0);
}

static void make_files(void)
{
    static const char *const folders[] = {"d", "kept", "kept/r", "claims"};
    static const char text[] = "one\ntwo\nthree", note[] = "{\"kind\":\"service\"}";
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        make_folder_at(folders[i]);
    put("f", text, strlen(text));
    put("empty", "", 0);
    put("d/a", "\0\xff", 2);
    put("d/b\xff", "b", 1);
    put("kept/r/1.note", note, strlen(note));
    put("kept/r/2.note", note, 5);
    put("claims/r.json", "{\"run\":\"r\"}", 11);
    put("claims/torn.json", "{\"run\":", 7);
    auto_free char *link = at("link"), *loop = at("loop"), *fifo = at("fifo");
    HOLDS(symlink("f", link) == 0 && symlink("loop", loop) == 0 && mkfifo(fifo, 0600) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder = own_folder();
    agent_keep_dir = at("kept");
    agent_claim_dir = at("claims");
    make_files();
    return 0;
}

// ---- the network (the linker puts these in the place of libc's) ----

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result);
void __wrap_freeaddrinfo(struct addrinfo *addresses);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

// A host has as many addresses as its name has letters, up to three.
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result)
{
    HOLDS(!service && hints);
    *result = NULL;
    for (size_t i = strlen(node) < 3 ? strlen(node) : 3; i-- > 0;) {
        struct addrinfo *one = xcalloc(1, sizeof *one);
        struct sockaddr_in *address = xcalloc(1, sizeof *address);
        *address = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl((192u << 24) + (2u << 8) + (unsigned char)node[i])};
        *one = (struct addrinfo){.ai_family = AF_INET,
                                 .ai_addr = (struct sockaddr *)address,
                                 .ai_addrlen = sizeof *address,
                                 .ai_next = *result};
        *result = one;
    }
    return *result ? 0 : EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *addresses)
{
    for (struct addrinfo *next; addresses; addresses = next) {
        next = addresses->ai_next;
        free(addresses->ai_addr);
        free(addresses);
    }
}

// By the last letter: one address answers, one refuses, one lets wait.
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static const int ends[] = {0, ECONNREFUSED, EINPROGRESS};
    HOLDS(fd >= 0 && len == sizeof(struct sockaddr_in));
    errno =
        ends[ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) % COUNT_OF(ends)];
    return errno ? -1 : 0;
}

// ---- requests ----

// "/x" is meant in the fuzzer's folder; no other absolute path may be named.
static bool stays_inside(json_t *request)
{
    const json_t *path = json_object_get(request, "path");
    const char *text = json_string_value(path);
    if (!text || *text != '/')
        return true;
    if (strstr(text, ".."))
        return false;
    auto_buf struct buf inside = {0};
    buf_puts(&inside, folder);
    buf_add(&inside, text, json_string_length(path)); // and what follows a NUL
    return json_object_set_new(request, "path", json_stringn(inside.data, inside.len)) == 0;
}

static bool is_harmless(const char *op)
{
    static const char *const others[] = {"command", "service", "facts", "pulse"}; // they start processes
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (STREQ(op, others[i]))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent agent = {.read_only = true, .stdin_fd = -1};
    auto_message struct message request = {
        .head = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL)};
    const char *name = json_str(request.head, "op", "");
    if (!json_is_object(request.head) || !is_harmless(name) || !stays_inside(request.head))
        return 0;
    json_object_del(request.head, "note"); // every input's would stay
    const struct op *op = op_find(name);
    auto_json json_t *result = NULL;
    auto_buf struct buf body = {0};
    struct error err = {0};
    if (agent_serve(&agent, &request, &result, &body, &err) == 0) {
        auto_free char *text = json_dumps(result, JSON_COMPACT);
        HOLDS(op && !op->writes && json_is_object(result) && text);
        watch_leave(&agent);
        return 0;
    }
    auto_json json_t *told = wire_error(&err);
    HOLDS(json_is_object(told) && *err.message && err.domain != ERR_NONE);
    HOLDS(!op || !op->writes || (err.domain == ERR_REFUSED && err.code == REFUSED_PHASE));
    return 0;
}
