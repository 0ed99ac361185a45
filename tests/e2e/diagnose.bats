# SPDX-License-Identifier: MIT
# Why a migration failed, whoever asked for it: by the logs of all hosts.
load helper

setup_file() {
  on controller sh -c 'cp /etc/migrun/site.lua /run/site.lua'
}
teardown_file() {
  on controller sh -c 'mv /run/site.lua /etc/migrun/site.lua'
  forget told; forget other
}
teardown() {
  for host in $(computes); do
    on "$host" sh -c 'nft delete table inet case 2>/dev/null; rm -f /etc/libvirt/hooks/qemu
      systemctl is-active -q libvirtd || systemctl start libvirtd'
  done
}

# by_virsh NAME [OPTION …]: a migration that migrun knows nothing of
by_virsh() { on compute-1 timeout 60 virsh migrate --live --p2p "${@:2}" "$1" qemu+tcp://compute-2/system; }

@test "a migration of virsh's: the cause, what to do, the line that says so" {
  idle told compute-1 listen=$net.11
  run by_virsh told
  [[ $status != 0 ]]
  run migrun diagnose told
  ends_with_status 0
  says "told ($(uuid_of told)), compute-1 → compute-2, "
  says "Cause     QEMU on compute-2 could not listen on $net.11 for VNC"
  says "Remedy    rewrite the address on the way"
  says "compute-2  /var/log/libvirt/qemu/told.log:"
  says "Cannot assign requested address"
  says_not "Not read"
  # by its uuid, and as data
  run migrun diagnose --json "$(uuid_of told)"
  ends_with_status 0
  [[ $(jq -r '.kind + " " + .source + " " + .dest + " " + .evidence[0].host' <<<"$output") == \
    "cause compute-1 compute-2 compute-2" ]]
  # the line is where it says
  line=$(jq -r '.evidence[0].line' <<<"$output") text=$(jq -r '.evidence[0].text' <<<"$output")
  [[ $(on compute-2 sed -n "${line}p" /var/log/libvirt/qemu/told.log) == "$text" ]]
  run migrun diagnose -v told
  says "Story"
  says "starting up"
}

@test "what stands in libvirtd's log alone; of two failures, the guest's own" {
  idle told compute-1
  idle other compute-1 listen=$net.11
  run by_virsh other
  on compute-2 sh -c 'mkdir -p /etc/libvirt/hooks; printf "#!/bin/sh\n[ \"\$2\" != migrate ] || exit 1\n" \
    >/etc/libvirt/hooks/qemu; chmod 755 /etc/libvirt/hooks/qemu; systemctl restart libvirtd'
  await 20 on compute-1 virsh -c qemu+tcp://compute-2/system version
  run by_virsh told
  [[ $status != 0 ]]
  run migrun diagnose told
  ends_with_status 0
  says "Cause     the hook /etc/libvirt/hooks/qemu on compute-2 said no"
  run migrun diagnose other
  ends_with_status 0
  says "Cause     QEMU on compute-2 could not listen"
  forget other
}

@test "a run: by its name; a migration that failed for what only libvirtd knows is explained at once" {
  idle told compute-1
  on compute-2 sh -c 'mkdir -p /etc/libvirt/hooks; printf "#!/bin/sh\n[ \"\$2\" != migrate ] || exit 1\n" \
    >/etc/libvirt/hooks/qemu; chmod 755 /etc/libvirt/hooks/qemu; systemctl restart libvirtd'
  await 20 on compute-1 virsh -c qemu+tcp://compute-2/system version
  run migrun policies/libvirt.lua told compute-2
  ends_with_status 3
  says "Cause   the hook /etc/libvirt/hooks/qemu on compute-2 said no"
  name=$(grep -o '20[0-9]*-[0-9]*-[a-z0-9]*' <<<"$output" | head -n 1)
  run migrun diagnose "$name"
  ends_with_status 0
  says "Run       Not moved: told runs on compute-1 as before"
  says "Cause     the hook /etc/libvirt/hooks/qemu on compute-2 said no"
}

@test "it has moved: nothing failed" {
  idle told compute-1
  by_virsh told
  run migrun diagnose told
  ends_with_status 0
  says "Cause     nothing failed: the guest has moved"
  on compute-2 virsh migrate --live --p2p told qemu+tcp://compute-1/system
}

@test "a host that is away: it goes on without, and says so" {
  idle told compute-1 listen=$net.11
  run by_virsh told
  on controller sh -c 'sed "s/\"compute-1\"/\"compute-9\", &/" /run/site.lua >/etc/migrun/site.lua'
  run migrun diagnose told
  on controller cp /run/site.lua /etc/migrun/site.lua
  ends_with_status 0
  says "Cause     QEMU on compute-2 could not listen"
  says "Not read  compute-9: "
}

@test "what is not there, and what is no time" {
  run migrun diagnose nobody
  ends_with_status 1
  says "no log has a migration of nobody: is the name right?"
  run migrun diagnose --since yesterday told
  ends_with_status 1
  says "--since takes an age (2h) or a time"
  run migrun diagnose --logs /nowhere told
  ends_with_status 1
  says "--logs /nowhere cannot be read: No such file or directory"
  on controller mkdir -p /run/no-logs
  run migrun diagnose --logs /run/no-logs told
  ends_with_status 1
  says "--logs /run/no-logs holds no logs"
  run migrun diagnose
  ends_with_status 1
  says "diagnose takes the name of one instance, run or request"
  run migrun diagnose 20261127-090012-x4b
  ends_with_status 1
}

@test "a window that holds nothing" {
  idle told compute-1 listen=$net.11
  run by_virsh told
  sleep 2
  run migrun diagnose --since 1s told
  ends_with_status 1
  says "no log has a migration of told since 1s"
}

@test "a site's own catalogue comes first; a mistake in it is named" {
  idle told compute-1 listen=$net.11
  run by_virsh told
  on controller sh -c 'cat >/etc/migrun/catalogue.lua <<X
return { { "cause", "cannot assign requested address", "this site knows it: see the wiki",
  "ask the network team" } }
X'
  run migrun diagnose told
  says "Cause     this site knows it: see the wiki"
  says "Remedy    ask the network team"
  run migrun tests/e2e/policies/as-it-is.lua told compute-2     # the verdict of a run
  ends_with_status 3
  says "Cause   this site knows it: see the wiki"
  on controller sh -c 'echo "return { { \"reason\", \"x\" } }" >/etc/migrun/catalogue.lua'
  run migrun diagnose told
  on controller rm /etc/migrun/catalogue.lua
  ends_with_status 1
  says "/etc/migrun/catalogue.lua: entry 1 does not begin with a kind"
}

@test "a libvirtd that writes to the journal alone" {
  idle told compute-1
  for host in $(computes); do
    on "$host" sh -c 'cp /etc/libvirt/libvirtd.conf /run/libvirtd.conf
      sed -i "/^log_outputs/d" /etc/libvirt/libvirtd.conf; systemctl restart libvirtd'
  done
  on compute-2 sh -c 'mkdir -p /etc/libvirt/hooks; printf "#!/bin/sh\n[ \"\$2\" != migrate ] || exit 1\n" \
    >/etc/libvirt/hooks/qemu; chmod 755 /etc/libvirt/hooks/qemu; systemctl restart libvirtd'
  await 20 on compute-1 virsh -c qemu+tcp://compute-2/system version
  run by_virsh told
  [[ $status != 0 ]]
  run migrun diagnose told
  for host in $(computes); do
    on "$host" sh -c 'mv /run/libvirtd.conf /etc/libvirt/libvirtd.conf; systemctl restart libvirtd'
  done
  ends_with_status 0
  says "Cause     the hook /etc/libvirt/hooks/qemu on compute-2 said no"
  says "compute-2  journal"
}

@test "--bundle: what was read, without secrets, and diagnosed as before" {
  idle told compute-1 listen=$net.11
  on compute-1 sh -c 'echo "$(date -u "+%F %T.000+0000"): 1: error : x:1 : password = geheim" \
    >>/var/log/libvirt/libvirtd.log'
  run by_virsh told
  run migrun diagnose --bundle /run/bundle.tgz told
  ends_with_status 0
  [[ $(on controller stat -c %a /run/bundle.tgz) == 600 ]]
  run migrun diagnose --bundle /run/bundle.tgz told
  ends_with_status 1
  says "--bundle /run/bundle.tgz cannot be made: File exists"
  on controller sh -c 'mkdir /run/bundle && tar -xzf /run/bundle.tgz -C /run/bundle
    ! grep -r geheim /run/bundle'
  run migrun diagnose --logs /run/bundle told
  on controller rm -rf /run/bundle /run/bundle.tgz
  ends_with_status 0
  says "Cause     QEMU on compute-2 could not listen on $net.11 for VNC"
}

@test "what a host has too little of, and which hosts have enough" {
  request=req-180d27b5-3b52-48de-bdad-f0c7eb6de657
  on compute-2 sh -c 'mkdir -p /var/log/nova   # when no other test moves it
    echo "$(date -d "10 minutes" "+%F %T.000") 7 ERROR nova.conductor.tasks.live_migrate [None $1 a b]" \
      "Unable to migrate $2 to compute-2: Lack of memory(host:-3400 <= instance:32)" \
      >>/var/log/nova/nova-conductor.log' - $request "$(uuid_of told)"
  run migrun diagnose $request
  on compute-2 rm /var/log/nova/nova-conductor.log
  ends_with_status 0
  says "Cause     compute-2 has -3400 MiB left by Nova's count, and the instance needs 32"
  says "Remedy    another host (migrun preflight.lua told any)"
  says "Fits      compute-1 ("
}

@test "the CPU that guests can have on all hosts, and how Nova gives it to them" {
  run migrun policies/cpu-baseline.lua compute-1 compute-2
  ends_with_status 0
  says "[libvirt] cpu_mode = custom, cpu_models = "
  run migrun policies/cpu-baseline.lua compute-9
  ends_with_status 2
  says "unknown host compute-9"
}
