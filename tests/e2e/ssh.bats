# SPDX-License-Identifier: MIT
# The way to the hosts: what may be wrong with it, and what is left of it at the end.
load helper

setup() { log_out; idle still compute-1; lay_out; }
teardown() {
  for host in $(computes); do
    on "$host" bash -c 'rm -f /etc/ssh/sshd_config.d/e2e.conf /root/.bashrc
      cd /root/.ssh; [[ ! -e authorized_keys.away ]] || mv authorized_keys.away authorized_keys
      systemctl restart ssh'
  done
  on controller bash -c \
    '[[ ! -e /root/.ssh/known_hosts.true ]] || mv /root/.ssh/known_hosts.true /root/.ssh/known_hosts'
  on controller bash -c 'cd /root/.ssh; [[ ! -e config.changed ]] || rm -f config config.changed
    [[ ! -e config.kept ]] || mv config.kept config'
  nothing_is_left
}
teardown_file() { forget still; }

# Neither agents, private folders nor processes of its own, some seconds after the end.
nothing_is_left() {
  for host in $(hosts); do await 10 no_agents "$host" || fail "an agent is left on $host"; done
  await 10 no_folders || fail "a folder is left in the controller's /run"
  await 10 no_migrun || fail "a process of migrun is left" "$(on controller pgrep -xa migrun)"
}
no_migrun() { ! on controller pgrep -x migrun; }
no_agents() { ! on "$1" pgrep -f migrun-agent; }
no_folders() { ! on controller bash -c 'compgen -G "/run/migrun-??????"'; }

# says_no TEXT [OPTION …]: to the move and to its preview.
says_no() {
  local option
  for option in -q -n; do
    run migrun $option "${@:2}" policies/libvirt.lua still compute-2
    ends_with_status 2
    verdict_is "Refused, nothing was touched: "
    says "$1"
    [[ $(wc -l <<<"$output") == 1 ]] || fail "more than a line" "$output"
  done
}
site() {
  printf 'return { hosts = { "compute-1", "compute-2" }, ssh = { %s } }\n' "$1" |
    on controller tee /tmp/e2e-site.lua >/dev/null
}

@test "sshd is stopped at the destination, or at the source" {
  on compute-2 systemctl stop ssh
  says_no "host compute-2 cannot be reached: ssh: connect to host compute-2 port 22: Connection refused"
  on compute-2 systemctl start ssh
  on compute-1 systemctl stop ssh
  local text="no instance 'still' on compute-2 (not asked: host compute-1 cannot be reached: ssh: connect "
  text+="to host compute-1 port 22: Connection refused)"
  says_no "$text"
  says_no "host compute-1 cannot be reached" --source compute-1
}

@test "the host does not know the key" {
  on compute-2 mv /root/.ssh/authorized_keys /root/.ssh/authorized_keys.away
  says_no "ssh to compute-2 is refused (root@compute-2: Permission denied"
  says "migrun does not ask for passwords; set up a key that ssh compute-2 accepts without one"
}

@test "the host's own key is another one, or is not known" {
  on controller bash -c 'cd /root/.ssh; mv known_hosts known_hosts.true
    rm -f /tmp/e2e-key*; ssh-keygen -q -t ed25519 -N "" -f /tmp/e2e-key
    { sed "s/^\*/compute-1/" known_hosts.true
      echo "compute-2 $(cut -d" " -f1,2 /tmp/e2e-key.pub)"; } >known_hosts'
  local text="the ssh host key of compute-2 has changed: find out why before you trust it, then fix "
  text+="known_hosts (ssh-keygen -R compute-2)"
  says_no "$text"
  on controller sed -i '/compute-2/d' /root/.ssh/known_hosts
  says_no "the ssh host key of compute-2 is not known here: check it, and log in once with ssh compute-2"
}

@test "the agent is missing, or is another one" {
  site 'agent = "/usr/local/bin/no-agent"'
  local text="compute-2 has no /usr/local/bin/no-agent: install migrun's agent there, or name its path in "
  text+="the site file (agent = …)"
  says_no "$text" --site /tmp/e2e-site.lua
  site 'agent = "no-agent"'
  says_no "compute-2 has no no-agent: install migrun's agent there" --site /tmp/e2e-site.lua
  on compute-2 bash -c \
    'printf "#!/bin/sh\necho migrun-agent 9.9.9 1\ncat >/dev/null\n" >/usr/local/bin/e2e-agent;
      chmod +x /usr/local/bin/e2e-agent'
  on compute-1 ln -sf migrun-agent /usr/local/bin/e2e-agent
  site 'agent = "e2e-agent"'
  says_no "compute-2 runs migrun-agent 9.9.9, this is migrun " --site /tmp/e2e-site.lua
  says "install the same version on both"
  on compute-2 bash -c 'printf "#!/bin/sh\nyes\n" >/usr/local/bin/e2e-agent'
  says_no "compute-2 sent something other than migrun-agent's greeting" --site /tmp/e2e-site.lua
}

