# SPDX-License-Identifier: MIT
# Whose the guest's files are after a move: where libvirt touches none, where they lie elsewhere, where nobody
# may change them.
load helper

teardown() {
  local host
  forget owned
  for host in $(computes); do
    on "$host" bash -c 'if [[ -e /run/qemu.conf.before ]]; then
        cat /run/qemu.conf.before >/etc/libvirt/qemu.conf; rm /run/qemu.conf.before
        rm -rf /etc/systemd/system/libvirtd.service.d /etc/libvirt.inside
        systemctl daemon-reload; systemctl restart libvirtd
      fi
      ! mountpoint -q /srv/squashed || umount /srv/squashed' || true
  done
  rm -rf "$LAB/instances/elsewhere"
}

owned=$(uuid_of owned)
# Its disk, as the hosts see it, and here.
disk=$instances/$owned/disk
here=$LAB/instances/$owned/disk
moves() { run migrun "$@" policies/libvirt.lua owned compute-2; }

# qemu_conf LINE [HOST …]: that libvirtd gets this setting, until the test ends.
qemu_conf() {
  local host line=$1; shift
  [[ $# -gt 0 ]] || set -- $(computes)
  for host in "$@"; do
    on "$host" bash -c 'cp /etc/libvirt/qemu.conf /run/qemu.conf.before; echo "$1" >>/etc/libvirt/qemu.conf
      systemctl restart libvirtd; until virsh -rq list >/dev/null; do sleep 0.1; done' - "$line"
  done
}

@test "dynamic_ownership = 0: left alone, and said" {
  idle owned compute-1 verb=define
  chown daemon:libvirt-qemu "$here"; chmod 660 "$here"
  qemu_conf 'dynamic_ownership = 0'
  on compute-1 virsh -q start owned
  moves --dry-run
  ends_with_status 0
  says "own instance files             left alone: dynamic_ownership = 0 on compute-2"
  moves
  ends_with_status 0
  says "own instance files             left alone: dynamic_ownership = 0 on compute-2"
  says "files left alone."
  [[ $(owner "$owned/disk") == daemon:libvirt-qemu ]]
}

@test "dynamic_ownership = 0 on the destination alone: what the source gave to root is warned of" {
  idle owned compute-1 folder=/srv/instances
  qemu_conf 'dynamic_ownership = 0' compute-2
  moves -p i_know=unsafe
  says "warning: libvirt of compute-1 gives files back to root, and that of compute-2, with dynamic_owner"
  says "/srv/instances/$owned/disk root's"
  [[ $(owner "$owned/disk") == root:root ]]
}

@test "libvirtd with a folder of its own, as in a container: its own qemu.conf counts" {
  idle owned compute-1
  on compute-2 bash -c 'cp /etc/libvirt/qemu.conf /run/qemu.conf.before
    cp -a /etc/libvirt /etc/libvirt.inside; echo "dynamic_ownership = 0" >>/etc/libvirt.inside/qemu.conf
    mkdir /etc/systemd/system/libvirtd.service.d
    printf "[Service]\nBindPaths=/etc/libvirt.inside:/etc/libvirt\n" \
      >/etc/systemd/system/libvirtd.service.d/own.conf
    systemctl daemon-reload; systemctl restart libvirtd; until virsh -rq list >/dev/null; do sleep 0.1; done'
  moves
  ends_with_status 0
  says "left alone: dynamic_ownership = 0 on compute-2"
}

@test "a disk outside the instance's folder: looked at, named, not touched" {
  idle owned compute-1 folder=/srv/instances
  moves -p i_know=unsafe
  ends_with_status 4
  verdict_is "Moved, but"
  says "/srv/instances/$owned/disk outside the instance's folder: root:root, QEMU cannot open it"
  says "should be libvirt-qemu's: chown libvirt-qemu:libvirt-qemu /srv/instances/$owned/disk"
  says_not "files owned right"
  [[ $(owner "$owned/disk") == root:root ]]
}

@test "a disk behind a link out of the folder: where it leads to is looked at, and not touched" {
  idle owned compute-1 verb=define
  mkdir "$LAB/instances/elsewhere"
  mv "$here" "$LAB/instances/elsewhere/disk"
  ln -s ../elsewhere/disk "$here"
  on compute-1 virsh -q start owned
  moves
  ends_with_status 0
  says "disk (→ $instances/elsewhere/disk) outside the instance's folder: libvirt-qemu:libvirt-qemu, right"
  says "files owned right"
  chown root:root "$LAB/instances/elsewhere/disk"
  run migrun policies/fix-ownership.lua owned
  ends_with_status 4
  says "chown libvirt-qemu:libvirt-qemu $instances/elsewhere/disk"
  [[ $(owner elsewhere/disk) == root:root ]]
}

@test "root_squash: no failure where QEMU can open the disk as it is; of root's it cannot" {
  local host
  idle owned compute-1 verb=define folder=/srv/squashed
  chown daemon:kvm "$here"; chmod 660 "$here"
  for host in $(computes); do # storage where nobody, root neither, may give a file to anybody
    on "$host" bash -c 'mkdir -p /srv/squashed; bindfs -o subtype=glusterfs,fsname=gluster:/i -o allow_other \
      -o attr_timeout=0,entry_timeout=0 --chown-deny --chgrp-deny /srv/instances /srv/squashed'
  done
  on compute-1 virsh -q start owned
  on controller bash -c 'cat >/run/squashed.lua' \
    <<<'return { hosts = { "compute-1", "compute-2" }, instances = "/srv/squashed" }'
  moves --site /run/squashed.lua
  ends_with_status 0
  says "disk stays daemon:kvm's (compute-2: cannot give /srv/squashed/$owned/disk to 64055:64055"
  says "Operation not permitted): QEMU can open it as it is"
  says "files open to QEMU"
  [[ $(owner "$owned/disk") == daemon:kvm ]]
  chown root:root "$here"; chmod 644 "$here"
  run migrun --site /run/squashed.lua policies/fix-ownership.lua owned
  ends_with_status 4
  says "Operation not permitted; QEMU cannot open it as it is (root:root): chown it to libvirt-qemu:libvirt-q"
}
