# SPDX-License-Identifier: MIT
# One lab with a cloud for all files of tests here. One that is up already is used as it is, and left up.
lab=$BATS_TEST_DIRNAME/../../lab/lab

setup_suite() {
  export LAB=${LAB:-/run/migrun-lab} BATS_TEST_TIMEOUT=900
  [[ -e $LAB/kept ]] || { "$lab" up --cloud && : >"$LAB/of-tests"; }
}

teardown_suite() {
  [[ ! -e $LAB/of-tests ]] || "$lab" down
}
