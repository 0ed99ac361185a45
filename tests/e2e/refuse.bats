# SPDX-License-Identifier: MIT
# Whatever makes no sense, or is against the world, is told in a sentence, and nothing is touched.
load helper

setup() { idle still compute-1; }
teardown() { for host in $(computes); do on "$host" systemctl start libvirtd; done; }
teardown_file() { forget still; }

# refused STATUS TEXT ARGUMENTS …: migrun ends so and says so, in one sentence.
refused() {
  local status_wanted=$1 text=$2
  run migrun "${@:3}"
  ends_with_status "$status_wanted"
  says "$text"
  says_not traceback
  says_not $'\e'
}
# The same of a file that is given on stdin: a policy, or a site.
policy_is_refused() {  # TEXT POLICY
  run on controller timeout 60 migrun /dev/stdin still compute-2 <<<"$2"
  ends_with_status 1; says "/dev/stdin:$1"; says_not traceback
}
site_is_refused() {  # TEXT SITE
  run on controller timeout 60 migrun --site /dev/stdin policies/libvirt.lua still compute-2 <<<"$2"
  ends_with_status 1; says "/dev/stdin$1"; says_not traceback
}

# meanwhile COMMAND …: the world is the same before and after.
meanwhile() {
  world_snapshot >"$BATS_TEST_TMPDIR/world"
  "$@"
  unchanged "$BATS_TEST_TMPDIR/world"
}

# says_no TEXT [OPTION …]: the move of `still` to compute-2 is refused, and so is its preview; nothing is
# touched.
says_no() { meanwhile both_say_no "$@"; }
both_say_no() {
  refused 2 "$1" "${@:2}" policies/libvirt.lua still compute-2
  grep -q '^Refused, nothing was touched: ' <<<"$output" || fail "$output"
  refused 2 "$1" -n "${@:2}" policies/libvirt.lua still compute-2
}

# ---- 1: mistakes ----

@test "the command line" { meanwhile wrong_words; }
wrong_words() {
  refused 1 "no policy is named. See migrun --help"
  refused 1 "policies/libvirt.lua takes 2 arguments, not 1" policies/libvirt.lua still
  refused 1 "policies/libvirt.lua takes 2 arguments, not 3" policies/libvirt.lua still compute-1 compute-2
  refused 1 "unknown option '--dryrun'; did you mean '--dry-run'?" --dryrun policies/libvirt.lua still \
    compute-2
  refused 1 "unknown option '-x'" -x policies/libvirt.lua still compute-2
  refused 1 "option '--site' needs a value" policies/libvirt.lua still compute-2 --site
  refused 1 "--param takes NAME=VALUE, not 'unsafe'" -p unsafe policies/libvirt.lua still compute-2
  refused 1 "unknown parameter 'bandwith' (did you mean 'bandwidth'?)" -p bandwith=1 policies/libvirt.lua \
    still compute-2
  refused 1 "parameter 'bandwidth' is '-5'; it must be at least 0" -p bandwidth=-5 policies/libvirt.lua \
    still compute-2
  refused 1 "parameter 'timeout' is '0'; it must be at least 1 s" -p timeout=0 policies/libvirt.lua still \
    compute-2
  refused 1 "parameter 'bandwidth': 'fast' is not a whole number" -p bandwidth=fast policies/libvirt.lua \
    still \
    compute-2
  refused 1 "parameter 'timeout': 'soon' is not a duration" --timeout soon policies/libvirt.lua still \
    compute-2
  refused 1 "-v and -q exclude each other" -v -q policies/libvirt.lua still compute-2
  refused 1 "there is no policy 'nothing'" nothing still compute-2
  refused 1 "there is no policy policies/nothing.lua: no such file" policies/nothing.lua still compute-2
  refused 1 "there is no policy 'examples'" examples still compute-2
  refused 1 "there is no policy ''" '' still compute-2
}

@test "the site file" { meanwhile wrong_sites; }
wrong_sites() {
  refused 1 "the site file /nowhere/site.lua cannot be read: No such file or directory" --site \
    /nowhere/site.lua policies/libvirt.lua still compute-2
  refused 1 "the site file /etc cannot be read: Is a directory" --site /etc policies/libvirt.lua still \
    compute-2
  site_is_refused ":2: unexpected symbol near <eof>" 'return {'
  site_is_refused " should return a table" 'return 5'
  site_is_refused " should return a table" ''
  site_is_refused ":1: unknown key 'host'; did you mean 'hosts'?" 'return { host = { "compute-1" } }'
  site_is_refused ":1: unknown key 'usr' of ssh; did you mean 'user'?" 'return { ssh = { usr = "root" } }'
  site_is_refused ":1: instances should be an absolute path, but is 'here'" 'return { instances = "here" }'
  site_is_refused ":1: attempt to index a nil value (global 'os'): a site file is data only" \
    'return { hosts = { os.getenv("HOME") } }'
  site_is_refused ":1: a loop that does not end" 'while true do end'
  site_is_refused " holds plain data only: a function is not plain data" \
    'return { hosts = { function() end } }'
  run on controller env MIGRUN_SITE=/nowhere/else.lua migrun policies/libvirt.lua still compute-2
  ends_with_status 1
  says "the site file /nowhere/else.lua cannot be read"
}

