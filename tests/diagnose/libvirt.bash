# SPDX-License-Identifier: MIT
# Failures of migrations that virsh asks for. Sourced by record.
libvirt_cases=(
  vnc-address tcp-refused tcp-unreachable name-unresolved migration-port-closed no-free-port disk-
  missing base-missing disk-denied no-memory unknown-feature hook-refuses defined-already snapshots
  disk-locked postcopy-broken libvirtd-ends source-killed dest-killed disk-full aborted tls-without-
  certificates ssh- unknown-host destination-is-localhost same-host disk-sizes keepalive device-
  missing virtio-features firmware-size machine-type vmdk migration-address unsafe-storage target-
  differs port-taken tls-forced host-key-denied moved-well
)

vnc_address() {
  made 'the guest listens for VNC on an address of compute-1'
  expect cause "could not listen on $net.11 for VNC"
  boot listen=own; begin; migrate
}
tcp_refused() {
  made 'libvirtd does not run on compute-2'
  expect cause 'cannot connect to libvirtd at compute.2:16509: Connection refused'
  boot; begin; on "$dest" systemctl stop libvirtd; migrate; on "$dest" systemctl start libvirtd
}
tcp_unreachable() {
  made 'a firewall on compute-2 rejects port 16509'
  expect cause 'cannot connect to libvirtd at compute.2:16509: (No route|Connection refused)'
  boot; reject "$dest" 16509 'icmpx type host-unreachable'; begin; migrate
}
name_unresolved() {
  made 'the destination is called by a name that compute-1 does not know'
  expect cause 'cannot resolve the name compute.9'
  boot; begin; uri=qemu+tcp://compute-9/system migrate
}
migration_port_closed() {
  made 'a firewall on compute-2 rejects the migration ports'
  expect cause '(migration port .*49152|cannot connect to .*49152).*'
  boot; reject "$dest" 49152-49215; begin; migrate
}
no_free_port() {
  made 'the only migration port of compute-2 is taken by another program'
  expect cause 'no free migration port'
  boot; conf "$dest" qemu.conf $'migration_port_min = 49160\nmigration_port_max = 49161'
  on "$dest" systemd-run -q --unit=taker python3 -c '
import socket, time
taken = []
for port in 49160, 49161:
    s = socket.socket(socket.AF_INET6); s.bind(("::", port)); s.listen(1); taken.append(s)
time.sleep(600)'
  sleep 1; begin; migrate; on "$dest" systemctl stop taker
}
disk_missing() {
  made 'a disk lies in a folder that only compute-1 has'
  expect cause '/srv/own/disk2?.* is not (available|there)'
  boot; on "$source" sh -c 'mkdir -p /srv/own && truncate -s 1M /srv/own/disk2 &&
    virsh -q attach-disk "$1" /srv/own/disk2 vdb --live' - "$guest" >&2
  begin; migrate --unsafe
}
base_missing() {
  made 'the base image of a disk is not there on compute-2'
  expect cause '(a file below the guest.s disk|/srv/own/base.* is not (available|there))'
  boot; on "$source" sh -c 'mkdir -p /srv/own && qemu-img create -q -f qcow2 /srv/own/base 1M &&
    cd /var/lib/nova/instances/"$1" && qemu-img create -q -f qcow2 -F qcow2 -b /srv/own/base over.qcow2 &&
    virsh -q attach-disk "$1" "$PWD/over.qcow2" vdb --live --subdriver qcow2' - "$guest" >&2
  begin; migrate --unsafe
}
disk_denied() {
  made 'dynamic_ownership = 0 on compute-2, and the disk is readable for root alone'
  expect cause 'not allowed to open .*/disk'
  boot; conf "$dest" qemu.conf 'dynamic_ownership = 0'
  on "$source" sh -c 'chown root:root "/var/lib/nova/instances/$1/disk"
    chmod 600 "/var/lib/nova/instances/$1/disk"' \
    - "$guest"
  begin; migrate --unsafe
}
no_memory() {
  made 'libvirtd on compute-2, and what it starts, may have too little address space for the guest'
  expect cause 'does not have enough memory'
  boot; on "$dest" sh -c 'prlimit --as=2200000000 --pid "$(pidof libvirtd)"'
  on "$source" virsh -q destroy "$guest" >&2
  on "$source" sh -c 'virsh dumpxml --inactive "$1" | 
    sed -E "s/<memory .*<\/memory>/<memory unit=\"MiB\">900<\/memory>/; /currentMemory/d" >/run/case.xml
    virsh -q define /run/case.xml && virsh -q start "$1"' - "$guest" >&2
  sleep 3; begin; migrate; on "$dest" systemctl restart libvirtd
}
unknown_feature() {
  made 'libvirt on compute-2 does not know a feature of the guest CPU (its CPU map lacks it)'
  expect cause 'does not know the CPU feature .?xtpr'
  boot; edited "s|<model fallback='forbid'>qemu64</model>|&<feature policy='disable' name='xtpr'/>|
    s|</features>|&<cpu mode='custom'><model>qemu64</model><feature policy='disable' name='xtpr'/></cpu>|"
  on "$dest" sh -c 'cp /usr/share/libvirt/cpu_map/x86_features.xml /run/features.xml
    perl -0pi -e "s/<feature name=.xtpr.*?<\/feature>//s" /usr/share/libvirt/cpu_map/x86_features.xml
    rm -rf /var/cache/libvirt/qemu/capabilities/*; systemctl restart libvirtd'
  begin; migrate
  on "$dest" sh -c 'cp /run/features.xml /usr/share/libvirt/cpu_map/x86_features.xml
    rm -rf /var/cache/libvirt/qemu/capabilities/*; systemctl restart libvirtd'
}
hook_refuses() {
  made 'the hook /etc/libvirt/hooks/qemu of compute-2 refuses incoming guests'
  expect cause 'hook .*said no'
  boot; on "$dest" sh -c 'mkdir -p /etc/libvirt/hooks
    printf "#!/bin/sh\n[ \"\$2\" != migrate ] || { echo maintenance >&2; exit 1; }\n" >/etc/libvirt/hooks/qemu
    chmod 755 /etc/libvirt/hooks/qemu; systemctl restart libvirtd'
  begin; migrate
}
defined_already() {
  made 'compute-2 has another guest of that name'
  expect cause 'has a (definition|guest) of that name'
  boot; on "$source" virsh dumpxml --inactive "$guest" |
    sed 's/<uuid>.*</<uuid>11111111-2222-4333-8444-555555555555</' |
    ../lab/lab exec "$dest" sh -c 'cat >/run/other.xml; virsh -q define /run/other.xml' >&2
  begin; migrate
}
snapshots() {
  made 'the guest has a snapshot'
  expect nothing 'no log'
  boot; on "$source" sh -c 'cd "/var/lib/nova/instances/$1" &&
    virsh -q snapshot-create-as "$1" one --disk-only --no-metadata=0 2>/dev/null ||
    virsh -q snapshot-create-as "$1" one --disk-only --diskspec vda,file="$PWD/snap.qcow2"' - "$guest" >&2
  begin; migrate
}
disk_locked() {
  made 'another program holds the lock of a writer on the disk'
  expect danger 'locked by another QEMU'
  boot; on "$dest" systemd-run -q --unit=locker python3 -c "
import fcntl, os, struct, time
fd = os.open('/var/lib/nova/instances/$guest/disk', os.O_RDONLY)
fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 201, 1, 0))
time.sleep(600)"
  sleep 1; begin; migrate; on "$dest" systemctl stop locker
}
postcopy_broken() {
  made 'the network breaks while a post-copy migration runs'
  expect danger 'part of the guest.s memory is on each host'
  boot dirty=40; begin
  on "$source" virsh -q migrate-setspeed "$guest" 2 >&2
  on "$source" virsh -q migrate-setspeed "$guest" 2 --postcopy >&2
  migrating --postcopy; sleep 3; on "$source" virsh -q migrate-postcopy "$guest" >&2; sleep 2
  reject "$dest" 49152-49215
  on "$source" sh -c 'nft add table inet case
    nft "add chain inet case in { type filter hook input priority -10; }"
    nft add rule inet case in tcp sport 49152-49215 reject with tcp reset'
  for _ in {1..40}; do on "$source" virsh -r domstate --reason "$guest" | grep -q post-copy && break
    sleep 0.5; done
  sleep 2; kill %% 2>/dev/null; both pkill -x virsh
}
libvirtd_ends() {
  made 'libvirtd of compute-2 is stopped while the guest moves'
  expect cause 'libvirtd on compute.2 was stopped'
  boot dirty=40; begin; on "$source" virsh -q migrate-setspeed "$guest" 5 >&2
  migrating; sleep 2; on "$dest" systemctl stop libvirtd; moved; on "$dest" systemctl start libvirtd
}
source_killed() {
  made 'QEMU of the guest is killed on compute-1 while it moves'
  expect carrier '(QEMU ended|QEMU on compute.. ended|cannot read what|ended on one side)'
  boot dirty=40; begin; on "$source" virsh -q migrate-setspeed "$guest" 5 >&2
  migrating; sleep 2; on "$source" pkill -9 -f "guest=$guest,"; moved
}
dest_killed() {
  made 'QEMU of the guest is killed on compute-2 while it moves'
  expect carrier '(QEMU ended|QEMU on compute.. ended|connection to QEMU)'
  boot dirty=40; begin; on "$source" virsh -q migrate-setspeed "$guest" 5 >&2
  migrating; sleep 2; on "$dest" pkill -9 -f "guest=$guest,"; moved
}
disk_full() {
  made 'the disk is copied to a file system of compute-2 that is too small'
  expect cause '(no space left|could not be read or written|not as large)'
  boot; on "$source" sh -c 'mkdir -p /srv/small &&
    dd if=/dev/urandom of=/srv/small/disk2 bs=1M count=30 status=none &&
    virsh -q attach-disk "$1" /srv/small/disk2 vdb --live --targetbus virtio --subdriver raw' - "$guest" >&2
  on "$dest" sh -c 'mkdir -p /srv/small && mount -t tmpfs -o size=8M none /srv/small &&
    truncate -s 30M /srv/small/disk2'
  begin; migrate --copy-storage-all --migrate-disks vdb --unsafe; on "$dest" umount /srv/small
}
aborted() {
  made 'somebody aborts the migration (virsh domjobabort)'
  expect aborted 'aborted'
  boot dirty=40; begin; on "$source" virsh -q migrate-setspeed "$guest" 5 >&2
  migrating; sleep 2; on "$source" virsh -q domjobabort "$guest" >&2; moved
}
tls_without_certificates() {
  made 'the migration is to be encrypted, and QEMU has no certificates'
  expect cause 'cannot read its certificate or key'
  boot; begin; migrate --tls
}
ssh_unknown_host() {
  made 'root of compute-1 does not know the ssh key of compute-2'
  expect cause 'does not know the ssh key'
  boot; begin
  on "$source" sh -c 'mv /root/.ssh/known_hosts /run/known 2>/dev/null; true'
  uri="qemu+ssh://compute-2/system?known_hosts=/dev/null&known_hosts_verify=normal" migrate
  on "$source" sh -c 'mv /run/known /root/.ssh/known_hosts 2>/dev/null; true'
}
host_key_denied() {
  made 'root of compute-1 may not log in to compute-2'
  expect cause 'may not log in'
  boot; begin; uri="qemu+ssh://nobody@compute-2/system?keyfile=/dev/null" migrate
}
destination_is_localhost() {
  made 'compute-2 takes its own name for localhost'
  expect cause 'calls itself localhost'
  boot; on "$dest" sh -c 'hostname >/run/hostname; hostname localhost; systemctl restart libvirtd'
  begin; uri=qemu+tcp://$net.12/system migrate
  on "$dest" sh -c 'hostname "$(cat /run/hostname)"; systemctl restart libvirtd'
}
same_host() {
  made 'the destination is the source itself'
  expect cause 'lead to one host'
  boot; begin; uri=qemu+tcp://compute-1/system migrate
}
disk_sizes() {
  made 'the disk is copied, and the one on compute-2 is smaller'
  expect cause '(not as large|could not be read or written)'
  boot; on "$source" sh -c 'mkdir -p /srv/small && truncate -s 8M /srv/small/disk2 &&
    virsh -q attach-disk "$1" /srv/small/disk2 vdb --live --targetbus virtio --subdriver raw' - "$guest" >&2
  on "$dest" sh -c 'mkdir -p /srv/small && truncate -s 4M /srv/small/disk2'
  begin; migrate --copy-storage-all --migrate-disks vdb --unsafe
}
keepalive() {
  made 'the network of compute-2 goes away while the guest moves'
  expect cause 'the network between'
  boot dirty=40
  begin; on "$source" virsh -q migrate-setspeed "$guest" 3 >&2
  migrating; sleep 2; lab link "$dest" down; moved; lab link "$dest" up; sleep 3
}

# QEMU's own arguments are no part of what libvirt compares.
schema=http://libvirt.org/schemas/domain/qemu/1.0
with_namespace="s|<domain type='qemu'>|<domain type='qemu' xmlns:qemu='$schema'>|"
qemu_extra() { # qemu_extra SCRIPT: the definition of the source, by sed, with arguments of QEMU's own
  edited "$with_namespace; $1"
}
migrate_without() { # the destination's XML, by sed
  on "$source" sh -c 'virsh dumpxml --migratable "$1" | sed -E "$2" >/run/dest.xml' - "$guest" "$1"
  migrate --xml /run/dest.xml
}
arguments() { printf 's|</devices>|</devices><qemu:commandline>%s</qemu:commandline>|' \
  "$(printf "<qemu:arg value='%s'/>" "$@")"; }
device_missing() {
  made 'QEMU on compute-2 is started without a device that the guest has'
  expect cause 'does not have the same devices'
  boot; qemu_extra "$(arguments -device virtio-rng-pci,id=extra,bus=pcie.0,addr=0x10)"
  begin; migrate_without '/<qemu:commandline>/,/<\/qemu:commandline>/d'
}
virtio_features() {
  made 'QEMU on compute-2 offers the network card less than the guest uses'
  expect cause 'offers a virtio device less'
  boot; edited "s|<video>|<interface type='user'><model type='virtio'/></interface><video>|"
  on "$source" sh -c 'virsh dumpxml --migratable "$1" | sed -E "$2" >/run/dest.xml' - "$guest" \
    "$with_namespace; $(
      arguments -global virtio-net-pci.mrg_rxbuf=off -global virtio-blk-pci.seg-max-adjust=off \
        -global virtio-blk-pci.discard=off -global virtio-balloon-pci.event_idx=off \
        -global virtio-blk-pci.event_idx=off)"
  sleep 6; begin; migrate --xml /run/dest.xml
}
firmware_size() {
  made 'the firmware of compute-2 has another size'
  expect cause '(another size|another firmware)'
  boot; begin
  migrate_without "$with_namespace; $(
    arguments -bios bios.bin)"
}
machine_type() {
  made 'QEMU on compute-2 has another machine type by that name'
  expect cause '(machine type|does not have the same devices)'
  boot; begin
  migrate_without "$with_namespace; $(
    arguments -machine type=pc-q35-6.0)"
}
vmdk() {
  made 'a disk is a VMDK file'
  expect nothing 'no log'
  boot; on "$source" sh -c 'cd "/var/lib/nova/instances/$1" && qemu-img create -q -f vmdk d.vmdk 4M &&
    virsh -q attach-disk "$1" "$PWD/d.vmdk" vdb --live --targetbus virtio --subdriver vmdk' - "$guest" >&2
  begin; migrate --unsafe
}
migration_address() {
  made 'migration_address of compute-2 is not an address of its own'
  expect cause 'told to receive the guest on'
  boot; conf "$dest" qemu.conf 'migration_address = "10.99.9.9"'; begin; migrate
}
unsafe_storage() {
  made 'the disk lies on storage of the host itself'
  expect cause 'does not recognize as shared'
  boot; on "$source" sh -c 'mkdir -p /srv/own && truncate -s 1M /srv/own/disk2 &&
    virsh -q attach-disk "$1" /srv/own/disk2 vdb --live' - "$guest" >&2
  begin; migrate
}
target_differs() {
  made 'the XML for compute-2 has another network card'
  expect cause 'what the guest sees of its hardware'
  boot; begin; migrate_without "s|model type='cirrus'|model type='vga'|"
}
port_taken() {
  made 'the fixed VNC port of the guest is taken on compute-2'
  expect cause '(is taken on|could not listen)'
  boot; edited "s|port='-1' autoport='yes'|port='5990' autoport='no'|
    s|autoport='yes'|autoport='no' port='5990'|"
  on "$dest" systemd-run -q --unit=taker python3 -c '
import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("0.0.0.0", 5990))
  s.listen(1); time.sleep(600)'
  sleep 1; begin; migrate; on "$dest" systemctl stop taker
}
tls_forced() {
  made 'compute-2 takes only encrypted migrations (migrate_tls_force)'
  expect nothing 'no log'
  boot; conf "$dest" qemu.conf 'migrate_tls_force = 1'; conf "$source" qemu.conf 'migrate_tls_force = 1'
  sleep 1; begin; migrate
}
moved_well() {
  made 'it moves'
  expect moved 'moved'
  boot; begin; migrate
}
