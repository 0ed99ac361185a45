-- SPDX-License-Identifier: MIT
-- Lists of CPUs and of NUMA nodes, as libvirt and the kernel write them: "0-3,8,^2".
local ranges = {}

local MOST = 65536 -- numbers: a list of more is none of CPUs

---The numbers of a list, ascending; nil where it is none.
---@param text string|nil
---@return integer[]|nil
function ranges.parse(text)
  local has, numbers = {}, {}
  for part in (text or ""):gmatch("[^,]+") do
    local without, first, last = part:match("^%s*(%^?)(%d+)%-?(%d*)%s*$")
    first = math.tointeger(tonumber(first))
    last = last ~= "" and math.tointeger(tonumber(last)) or first
    if not first or not last or last < first or last - first >= MOST then return nil end
    for number = first, last do has[number] = without == "" or nil end
  end
  for number in pairs(has) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  return numbers
end

---Numbers (ascending or not) as a list: "0-3,8".
---@param numbers integer[]
---@return string
function ranges.text(numbers)
  local sorted, parts = { table.unpack(numbers) }, {}
  table.sort(sorted)
  local i = 1
  while i <= #sorted do
    local last = i
    while sorted[last + 1] and sorted[last + 1] <= sorted[last] + 1 do last = last + 1 end
    parts[#parts + 1] = sorted[last] > sorted[i] and ("%d-%d"):format(sorted[i], sorted[last]) or sorted[i]
    i = last + 1
  end
  return table.concat(parts, ",")
end

---Those of some numbers that are not among others.
---@param numbers integer[]
---@param among integer[]
---@return integer[]
function ranges.missing(numbers, among)
  local has, missing = {}, {}
  for _, number in ipairs(among) do has[number] = true end
  for _, number in ipairs(numbers) do
    if not has[number] then missing[#missing + 1] = number end
  end
  return missing
end

return ranges
