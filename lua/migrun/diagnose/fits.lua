-- SPDX-License-Identifier: MIT
-- Which hosts of a site could take a guest that one of them could not, by what they tell of themselves.
local fits = {}

local function gib(bytes) return ("%.1f GiB"):format(bytes / 2 ^ 30) end

-- Whether a host has so much memory (MiB), and its words for it.
local function by_memory(facts, need)
  local available = facts.memory and facts.memory.available
  if available and available >= need * 2 ^ 20 then return gib(available) .. " available" end
end

-- Whether its processors have all of these features.
local function by_features(facts, features)
  local flags = {}
  for _, flag in ipairs(facts.cpu and facts.cpu.flags or {}) do flags[flag] = true end
  for _, feature in ipairs(features) do
    -- libvirt's "sse4.1" is Linux's "sse4_1"
    if not flags[feature] and not flags[(feature:gsub("[%.%-]", "_"))] then return nil end
  end
  return facts.cpu and facts.cpu.model or "it has them"
end

---What a guest needs that a host did not have, by the entry that says so.
---@param entry table  of the catalogue: its needs say what its captures are
---@param captures string[]
---@return table|nil  {memory (MiB)} or {features: [name]}
function fits.need(entry, captures)
  if entry.needs == "memory" then
    local memory = tonumber(captures[2])
    return memory and { memory = memory } or nil
  elseif entry.needs == "features" then
    local features = {}
    for name in captures[1]:gsub("^.*:", ""):gmatch("[%w%._%-]+") do features[#features + 1] = name end
    return #features > 0 and { features = features } or nil
  end
end

---The hosts that have it: texts, the best first.
---@param need table  fits.need's; except: {host → true}
---@param facts table<string, table>  {host → facts}
---@return string[]
function fits.hosts(need, facts)
  local found = {}
  for host, its in pairs(facts) do
    local text = its.guests and not need.except[host] and (need.memory and by_memory(its, need.memory)
      or need.features and by_features(its, need.features))
    if text then
      found[#found + 1] = { text = ("%s (%s)"):format(host, text), host = host,
        memory = its.memory and its.memory.available or 0 }
    end
  end
  table.sort(found, function(a, b)
    if a.memory ~= b.memory then return a.memory > b.memory end
    return a.host < b.host
  end)
  local texts = {}
  for i, one in ipairs(found) do texts[i] = one.text end
  return texts
end

return fits
