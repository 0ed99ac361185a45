# SPDX-License-Identifier: MIT
# libvirt's own guests (tests/lua/corpus), as the newer host's libvirt reads them: before and after what a
# move rewrites in them, they are the same machine.
load ../helper

@test "what is rewritten for the destination is all that differs once libvirt has read it" {
  local pairs=$instances/corpus
  mkdir -p "$LAB/instances/corpus"
  "$checkout/tests/lua/corpus" pairs "$LAB/instances/corpus" >/dev/null
  on compute-2 bash -s "$pairs" <<'S'
  cd "$1"
  # One virsh for all: each file is defined, shown and forgotten again. Most have the same name and uuid.
  for file in *.before *.after; do
    name=$(sed -n 's|^ *<name>\(.*\)</name>.*|\1|p' "$file" | head -n 1)
    printf '%s\n' "define $file" "dumpxml --inactive '$name'" "undefine --nvram '$name'"
  done | virsh -q 2>/dev/null |
    awk '/virsh # define / { file = $NF ".xml"; next } /^<domain/ { out = file } out { print > out }
      /^<\/domain>/ { close(out); out = "" }'
S
  run "$checkout/tests/lua/corpus" compare "$LAB/instances/corpus"
  rm -r "$LAB/instances/corpus"
  grep -A1 '^not ok' <<<"$output" >&2 || true
  ends_with_status 0
  tail -n 1 <<<"$output" >&3
  [[ $output =~ \ ([0-9]+)\ guests\ compared ]] && ((BASH_REMATCH[1] > 300))
}
