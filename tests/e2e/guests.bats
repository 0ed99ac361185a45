# SPDX-License-Identifier: MIT
# Guests and hosts that exist: what a guest has from its host, made to be missing on the destination, for
# real. Where it can be, the guest then moves. tests/lua/test_guests.lua has what the lab cannot (Open
# vSwitch, macvtap, vhost-user, RBD, cpusets, huge pages).
load helper

setup_file() {
  for host in $(computes); do
    on "$host" sh -c 'mkdir -p /run/e2e-kept; cp -p /etc/libvirt/qemu.conf /run/e2e-kept'
  done
  on controller cp /etc/migrun/site.lua /run/e2e-site
}
teardown() {
  local host
  on controller cp /run/e2e-site /etc/migrun/site.lua
  for host in $(computes); do
    on "$host" sh -c 'cp -p /run/e2e-kept/qemu.conf /etc/libvirt/qemu.conf
      for m in /usr/bin/swtpm /usr/share/OVMF; do umount "$m" 2>/dev/null; done
      for link in br-e2e br-other; do ip link del "$link" 2>/dev/null; done
      virsh -q net-destroy prod 2>/dev/null; virsh -q net-undefine prod 2>/dev/null
      virsh -q secret-undefine 0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f 2>/dev/null
      rm -f /var/tmp/e2e.iso; true'
  done
  forget odd
  forget other
}

bridge() {  # HOST NAME
  on "$1" ip link add "$2" type bridge
  on "$1" ip link set "$2" up
}
# asks: preflight of `odd`; no TEXT …: it says no, and this; yes: it does not.
asks() { run migrun "$@" preflight odd compute-2; flat=$(tr -s ' \n' ' ' <<<"$output"); }
no() {
  local text
  asks
  ends_with_status 2
  for text; do [[ $flat == *"$text"* ]] || fail "does not say: $text" "---" "$output"; done
}
yes() { asks "$@"; ends_with_status 0; }
moves() { run migrun policies/libvirt.lua odd compute-2; ends_with_status 0; stands odd compute-2; }

@test "network: a bridge that only the source has, one that is down, one of another name" {
  bridge compute-1 br-e2e
  idle odd compute-1 "devices=<interface type='bridge'><mac address='52:54:00:1a:2b:3c'/>
    <source bridge='br-e2e'/><model type='virtio'/></interface>"
  no "its network is there NO: 52:54:00:1a:2b:3c: bridge br-e2e is not on compute-2: make it there, or" \
    "-p i_know=network"
  run migrun policies/libvirt.lua -p i_know=network odd compute-2      # and what libvirt says of it
  ends_with_status 3
  says "Accepted  52:54:00:1a:2b:3c: bridge br-e2e is not on compute-2"
  says "No such device"
  on compute-2 ip link add br-e2e type bridge
  no "bridge br-e2e is down on compute-2: ip link set br-e2e up"
  on compute-2 ip link del br-e2e
  bridge compute-2 br-other
  on controller sh -c 'printf "%s\n" "return { hosts = { \"compute-1\", \"compute-2\" }," \
    "maps = { [\"compute-2\"] = { bridge = { [\"br-e2e\"] = \"br-other\" } } } }" >/etc/migrun/site.lua'
  yes -v
  says "bridge br-other there, too, MTU 1500"
  run migrun -n policies/libvirt.lua odd compute-2
  says "-      <source bridge='br-e2e'"
  says "+      <source bridge='br-other'"
  run migrun -n policies/status-xml.lua odd compute-2
  ends_with_status 2
  says "takes an XML for the destination: use libvirt.lua"
  moves
  on compute-2 virsh -q domiflist odd | grep -q br-other
}

@test "network: one of libvirt's that is not defined, or not started, there" {
  local host net="<network><name>prod</name><forward mode='bridge'/><bridge name='br-e2e'/></network>"
  for host in $(computes); do bridge "$host" br-e2e; done
  on compute-1 sh -c 'echo "$0" >/run/prod.xml; virsh -q net-define /run/prod.xml' "$net"
  on compute-1 virsh -q net-start prod
  idle odd compute-1 "devices=<interface type='network'><mac address='52:54:00:1a:2b:3d'/>
    <source network='prod'/><model type='virtio'/></interface>"
  no "52:54:00:1a:2b:3d: libvirt's network prod is not defined on compute-2: virsh net-dumpxml prod here"
  on compute-2 sh -c 'echo "$0" >/run/prod.xml; virsh -q net-define /run/prod.xml' "$net"
  no "libvirt's network prod is not started on compute-2: virsh net-start prod"
  on compute-2 virsh -q net-start prod
  yes -v
  says "network prod, bridge br-e2e there, too"
  moves
}

