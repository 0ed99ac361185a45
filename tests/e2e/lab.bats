# SPDX-License-Identifier: MIT
# The lab itself: what the other tests rest on.
load helper

# A second, smaller lab beside that of all tests.
other() { LAB=/run/migrun-lab-other LAB_NET=10.89.0 LAB_BRIDGE=mrother lab "$@"; }
other_files=/run/migrun-lab-other/instances

nothing_is_left_of_the_other() {
  [[ ! -e /run/migrun-lab-other ]] || fail "its folder"
  ! grep migrun-lab-other /proc/mounts || fail "a mount"
  ! ip -br link | grep mrother || fail "a network link"
  ! find /sys/fs/cgroup -name '*mrother*' | grep . || fail "a cgroup"
  ! pgrep -af migrun-lab-other || fail "a process"
}

teardown() { other down; lab link compute-2 up; }

@test "every host is one of its own" {
  run on compute-1 hostname
  says compute-1
  for what in "cat /etc/machine-id" "virsh -r capabilities" "hostname -I"; do
    [[ $(on compute-1 $what) != "$(on compute-2 $what)" ]] || fail "both: $what"
  done
}

@test "commands run in the checkout, which is read-only there, with the build in PATH" {
  [[ $(on controller pwd) == "$checkout" ]]
  ! on controller touch Makefile || fail "it can be written to"
  build=$(realpath -m "${LAB_BUILD:-$checkout/.build}")
  for host in $(hosts); do
    run on controller ssh "$host" 'echo "$PATH"'
    says /usr/local/bin:
    [[ $(on "$host" readlink /usr/local/bin/migrun) == "$build"*/migrun ]]
  done
}

@test "the controller's site file names the compute hosts" {
  run on controller cat /etc/migrun/site.lua
  says '"compute-1","compute-2"'
  ! on compute-1 test -e /etc/migrun/site.lua || fail "compute-1 has one too"
}

@test "every host reaches every other by ssh, and knows its key" {
  for from in $(hosts); do for to in $(hosts); do
    [[ $(on "$from" ssh -o BatchMode=yes -o StrictHostKeyChecking=yes "$to" hostname) == "$to" ]]
  done; done
}

@test "each host's services are in a cgroup of its own" {
  on compute-1 systemctl restart libvirtd
  run on compute-1 systemctl status libvirtd
  says_not "Input/output error"
  await 10 on compute-1 virsh -r list
}

@test "a guest moves with no --unsafe, keeps its disk's owner and loses no line" {
  fresh lab-guest compute-1
  [[ $(owner lab-guest/disk) == libvirt-qemu:libvirt-qemu ]]
  on compute-1 virsh migrate --live --p2p --persistent --undefinesource lab-guest qemu+tcp://compute-2/system
  runs_at lab-guest compute-2
  gone_from lab-guest compute-1
  keeps_ticking lab-guest
  [[ $(lost lab-guest) == 0 ]]
  [[ $(owner lab-guest/disk) == libvirt-qemu:libvirt-qemu ]]
}

@test "a guest that listens on its host's address cannot move as it is" {
  fresh lab-guest compute-1 listen=own
  run on compute-1 virsh migrate --live --p2p lab-guest qemu+tcp://compute-2/system
  says "Failed to bind socket: Cannot assign requested address"
  runs_at lab-guest compute-1
}

@test "a pause is seen, though the guest's own clock stands still" {
  ensure lab-guest compute-1 listen=own
  since=$(date +%s.%N)
  on compute-1 virsh suspend lab-guest
  sleep 1.5
  on compute-1 virsh resume lab-guest
  keeps_ticking lab-guest
  pause=$(longest_pause lab-guest "$since")
  awk -v pause="$pause" 'BEGIN { exit !(pause >= 1.5 && pause < 2.5) }' || fail "$pause s"
}

@test "a pulled cable cuts a host off, and it keeps its address" {
  lab link compute-2 down
  ! on controller ssh -o ConnectTimeout=1 compute-2 true || fail "it is still reached"
  run on compute-2 ip -br address show br-lab
  says $net.12
  lab link compute-2 up
  await 10 on controller ssh -o ConnectTimeout=1 compute-2 true
}