@test "a login shell that has much to say does not matter" {
  on compute-2 bash -c 'echo "echo Welcome to compute-2, where migrun-agent is at home" >/root/.bashrc'
  run on controller ssh compute-2 true
  says "Welcome"
  run migrun -q policies/libvirt.lua still compute-2
  ends_with_status 0
  stands still compute-2
}

@test "an agent that dies while a check asks it: refused at once, and its command ends" {
  begin tests/e2e/policies/asks.lua still compute-2
  await 20 on compute-2 pgrep -fx 'sleep 4321'
  on compute-2 kill -9 "$(on compute-2 pgrep -xo migrun-agent)"
  finish
  ends_with_status 2
  verdict_is "Refused, nothing was touched: 1 of 1 check says no (a long question)."
  says "the connection to compute-2 broke"
  await 10 eval '! on compute-2 pgrep -fx "sleep 4321"'
}

@test "an sshd that forwards nothing: libvirt is reached through the agent" {
  for setting in "AllowStreamLocalForwarding no" "DisableForwarding yes"; do
    for host in $(computes); do
      on "$host" bash -c 'echo "$1" >/etc/ssh/sshd_config.d/e2e.conf; systemctl restart ssh' - "$setting"
    done
    log_out
    idle still compute-1
    run migrun -n policies/libvirt.lua still compute-2
    ends_with_status 0
    run migrun policies/libvirt.lua still compute-2
    ends_with_status 0
    verdict_is "Moved: still runs on compute-2 and is gone from compute-1;"
    stands still compute-2
  done
}

@test "a user's own configuration that opens doors to hosts: they stay shut" {
  on controller bash -c '[[ ! -e /root/.ssh/config ]] || cp -p /root/.ssh/config /root/.ssh/config.kept
    touch /root/.ssh/config.changed
    cat >>/root/.ssh/config' <<'C'
Host *
  ForwardAgent yes
  PermitLocalCommand yes
  LocalCommand touch /tmp/e2e-local-command
  RemoteCommand touch /tmp/e2e-remote-command
  RequestTTY force
  LocalForward 127.0.0.1:2222 127.0.0.1:22
  RemoteForward 2223 127.0.0.1:22
  DynamicForward 2224
C
  local option open=0 host
  for option in -n -q; do
    run migrun "$option" tests/e2e/policies/doors.lua still compute-2
    ends_with_status 0
  done
  for host in $(hosts); do
    ! on "$host" bash -c 'compgen -G "/tmp/e2e-*-command"' || open=1
  done
  ((open == 0)) || fail "a command was run"
}

@test "the site wants no forwarding at all" {
  site 'relay = "agent"'
  run migrun -q --site /tmp/e2e-site.lua policies/libvirt.lua still compute-2
  ends_with_status 0
  stands still compute-2
}

# Where there is no sudo, a small program stands in for it: it needs no password from anybody.
become_root() {
  on "$1" bash -c '
    id e2e >/dev/null 2>&1 || useradd -m -s /bin/bash -p "*" e2e
    mkdir -p ~e2e/.ssh; cp /root/.ssh/authorized_keys ~e2e/.ssh/; chown -R e2e: ~e2e/.ssh
    if [[ -d /etc/sudoers.d ]]; then
      echo "e2e ALL=(root) NOPASSWD: /usr/local/bin/migrun-agent" >/etc/sudoers.d/e2e
    else
      printf "#include <unistd.h>\nint main(int c, char **v) { return %s; }\n" \
        "setgid(0) || setuid(0) || execvp(v[2], v + 2)" | gcc -xc -o /usr/local/bin/sudo -
      chmod 4755 /usr/local/bin/sudo
    fi'
}
unbecome_root() {
  on "$1" bash -c 'rm -f /usr/local/bin/sudo /etc/sudoers.d/e2e; pkill -KILL -u e2e;
    userdel -rf e2e 2>/dev/null; true'
}

@test "a user who is not root, and becomes it" {
  for host in $(computes); do become_root "$host"; done
  site 'user = "e2e"'
  run migrun -q --site /tmp/e2e-site.lua policies/libvirt.lua still compute-2
  ends_with_status 2
  site 'user = "e2e", become = "sudo"'
  run migrun -n --site /tmp/e2e-site.lua policies/libvirt.lua still compute-2
  ends_with_status 0
  run migrun --site /tmp/e2e-site.lua policies/libvirt.lua still compute-2
  ends_with_status 0
  stands still compute-2
  for host in $(computes); do unbecome_root "$host"; done
  says_no "ssh to compute-2 is refused" --site /tmp/e2e-site.lua
}

# ---- logins that are kept ----

moves() {
  run migrun -q "${@:2}" policies/libvirt.lua still "$1"
  ends_with_status 0
  stands still "$1"
}
logins() { on controller pgrep -f -- '-S /run/migrun-ssh/.* -fN ' | sort || true; }
sessions() { on "$1" sh -c 'pgrep -f "^sshd(-session)?: root@notty" | sort' || true; }

