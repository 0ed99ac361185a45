# SPDX-License-Identifier: MIT
# Hosts as Debian ships them, prepared for live migration by TLS and by ssh, and put back: a lab of its own.
export LAB=/run/migrun-lab-3 LAB_NET=10.86.0 LAB_BRIDGE=mrlab3
load helper

setup_file() {
  lab up 3 libvirtd=shipped
  lab boot mover compute-1 memory=128
}
teardown_file() { lab down; }

setup() {
  log_out
  from=compute-1 to=compute-2
  if runs_at mover compute-2; then from=compute-2 to=compute-1; fi
}
# What a test that failed has left is put back for the next.
teardown() {
  site_uri tcp
  [[ -n ${BATS_TEST_COMPLETED:-} ]] || on controller bash -c 'cd /var/lib/migrun/runs; migrun recover --yes
    for run in $(grep -l prepare-host */journal.jsonl | sort -r | cut -d/ -f1); do
      migrun undo --yes $run
    done
    rm -rf /etc/migrun/ca /etc/migrun/other-ca' || true
}

# What a preparation may touch, byte for byte.
as_it_is() {
  local host
  for host in $(hosts); do
    on "$host" bash -s <<'S' | sed "s/^/$host /"
    { find /etc/libvirt /etc/pki /etc/migrun /etc/nova /root/.ssh /etc/systemd/system /etc/nftables.conf \
      ! -type d -printf '%p %y %m %u:%g %l\n' -type f -exec sha256sum {} +
      find /etc/pki /etc/migrun -printf '%p %m %u:%g\n'
      sha256sum /etc/hosts /etc/default/libvirtd; } 2>/dev/null | grep -v '/etc/migrun/site.lua' | sort
    systemctl list-units --plain --no-legend --type=socket 'libvirtd*' | awk '{ print $1, $3 }'
    ss -Hltn | awk '{ print $4 }' | grep :165
    nft list tables 2>/dev/null
    true
S
  done
}
run_named() { sed -n 's/.* run \(20[0-9-]*-[a-z0-9]*\)$/\1/p' <<<"$output" | head -n 1; }
site_uri() {
  on controller sed -i "s|^return {.*hosts|return { libvirt = { uri = \"qemu+$1://%s/system\" }, hosts|" \
    /etc/migrun/site.lua
}
prepare() { run migrun policies/prepare-host.lua "$@" compute-1 compute-2; }
undo() {
  run migrun undo --yes "$1"
  ends_with_status 0
}
moves_by_virsh() {  # TRANSPORT FLAG …
  on "$from" virsh -q migrate --live --p2p --persistent --undefinesource "${@:2}" mover \
    "qemu+$1://$to/system"
}
arrives() { stands mover "$to"; [[ $(lost mover) == 0 ]]; read -r from to <<<"$to $from"; }
never() { ! "$@" || fail "did what it must not do: $*"; }
listening() { on compute-1 ss -Hltn | grep -q ":$1 "; }

# Whether somebody on the hosts' network reads the guest's memory while a command moves it: its kernel keeps
# its command line there, in several places.
overheard() {
  timeout 300 tcpdump -i "$LAB_BRIDGE" -w "$BATS_TEST_TMPDIR/stream" -B 65536 -U tcp 2>/dev/null 3>&- &
  local listener=$!
  await 10 test -s "$BATS_TEST_TMPDIR/stream"
  "$@"
  kill "$listener"; wait "$listener" || true
  (($(stat -c %s "$BATS_TEST_TMPDIR/stream") > 20000000)) || fail "the stream was not seen"
  grep -qaF "no_timer_check nohz=off highres=off" "$BATS_TEST_TMPDIR/stream"
}

@test "before: neither virsh nor migrun gets from host to host" {
  run on compute-1 virsh -q migrate --live --p2p mover "qemu+ssh://compute-2/system?no_tty=1"
  [[ $status != 0 ]]
  says "Host key verification failed"
  run migrun policies/libvirt.lua mover compute-2
  ends_with_status 2
  stands mover compute-1
}

