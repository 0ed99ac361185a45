-- SPDX-License-Identifier: MIT
-- The types of parameters, and how values are told.
local words = require "migrun.words"

local values = {}

local BOOLEANS = {["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false,
    off = false, ["0"] = false}

local function is_finite(value)
    return type(value) == "number" and value > -math.huge and value < math.huge
end

-- Of each type: what it is called, the value of a text, and the value of what a policy wrote; both nil when
-- it does not fit.
values.TYPES = {
    string = {
        noun = "a text",
        parse = function(text) return text end,
        take = function(value) return type(value) == "string" and value or nil end,
    },
    integer = {
        noun = "a whole number",
        parse = function(text) return text:find("^[+-]?%d+$") and math.tointeger(tonumber(text)) or nil end,
        take = function(value) return math.type(value) == "integer" and value or nil end,
    },
    number = {
        noun = "a number",
        parse = function(text) return is_finite(tonumber(text)) and tonumber(text) or nil end,
        take = function(value) return is_finite(value) and value or nil end,
    },
    boolean = {
        noun = "true or false",
        parse = function(text) return BOOLEANS[text:lower()] end,
        take = function(value) if type(value) == "boolean" then return value end end,
    },
    secret = { -- whose text the core has read from where the command line says (src/lua/policy.c)
        noun = "a text",
        parse = function(text) return text end,
        take = function() return nil end,
    },
    duration = {
        noun = "a duration; write 90s, 10m or 1h30m",
        parse = function(text) return text == "auto" and text or words.duration(text) end,
        take = function(value)
            if type(value) == "string" then return value == "auto" and value or words.duration(value) end
            return is_finite(value) and value >= 0 and value or nil
        end,
    },
}
values.TYPE_NAMES = {"string", "integer", "number", "boolean", "duration", "secret"}

function values.sorted_names(map)
    local names = {}
    for name in pairs(map) do names[#names + 1] = name end
    table.sort(names)
    return names
end

function values.contains(list, value)
    for _, known in ipairs(list) do
        if known == value then return true end
    end
    return false
end

function values.show(value) return type(value) == "string" and ("'%s'"):format(value) or tostring(value) end

function values.a(value) return value == nil and "nothing" or "a " .. type(value) end

function values.kind_text(name) return (name:find("^[aeiou]") and "an " or "a ") .. name end

function values.list_text(values)
    local texts = {}
    for i, value in ipairs(values) do texts[i] = tostring(value) end
    return table.concat(texts, ", ")
end

return values
