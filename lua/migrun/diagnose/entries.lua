-- SPDX-License-Identifier: MIT
-- The catalogue's entries, found by the text of a line.
local catalogue = require "migrun.catalogue"

local entries = {}

-- An entry with its pattern in both cases: a lower-case text is tried first, as most texts match nothing;
-- then the text itself, so that captures keep its own letters.
local function compiled(entry)
  local either = entry[2]:gsub("(%%?)(%a)", function(escape, letter)
    return escape == "" and ("[%s%s]"):format(letter, letter:upper()) or escape .. letter
  end)
  return { kind = entry[1], lower = entry[2]:gsub("(%%?)(%a)", function(escape, letter)
    return escape .. (escape == "" and letter:lower() or letter)
  end), pattern = either, cause = entry[3], remedy = entry[4], by = entry.by, source = entry.source,
    releases = entry.releases, needs = entry.needs }
end

local known = {}
for i, entry in ipairs(catalogue) do known[i] = compiled(entry) end

local KINDS = { cause = true, carrier = true, consequence = true, danger = true, noise = true, why = true }

---Puts a site's own entries before those of the library.
---@param list table[]  of the catalogue's form
---@return string|nil mistake  what is wrong with it
function entries.add(list)
  local own = {}
  for i, entry in ipairs(list) do
    if type(entry) ~= "table" or not KINDS[entry[1]] then
      return ("entry %d does not begin with a kind (cause, carrier, consequence, danger, noise, why)")
        :format(i)
    end
    if type(entry[2]) ~= "string" or entry[2] == "" or not pcall(string.find, "", entry[2]) then
      return ("entry %d has no valid pattern of Lua"):format(i)
    end
    if (entry[1] == "cause" or entry[1] == "danger") and type(entry[3]) ~= "string" then
      return ("entry %d says no cause"):format(i)
    end
    own[i] = compiled(entry)
  end
  for i = #own, 1, -1 do table.insert(known, 1, own[i]) end
end

---The first entry that matches a text, and its captures; nil: none does.
---@param text string
---@return table|nil entry  {kind, pattern, cause, remedy, by, source, releases}
---@return string[]|nil captures
function entries.of(text)
  local lower = text:lower()
  for _, entry in ipairs(known) do
    if lower:find(entry.lower) then
      local captures = { text:match(entry.pattern) }
      if #captures > 0 then return entry, captures end
    end
  end
end

---The kind of a text by the catalogue, or nil.
---@param text string
---@return string|nil
function entries.kind(text)
  local entry = entries.of(text)
  return entry and entry.kind
end

local function ports_of(facts)
  local conf = facts and facts.libvirt and facts.libvirt.conf or {}
  return ("%d-%d"):format(conf.migration_port_min or 49152, conf.migration_port_max or 49215) -- libvirt's own
end

local function memory_of(facts)
  local available = facts and facts.memory and facts.memory.available
  return available and (" (%.1f GiB are available there)"):format(available / 2 ^ 30) or ""
end

---What fill puts into words.
---@param known table  {source, dest, host (that said it), instance: names; facts: the destination's}, as far
---  as they are known
---@return table
function entries.names(known)
  return { s = known.source or "the source", d = known.dest or "the destination", h = known.host or "a host",
    i = known.instance or "INSTANCE", p = ports_of(known.facts), m = memory_of(known.facts) }
end

---A cause's or remedy's words, with names in the place of %d, %s, %p, %h, %i, %m and captures.
---@param text string|nil
---@param names table  {d, s, p, h, i, m}
---@param captures string[]
---@return string|nil
function entries.fill(text, names, captures)
  return text and (text:gsub("%%([dpshim%d])", function(key)
    return names[key] or captures[tonumber(key)] or "?"
  end))
end

return entries
