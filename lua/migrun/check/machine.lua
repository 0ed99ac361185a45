-- SPDX-License-Identifier: MIT
-- Of the machine that the guest needs there: CPU, memory, QEMU, addresses.
local common = require "migrun.check.common"
local listen = require "migrun.listen"
local xml = require "migrun.xml"
local step, size = common.step, common.size

local check = {}

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
      run:refuse(("the guest has the CPU of %s itself (%s), and %s lacks %s")
        :format(run.source.name, mode, dest.name, table.concat(missing, ", ")))
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

-- libvirt's own refusal as an answer; other errors are raised on.
local function ask(run, question, ...)
  local ok, answer = pcall(question, ...)
  if ok then return answer end
  if type(answer) ~= "table" or answer.domain ~= "libvirt" then error(answer, 0) end
  run:refuse(answer.message)
end

check.machine_exists = step("machine exists there", function(run)
  local document, source, dest = run.instance:xml(), run.source, run.dest
  local emulator, machine = document:get("devices/emulator"), document:get("os/type/@machine")
  local libvirt = dest.libvirt
  local can = ask(run, libvirt.domain_capabilities, libvirt, emulator, document:get("os/type/@arch"), machine,
    document:get("@type"))
  local most, vcpus = math.tointeger(tonumber(can:get("vcpu/@max"))), run.instance.facts.vcpus
  if most and vcpus > most then
    run:refuse(("it has %d vCPUs, and %s on %s takes %d at most"):format(vcpus, machine, dest.name, most))
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

check.memory_fits = step("memory fits", function(run)
  local xml, memory, dest = run.instance:xml(), run.dest.facts.memory, run.dest.name
  local need = run.instance.facts.max_memory
  if #xml:fragments("memoryBacking/hugepages") > 0 then
    local free = (memory.hugepages_free or 0) * (memory.hugepage_size or 0)
    if free < need then
      run:refuse(("needs %s in huge pages, %s are free on %s"):format(size(need), size(free), dest))
    end
    return ("needs %s in huge pages, %s free on %s"):format(size(need), size(free), dest)
  end
  if memory.available < need then
    run:refuse(("needs %s, %s available of %s on %s")
      :format(size(need), size(memory.available), size(memory.total), dest))
  end
  return ("needs %s, %s free on %s"):format(size(need), size(memory.available), dest)
end)

check.listen_addresses_exist = step("listen addresses exist", function(run)
  local source, dest = run.source, run.dest
  local seen = {}
  for _, entry in ipairs(listen.foreign(run.instance:xml(), source.facts.addresses, dest.facts.addresses)) do
    local device = table.concat(entry.devices, ", ")
    if not entry.replacement then
      run:refuse(("%s on %s exists only on %s, and %s has no address that could take its place")
        :format(device, entry.address, source.name, dest.name))
    end
    seen[#seen + 1] = ("%s on %s exists only on %s: is to become %s")
      :format(device, entry.address, source.name, entry.replacement)
  end
  return #seen > 0 and table.concat(seen, "; ") or "none belongs to the source alone"
end)

-- For the older way, by libvirt's status XML: an address that only the destination has keeps the guest from
-- starting when the move fails.
check.status_listens_at_source = step("status XML listens here", function(run)
  local path = run.instance:status_file()
  listen.refuse_destination(run, xml.parse(run.source:read(path)))
  return ("no address in %s is %s's alone"):format(path, run.dest.name)
end)

return check