@test "what makes no sense is refused" {
  run lab boot 'a b' compute-1
  ends_with_status 1; says "'a b' is no name for a guest"
  run lab boot a controller
  ends_with_status 1; says "the controller runs no guests"
  run lab boot a compute-9
  ends_with_status 1; says "no host 'compute-9' (controller compute-1 compute-2)"
  run lab boot a compute-1 memory=lots
  ends_with_status 1; says "memory cannot be 'lots'"
  run lab boot a compute-1 colour=red
  ends_with_status 1
  says "no option 'colour=red' (listen= memory= cache= dirty= kernel= autostart= transient= machine= nic=)"
  run lab exec nowhere true
  ends_with_status 1; says "no host 'nowhere'"
  run lab ticks nobody
  ends_with_status 1; says "no guest 'nobody'"
  run lab up
  ends_with_status 1; says "is up already"
  run lab up release=13
  ends_with_status 1; says "'13' is no release of Debian (trixie, testing)"
  run lab up 1 compute-2=trixie
  ends_with_status 1; says "no host 'compute-2' (controller compute-1)"
  ensure lab-guest compute-1 listen=own
  run lab boot lab-guest compute-2
  ends_with_status 1; says "lab-guest is there already, on compute-1"
}

@test "exec gives the command's status, output and arguments as they are" {
  run on compute-1 bash -c 'printf "<%s>" "$@"; exit 7' - 'a  b' '' '*'
  ends_with_status 7; says '<a  b><><*>'
}

@test "all that is missing is named at once" {
  mkdir "$BATS_TEST_TMPDIR/bin"
  ln -s /usr/sbin/* /usr/bin/* "$BATS_TEST_TMPDIR/bin/" 2>/dev/null || true
  rm "$BATS_TEST_TMPDIR"/bin/{bindfs,cpio}
  PATH=$BATS_TEST_TMPDIR/bin run other up
  ends_with_status 1; says 'lab: missing: cpio bindfs; `make deps` installs them'
  nothing_is_left_of_the_other
}

@test "plain storage, libvirtd by its sockets, consoles written by QEMU" {
  other up 2 storage=plain libvirtd=sockets console=file
  [[ $(other exec compute-1 systemctl is-active libvirtd) == inactive ]]
  other boot one compute-1 kernel=inside autostart=yes
  [[ $(other exec compute-1 systemctl is-active libvirtd) == active ]]
  [[ $(stat -c %U "$other_files"/one/{console.log,disk,kernel,ramdisk} | sort -u) == libvirt-qemu ]]
  run other exec compute-1 virsh -q list --autostart
  says one
  other boot two compute-1 transient=yes
  run other exec compute-1 virsh -q list --transient
  says two; says_not one

  run other exec compute-1 virsh migrate --live --p2p one qemu+tcp://compute-2/system
  says "Unsafe migration: Migration without shared storage is unsafe"
  other exec compute-1 virsh migrate --live --p2p --unsafe --persistent --undefinesource one \
    qemu+tcp://compute-2/system
  [[ $(stat -c %U "$other_files"/one/{console.log,disk,kernel,ramdisk} | sort -u) == root ]]

  run other status
  says "compute-2 10.89.0.12"
  other down
  nothing_is_left_of_the_other
  other down
}

@test "an interrupted up leaves nothing behind" {
  for signal in TERM INT; do for after in 0.1 0.4 0.8 1.2; do
    LAB=/run/migrun-lab-other LAB_NET=10.89.0 LAB_BRIDGE=mrother \
      setsid env --default-signal=INT "$checkout/tests/lab/lab" up 1 3>&- &
    sleep $after
    kill -$signal -- -$! 2>/dev/null || true
    ! wait $! || { other down; continue; }
    nothing_is_left_of_the_other || fail "by $signal after $after s"
  done; done
}

@test "an up that was killed is cleared away by down" {
  LAB=/run/migrun-lab-other LAB_NET=10.89.0 LAB_BRIDGE=mrother setsid "$checkout/tests/lab/lab" up 1 3>&- &
  sleep 0.6
  kill -KILL -- -$! 2>/dev/null || true
  ! wait $!
  other down
  nothing_is_left_of_the_other
}
