// SPDX-License-Identifier: MIT
// ssh as migrun starts it: its arguments, and logins that outlive a run. A login is ssh's own shared
// connection (ControlMaster of ssh_config(5)): the agent of the next run is a session in it, which spares the
// key exchange. It ends by itself when it was idle for the site's ssh.keep seconds.
#ifndef MIGRUN_WORLD_SSH_H
#define MIGRUN_WORLD_SSH_H

#include "base/text.h"
#include "world/site.h"

// A program's arguments; NULL-terminated once there is one. It owns the words.
struct words {
    char **v;
    size_t n;
};
void words_add(struct words *w, const char *word); // a copy of it
void words_take(struct words *w, char *word);      // the word itself
void words_free(struct words *w);
#define auto_words cleanup(words_free)

// Adds ssh's arguments up to the host's name. control: the socket of the login to use where there is one
// (else ssh connects by itself), or, with makes_it, of the one that this ssh makes for as long as it runs; or
// NULL.
void ssh_words(struct words *w, const struct host_spec *spec, const char *control, bool makes_it);
// The words of the ssh that has a login forward libvirt's sockets to these paths. (Words of the login itself
// would be cleared with the forwards of the user's own configuration.)
void ssh_forward_words(struct words *w, const struct host_spec *spec, const char *control, const char *socket,
                       const char *socket_ro);
// The agent's command line for the remote login shell, with the program that makes it root. Caller frees.
char *ssh_agent_command(const struct host_spec *spec, const char *arguments);
void ssh_quote(struct buf *b, const char *word); // adds word, quoted for a shell

struct login {
    char *control, *lock;     // ssh's control socket, and the lock of the process that creates it
    char *socket, *socket_ro; // libvirt's sockets as this login forwards them
    int users;                // a file on which each user of the login holds a shared lock
};
// Whether ssh can make a control socket of that name.
bool ssh_fits(const char *control);
// A name derived from everything that makes one login differ from another.
void ssh_login_name(const struct host_spec *spec, char name[65]);
// Where this host's login is or would be; NULL if none is to be kept, or if there is no private folder for
// it.
struct login *ssh_login(const struct host_spec *spec);
void ssh_login_free(struct login *login);
// Whether a login exists. It may still be there although its host is gone.
bool ssh_login_there(const struct login *login);
// Adds the words that start the login.
void ssh_login_words(struct words *w, const struct host_spec *spec, const struct login *login);
// In a child that is about to become ssh: starts the login with these words unless another run has. Exits
// with ssh's status if ssh tried for long and could not log in (it has said why on stderr); without a login
// ssh connects by itself.
void ssh_login_make(const struct login *login, const struct words *words);
// Ends the login, at once or as soon as its other users have ended. To be called after the caller's own
// sessions in it have ended.
void ssh_login_end(const struct login *login);

#endif