@test "the policy" { meanwhile wrong_policies; }
wrong_policies() {
  local step='{ "a step", phase = "prepare", run = function(run) %s end }' \
    policy='return { api = 1, summary = "s", steps = {\n%s\n} }'
  in_step() { printf "$policy" "$(printf "$step" "$1")"; }
  policy_is_refused "2: unexpected symbol near '}'" $'return { api = 1,\n  steps = } }'
  policy_is_refused "1:1: /dev/stdin returns nothing; a policy ends in: return {" 'local x = 1'
  policy_is_refused "1:1: /dev/stdin returns nothing" ''
  policy_is_refused "1:10: unknown key 'stepz' of the policy; did you mean 'steps'?" \
    'return { stepz = {}, api = 1, summary = "s", steps = {} }'
  policy_is_refused "1:10: the policy is for version 2 of migrun's API; this migrun has api = 1" \
    'return { api = 2, summary = "s", steps = { } }'
  policy_is_refused "1:34: steps is a list of steps, not a number" \
    'return { api = 1, summary = "s", steps = 5 }'
  policy_is_refused "2:13: unknown phase 'prepair' of step 'a step'; did you mean 'prepare'?" \
    "$(printf "$policy" '{ "a step", phase = "prepair", run = function() end }')"
  policy_is_refused "2:1: step 'a step' has no function 'run'" \
    "$(printf "$policy" '{ "a step", phase = "check" }')"
  policy_is_refused "2:30: 'run' of step 'a step' is a function, not a string" \
    "$(printf "$policy" '{ "a step", phase = "check", run = "now" }')"
  policy_is_refused "2:1: step 1 has no title" \
    "$(printf "$policy" '{ phase = "check", run = function() end }')"
  policy_is_refused "3:3: two steps have the title 'a step'" \
    "$(printf "$policy" "$(printf "$step,\n$step" '' '')")"
  policy_is_refused "2:52: undefined global 'pirnt'; did you mean 'print'?" "$(in_step 'pirnt(1)')"
  policy_is_refused "2:63: unknown field 'chwon' of a host; did you mean 'chown'?" \
    "$(in_step 'run.source:chwon("/etc/e2e", "nobody")')"
  policy_is_refused "2:56: unknown field 'sources' of the run; did you mean 'source'?" \
    "$(in_step 'run.sources:stat("/")')"
  policy_is_refused "1: there is no module 'nowhere' in /dev" \
    $'require "nowhere"\nreturn { api = 1, summary = "s", steps = {} }'
}

@test "an unknown field that is found only when it is reached" {
  run on controller timeout 60 migrun /dev/stdin still compute-2 <<'L'
return { api = 1, summary = "s", steps = { { "a step", phase = "check",
  run = function(run)
    local host, name = ({ run.source })[1], "chwon"
    host[name](host, "/etc/e2e")
  end } } }
L
  ends_with_status 1
  says "unknown field 'chwon' of a host; did you mean 'chown'?"
  says "/dev/stdin:4:"
}

# ---- 2: the world says no ----

@test "names that nobody has, of any shape" { meanwhile wrong_names; }
wrong_names() {
  local long name; long=$(printf 'x%.0s' {1..300})
  for name in nobody "two words" "o'hara \"x\"" "bücher" "日本" ".." "../../etc/passwd" "/" "%s%n" \
    '$(touch /x)' '*' ''; do
    refused 2 "no instance '$name' on compute-2, compute-1" -- policies/libvirt.lua "$name" compute-2
  done
  refused 2 "no instance '${long:0:80}…' on compute-2, compute-1" policies/libvirt.lua "$long" compute-2
  refused 2 "no instance 'a\\x1b[31mb\\x0a' on" policies/libvirt.lua $'a\e[31mb\n' compute-2
  refused 2 "unknown host compute-9: the name compute-9 does not resolve here" policies/libvirt.lua \
    still compute-9
  refused 2 "unknown host compute-9" --source compute-9 policies/libvirt.lua still compute-2
  refused 2 "host $net.99 cannot be reached: " policies/libvirt.lua still $net.99
  refused 2 "no instance 'still' on compute-2" --source compute-2 policies/libvirt.lua still compute-2
  for name in '-oProxyCommand=touch /tmp/x' 'compute-2;touch /tmp/x' '$(touch /tmp/x)' 'two words' "$long" \
    ''; do
    run migrun policies/libvirt.lua -- still "$name"
    [[ $status == [12] ]] || fail "status $status of '$name'" "$output"
    [[ $(wc -l <<<"$output") == 1 ]] || fail "not one line of '$name'" "$output"
  done
}

