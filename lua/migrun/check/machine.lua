-- SPDX-License-Identifier: MIT
-- Of the machine that the guest needs there: CPU, QEMU, addresses.
local common = require "migrun.check.common"
local destination = require "migrun.destination"
local listen = require "migrun.listen"
local xml = require "migrun.xml"

local check = {}

-- A CPU of the host's own is what libvirt there calls its host-model: only what a guest can see counts, not
-- what Linux makes up for /proc/cpuinfo (pti, constant_tsc, arch_perfmon, …).
local function host_model(run, host)
  local document, libvirt = run.instance:xml(), host.libvirt
  local can = common.ask(run, libvirt.domain_capabilities, libvirt, document:get("devices/emulator"),
    document:get("os/type/@arch"), document:get("os/type/@machine"), document:get("@type"))
  local mode = can:fragments("cpu/mode[@name='host-model']")[1]
  if not mode or not mode:find("<model", 1, true) then return nil end
  return (mode:gsub("^<mode[^>]*>", "<cpu mode='custom' match='exact'>"):gsub("</mode>%s*$", "</cpu>"))
end

local function fits(answer) return answer.result == "identical" or answer.result == "superset" end

local function compare(run, cpu)
  local document, libvirt = run.instance:xml(), run.dest.libvirt
  return common.ask(run, libvirt.compare_cpu, libvirt, cpu, document:get("devices/emulator"),
    document:get("os/type/@arch"), document:get("os/type/@machine"), document:get("@type"))
end

local function own_cpu(run, mode)
  local source, dest = run.source, run.dest
  if run.instance:xml():get("@type") == "qemu" then
    return ("guest has QEMU's own CPU (%s, emulated), whatever the host's is"):format(mode)
  end
  local cpu = host_model(run, source)
  if not cpu then
    run:refuse(("what guests can see of the CPU of %s is not known: its libvirt has no host-model")
      :format(source.name))
  end
  local answer = compare(run, cpu)
  if not fits(answer) then
    run:refuse(("the guest has the CPU of %s itself (%s), and %s has not all of it: %s"):format(source.name,
      mode, dest.name, answer.message))
  end
  local here, there = source.facts.cpu.vendor, dest.facts.cpu.vendor
  if here and there and here ~= there then
    run:refuse(("the guest has the CPU of %s itself (%s, %s), and %s has one of %s"):format(source.name, mode,
      here, dest.name, there))
  end
  return ("guest has its host's own CPU (%s); %s has every feature of it that guests see"):format(mode,
    dest.name)
end

check.cpu_is_compatible = common.there("cpu is compatible", function(run)
  local document, dest = run.instance:xml(), run.dest
  local mode = document:get("cpu/@mode")
  if mode == "host-passthrough" or mode == "maximum" then return own_cpu(run, mode) end
  local cpu = document:fragments("cpu")[1]
  if not cpu then return ("guest names no CPU: QEMU's own runs on %s"):format(dest.name) end
  local model, answer = document:get("cpu/model") or mode or "default CPU", compare(run, cpu)
  if fits(answer) then return ("guest's %s runs on %s"):format(model, dest.name) end
  run:refuse(("guest's %s does not run on %s: %s"):format(model, dest.name, answer.message))
end, { topic = "cpu" })

check.machine_exists = common.there("machine exists there", function(run)
  local document, source, dest = run.instance:xml(), run.source, run.dest
  local emulator, machine = document:get("devices/emulator"), document:get("os/type/@machine")
  local most = math.tointeger(tonumber(common.capabilities(run):get("vcpu/@max")))
  -- Those that can be plugged in count, too: QEMU is started for all of them.
  local vcpus = math.tointeger(tonumber(document:get("vcpu"))) or run.instance.facts.vcpus
  if most and vcpus > most then
    run:refuse(("it has up to %d vCPUs, and %s on %s takes %d at most"):format(vcpus, machine, dest.name,
      most))
  end
  local here, there = source.facts.libvirt.hypervisor, dest.facts.libvirt.hypervisor
  if here and there and not common.at_least(there, here) then
    run:warn(("QEMU on %s (%s) is older than on %s (%s): QEMU supports migration only to the same or a "
      .. "newer version")
      :format(dest.name, there, source.name, here))
  end
  return ("%s of %s on %s%s")
    :format(machine, emulator, dest.name, most and (", up to %d vCPUs"):format(most) or "")
end)

check.listen_addresses_exist = common.there("listen addresses exist", function(run)
  local source, dest = run.source, run.dest
  local seen = {}
  for _, entry in ipairs(listen.foreign(run.instance:xml(), source, dest)) do
    local device = table.concat(entry.devices, ", ")
    if not entry.replacement then
      run:refuse(("%s on %s exists only on %s, and %s has no address that could take its place")
        :format(device, entry.address, source.name, dest.name))
    end
    seen[#seen + 1] = ("%s on %s exists only on %s: is to become %s")
      :format(device, entry.address, source.name, entry.replacement)
  end
  return #seen > 0 and table.concat(seen, "; ") or "none belongs to the source alone"
end, { topic = "addresses" })

-- Of policies that give libvirt no XML for the destination.
check.nothing_is_renamed = common.there("nothing is called otherwise there", function(run)
  local renamed = destination.renamed(run)
  if #renamed > 0 then
    run:refuse(("the site file maps %s for %s, which takes an XML for the destination: use libvirt.lua")
      :format(table.concat(renamed, ", "), run.dest.name))
  end
  return "the site maps nothing of it"
end, { when = function(run) return next(destination.maps(run)) ~= nil end })

-- For the older way, by libvirt's status XML: an address that only the destination has keeps the guest from
-- starting when the move fails.
check.status_listens_at_source = common.there("status XML listens here", function(run)
  local path = run.instance:status_file()
  listen.refuse_destination(run, xml.parse(run.source:read(path)))
  return ("no address in %s is %s's alone"):format(path, run.dest.name)
end)

return check
