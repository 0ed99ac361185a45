# SPDX-License-Identifier: MIT
# Every check is made to fail for real, where the lab can: see tests/lua/test_checks.lua for what it cannot
# (clocks, of which this machine has one; block devices, RBD, iSCSI, Gluster, NFS; devices of the host, TPMs,
# virtiofs; old libvirts).
load helper

setup() {
  uuid=$(uuid_of still) folder=$instances/$(uuid_of still)
  idle still compute-1 "listen=$net.11"
}
setup_file() {
  for host in $(computes); do
    on "$host" sh -c 'mkdir -p /run/e2e-kept;
      cp -p /etc/hosts /etc/passwd /etc/libvirt/qemu.conf /etc/libvirt/libvirtd.conf /run/e2e-kept'
  done
}
# What a test that failed half way left on the hosts would fail those after it.
teardown() {
  on compute-2 sh -c 'umount "$0" 2>/dev/null; cp -p /run/e2e-kept/passwd /etc/passwd; true' "$folder"
  on compute-1 sh -c 'ip route del prohibit "$0" 2>/dev/null; true' "$net.12"
  for host in $(computes); do
    on "$host" sh -c 'cp -p /run/e2e-kept/hosts /etc/hosts;
      cp -p /run/e2e-kept/qemu.conf /run/e2e-kept/libvirtd.conf /etc/libvirt'
  done
}
teardown_file() { forget still; }

# asked [OPTION …]: preflight, with what every check saw. says_no NUMBER TEXT …: so many checks say no, and
# say this; nothing is touched.
asked() { run migrun -v "$@" preflight still compute-2; }
says_no() {
  local count=$1 text
  asked
  ends_with_status 2
  for text in "${@:2}"; do
    [[ $(tr -s ' \n' ' ' <<<"$output") == *"$text"* ]] || fail "does not say: $text" "---" "$output"
  done
  grep -q "^Refused, nothing was touched: $count of [0-9]* checks say" <<<"$output" ||
    fail "not $count" "$output"
}
passes() { asked "$@"; ends_with_status 0; }

@test "preflight: all checks are asked, and nothing is touched" {
  passes      # a libvirtd that is asked for the first time what its QEMU can do writes that into its cache
  world_snapshot >"$BATS_TEST_TMPDIR/world"
  passes
  verdict_is "Done: 19 checks passed."
  says "vda: one file on both, inode "
  says "libvirt-qemu:libvirt-qemu (64055:64055) on both hosts"
  says "is to become $net.12"
  says "guest's qemu64 runs on compute-2"
  unchanged "$BATS_TEST_TMPDIR/world"
  ! on controller test -e /var/lib/migrun/runs || [[ -z $(on controller ls /var/lib/migrun/runs) ]]
  run migrun preflight still compute-2 -n
  ends_with_status 0
  verdict_is "Done: 19 checks passed."
}

@test "all refusals are shown at once" {
  on compute-2 sed -i.kept 's/^libvirt-qemu:x:64055:/libvirt-qemu:x:64056:/' /etc/passwd
  on compute-2 mount -t tmpfs tmpfs "$folder"
  on compute-1 cp /etc/hosts /tmp/hosts; on compute-1 sed -i 's/.* compute-2$/127.0.1.1 compute-2/' /etc/hosts
  says_no 3 "same QEMU user NO: QEMU is libvirt-qemu:libvirt-qemu (64055:64055) on compute-1 and" \
    "libvirt-qemu:libvirt-qemu (64056:64055) on compute-2" \
    "same disks on both hosts NO: vda: $folder/disk is not on compute-2: is its storage mounted there?" \
    "hosts reach each other NO: compute-2 is 127.0.1.1 for compute-1, which is compute-1 itself" \
    "clocks agree at most" "(hosts reach each other, same QEMU user, same disks on both hosts)."
  run migrun policies/libvirt.lua still compute-2
  ends_with_status 2
  local text="Refused, nothing was touched: 3 of 18 checks say no (hosts reach each other, same QEMU user, "
  text+="same disks on both hosts)."
  verdict_is "$text"
  on compute-2 umount "$folder"
  on compute-2 mv /etc/passwd.kept /etc/passwd
  on compute-1 cp /tmp/hosts /etc/hosts
  passes
}