@test "TLS: shown, done, moved by virsh and migrun, done already, put back" {
  on compute-1 bash -c 'echo "spice_password = \"tR0ub4dor\"" >>/etc/libvirt/qemu.conf'
  before=$(as_it_is)
  prepare -n -p transport=tls
  ends_with_status 2                            # a console listens on every address
  says "console listens on every address (mover)"
  verdict_is "Would make .* changes; 6 checks passed, 1 with a warning (what is open)"
  says "with libvirtd-tls.socket; 1 guest runs on, unmanaged meanwhile"
  says "+migrate_tls_force = 1"
  says_not "PRIVATE KEY"
  [[ $(as_it_is) == "$before" ]]

  prepare -p transport=tls
  ends_with_status 0
  says "each libvirtd lets the others in"
  says 'For migrun itself: libvirt = { uri = "qemu+tls://%s/system" }'
  says_not "PRIVATE KEY"
  ran=$(run_named)
  never on controller grep -rq "PRIVATE KEY" /var/lib/migrun /etc/migrun/ca/cacert.pem
  never on controller grep -q tR0ub4dor "/var/lib/migrun/runs/$ran/journal.jsonl"
  [[ $(on controller stat -c %a:%U /etc/migrun/ca/cakey.pem) == 600:root ]]
  [[ $(on compute-1 stat -c %a:%U:%G /etc/pki/qemu/server-key.pem) == 640:root:libvirt-qemu ]]
  listening 16514
  never moves_by_virsh tls                     # unencrypted
  run overheard moves_by_virsh tls --tls
  ends_with_status 1
  arrives

  site_uri tls
  run migrun policies/libvirt.lua mover "$to"
  ends_with_status 0
  says "to qemu+tls://$to/system"
  arrives

  on "$to" chmod 600 /etc/pki/qemu/server-key.pem
  run migrun policies/libvirt.lua mover "$to"
  ends_with_status 2
  says "QEMU (libvirt-qemu) may not read /etc/pki/qemu/server-key.pem on $to: chgrp and chmod 640 it"
  on "$to" chmod 640 /etc/pki/qemu/server-key.pem
  on "$to" cp -p /etc/pki/qemu/server-cert.pem /run/own.pem
  on "$from" cat /etc/pki/qemu/server-cert.pem | on "$to" sh -c 'cat >/etc/pki/qemu/server-cert.pem'
  run migrun policies/libvirt.lua mover "$to"
  ends_with_status 2
  says "/etc/pki/qemu/server-cert.pem on $to is not for the name $to"
  on "$to" mv /run/own.pem /etc/pki/qemu/server-cert.pem

  prepare -n
  says "tls, as the site file has it"
  prepare
  ends_with_status 0
  says "nothing had to be changed"
  run migrun undo --yes "$(run_named)"
  ends_with_status 2
  says "is left to undo: Done: 6 checks passed"
  listening 16514

  undo "$ran"
  site_uri tcp
  [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
  on compute-1 sed -i '/^spice_password/d' /etc/libvirt/qemu.conf
  never listening 16514
  stands mover "$from"
}

@test "ssh: a key for migrations alone, which opens nothing else" {
  before=$(as_it_is)
  prepare -n -p transport=ssh
  [[ $(as_it_is) == "$before" ]]
  prepare -p transport=ssh
  ends_with_status 0
  ran=$(run_named)
  on compute-2 grep -q '^restrict,from="10.86.0.11",command="/usr/bin/virt-ssh-helper qemu:///system" ssh-' \
    /root/.ssh/authorized_keys
  run on compute-1 ssh -o BatchMode=yes compute-2 touch /run/opened </dev/null
  never on compute-2 test -e /run/opened
  run on compute-3 ssh -o BatchMode=yes -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null compute-2 true </dev/null
  [[ $status != 0 ]]
  overheard moves_by_virsh ssh                 # it encrypts what the libvirtds say alone
  arrives
  site_uri ssh
  run migrun policies/libvirt.lua mover "$to"
  ends_with_status 0
  says "to qemu+ssh://$to/system"
  arrives
  prepare
  ends_with_status 0
  says "nothing had to be changed"
  undo "$ran"
  site_uri tcp
  [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
}

@test "auto: ssh where root can log in, else TLS" {
  prepare -n
  says "tls, root cannot log in from one to the other"
  prepare -p transport=ssh
  ran=$(run_named)
  prepare -n
  says "ssh, root of each can log in to the others already"
  undo "$ran"
}


@test "who does not get in at the end has everything put back" {
  on compute-2 nft -f - <<<'table inet e2e { chain c { type filter hook input priority 0;
    tcp dport 16514 reject with tcp reset;
  }; }'
  before=$(as_it_is)
  prepare -p transport=tls
  after=$(as_it_is)
  on compute-2 nft delete table inet e2e
  ends_with_status 3
  says "compute-1 is not let in by compute-2 ("
  says "Connection refused"
  [[ $after == "$before" ]] || diff <(echo "$before") <(echo "$after")
}

