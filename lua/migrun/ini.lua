-- SPDX-License-Identifier: MIT
-- Configuration files of sections and keys, as oslo.config reads them (nova.conf): texts in, texts out.
-- Comments, order, spacing and line ends stay. Source of the rules: oslo.config's iniparser.py and cfg.py.
local ini = {}

-- oslo takes other groups' names in any case.
local function section_name(name) return name == "DEFAULT" and name or name:lower() end

local function unquoted(value)
  local quote = value:match("^([\"'])")
  return quote and value:sub(-1) == quote and value:sub(2, -2) or value -- of a lone quote nothing is left
end

local function broken(number, message, line)
  error(("line %d: %s: %s"):format(number, message, line), 0)
end

-- The section that a line begins, or the key and the value of one; nil: a comment.
local function read_line(line, number)
  if line:sub(1, 1) == "[" then
    local name = line:match("^%[(.+)%]$") or broken(number, "not the name of a section in [ ]", line)
    return section_name(name)
  elseif not line:find("^[#;]") then
    local key, value = line:match("^([^=:]-)%s*[=:]%s*(.*)$")
    if not key then broken(number, "neither a section nor 'key = value'", line) end
    if key == "" then broken(number, "a value without a key", line) end
    return nil, key, value
  end
end

-- The lines: {text, last: its line end}, with the section that they are in, key and value of those that have
-- them, and more: it goes on with a value. Raises a sentence with the number of a bad line.
local function parse(text)
  local lines, section, key_line = {}, nil, nil
  for line, last in text:gmatch("([^\n]*)(\n?)") do
    if line == "" and last == "" then break end
    local plain, number = line:gsub("%s+$", ""), #lines + 1
    local entry = { text = plain, last = line:sub(#plain + 1) .. last }
    lines[number] = entry
    if plain == "" then
      key_line = nil
    elseif plain:find("^[ \t]") then
      if not key_line then broken(number, "goes on with a value, and there is none before it", plain) end
      entry.more = true
      key_line.value = key_line.value .. "\n" .. plain:match("^%s*(.*)$")
    else
      local begins, key, value = read_line(plain, number)
      if key and not section then broken(number, "stands before the first section", plain) end
      section, entry.key = begins or section, key
      entry.value = value and unquoted(value)
      entry.begins, key_line = begins ~= nil, key and entry or nil
    end
    entry.section = section
  end
  return lines
end

local function join(lines)
  local parts = {}
  for i, line in ipairs(lines) do parts[i] = line.text .. line.last end
  return table.concat(parts)
end

local function places(lines, section, key)
  local found = {}
  for i, line in ipairs(lines) do
    if line.key == key and line.section == section_name(section) then found[#found + 1] = i end
  end
  return found
end

-- As it is written: a value with blanks at an end, or in quotes, is quoted.
local function written(value)
  local text = tostring(value)
  if text:find("\n") then error("a value of several lines cannot be written", 0) end
  if text:find("^%s") or text:find("%s$") or unquoted(text) ~= text then return '"' .. text .. '"' end
  return text
end

local function line_end(lines)
  return lines[1] and lines[1].last:match("\r?\n$") or "\n"
end

-- Where a key that is not there yet is put: below the line that has it commented out, else at the section's
-- end; nil: there is no such section.
local function place_for(lines, section, key)
  local place, commented
  for i, line in ipairs(lines) do
    if line.section == section_name(section) then
      if line.text ~= "" then place = i end
      local name = line.text:match("^[#;]%s*([^=:%s]+)%s*[=:]")
      if name == key then commented = i end
    end
  end
  return commented or place
end

local function remove(lines, place)
  repeat table.remove(lines, place) until not (lines[place] and lines[place].more)
end

local function insert(lines, place, text)
  local last, before = line_end(lines), lines[place]
  if before and not before.last:find("\n") then before.last = before.last .. last end
  table.insert(lines, place + 1, { text = text, last = last })
end

local function change(lines, place, value)
  local line = lines[place]
  while lines[place + 1] and lines[place + 1].more do
    line.last = lines[place + 1].last
    table.remove(lines, place + 1)
  end
  line.text = line.text:match("^[^=:]-%s*[=:]%s*") .. written(value)
end

---All values of a key of a section, in their order: of an option that may be given several times (oslo's
---MultiStrOpt) all count, of others the last. Raises one sentence about a file that oslo could not read.
---@param text string
---@param section string
---@param key string
---@return string[]
function ini.values(text, section, key)
  local lines, values = parse(text), {}
  for i, place in ipairs(places(lines, section, key)) do values[i] = lines[place].value end
  return values
end

---The value of a key of a section that counts, or nil.
---@param text string
---@param section string
---@param key string
---@return string|nil
function ini.get(text, section, key)
  local values = ini.values(text, section, key)
  return values[#values]
end

local function set_all(lines, section, key, values)
  local found = places(lines, section, key)
  for i = #found, #values + 1, -1 do remove(lines, table.remove(found)) end
  for i = #found, 1, -1 do -- a change may make the file shorter below it
    if lines[found[i]].value ~= tostring(values[i]) then change(lines, found[i], values[i]) end
  end
  found = places(lines, section, key)
  local place = found[#found]
  for i = #found + 1, #values do
    while place and lines[place + 1] and lines[place + 1].more do place = place + 1 end
    place = place or place_for(lines, section, key)
    if not place then
      if #lines > 0 then insert(lines, #lines, "") end
      insert(lines, #lines, "[" .. section .. "]")
      place = #lines
    end
    insert(lines, place, key .. " = " .. written(values[i]))
    place = place + 1
  end
  return join(lines)
end

---The text with a key of a section set: a list gives an option that may be given several times these values
---and no others. The same text where it is set so already.
---@param text string
---@param section string
---@param key string
---@param value string|number|boolean|string[]
---@return string
function ini.set(text, section, key, value)
  local lines = parse(text)
  if type(value) == "table" then return set_all(lines, section, key, value) end
  local found = places(lines, section, key)
  local place = found[#found]
  if not place then return set_all(lines, section, key, { value }) end
  if lines[place].value == tostring(value) then return text end
  change(lines, place, value)
  return join(lines)
end

---The text without a key of a section.
---@param text string
---@param section string
---@param key string
---@return string
function ini.unset(text, section, key) return set_all(parse(text), section, key, {}) end

return ini
