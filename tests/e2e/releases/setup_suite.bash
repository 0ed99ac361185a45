# SPDX-License-Identifier: MIT
# One lab with hosts of two releases. One that is up already is used as it is, and left up.
lab=$BATS_TEST_DIRNAME/../../lab/lab

setup_suite() {
  export LAB=${LAB:-/run/migrun-lab}
  [[ -e $LAB/hosts ]] || { "$lab" up release=trixie compute-1=bookworm && : >"$LAB/of-tests"; }
}

teardown_suite() {
  [[ ! -e $LAB/of-tests ]] || "$lab" down
}
