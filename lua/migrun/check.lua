-- Checks: steps that only ask. Each says what it saw, or refuses with the reason. They ask the facts, which were gathered at the start.
local listen = require "migrun.listen"

local check = {}

-- libvirt's own defaults where a URI names no port (https://libvirt.org/uri.html), and where migrations arrive
-- (migration_port_min and _max of qemu.conf).
local transport_ports = { tcp = 16509, tls = 16514, ssh = 22 }
local MIGRATION_PORTS = { 49152, 49215 }

local function size(bytes)
  local gib = bytes / 2 ^ 30
  return gib >= 10 and ("%.1f GiB"):format(gib) or ("%d MiB"):format(bytes // 2 ^ 20)
end

local function step(title, run, needs)
  return { title, phase = "check", run = run, needs = needs }
end

local function since(started)
  if not started then return "running" end
  local format = os.time() - started < 20 * 3600 and "%H:%M" or "%Y-%m-%d %H:%M"
  return "running since " .. os.date(format, math.floor(started))
end

check.guest_is_running = step("guest is running", function(run)
  local guest = run.instance.facts
  if guest.state == "shut off" or guest.state == "crashed" then
    run:refuse(("it is %s (%s): what does not run is not migrated live; start it, or use a cold migration"):format(guest.state, guest.reason))
  elseif guest.state == "paused" then
    run:refuse(("it is paused (%s): find out who paused it and why, then virsh resume %s"):format(guest.reason, guest.name))
  elseif guest.state ~= "running" then
    run:refuse(("it is %s (%s)"):format(guest.state, guest.reason))
  end
  if type(guest.job) == "table" then
    run:refuse(("a job runs on it already (%s): wait for its end (virsh domjobinfo %s)"):format(guest.job.operation, guest.name))
  end
  for _, block in ipairs(run.source.libvirt:domain(guest.uuid):blocks()) do
    if type(block.job) == "table" then
      run:refuse(("disk %s has a block job (%s): wait for its end, or abort it (virsh blockjob %s %s)"):format(block.target, block.job.type, guest.name, block.target))
    end
  end
  return since(guest.started) .. ", no job"
end)

check.destination_is_another_host = step("destination is another host", function(run)
  local here, there = run.source.facts, run.dest.facts
  if here.boot_id == there.boot_id or here.machine_id == there.machine_id then
    run:refuse(("%s and %s are the same machine (machine id %s), or one was cloned from the other with its id: give each its own (systemd-machine-id-setup)")
      :format(run.source.name, run.dest.name, there.machine_id))
  end
  return ("%s: libvirt %s, QEMU %s"):format(run.dest.name, there.libvirt.libvirt, there.libvirt.hypervisor)
end)

local function libvirt_port(uri)
  local port = (uri .. "/"):match("^%w+%+?%w*://[^/]*:(%d+)/") or transport_ports[uri:match("%+(%w+)://") or "tls"]
  return math.tointeger(tonumber(port or 16509))
end

-- A port behind a firewall does not answer; one that nobody listens on yet refuses at once.
local function is_blocked(tried)
  return not tried.open and not tried.error:find("refused", 1, true)
end

check.hosts_reach_each_other = step("hosts reach each other", function(run)
  local source, dest = run.source, run.dest
  local conf = dest.facts.libvirt.conf or {}
  local first = tonumber(conf.migration_port_min) or MIGRATION_PORTS[1]
  local last = tonumber(conf.migration_port_max) or MIGRATION_PORTS[2]
  local port = libvirt_port(dest.settings.libvirt.uri)
  local there = source:reach(dest, { port, first, last })
  if not there.ports[port].open then
    run:refuse(("%s cannot reach libvirtd on %s:%d (%s): is it listening there, and does a firewall let it through?"):format(source.name, dest.name, port, there.ports[port].error))
  end
  for _, p in ipairs { first, last } do
    if is_blocked(there.ports[p]) then
      run:refuse(("%s cannot reach %s:%d (%s): migrations arrive on ports %d-%d, which a firewall should let through"):format(source.name, dest.name, p, there.ports[p].error, first, last))
    end
  end
  local back = dest:reach(source, libvirt_port(source.settings.libvirt.uri))
  for _, tried in pairs(back.ports) do
    if is_blocked(tried) then run:refuse(("%s cannot reach %s (%s)"):format(dest.name, source.name, tried.error)) end
  end
  return ("%s → %s:%d, %d-%d · %s → %s"):format(source.name, dest.name, port, first, last, dest.name, source.name)
end)

check.guest_is_not_on_destination = step("guest is not there yet", function(run)
  local guest, there = run.instance, run.dest.facts
  for _, domain in ipairs(there.libvirt.domains) do
    if domain.uuid == guest.uuid or domain.name == guest.name then
      local which = domain.uuid == guest.uuid and guest.name or ("another guest of the name %s (%s)"):format(domain.name, domain.uuid)
      if domain.state == "shut off" then
        run:refuse(("%s is defined on %s, shut off: when nothing else needs it, remove it there with virsh undefine --keep-nvram %s"):format(which, run.dest.name, domain.uuid))
      end
      run:refuse(("%s is %s on %s: find out which of the two is the true one before anything else"):format(which, domain.state, run.dest.name))
    end
  end
  for _, process in ipairs(there.guests or {}) do
    if process.uuid == guest.uuid then
      run:refuse(("a QEMU of it (pid %d) runs on %s though libvirtd does not know it: find out why before anything else"):format(process.pid, run.dest.name))
    end
  end
  return ("neither running nor defined on %s"):format(run.dest.name)
end)

local function missing_flags(source, dest)
  local has, missing = {}, {}
  for _, flag in ipairs(dest) do has[flag] = true end
  for _, flag in ipairs(source) do
    if not has[flag] then missing[#missing + 1] = flag end
  end
  return missing
end

check.cpu_is_compatible = step("cpu is compatible", function(run)
  local xml, dest = run.instance:xml(), run.dest
  local mode = xml:get("cpu/@mode")
  local model = xml:get("cpu/model") or mode or "default CPU"
  if mode == "host-passthrough" or mode == "maximum" then
    local missing = missing_flags(run.source.facts.cpu.flags or {}, dest.facts.cpu.flags or {})
    if #missing > 0 then
      run:refuse(("the guest has the CPU of %s itself (%s), and %s lacks %s"):format(run.source.name, mode, dest.name, table.concat(missing, ", ")))
    end
    return ("guest has its host's own CPU (%s); %s has every feature of it"):format(mode, dest.name)
  end
  local cpu = xml:fragments("cpu")[1]
  if not cpu then return ("guest names no CPU: QEMU's own runs on %s"):format(dest.name) end
  local machine, arch = xml:get("os/type/@machine"), xml:get("os/type/@arch")
  local answer = dest.libvirt:compare_cpu(cpu, xml:get("devices/emulator"), arch, machine, xml:get("@type"))
  if answer.result == "identical" or answer.result == "superset" then
    return ("guest's %s runs on %s"):format(model, dest.name)
  end
  run:refuse(("guest's %s does not run on %s: %s"):format(model, dest.name, answer.message))
end)

check.memory_fits = step("memory fits", function(run)
  local xml, memory, dest = run.instance:xml(), run.dest.facts.memory, run.dest.name
  local need = run.instance.facts.max_memory
  if #xml:fragments("memoryBacking/hugepages") > 0 then
    local free = (memory.hugepages_free or 0) * (memory.hugepage_size or 0)
    if free < need then run:refuse(("needs %s in huge pages, %s are free on %s"):format(size(need), size(free), dest)) end
    return ("needs %s in huge pages, %s free on %s"):format(size(need), size(free), dest)
  end
  if memory.available < need then
    run:refuse(("needs %s, %s available of %s on %s"):format(size(need), size(memory.available), size(memory.total), dest))
  end
  return ("needs %s, %s free on %s"):format(size(need), size(memory.available), dest)
end)

check.listen_addresses_exist = step("listen addresses exist", function(run)
  local source, dest = run.source, run.dest
  local seen = {}
  for _, entry in ipairs(listen.foreign(run.instance:xml(), source.facts.addresses, dest.facts.addresses)) do
    local device = table.concat(entry.devices, ", ")
    if not entry.replacement then
      run:refuse(("%s on %s exists only on %s, and %s has no address that could take its place"):format(device, entry.address, source.name, dest.name))
    end
    seen[#seen + 1] = ("%s on %s exists only on %s: is rewritten"):format(device, entry.address, source.name)
  end
  return #seen > 0 and table.concat(seen, "; ") or "none belongs to the source alone"
end)

check.disks_are_there = step("disks are there", function(run)
  local xml, source, dest = run.instance:xml(), run.source, run.dest
  local seen, others = 0, 0
  local paths = xml:find("devices/disk/source/@file")
  for _, place in ipairs { "os/kernel", "os/initrd", "os/dtb", "os/loader", "devices/disk/source/@dev" } do
    for _, path in ipairs(xml:find(place)) do paths[#paths + 1] = path end
  end
  for _, path in ipairs(paths) do
    local here, there = source:stat(path), dest:stat(path)
    if here and not there then
      run:refuse(("%s is not on %s: is its storage mounted there?"):format(path, dest.name))
    elseif here and here.type == "file" and there.type == "file" and (here.size ~= there.size) then
      run:refuse(("%s is another file on %s: %d bytes there, %d on %s"):format(path, dest.name, there.size, here.size, source.name))
    end
    if here then seen = seen + 1 end
  end
  others = #xml:fragments("devices/disk/source[@protocol or @pool]")
  local text = ("%d file%s seen on both"):format(seen, seen == 1 and "" or "s")
  return others > 0 and ("%s; %d network disk%s not asked"):format(text, others, others == 1 and "" or "s") or text
end)

return check