@test "same disks: another file of the same name and size, even with its times" {
  on compute-2 mount -t tmpfs tmpfs "$folder"
  on compute-2 cp -p "/srv/instances/$uuid/disk" "$folder/disk"
  says_no 1 "vda: $folder/disk is another file on compute-2: inode " "last changed " \
    "on tmpfs tmpfs there, on fuse.glusterfs /srv/instances on compute-1"
  on compute-2 umount "$folder"
}

@test "same disks: while it is written to, without pause" {
  on compute-1 sh -c 'while [ ! -e /run/stop ]; do
      printf x | dd of="$0" bs=1 seek=4096 conv=notrunc status=none
    done; rm /run/stop' "$folder/disk" 3>&- &
  for _ in 1 2 3; do
    passes
    says "vda: one file on both, inode "
  done
  on compute-1 touch /run/stop
  wait $!
}

@test "same disks: volumes of a pool" {
  local pool="<disk type='volume' device='disk'><source pool='vms' volume='data'/>"
  pool+="<target dev='vdb' bus='virtio'/></disk>"
  mkdir -p "$LAB/instances/pool"; truncate -s 1M "$LAB/instances/pool/data"
  for host in $(computes); do on "$host" virsh -q pool-create-as vms dir --target "$instances/pool"; done
  idle still compute-1 "devices=$pool"
  passes
  says "vdb: one file on both, inode "
  on compute-2 virsh -q pool-destroy vms
  says_no 1 "vdb: volume data of pool vms is not on compute-2: cannot look at volume 'data' of pool 'vms'" \
    "on compute-2"
  forget still
  on compute-1 virsh -q pool-destroy vms
  rm -r "$LAB/instances/pool"
}

@test "libvirt calls it safe: the same disk, on a file system that it does not know for shared" {
  idle still compute-1 folder=/srv/instances
  says_no 1 \
    "libvirt calls it safe NO: vda lies on tmpfs (tmpfs), which libvirt does not recognize as shared storage"
  run migrun policies/libvirt.lua still compute-2
  ends_with_status 2
  says "-p i_know=unsafe, where you know better than such a check"
  passes -p i_know=unsafe
  says "Accepted  vda lies on tmpfs (tmpfs), which libvirt does not recognize as shared storage"
  on compute-1 tee -a /etc/libvirt/qemu.conf \
    <<<$'shared_filesystems = [\n  "/mnt",\n  "/srv/instances"\n]' >/dev/null
  passes                                                   # what libvirt 11 would say
  on compute-1 sed -i '/^shared_filesystems/,$d' /etc/libvirt/qemu.conf
}

@test "a snapshot, a block job" {
  on compute-1 virsh -q dumpxml still >"$BATS_TEST_TMPDIR/xml"
  { echo '<domainsnapshot><name>before</name><state>shutoff</state><creationTime>1</creationTime>'
    cat "$BATS_TEST_TMPDIR/xml"; echo '</domainsnapshot>'; } |
    on compute-1 virsh -q snapshot-create still /dev/stdin --redefine
  says_no 1 "no snapshot NO: libvirt knows 1 snapshot of it, and moves no guest with snapshots"
  on compute-1 virsh -q snapshot-delete still before --metadata
  on compute-1 virsh -q blockcopy still vda "$folder/copy" --transient-job --format raw
  says_no 1 "no block job NO: disk vda has a block job (copy): wait for its end, or abort it (virsh" \
    "blockjob still vda)"
  on compute-1 virsh -q blockjob still vda --abort
  passes
}

@test "devices that cannot move" {
  truncate -s 1M "$LAB/instances/scratch"
  idle still compute-1 "devices=<shmem name='ring' role='peer'>
      <model type='ivshmem-plain'/><size unit='M'>1</size></shmem>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$instances/scratch'/>
      <target dev='vdb' bus='virtio'/><transient/></disk>
    <filesystem type='mount'><source dir='/srv/guest'/><target dir='data'/><readonly/></filesystem>"
  says_no 1 "its devices can move NO: disk vdb is transient: what the guest wrote to it would be lost;" \
    "shared memory ring stays on the host"
  forget still
  rm -f "$LAB"/instances/scratch*
  idle still compute-1 \
    "devices=<filesystem type='mount'><source dir='/srv/guest'/><target dir='data'/><readonly/></filesystem>"
  passes
  says "the guest must not have data (9p) mounted: QEMU moves no guest that has"
}

