-- SPDX-License-Identifier: MIT
-- Checks that ask Nova and Placement. A policy with nova = true uses them together with those of
-- migrun.check.
local check = require "migrun.check"
local common = require "migrun.check.common"
local step, there = common.step, common.there

local nova = {}

nova.instance_is_ready = step("instance is ready in Nova", function(run)
  local server = run.nova.instance
  if server.status ~= "ACTIVE" then
    local fault = server.fault ~= "" and ("; its last fault: " .. server.fault) or ""
    local remedy = server.status == "ERROR"
      and ("; when the guest is well: openstack server set --state active %s"):format(server.id) or ""
    run:refuse(("its status in Nova is %s (%s)%s%s: only an ACTIVE instance is migrated live")
      :format(server.status, server.vm_state or "?", fault, remedy))
  end
  if (server.task_state or "") ~= "" then
    run:refuse(("Nova is at work on it (%s): wait for its end (openstack server show %s)")
      :format(server.task_state, server.id))
  end
  for _, migration in ipairs(run.nova:migrations()) do
    local open = migration.status ~= "completed" and migration.status ~= "failed"
      and migration.status ~= "error" and migration.status ~= "cancelled"
    if open then
      run:refuse(("a live migration of it is under way in Nova (%d, %s, to %s): wait for its end")
        :format(migration.id, migration.status, migration.dest))
    end
  end
  local locked = server.locked
    and (", locked" .. ((server.locked_reason or "") ~= "" and (" (" .. server.locked_reason .. ")") or ""))
    or ""
  return ("%s (%s) on %s, no task%s"):format(server.status, server.libvirt_name or "?", server.host, locked)
end)

local function compute_of(run, host)
  for _, service in ipairs(run.nova:services(host)) do
    if service.binary == "nova-compute" then return service end
  end
  run:refuse(("Nova has no nova-compute on %s"):format(host.name))
end

---The nova-compute service of a host, as Nova has it.
---@param run Run
---@param host Host
---@return table
function nova.compute_service(run, host) return compute_of(run, host) end

local function is_up(run, host)
  local service = compute_of(run, host)
  if service.forced_down then
    run:refuse(("nova-compute on %s is forced down: when it works, openstack compute service set --up %s "
      .. "nova-compute"):format(host.name, service.host))
  elseif service.state ~= "up" then
    run:refuse(("Nova says that nova-compute on %s is down (systemctl status nova-compute there)")
      :format(host.name))
  end
  return service
end

nova.services_are_up = step("nova-compute is up", function(run)
  local source = is_up(run, run.source)
  local seen = ("%s up%s"):format(run.source.name, source.status == "enabled" and "" or " (disabled)")
  if not run.dest then return seen .. "; the scheduler chooses the destination" end
  local dest = is_up(run, run.dest)
  if dest.status ~= "enabled" then
    local reason = (dest.reason or "") ~= "" and ("; the reason given: " .. dest.reason) or ""
    run:refuse(("nova-compute on %s is disabled, so Nova's scheduler takes no instance there%s (openstack "
      .. "compute service set --enable %s nova-compute)")
      :format(run.dest.name, reason, dest.host))
  end
  return ("%s, %s up and enabled"):format(seen, run.dest.name)
end)