@test "a libvirtd that does not start on its new settings gets the old ones back" {
  before=$(as_it_is)
  on "$from" bash -c 'mkdir -p /run/systemd/system/libvirtd.service.d
    printf "[Service]\nExecStartPre=/bin/sh -c \"! grep -q ^migrate_tls /etc/libvirt/qemu.conf\"\n" \
      >/run/systemd/system/libvirtd.service.d/e2e.conf
    systemctl daemon-reload'
  prepare -p transport=tls
  on "$from" bash -c 'rm -r /run/systemd/system/libvirtd.service.d; systemctl daemon-reload'
  ends_with_status 3
  [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
  stands mover "$from"
}

@test "killed in the middle, and recovered" {
  before=$(as_it_is)
  for moment in place_certificates surgery restart; do
    begin policies/prepare-host.lua -p transport=tls compute-1 compute-2
    case $moment in
      place_certificates) await 30 on compute-2 test -e /etc/pki/qemu ;;
      surgery) await 30 listening 16514 ;;
      restart) await 30 on compute-2 test -e /etc/systemd/system/sockets.target.wants/libvirtd-tls.socket ;;
    esac
    interrupt KILL
    finish
    run migrun recover --yes
    ends_with_status 3
    [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
    stands mover "$from"
  done
}

@test "what stands in the way is said before anything is touched" {
  before=$(as_it_is)
  run migrun policies/prepare-host.lua compute-1 compute-9
  ends_with_status 2
  says "unknown host compute-9"
  on compute-1 bash -c 'mkdir -p /etc/nova /usr/lib/python3/dist-packages/nova-26.2.2.egg-info
    printf "[DEFAULT]\njunk\n" >/etc/nova/nova.conf'
  prepare -p transport=tls
  ends_with_status 2
  says "/etc/nova/nova.conf on compute-1: line 2: neither a section nor 'key = value': junk"
  on compute-1 bash -c 'mv /etc/nova/nova.conf /etc/nova/real; ln -s real /etc/nova/nova.conf'
  prepare -p transport=tls
  ends_with_status 2
  says "/etc/nova/nova.conf on compute-1 is a link or no file"
  on compute-1 bash -c 'rm -r /etc/nova
    rmdir --ignore-fail-on-non-empty /usr/lib/python3/dist-packages/nova-26.2.2.egg-info'
  on compute-2 bash -c 'cp -a /etc/libvirt/libvirtd.conf /run/kept
    echo "auth_tcp = none" >>/etc/libvirt/libvirtd.conf'
  prepare -p transport=tls
  on compute-2 mv /run/kept /etc/libvirt/libvirtd.conf
  ends_with_status 2
  says "compute-2: /etc/libvirt/libvirtd.conf is not readable for libvirt (line "
  on compute-2 mv /usr/sbin/nft /usr/sbin/nft.away
  prepare -p transport=tcp -p open=yes
  on compute-2 mv /usr/sbin/nft.away /usr/sbin/nft
  ends_with_status 2
  says "compute-2: nftables is not installed there (apt install nftables)"
  on compute-2 bash -c 'mount --bind /etc /etc; mount -o remount,ro,bind /etc'
  prepare -p transport=tls
  on compute-2 umount /etc
  ends_with_status 3
  says "Read-only file system"
  [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
}

@test "names that lead astray are named, and put right when asked" {
  on compute-1 sed -i -e '/compute-2/d' -e 's/^.*compute-1$/127.0.1.1 compute-1/' /etc/hosts
  before=$(as_it_is)
  prepare -p transport=tls
  ends_with_status 2
  says "compute-2 is not known on compute-1"
  says "compute-1 is 127.0.1.1 on compute-1"
  says "-p names=yes puts the true addresses into /etc/hosts there"
  prepare -p transport=tls -p names=yes
  ends_with_status 0
  ran=$(run_named)
  on compute-1 grep -qxP '10.86.0.12\tcompute-2' /etc/hosts
  never on compute-1 grep -q '127.0.1.1' /etc/hosts
  undo "$ran"
  [[ $(as_it_is) == "$before" ]]
  on compute-1 sed -i -e '/compute-1/d' /etc/hosts
  on compute-1 bash -c 'printf "10.86.0.11 compute-1\n10.86.0.12 compute-2\n" >>/etc/hosts'
}

@test "certificates: about to end, ended, of another CA, of a wrong name; renewed in time" {
  before=$(as_it_is)
  prepare -p transport=tls -p days=20
  ends_with_status 0
  first=$(run_named)
  site_uri tls
  run migrun -n policies/libvirt.lua mover "$to"
  ends_with_status 0
  says "the certificate /etc/pki/libvirt/servercert.pem on compute-1 expires on"
  says "migrun prepare-host.lua compute-1 renews it"
  on "$from" mv /etc/pki/libvirt/clientcert.pem /etc/pki/libvirt/away
  run migrun -n policies/libvirt.lua mover "$to"
  on "$from" mv /etc/pki/libvirt/away /etc/pki/libvirt/clientcert.pem
  ends_with_status 2
  says "libvirt of $from is not let in by that of $to (qemu+tls://$to/system: "
  on compute-1 cp -a /etc/pki/libvirt/servercert.pem /run/kept
  on controller bash -c 'cd /etc/migrun/ca
    openssl req -new -newkey rsa:2048 -nodes -keyout /tmp/key -subj /CN=compute-1 2>/dev/null |
      openssl x509 -req -CA cacert.pem -CAkey cakey.pem -days 0 -extfile compute-1.cnf 2>/dev/null' |
    on compute-1 tee /etc/pki/libvirt/servercert.pem >/dev/null
  run migrun -n policies/libvirt.lua mover "$to"
  on compute-1 mv /run/kept /etc/pki/libvirt/servercert.pem
  ends_with_status 2
  says "the certificate /etc/pki/libvirt/servercert.pem on compute-1 has expired on"

  prepare -p transport=tls                      # their last 30 days have begun
  ends_with_status 0
  says "made for compute-1, compute-2"
  second=$(run_named)
  prepare -p transport=tls
  says "nothing had to be changed"
  on controller mv /etc/migrun/ca /etc/migrun/other-ca
  prepare -p transport=tls -p days=1
  ends_with_status 0
  says "right already"                          # the site's own now, and good

  on compute-1 bash -c 'cp -a /etc/pki/libvirt /run/kept; cd /etc/pki/libvirt
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout private/serverkey.pem -out servercert.pem \
      -addext subjectAltName=DNS:elsewhere 2>/dev/null'
  prepare -p transport=tls
  ends_with_status 2
  says "compute-1: its certificate for libvirt, which migrun's CA (/etc/migrun/ca) did not make, is not for"
  says "-p replace=yes"
  prepare -p transport=tls -p replace=yes
  ends_with_status 0
  third=$(run_named)
  on compute-1 grep -q BEGIN /etc/pki/libvirt/servercert.pem
  run migrun undo --yes "$third"                # back to one that libvirtd does not start with
  on compute-1 bash -c 'rm -rf /etc/pki/libvirt; mv /run/kept /etc/pki/libvirt
    systemctl reset-failed libvirtd{,-ro,-admin,-tls}.socket libvirtd
    systemctl start libvirtd{,-ro,-admin,-tls}.socket libvirtd'
  on controller bash -c 'rm -rf /etc/migrun/ca; mv /etc/migrun/other-ca /etc/migrun/ca'
  undo "$second"
  undo "$first"
  site_uri tcp
  [[ $(as_it_is) == "$before" ]] || diff <(echo "$before") <(as_it_is)
}

# ---- plain TCP, behind a guard ----

reaches() { on "$1" timeout 5 bash -c "exec 3<>/dev/tcp/$2/16509" 2>/dev/null; }
creep_by_tcp() {
  begin "$@" -p bandwidth=3 policies/libvirt.lua mover "$to"
  await 30 is_moving mover
}
windows() { on "$to" nft list tables | grep -v guard; }
expired() { ! on "$to" nft list ruleset | grep -q "expires"; }

@test "TCP: asked for by name, and shut but in a move; a third host stays outside" {
  prepare -p transport=tcp
  ends_with_status 2
  says "-p open=yes, or the safer transport=tls, ssh"
  prepare -p transport=tcp -p open=yes
  ends_with_status 0
  on "$from" bash -c "! timeout 5 virsh -q -c qemu+tcp://$to/system hostname"
  never reaches compute-3 "$to"
  creep_by_tcp
  reaches "$from" "$to"
  never reaches compute-3 "$to"
  never reaches controller "$to"
  prepare -p transport=tls                      # libvirtd would be restarted under a migration
  ends_with_status 2
  says "a job of mover is under way (virsh domjobinfo mover): wait for its end"
  interrupt
  finish
  ends_with_status 130
  never reaches "$from" "$to"
  never windows
  creep_by_tcp -p timeout=4s                    # one that fails
  finish
  ends_with_status 3
  never windows
  run migrun policies/libvirt.lua mover "$to"   # one that succeeds
  ends_with_status 0
  says "$to:16509 is open to $from for 20 s, to connect in, and to nobody else"
  never windows
  arrives

  on "$to" systemctl restart nftables           # its file begins with a flush
  never reaches "$from" "$to"
  on "$to" systemctl reload nftables
  never reaches "$from" "$to"
  on "$to" nft flush ruleset
  run migrun -n policies/libvirt.lua mover "$to"
  ends_with_status 2
  says "the guard of libvirt's port on $to has no rules any more"
  run migrun policies/audit-host.lua "$to"
  ends_with_status 2
  says "$to: OPEN, anyone who reaches"
  on "$to" systemctl restart migrun-guard
  never reaches "$from" "$to"
}

@test "TCP: the window is shut after a kill by recover, and by itself where nobody recovers" {
  creep_by_tcp
  interrupt KILL
  finish
  windows
  on "$from" virsh -q domjobabort mover
  run migrun recover --yes
  ends_with_status 3
  never windows
  creep_by_tcp
  interrupt KILL
  finish
  log_out
  on "$to" pkill -KILL migrun-agent || true
  on "$from" virsh -q domjobabort mover
  windows
  await 30 expired
  never reaches "$from" "$to"
  run migrun recover --yes
  ends_with_status 3
  never windows
}

@test "TCP: a host without its guard does not listen, and everything is put back" {
  on "$to" systemctl stop migrun-guard
  never reaches "$from" "$to"
  on "$to" bash -c 'nft delete table inet migrun_guard; mv /etc/migrun/guard.nft /etc/migrun/away
    systemctl stop libvirtd libvirtd.socket libvirtd-tcp.socket; systemctl start libvirtd.socket
    ! systemctl start libvirtd-tcp.socket'
  never reaches "$from" "$to"
  on "$to" bash -c 'mv /etc/migrun/away /etc/migrun/guard.nft; systemctl start migrun-guard
    systemctl stop libvirtd.socket; systemctl start libvirtd{,-ro,-admin,-tcp}.socket'
  undo "$(on controller bash -c 'cd /var/lib/migrun/runs
    grep -l open=yes */journal.jsonl | sort | head -n 1 | cut -d/ -f1')"
  never on "$to" nft list table inet migrun_guard
}
