// SPDX-License-Identifier: MIT
// ssh as migrun starts it: its arguments, and logins that outlive a run. A login is ssh's own shared
// connection (ControlMaster of ssh_config(5)): the agent of the next run is a session in it, which spares the
// key exchange. It ends by itself when it was idle for the site's ssh.keep seconds.
#ifndef MIGRUN_WORLD_SSH_H
#define MIGRUN_WORLD_SSH_H

#include "base/text.h"
#include "world/site.h"

// Arguments of a program, NULL-terminated once there is one; the words are its own.
struct words {
    char **v;
    size_t n;
};
void words_add(struct words *w, const char *word); // a copy of it
void words_take(struct words *w, char *word);      // the word itself
void words_free(struct words *w);
#define auto_words cleanup(words_free)

// Adds ssh's arguments up to the host's name. control: the login to use where there is one (else ssh connects
// by itself), or NULL.
void ssh_words(struct words *w, const struct host_spec *spec, const char *control);
// Adds the forwarding of libvirt's sockets to these paths, where the site lets ssh do it.
void ssh_forward_words(struct words *w, const struct host_spec *spec, const char *socket,
                       const char *socket_ro);
// arguments of the agent as one line for the login shell over there, with what makes it root. Caller frees.
char *ssh_agent_command(const struct host_spec *spec, const char *arguments);
void ssh_quote(struct buf *b, const char *word); // adds word, quoted for a shell

struct login {
    char *control, *lock;     // ssh's control socket, and who makes it
    char *socket, *socket_ro; // libvirt's sockets as this login forwards them
    int users;                // a file that whoever uses the login has locked (shared)
};
// A name made of all that makes one login differ from another.
void ssh_login_name(const struct host_spec *spec, char name[65]);
// Where the login of this host is or would be; NULL where none is to be kept, or there is no private place
// for it.
struct login *ssh_login(const struct host_spec *spec);
void ssh_login_free(struct login *login);
// Whether a login is there. It may be dead without knowing it: a host that went away takes none with it.
bool ssh_login_there(const struct login *login);
// The words that make the login.
void ssh_login_words(struct words *w, const struct host_spec *spec, const struct login *login);
// In a child that is about to become ssh: makes the login with these words unless somebody has. Ends the
// child with ssh's status where ssh tried long and could not log in (it has said why on stderr); without a
// login ssh connects by itself.
void ssh_login_make(const struct login *login, const struct words *words);
// Nobody shall use it any more: it ends, or as soon as the others who use it have ended. After what its
// caller had in it has ended.
void ssh_login_end(const struct login *login);

#endif