@test "the host where it is" {
  meanwhile refused 2 "still is on compute-1 already: name another host" policies/libvirt.lua still compute-1
  on controller sh -c 'echo "$0 other-name" >>/etc/hosts' "$net.11"
  run migrun --source compute-1 policies/libvirt.lua still other-name
  on controller sed -i '/other-name/d' /etc/hosts
  ends_with_status 2
  says "are the same machine"
}

@test "a guest that does not run" {
  on compute-1 virsh -q suspend still
  says_no "it is paused (user): find out who paused it and why, then virsh resume still"
  on compute-1 virsh -q destroy still
  says_no "it is shut off (destroyed): only a running guest can be live-migrated"
  on compute-1 virsh -q start still
  on compute-1 kill -9 "$(qemu_pid still compute-1)"
  await 10 eval '[[ $(domain_state still compute-1) == "shut off" ]]'
  says_no "it is shut off (crashed)"
}

@test "libvirtd is down, at the source or at the destination" {
  on compute-1 systemctl stop libvirtd
  local text="libvirtd on compute-1 does not answer: its service libvirtd is inactive (systemctl start "
  text+="libvirtd there)"
  says_no "$text" --source compute-1
  refused 2 "libvirtd on compute-1 does not answer" policies/libvirt.lua still compute-2
  on compute-1 systemctl start libvirtd
  await 10 on compute-1 virsh -r list
  on compute-2 systemctl stop libvirtd
  local text="libvirtd on compute-2 does not answer: its service libvirtd is inactive (systemctl start "
  text+="libvirtd there)"
  says_no "$text"
  on compute-2 systemctl start libvirtd
  await 10 on compute-2 virsh -r list
}

@test "no memory there" {
  idle still compute-1 memory=$(($(awk '/MemTotal/ { print $2 }' /proc/meminfo) / 1024 - 150))
  says_no "memory fits"
  says "available of"
}

@test "no such CPU there" { meanwhile wrong_cpu; }
wrong_cpu() {
  for option in -q -n; do
    refused 2 "1 of 1 check says no (cpu is compatible)" $option tests/e2e/policies/other-cpu.lua still \
      compute-2
  done
  says "NO: the CPU is incompatible with host CPU: Host CPU does not provide required features: "
  says avx512f
  says amx-tile
}

@test "its disk is not there, or another one is" {
  folder=$instances/$(uuid_of still)
  on compute-2 mount -t tmpfs -o mode=755 tmpfs "$folder"
  says_no "$folder/disk is not on compute-2: is its storage mounted there?"
  on compute-2 truncate -s 2M "$folder/disk"
  says_no "$folder/disk is another file on compute-2: 2097152 bytes there, 1048576 bytes on compute-1"
  on compute-2 umount "$folder"
}

@test "it is there already, or another of its name" {
  uuid=$(uuid_of still)
  on compute-2 virsh -q define "$instances/$uuid/libvirt.xml"
  local text="still is defined on compute-2, shut off: when nothing else needs it, remove it there with "
  text+="virsh undefine --keep-nvram $uuid"
  says_no "$text"
  on compute-2 virsh -q undefine still
  sed -e "s/<uuid>[^<]*/<uuid>$(uuid_of another)/" -e '/<disk/,/<\/disk>/d' \
    "$LAB/instances/$uuid/libvirt.xml" |
    on compute-2 virsh -q define /dev/stdin
  says_no "another guest of the name still ($(uuid_of another)) is defined on compute-2, shut off"
  on compute-2 virsh -q undefine still
  sed '/<disk/,/<\/disk>/d' "$LAB/instances/$uuid/libvirt.xml" | on compute-2 virsh -q create /dev/stdin
  local text="still is active on both compute-2 and compute-1: find out which one is real before "
  text+="anything else"
  says_no "$text"
  on compute-2 virsh -q destroy still
}