@test "a secret of LUKS that only the source has" {
  local uuid=0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f host image=$instances/luks
  secret() {
    on "$1" sh -c "printf '%s' \"<secret ephemeral='no' private='yes'><uuid>$uuid</uuid></secret>\" \
      >/run/secret.xml; virsh -q secret-define /run/secret.xml; \
      virsh -q secret-set-value $uuid --base64 $(printf word | base64)" >/dev/null 2>&1
  }
  secret compute-1
  on compute-1 qemu-img create -q --object secret,id=s,data=word -f luks \
    -o key-secret=s,iter-time=10 "$image" 1M
  idle odd compute-1 "devices=<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
    <source file='$image'>
      <encryption format='luks'><secret type='passphrase' uuid='$uuid'/></encryption></source>
    <target dev='vdb' bus='virtio'/></disk>"
  no "vdb: libvirt's secret $uuid is not defined on compute-2: virsh secret-dumpxml $uuid here"
  secret compute-2
  yes -v
  says "vdb: $uuid; whether a value is set cannot be asked"
  moves
  rm -f "$LAB/instances/luks"
}

@test "a port of its own that is taken there, and by whom" {
  idle odd compute-1 "vnc=port='5977' autoport='no'"
  yes -v
  says "vnc 5977"
  idle other compute-2 "vnc=port='5977' autoport='no'"
  no "its vnc port 5977 is taken on compute-2 by the guest other (pid "
  forget other
  moves
}

@test "pins: CPUs that are not there, or that guests may not use" {
  local all; all=$(($(nproc) - 1))
  idle odd compute-1 "cpu=<cputune><vcpupin vcpu='0' cpuset='$all'/></cputune>"
  yes -v
  says "CPUs $all of "
  on compute-2 sh -c 'taskset -apc 0 "$(pgrep -xo libvirtd)"' >/dev/null
  no "vcpupin asks for CPU $all (none of them is there); guests on compute-2 have the CPUs 0 and the NUMA"
  on compute-2 systemctl restart libvirtd
  await 20 on compute-2 virsh -rq list
}

@test "an emulated TPM, and no swtpm there" {
  idle odd compute-1 "devices=<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
  on compute-2 sh -c 'mount --bind /dev/null /usr/bin/swtpm; systemctl restart libvirtd'
  await 20 on compute-2 virsh -rq list
  no "its TPM can run there NO: compute-2 cannot emulate a TPM: install swtpm and swtpm-tools there"
  on compute-2 sh -c 'umount /usr/bin/swtpm; systemctl restart libvirtd'
  await 20 on compute-2 virsh -rq list
  yes -v
  says "compute-2 emulates TPM 2.0; its state goes along"
  moves
}

@test "UEFI: firmware that is not there, and a move with it" {
  local code=/usr/share/OVMF/OVMF_CODE_4M.fd
  idle odd compute-1 "cpu=<features><acpi/></features>" \
    "os=<loader readonly='yes' type='pflash'>$code</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/odd_VARS.fd</nvram>"
  on compute-2 mount -t tmpfs tmpfs /usr/share/OVMF
  no "its firmware is there NO: its firmware $code is not on compute-2: install its package there (ovmf" \
    "the template of its NVRAM, /usr/share/OVMF/OVMF_VARS_4M.fd, is not on compute-2"
  on compute-2 umount /usr/share/OVMF
  yes -v
  says "$code there, too"
  moves
}

@test "a medium that only the source has: dropped where its policy allows it, else to be taken out" {
  medium() {
    echo "devices=<disk type='file' device='cdrom'><source file='/var/tmp/e2e.iso'$1/><target dev='sda'
      bus='sata'/><readonly/></disk>"
  }
  on compute-1 truncate -s 1M /var/tmp/e2e.iso
  idle odd compute-1 "$(medium '')"
  no "/var/tmp/e2e.iso is not on compute-2: is its storage mounted there?; take the medium out for the" \
    "virsh change-media odd sda --eject"
  on compute-1 virsh -q change-media odd sda --eject
  yes
  idle odd compute-1 "$(medium " startupPolicy='optional'")"
  yes
  [[ $flat == *"sda: /var/tmp/e2e.iso is not on compute-2: libvirt takes it out of the drive on the way"* ]]
  moves
  ! on compute-2 virsh -q domblklist odd | grep -q e2e.iso
}

