# SPDX-License-Identifier: MIT
# Hosts of two releases of Debian in one lab: compute-1 has the older, compute-2 the newer.
load ../helper

setup_file() {
  [[ $(libvirt_of compute-1) != "$(libvirt_of compute-2)" ]] || fail "both hosts have one release"
}

libvirt_of() { on "$1" virsh --version; }
# what a guest's `q35` becomes there: pc-q35-7.2
q35_of() { on "$1" virsh domcapabilities --machine q35 | sed -n 's|.*<machine>\(.*\)</machine>|\1|p'; }

moves() {  # POLICY NAME FROM TO
  run migrun "policies/$1.lua" "$2" "$4"
  ends_with_status 0
  verdict_is "Moved: $2 runs on $4 and is gone from $3"
  stands "$2" "$4"
}

@test "a guest whose machine both know goes to the newer host and back, by either policy" {
  machine=$(q35_of compute-1)
  fresh both compute-1 listen=own machine="$machine"
  for policy in libvirt status-xml; do
    moves $policy both compute-1 compute-2
    moves $policy both compute-2 compute-1
    says "is older than on compute-2"
  done
  loses_nothing both
  run on compute-1 virsh -r dumpxml both
  says "machine='$machine'"
}

@test "a guest of the older host's own default goes to the newer" {
  fresh older compute-1 listen=own
  moves libvirt older compute-1 compute-2
  loses_nothing older
}

@test "a machine that the older host lacks is refused, by its name, and the guest stays" {
  fresh newer compute-2 listen=own
  machine=$(q35_of compute-2)
  for preview in -n ''; do
    run migrun $preview policies/libvirt.lua newer compute-1
    ends_with_status 2
    verdict_is "Refused, nothing was touched"
    grep -q "^check *machine exists there *NO: .*$machine" <<<"$output" || fail "$output"
  done
  stands newer compute-2
  loses_nothing newer
}

@test "a move to the newer host, or back, that is interrupted is undone" {
  for from in compute-1 compute-2; do
    if [[ $from == compute-1 ]]; then to=compute-2; else to=compute-1; fi
    fresh slow $from memory=192 dirty=64 listen=own machine="$(q35_of compute-1)"
    creep
    interrupt
    finish
    ends_with_status 130
    stands slow $from
    loses_nothing slow
  done
}
