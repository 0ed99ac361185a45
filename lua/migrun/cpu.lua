-- SPDX-License-Identifier: MIT
-- The CPU that guests can have on each of several hosts, so that they can move between them, and how Nova is
-- told to give it to them.
local common = require "migrun.check.common"

local cpu = {}

-- What a host can give a guest: its host-model, as a <cpu>.
local function model_of(host, virttype)
  local can = host.libvirt:domain_capabilities(nil, host.facts.arch, nil, virttype)
  local mode = can:fragments("cpu/mode[@name='host-model']")[1]
  if not mode or not mode:find("<model") then return nil, can end
  return (mode:gsub("^<mode[^>]*>", "<cpu>"):gsub("</mode>%s*$", "</cpu>")), can
end

-- "EPYC-Rome, with x2apic and 3 more, without rdpid".
local function words_of(document)
  local with, without = document:find("feature[@policy='require']/@name"),
    document:find("feature[@policy='disable']/@name")
  local text = document:get("model") or "?"
  if #with > 0 then text = ("%s, with %s"):format(text, table.concat(with, ", ")) end
  if #without > 0 then text = ("%s, without %s"):format(text, table.concat(without, ", ")) end
  return text, with, without
end

-- KVM where the host has it, else QEMU's own emulation.
local function virttype_of(host)
  local ok = pcall(host.libvirt.domain_capabilities, host.libvirt, nil, host.facts.arch, nil, "kvm")
  return ok and "kvm" or "qemu"
end

cpu.each = common.step("what each host can give", function(run)
  local seen, models, missing, virttype = {}, {}, {}, "kvm"
  for _, host in ipairs(run.hosts) do
    if virttype_of(host) == "qemu" then virttype = "qemu" end
  end
  for i, host in ipairs(run.hosts) do
    local model, can = model_of(host, virttype)
    models[i] = model
    seen[i] = ("%s: %s"):format(host.name, can:get("cpu/mode[@name='host-model']/model") or "none")
    if not model then
      missing[#missing + 1] = ("%s: its libvirt has no host-model for guests of %s")
        :format(host.name, virttype)
    end
    if host.facts.arch ~= run.hosts[1].facts.arch then
      missing[#missing + 1] = ("%s is %s, and %s is %s"):format(host.name, host.facts.arch, run.hosts[1].name,
        run.hosts[1].facts.arch)
    end
  end
  common.refuse_all(run, missing)
  run.saved.cpus, run.saved.virttype = models, virttype
  return table.concat(seen, "; ")
end)

cpu.baseline = common.step("what all of them can give", function(run)
  local host = run.hosts[1]
  local ok, found = pcall(host.libvirt.baseline_cpu, host.libvirt, run.saved.cpus, host.facts.arch,
    run.saved.virttype)
  if not ok then
    if type(found) ~= "table" or found.domain ~= "libvirt" then error(found, 0) end
    run:refuse(found.message)
  end
  local text, with, without = words_of(found)
  local flags = {}
  for _, name in ipairs(with) do flags[#flags + 1] = "+" .. name end
  for _, name in ipairs(without) do flags[#flags + 1] = "-" .. name end
  run.saved.nova = ("[libvirt] cpu_mode = custom, cpu_models = %s%s"):format(found:get("model") or "?",
    #flags > 0 and ", cpu_model_extra_flags = " .. table.concat(flags, ",") or "")
  return text
end)
cpu.baseline.needs = { cpu.each[1] }

cpu.nova = common.step("so that Nova gives it to guests", function(run)
  return ("in nova.conf of each host: %s; guests have it from their next hard reboot on")
    :format(run.saved.nova)
end)
cpu.nova.needs = { cpu.baseline[1] }

return cpu
