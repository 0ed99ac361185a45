# SPDX-License-Identifier: MIT
# One lab for all files of tests. One that is up already is used as it is, and left up.
setup_suite() {
  export LAB=${LAB:-/run/migrun-lab}
  local here=$BATS_TEST_DIRNAME
  [[ -e $LAB/hosts ]] || { "$here/../lab/lab" up && : >"$LAB/of-tests"; }
}

teardown_suite() {
  [[ ! -e $LAB/of-tests ]] || "$BATS_TEST_DIRNAME/../lab/lab" down
}