@test "QEMU's binary, or its machine, is not there" {
  local machine
  on compute-1 ln -sf /usr/bin/qemu-system-x86_64 /usr/local/bin/our-qemu
  idle still compute-1 emulator=/usr/local/bin/our-qemu
  machine=$(on compute-1 virsh -q dumpxml still | sed -nE "s/.* machine='([^']*)'.*/\1/p")
  says_no 2 "machine exists there NO: cannot read the domain capabilities on compute-2: " \
    "/usr/local/bin/our-qemu"
  # A wrapper: QEMU there knows the guest's machine type by no name.
  on compute-2 install -m 755 tests/e2e/other-machine /usr/local/bin/our-qemu
  on compute-2 sh -c "echo '$machine' >/etc/other-machine"
  asked
  ends_with_status 2
  says "the machine '$machine' is not supported by emulator '/usr/local/bin/our-qemu'"
  on compute-2 rm /usr/local/bin/our-qemu /etc/other-machine
  forget still
}

@test "who QEMU is: by qemu.conf" {
  on compute-2 sh -c 'echo "user = \"our-qemu\"" >>/etc/libvirt/qemu.conf; useradd -u 4711 our-qemu'
  says_no 1 "QEMU is libvirt-qemu:libvirt-qemu (64055:64055) on compute-1 and our-qemu:libvirt-qemu" \
    "(4711:64055) on compute-2"
  on compute-2 sh -c 'sed -i "/^user/d" /etc/libvirt/qemu.conf; userdel our-qemu'
}

@test "a network that lets nothing through, and a name that is another's" {
  on compute-1 ip route add prohibit "$net.12"
  says_no 1 "hosts reach each other NO: compute-1 cannot reach libvirtd on compute-2:16509"
  on compute-1 ip route del prohibit "$net.12"
  on compute-2 cp /etc/hosts /tmp/hosts
  on compute-2 sed -i '/ compute-1$/d' /etc/hosts
  passes                                                   # the way back is for the next move
  says "warning: the way back is closed: compute-2: the name compute-1 does not resolve"
  on compute-2 cp /tmp/hosts /etc/hosts
}

@test "VNC in the status XML set to the destination's address" {
  on compute-1 sed -i.kept "s/$net\.11/$net.12/g" /run/libvirt/qemu/still.xml
  run migrun -n status-xml still compute-2
  ends_with_status 2
  local text="status XML listens here NO: vnc would listen on $net.12, which only compute-2 has: after a "
  text+="move that fails the guest could not start on compute-1"
  [[ $(tr -s ' \n' ' ' <<<"$output") == *"$text"* ]] || fail "$output"
  on compute-1 mv /run/libvirt/qemu/still.xml.kept /run/libvirt/qemu/still.xml
}

@test "warnings keep nothing from moving" {
  passes
  says "libvirtd on compute-1 and compute-2 lets in anyone who reaches its TCP port, as root"
  says "migrun prepare-host.lua compute-1 compute-2"
  says "memory goes from compute-1 to compute-2 unencrypted"
  # not read before a restart
  for host in $(computes); do
    on "$host" sed -i.kept 's/^auth_tcp.*/auth_tcp = "sasl"/' /etc/libvirt/libvirtd.conf
  done
  on compute-2 sh -c 'echo "migrate_tls_force = 1" >>/etc/libvirt/qemu.conf'
  says_no 1 "certificates of QEMU NO: /etc/pki/qemu/ca-cert.pem is not on compute-2;"
  says_not "warning:"
  says "memory encrypted by TLS (migrate_tls_force)"
  for host in $(computes); do on "$host" mv /etc/libvirt/libvirtd.conf.kept /etc/libvirt/libvirtd.conf; done
  on compute-2 sed -i '/^migrate_tls_force/d' /etc/libvirt/qemu.conf
}

@test "a token proves the folder, and is gone again" {
  run migrun tests/e2e/policies/token.lua still compute-2
  ends_with_status 0
  says "written on compute-1, read on compute-2, removed"
  [[ ! -e $LAB/instances/$uuid/.migrun-token ]]
  on compute-2 mount -t tmpfs tmpfs "$folder"
  run migrun tests/e2e/policies/token.lua still compute-2
  ends_with_status 3
  says "just written on compute-1, is not on compute-2: the folder is not shared"
  [[ ! -e $LAB/instances/$uuid/.migrun-token ]]
  on compute-2 umount "$folder"
}
