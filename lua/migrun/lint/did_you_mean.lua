-- SPDX-License-Identifier: MIT
local words = require "migrun.words"

---"; did you mean 'NAME'?", or nothing.
---@param word string
---@param names string[]
---@return string
return function(word, names)
    local near = words.nearest(word, names)
    return near and ("; did you mean '%s'?"):format(near) or ""
end
