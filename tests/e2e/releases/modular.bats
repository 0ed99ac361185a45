# SPDX-License-Identifier: MIT
# Hosts with libvirt's modular daemons (lab up libvirtd=modular), and the site lines for them.
load ../helper

moves() {  # POLICY FROM TO
  run migrun "policies/$1.lua" guest "$3"
  ends_with_status 0
  verdict_is "Moved: guest runs on $3 and is gone from $2"
  stands guest "$3"
}

@test "virtqemud and virtproxyd are what they are called, and no libvirtd runs" {
  for host in $(computes); do
    [[ $(on "$host" sh -c 'readlink /proc/$(pgrep -xo virtqemud)/exe') == /usr/sbin/virtqemud ]]
    ! on "$host" pgrep -x libvirtd || fail "libvirtd runs on $host"
    run on "$host" systemctl is-active virtqemud.socket virtproxyd.socket virtproxyd-tcp.socket
    [[ $output == $'active\nactive\nactive' ]] || fail "$output"
  done
}

@test "there and back, by either policy, and another guest stays managed" {
  fresh guest compute-1 memory=96 listen=own
  ensure other compute-1 memory=96
  pid=$(qemu_pid other compute-1)
  moves status-xml compute-1 compute-2
  says "virtqemud on compute-1 is stopped for about 1 s; 2 guests run on, unmanaged meanwhile"
  moves libvirt compute-2 compute-1
  [[ $(qemu_pid other compute-1) == "$pid" ]] && runs_at other compute-1
  loses_nothing guest
  loses_nothing other
}

@test "a site file that does not name virtqemud: libvirtd is not to be started, the lines are told" {
  fresh guest compute-1 memory=96 listen=own
  on controller tee /tmp/plain.lua >/dev/null <<<'return { hosts = { "compute-1", "compute-2" } }'
  run migrun --site /tmp/plain.lua policies/status-xml.lua guest compute-2
  ends_with_status 3
  says 'services = { libvirtd = "virtqemud" }'
  says_not "systemctl start libvirtd"
  stands guest compute-1
}

@test "what virtqemud does not take over is put back, and its own log is quoted" {
  ensure op compute-1 memory=96 listen=own
  ensure other compute-1 memory=96
  daemon=$(on compute-1 pgrep -xo virtqemud)
  run migrun -p way="unknown flag" tests/e2e/policies/surgery.lua op
  ends_with_status 3
  says "no-such-flag"
  says "with the original restored"
  [[ $(on compute-1 pgrep -xo virtqemud) != "$daemon" ]] || fail "virtqemud was not stopped"
  for name in op other; do stands $name compute-1; done
  on compute-1 grep -q no-such-flag /var/log/libvirt/virtqemud.log
}
