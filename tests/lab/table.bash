# SPDX-License-Identifier: MIT
# Medians of two tools' runs, side by side. Sourced by bench and bench-cloud; `work` holds a file for each
# tool, a line for each run.
median() {
  sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
column() { awk -v n="$1" '{ print $n }' "$work/$2"; }
row() {  # TITLE COLUMN MIGRUN OTHER
  local ratio
  ratio=$(paste -d ' ' <(column "$2" "$3") <(column "$2" "$4") |
    awk '{ print ($2 > 0 ? $1 / $2 : 1) }' | median)
  printf '%-32s %10.3f %10.3f %8.2f\n' "$1" "$(column "$2" "$3" | median)" "$(column "$2" "$4" | median)" \
    "$ratio"
}
