-- SPDX-License-Identifier: MIT
-- Configuration files of libvirt's daemons (libvirtd.conf, qemu.conf): texts in, texts out. Comments, order
-- and spacing stay. Source of the rules: libvirt's virconf.c; of a name that is there twice the first counts.
local conf = {}

local function broken(text, at, message)
  local _, before = text:sub(1, at - 1):gsub("\n", "")
  error(("line %d: %s: %s"):format(before + 1, message, text:match("[^\r\n]*", at)), 0)
end

local read_value

local function read_list(text, at)
  local values = {}
  while true do
    at = text:match("^[%s,]*()", at)
    if text:sub(at, at) == "]" then return values, at + 1 end
    values[#values + 1], at = read_value(text, at)
  end
end

-- The value at a place, and the place behind it.
function read_value(text, at)
  local number, behind = text:match("^(%-?%d+)()", at)
  if number then return math.tointeger(tonumber(number)), behind end
  if text:sub(at, at) == "[" then return read_list(text, at + 1) end
  if text:sub(at, at + 2) == '"""' then
    local close = text:find('"""', at + 3, true) or broken(text, at, "a text without its end")
    return text:sub(at + 3, close - 1), close + 3
  end
  local quote = text:match("^[\"']", at) or broken(text, at, "neither a number, a text in quotes nor a list")
  local inner, rest = text:match("^([^\n" .. quote .. "]*)" .. quote .. "()", at + 1)
  if not inner then broken(text, at, "a text without its end") end
  return inner, rest
end

-- The settings: {name, value, from, to: of the value's text, line: where its line begins, behind: its end}.
local function parse(text)
  local settings, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if at > #text then return settings end
    if text:sub(at, at) == "#" then
      at = text:match("^[^\n]*()", at)
    else
      local name, from = text:match("^([%a_][%w_.-]*)[ \t]*=[ \t]*()", at)
      if not name then broken(text, at, "no 'name = value'") end
      local value, behind = read_value(text, from)
      local last = text:match("^[ \t]*()[\r\n]", behind) or text:match("^[ \t]*()#", behind)
        or text:match("^[ \t]*()$", behind) or broken(text, at, "something stands behind the value")
      settings[#settings + 1] = { name = name, value = value, from = from, to = behind - 1, line = at,
        behind = text:match("^[^\n]*\n?()", last) }
      at = last
    end
  end
end

local function first(settings, name)
  for _, setting in ipairs(settings) do
    if setting.name == name then return setting end
  end
end

local function written(value)
  if type(value) == "number" then return ("%d"):format(value) end
  if type(value) == "boolean" then return value and "1" or "0" end
  if type(value) == "table" then
    local parts = {}
    for i, entry in ipairs(value) do parts[i] = written(entry) end
    return #parts > 0 and "[ " .. table.concat(parts, ", ") .. " ]" or "[]"
  end
  if not value:find('["\n]') then return '"' .. value .. '"' end
  if not value:find("['\n]") then return "'" .. value .. "'" end
  error("a text with both kinds of quotes cannot be written: " .. value, 0)
end

local function is_same(one, other)
  if type(one) ~= "table" or type(other) ~= "table" then return one == other end
  if #one ~= #other then return false end
  for i, entry in ipairs(one) do
    if not is_same(entry, other[i]) then return false end
  end
  return true
end

---The value of a setting (a number, a text or a list), or nil. Raises one sentence about a file that libvirt
---could not read.
---@param text string
---@param name string
---@return number|string|table|nil
function conf.get(text, name)
  local setting = first(parse(text), name)
  return setting and setting.value
end

---The number of the line that a setting begins on, or nil.
---@param text string
---@param name string
---@return integer|nil
function conf.line(text, name)
  local setting = first(parse(text), name)
  return setting and select(2, text:sub(1, setting.line - 1):gsub("\n", "")) + 1
end

---The text with a setting: put in the place of its value, else below the line that has it commented out, else
---at the end. true and false are written as 1 and 0. The same text where it is set so already.
---@param text string
---@param name string
---@param value number|string|boolean|table
---@return string
function conf.set(text, name, value)
  local plain = type(value) == "boolean" and (value and 1 or 0) or value
  local setting, line = first(parse(text), name), name .. " = " .. written(plain)
  if setting and is_same(setting.value, plain) then return text end
  if setting then return text:sub(1, setting.from - 1) .. written(plain) .. text:sub(setting.to + 1) end
  local last = text:match("\r?\n") or "\n"
  local behind
  for from, commented, after in text:gmatch("()#[ \t]*([%a_][%w_.-]*)[ \t]*=[^\n]*()") do
    local before = text:sub(1, from - 1)
    if commented == name and (before == "" or before:find("\n[ \t]*$")) then behind = after end
  end
  if behind and text:sub(behind, behind) == "\n" then
    return text:sub(1, behind) .. line .. last .. text:sub(behind + 1)
  end
  return text .. ((text == "" or text:find("\n$")) and "" or last) .. line .. last
end

---The text without a setting, however often it is there.
---@param text string
---@param name string
---@return string
function conf.unset(text, name)
  local parts, at = {}, 1
  for _, setting in ipairs(parse(text)) do
    if setting.name == name then
      parts[#parts + 1] = text:sub(at, setting.line - 1)
      at = setting.behind
    end
  end
  return table.concat(parts) .. text:sub(at)
end

---The text with a setting commented out, however often it is there.
---@param text string
---@param name string
---@return string
function conf.comment_out(text, name)
  local parts, at = {}, 1
  for _, setting in ipairs(parse(text)) do
    if setting.name == name then
      parts[#parts + 1] = text:sub(at, setting.line - 1)
      parts[#parts + 1] = "#" .. text:sub(setting.line, setting.behind - 1):gsub("\n(.)", "\n#%1")
      at = setting.behind
    end
  end
  return table.concat(parts) .. text:sub(at)
end

return conf