@test "checkpoints are named before libvirt forgets them" {
  local disk=$instances/cow
  on compute-1 qemu-img create -q -f qcow2 "$disk" 1M
  idle odd compute-1 "devices=<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
    <source file='$disk'/><target dev='vdb' bus='virtio'/></disk>"
  on compute-1 virsh -q checkpoint-create-as odd monday --diskspec vda,checkpoint=no --diskspec vdb >/dev/null
  yes
  [[ $flat == *"libvirt forgets its checkpoints (monday) as it moves"* ]] || fail "$output"
  rm -f "$LAB/instances/cow"
}

@test "migration_address and migration_host of another host" {
  idle odd compute-1
  on compute-2 sh -c "echo 'migration_address = \"$net.11\"' >>/etc/libvirt/qemu.conf"
  no "migration_address in the qemu.conf of compute-2 is $net.11, which is an address of compute-1"
  on compute-2 sh -c "sed -i '/^migration_address/d' /etc/libvirt/qemu.conf
    echo 'migration_host = \"controller\"' >>/etc/libvirt/qemu.conf"
  no "migration_host in its qemu.conf leads from compute-1 to controller ($net.10), which is no address"
}

@test "a block device that carries no id: refused, or passed by somebody who knows" {
  local device number host
  truncate -s 1M "$LAB/instances/loop"
  device=$(losetup --find --show "$LAB/instances/loop") || skip "no loop devices here"
  number=${device#/dev/loop}
  for host in $(computes); do on "$host" sh -c "mknod $device b 7 $number; chmod 666 $device"; done
  idle odd compute-1 "devices=<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>
    <source dev='$device'/><target dev='vdb' bus='virtio'/></disk>"
  no "vdb: it cannot be told whether $device is the same device on compute-2: it has no WWN, serial or"
  run migrun policies/libvirt.lua -p i_know=storage odd compute-2
  ends_with_status 0
  says "Accepted  vdb: it cannot be told whether $device is the same device"
  run on controller sh -c 'migrun show "$(ls -t /var/lib/migrun/runs | head -n 1)"'
  says "i_know=storage"
  forget odd
  for host in $(computes); do on "$host" rm "$device"; done
  losetup --detach "$device"
  rm "$LAB/instances/loop"
}

@test "ssh from libvirtd to libvirtd: no known host, no login there, and whose they are" {
  idle odd compute-1
  on controller sh -c 'printf "%s\n" "return { hosts = { \"compute-1\", \"compute-2\" }," \
    "libvirt = { uri = \"qemu+ssh://root@%s/system\" } }" >/etc/migrun/site.lua'
  on compute-1 mv /root/.ssh/known_hosts /root/.ssh/known_hosts.kept
  no "root on compute-1, as whom libvirt there logs in, is not let in by compute-2" \
    "Host key verification failed"
  on compute-1 mv /root/.ssh/known_hosts.kept /root/.ssh/known_hosts
  on compute-1 mv /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.kept
  no "root on compute-1, as whom libvirt there logs in, is not let in by compute-2" "Permission denied"
  on compute-1 mv /root/.ssh/id_ed25519.kept /root/.ssh/id_ed25519
  yes
  moves
}

@test "which hosts can take it: all of the site, side by side" {
  idle odd compute-1
  run migrun preflight odd any
  ends_with_status 0
  says "compute-2  yes        "
  verdict_is "Done: 1 of 1 host can take odd."
  run migrun preflight odd compute-1 compute-2 nowhere-9
  ends_with_status 0
  says "compute-1  no         the guest is there"
  says "nowhere-9  not known  "
  verdict_is "Done: 1 of 3 hosts can take odd; 1 could not be asked."
  on compute-2 sh -c "echo 'migration_address = \"$net.11\"' >>/etc/libvirt/qemu.conf"
  run migrun --json preflight odd any
  ends_with_status 2
  [[ $(jq -rs '[.[] | select(.type == "host")] | .[0] | "\(.name) \(.answer) \(.reasons | length)"' \
    <<<"$output") == "compute-2 no 1" ]]
  on compute-1 virsh -q suspend odd
  run migrun preflight odd any
  ends_with_status 2
  says "guest is running  it is paused (user)"
}
