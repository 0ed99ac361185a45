# SPDX-License-Identifier: MIT
# Hosts with libvirtd in a container, as Kolla has it (lab up libvirtd=kolla), and the site lines for it.
load ../helper

@test "the daemon has an /etc/libvirt and logs of its own" {
  fresh guest compute-1 memory=96 listen=own
  for host in $(computes); do
    ! on "$host" test -e /etc/libvirt/qemu.conf || fail "the host's /etc/libvirt is the daemon's"
    on "$host" sh -c 'cat /proc/$(pgrep -xo libvirtd)/root/etc/libvirt/qemu.conf' |
      grep -qxF 'remember_owner = 0'
  done
  ! on compute-1 test -e /etc/libvirt/qemu/guest.xml || fail "it is defined in the host's /etc/libvirt"
  on compute-1 test -e /var/log/kolla/libvirt/qemu/guest.log
}

@test "a guest moves there and back, and its files are owned right" {
  ensure guest compute-1 memory=96 listen=own
  for to in compute-2 compute-1; do
    run migrun policies/libvirt.lua guest $to
    ends_with_status 0
    verdict_is "Moved: guest runs on $to"
    stands guest $to
  done
  loses_nothing guest
}

@test "the older way: libvirtd's record and the definition are edited where the container has them" {
  ensure guest compute-1 memory=96 listen=own
  run migrun policies/status-xml.lua guest compute-2
  ends_with_status 0
  verdict_is "Moved: guest runs on compute-2"
  stands guest compute-2
  run on compute-2 virsh -r dumpxml --inactive guest
  says "listen='0.0.0.0'"
  loses_nothing guest
}

@test "docker stops and starts it, and the guests run on" {
  ensure guest compute-1 memory=96 listen=own
  pid=$(qemu_pid guest compute-1)
  on compute-1 docker stop nova_libvirt
  [[ $(on compute-1 docker inspect -f '{{.State.Running}}' nova_libvirt) == false ]]
  run migrun -n policies/libvirt.lua guest compute-2
  ends_with_status 2
  on compute-1 docker start nova_libvirt
  stands guest compute-1
  [[ $(qemu_pid guest compute-1) == "$pid" ]] || fail "it is another process"
  loses_nothing guest
}
