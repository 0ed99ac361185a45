# SPDX-License-Identifier: MIT
# One lab for all files of tests. One that is up already is used as it is, and left up.
setup_suite() {
  export LAB=${LAB:-/run/migrun-lab}
  local here=$BATS_TEST_DIRNAME host
  [[ -e $LAB/hosts ]] || { "$here/../lab/lab" up && : >"$LAB/of-tests"; } || return
  # At its first question libvirtd asks each QEMU what it can do, and writes that down, and logind whether its
  # host can sleep, which starts it: no preview shall be the first.
  for host in compute-1 compute-2; do
    "$here/../lab/lab" exec "$host" virsh -q capabilities >/dev/null || return
  done
}

teardown_suite() {
  [[ ! -e $LAB/of-tests ]] || "$BATS_TEST_DIRNAME/../lab/lab" down
}