-- The message queue in a service's nova.conf, which is its cell's: hosts and virtual host, without
-- user and password.
local function queue_of(host)
  local path = "/etc/nova/nova.conf"
  if not host:stat(path) then return nil end
  for line in (host:read(path) .. "\n"):gmatch("(.-)\r?\n") do
    local url = line:match("^%s*transport_url%s*=%s*%w+://(.-)%s*$")
    if url then
      local hosts = {}
      for part in url:gsub("[/?].*$", ""):gmatch("[^,]+") do hosts[#hosts + 1] = part:match("([^@]*)$") end
      return table.concat(hosts, ",") .. (url:match("(/[^?]*)") or "/")
    end
  end
end

nova.hosts_are_in_one_cell = there("both are in one cell", function(run)
  local here, there = queue_of(run.source), queue_of(run.dest)
  if not here or not there then
    return "not known: no transport_url in a host's /etc/nova/nova.conf; Nova will say"
  end
  if here ~= there then
    run:refuse(("%s and %s have different message queues (%s, %s), so they are in different cells: Nova "
      .. "migrates within a cell only"):format(run.source.name, run.dest.name, here, there))
  end
  return ("message queue %s"):format(here)
end)

local function whole(number)
  return ("%d"):format(math.floor(number + 0.5))
end

-- Room of one class of resources by Placement: {capacity, used, free}.
local function room(provider, class)
  local inventory = provider.inventories[class]
  if not inventory then return nil end
  local capacity = (inventory.total - (inventory.reserved or 0)) * (inventory.allocation_ratio or 1)
  local used = provider.usages[class] or 0
  return { capacity = capacity, used = used, free = capacity - used, inventory = inventory }
end

nova.placement_has_room = there("Placement has room", function(run)
  local flavor, provider, seen = run.nova.instance.flavor, run.nova:provider(run.dest), {}
  for _, wanted in ipairs { { "MEMORY_MB", flavor.ram, "MiB" }, { "VCPU", flavor.vcpus, "VCPUs" } } do
    local class, need, unit = table.unpack(wanted)
    local r = need and room(provider, class)
    if r then
      local text = ("%s %s of %s free on %s ((%s - %s reserved) × %g - %s used)")
        :format(whole(r.free), unit, whole(r.capacity), run.dest.name,
        whole(r.inventory.total), whole(r.inventory.reserved or 0), r.inventory.allocation_ratio or 1,
        whole(r.used))
      if r.free < need then
        run:refuse(("needs %s %s, and Placement has %s"):format(whole(need), unit, text))
      end
      seen[#seen + 1] = ("needs %s, %s"):format(whole(need), text)
    end
  end
  return #seen > 0 and table.concat(seen, "; ") or "Nova does not show the flavor; its scheduler decides"
end)

nova.server_group_allows = there("server group allows it", function(run)
  local groups, dest = run.nova.instance.groups, nova.compute_service(run, run.dest).host -- as Nova calls it
  if not groups or #groups == 0 then return groups and "in no server group" or "not shown by this Nova" end
  for _, id in ipairs(groups) do
    local group = run.nova:request("GET", "/os-server-groups/" .. id, nil,
      { microversion = "2.64" }).server_group
    if group.policy == "anti-affinity" or group.policy == "affinity" then
      for _, member in ipairs(group.members) do
        local is_there = member ~= run.nova.instance.id and run.nova:server(member).host == dest
        if is_there and group.policy == "anti-affinity" then
          run:refuse(("the server group %s is anti-affinity, and its member %s is on %s")
            :format(group.name, member, run.dest.name))
        elseif member ~= run.nova.instance.id and not is_there and group.policy == "affinity" then
          run:refuse(("the server group %s is affinity, and its member %s is not on %s")
            :format(group.name, member, run.dest.name))
        end
      end
    end
  end
  return ("in %d server group%s"):format(#groups, #groups == 1 and "" or "s")
end)

-- Nova compares CPUs by libvirt, and is known to say no where the guest would run.
nova.cpu_is_compatible = there(check.cpu_is_compatible[1], function(run)
  local ok, answer = pcall(check.cpu_is_compatible.run, run)
  if ok then return answer end
  local text = type(answer) == "table" and answer.message or tostring(answer)
  if text:lower():find("unknown cpu feature", 1, true) then
    run:refuse(text .. " (Nova is known to say no for this where the guest would run: "
      .. "skip_cpu_compare_on_dest in nova.conf's [workarounds], or a newer libvirt there)")
  end
  error(answer, 0)
end, { topic = "cpu" })

-- What Nova itself asks, chooses or makes on the destination: devices and pins that it hands out anew, the
-- plugs of Neutron's ports, console ports and the addresses that they listen on.
local left_to_nova = {
  check.no_host_devices, check.pins_exist, check.network, check.ports_are_free, check.listen_addresses_exist,
  check.cpu_is_compatible,
}

---Every question about a Nova instance: Nova's own, Placement's, and those of check.all that Nova does not
---ask.
nova.all = {
  nova.instance_is_ready, nova.services_are_up, nova.hosts_are_in_one_cell, nova.cpu_is_compatible,
  nova.placement_has_room, nova.server_group_allows,
}
for _, asked in ipairs(check.all_but(left_to_nova)) do table.insert(nova.all, asked) end

-- The live migration itself.
nova.live_migration = { "live migration by Nova", phase = "migrate",
  run = function(run) run.nova:live_migrate(run.dest, { timeout = run.params.timeout }) end }

-- The lock as it was before the run.
nova.lock_as_found = { "lock in Nova", phase = "fixup",
  run = function(run)
    local found = run.nova.instance
    if found.locked then run.nova:lock(found.locked_reason) else run.nova:unlock() end
    return found.locked and "locked, as it was" or "not locked, as it was"
  end }

-- The source's nova-compute enabled or disabled as it was (run.saved.compute, where a step kept it).
nova.service_as_found = { "nova-compute as it was", phase = "fixup",
  when = function(run) return run.saved.compute ~= nil end,
  run = function(run)
    local was, now = run.saved.compute, compute_of(run, run.source)
    if now.status == was.status then return ("%s on %s, as it was"):format(now.status, run.source.name) end
    local body = { status = was.status }
    if was.status == "disabled" and (was.reason or "") ~= "" then body.disabled_reason = was.reason end
    run.nova:request("PUT", "/os-services/" .. now.id, body, { microversion = "2.53" })
    return ("%s → %s on %s"):format(now.status, was.status, run.source.name)
  end,
  verify = function(run)
    local was, now = run.saved.compute, compute_of(run, run.source)
    if now.state ~= "up" then
      run:refuse(("nova-compute on %s is %s in Nova (systemctl status nova-compute there)")
        :format(run.source.name, now.state))
    end
    if now.status ~= was.status then
      run:refuse(("nova-compute on %s is %s, and was %s"):format(run.source.name, now.status, was.status))
    end
    return "nova-compute as it was"
  end }

return nova
