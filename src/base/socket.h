// SPDX-License-Identifier: MIT
// UNIX sockets.
#ifndef MIGRUN_BASE_SOCKET_H
#define MIGRUN_BASE_SOCKET_H

// Connects to the socket at path; "@name" is an abstract one. type: SOCK_STREAM or SOCK_DGRAM, with
// SOCK_NONBLOCK where nothing may be waited for. Returns its descriptor (closed on exec), or -1 with errno
// (ENAMETOOLONG: no socket has such a path).
int unix_connect(const char *path, int type);
// Creates a listening socket at path, replacing any file there. Returns as above.
int unix_listen(const char *path, int backlog);

#endif