@test "the next run goes on with the logins of the one before, and a failure ends them" {
  site 'keep = 3600'        # none ends by itself in this test
  moves compute-2 --site /tmp/e2e-site.lua
  kept=$(logins) before=$(sessions compute-2)
  [[ $(wc -l <<<"$kept") == 2 && -n $before ]] || fail "two logins should be kept" "$kept"
  moves compute-1 --site /tmp/e2e-site.lua
  [[ $(logins) == "$kept" && $(sessions compute-2) == "$before" ]] || fail "it has logged in anew" "$(logins)"
  run migrun -q --site /tmp/e2e-site.lua policies/libvirt.lua still compute-1
  ends_with_status 2
  await 5 eval '[[ -z $(logins) ]]'
  await 5 eval '[[ -z $(sessions compute-2) ]]'
}

@test "a preview has connections of its own, and keeps none" {
  run migrun -n policies/libvirt.lua still compute-2
  ends_with_status 0
  [[ -z $(logins) ]]
  moves compute-2
  on compute-1 pkill -STOP -f '^sshd(-session)?: root@notty'
  run migrun -n policies/libvirt.lua still compute-1
  ends_with_status 0
}

@test "a kept login that leads nowhere is made anew" {
  moves compute-2
  # as a host that went away
  for host in $(computes); do on "$host" pkill -STOP -f '^sshd(-session)?: root@notty'; done
  moves compute-1
  for host in $(computes); do on "$host" pkill -KILL -f '^sshd(-session)?: root@notty'; done
  moves compute-2
  on controller pkill -STOP -f -- '-S /run/migrun-ssh/.* -fN '
  moves compute-1
  on controller pkill -KILL -f -- '-S /run/migrun-ssh/.* -fN '
  moves compute-2
  nothing_is_left
}

@test "logins are kept where the site wants it, and in a private place only" {
  site 'keep = 0'
  moves compute-2 --site /tmp/e2e-site.lua
  [[ -z $(logins) ]]
  on controller chmod 777 /run/migrun-ssh
  moves compute-1
  [[ -z $(logins) ]]
  on controller chmod 700 /run/migrun-ssh
  site 'keep = 15'
  moves compute-2 --site /tmp/e2e-site.lua
  [[ -n $(logins) ]]
  await 40 eval '[[ -z $(logins) ]]'
}

# at_once [OPTION …]: three runs, which ask much and change nothing.
at_once() {
  on controller bash -c 'for i in 1 2 3; do
      migrun -q "$@" policies/preflight.lua still compute-2 >/tmp/e2e-$i 2>&1 ||
        echo "failed: $i" >>/tmp/e2e-$i &
    done
    wait; cat /tmp/e2e-[123]' - "$@" >"$BATS_TEST_TMPDIR/said"
  [[ $(grep -c ^Done "$BATS_TEST_TMPDIR/said") == 3 ]] || fail "$(cat "$BATS_TEST_TMPDIR/said")"
}

@test "more runs at once than sshd lets in by one login" {
  on compute-1 bash -c 'echo MaxSessions 1 >/etc/ssh/sshd_config.d/e2e.conf; systemctl restart ssh'
  at_once
}

@test "a host of the site is dead, and three runs ask it at once: it keeps none of them from the others" {
  dead=$(on compute-1 hostname -I | sed 's/[0-9]* *$/99/')
  device=$(on controller ip -o route get "$dead" | sed -E 's/.* dev ([^ ]+).*/\1/')
  on controller ip neigh replace "$dead" lladdr 02:00:00:00:00:99 dev "$device" nud permanent
  printf 'return { hosts = { "compute-1", "compute-2", "%s" } }\n' "$dead" |
    on controller tee /tmp/e2e-site.lua >/dev/null
  at_once --site /tmp/e2e-site.lua
  on controller ip neigh del "$dead" dev "$device"
}

@test "killed while it logs in: the login is not made" {
  site 'keep = 3600, options = { "-o", "ProxyCommand=sh -c \"sleep 5; exec ssh -W %h:%p compute-1\"" }'
  begin --site /tmp/e2e-site.lua policies/libvirt.lua still compute-2
  await 20 eval '[[ $(logins | wc -l) == 2 ]]'
  interrupt KILL
  finish
  await 20 eval '[[ -z $(logins) ]]'
  moves compute-2 --site /tmp/e2e-site.lua
  moves compute-1 --site /tmp/e2e-site.lua
  [[ $(logins | wc -l) == 2 ]]
}

@test "migrun is killed: its agents end, and nothing is left" {
  for option in -n -v; do
    begin $option tests/e2e/policies/asks.lua still compute-2
    await 20 on compute-2 pgrep -fx 'sleep 4321'
    interrupt KILL
    finish
    nothing_is_left
    ! on compute-2 pgrep -fx 'sleep 4321' || fail "its command goes on"
  done
}

@test "interrupted in a question: it ends, and nothing is left" {
  begin tests/e2e/policies/asks.lua still compute-2
  await 20 on compute-2 pgrep -fx 'sleep 4321'
  interrupt
  finish
  ends_with_status 130
  verdict_is "Interrupted: nothing was touched."
  nothing_is_left
  ! on compute-2 pgrep -fx 'sleep 4321' || fail "its command goes on"
}
