# SPDX-License-Identifier: MIT
# Guests move, with policies/libvirt.lua as it comes.
load helper

# moves NAME HOST [OPTION …]: it moves there, and migrun says so.
moves() {
  local from
  for from in $(computes); do ! runs_at "$1" "$from" || break; done
  run migrun "${@:3}" policies/libvirt.lua "$1" "$2"
  ends_with_status 0
  verdict_is "Moved: $1 runs on $2 and is gone from $from;"
}
inactive() { on "$2" virsh -q dumpxml --inactive "$1"; }      # NAME HOST: its definition

@test "there and back ten times: no line is lost, autostart and definition go along" {
  fresh mover compute-1 memory=96 listen=own autostart=yes
  for _ in {1..10}; do
    moves mover compute-2 -q
    moves mover compute-1 -q
  done
  stands mover compute-1
  loses_nothing mover
  run on compute-1 virsh -rq list --autostart --name
  says mover
}

@test "it listens on its new host's own address, now and when it is started there again" {
  ensure mover compute-1 memory=96 listen=own
  moves mover compute-2
  says "files owned right"
  for xml in "$(inactive mover compute-2)" "$(on compute-2 virsh -rq dumpxml mover)"; do
    grep -q "listen='$net.12'" <<<"$xml"
    ! grep "$net.11" <<<"$xml" || fail "the source's address is left in it"
  done
  on compute-2 virsh -q destroy mover
  on compute-2 virsh -q start mover
  stands mover compute-2
  run on compute-2 ss -Hltn
  says $net.12:59
  says_not $net.11
}

@test "virsh cannot move it, migrun can" {
  ensure mover compute-1 memory=96 listen=own
  run on compute-1 virsh migrate --live --p2p --persistent --undefinesource mover qemu+tcp://compute-2/system
  ends_with_status 1
  says "Failed to bind socket: Cannot assign requested address"
  moves mover compute-2
  stands mover compute-2
  loses_nothing mover
}

@test "a transient guest stays transient" {
  fresh fleeting compute-1 memory=96 listen=own transient=yes
  moves fleeting compute-2
  gone_from fleeting compute-1
  run on compute-2 virsh -rq dominfo fleeting
  says "running"
  [[ $output =~ Persistent:\ *no ]]
  loses_nothing fleeting
  forget fleeting
}

@test "a guest that rewrites its memory moves, and loses no line" {
  fresh busy compute-1 memory=192 listen=own dirty=64
  moves busy compute-2
  stands busy compute-2
  loses_nothing busy
  forget busy
}

@test "names with spaces, quotes, letters of any script; named by its name, moved by its uuid" {
  for name in "bücher & co's <1>" "-n" "a..b"; do
    idle "$name" compute-1 listen=$net.11
    run migrun policies/libvirt.lua -- "$name" compute-2
    ends_with_status 0
    verdict_is "Moved: $name runs on compute-2 and is gone from compute-1;"
    run migrun policies/libvirt.lua "$(uuid_of "$name")" compute-1
    ends_with_status 0
    verdict_is "Moved: $name runs on compute-1 and is gone from compute-2;"
    stands "$name" compute-1
    forget "$name"
  done
}

@test "a site's own policy, with its own module and a parameter" {
  idle mine compute-1
  on compute-2 rm -f /run/migrun-drain
  run migrun -v -p reason=roof examples/drain.lua mine compute-2
  ends_with_status 0
  verdict_is "Moved: mine runs on compute-2"
  says "% of compute-2's memory stays free"
  says "+mine comes from compute-1: roof"
  ! on compute-2 test -e /run/migrun-drain || fail "its note is left there"
  forget mine
}

@test "a program reads every event, and the journal has the run" {
  idle mine compute-1
  run migrun --json policies/libvirt.lua mine compute-2
  ends_with_status 0
  perl -MJSON::PP -e 'while (<STDIN>) {
    my $event = decode_json $_; die "no time or type: $_" unless $event->{time} && $event->{type};
  }' <<<"$output"
  [[ ${lines[0]} == *'"type":"begin"'* && ${lines[-1]} == *'"type":"verdict"'* ]]
  [[ ${lines[-1]} == *'"outcome":"moved","status":0,'* ]]
  id=$(sed -E 's/.*"run":"([^"]*)".*/\1/' <<<"${lines[-1]}")
  run on controller cat "/var/lib/migrun/runs/$id/journal.jsonl"
  says '"type":"verdict"'
  forget mine
}

@test "a running guest's files are given back to whom libvirt gives them" {
  idle mine compute-1
  file=$LAB/instances/$(uuid_of mine)/disk
  chown root:root "$file"
  run migrun policies/fix-ownership.lua mine
  ends_with_status 0
  verdict_is "Done: 1 check passed, 1 change made"
  says "disk root:root → libvirt-qemu"
  [[ $(stat -c %U:%G "$file") == libvirt-qemu:libvirt-qemu ]]
  run migrun policies/fix-ownership.lua mine
  ends_with_status 0
  verdict_is "Done: 1 check passed, nothing had to be changed"
  forget mine
}
