-- SPDX-License-Identifier: MIT
-- Checks: steps that only ask. Each says what it saw, or refuses with the reason; a policy takes those it
-- wants, as check.NAME. They ask the facts, which were gathered at the start; what facts cannot tell is asked
-- of the hosts and their libvirtds.
local check = {}

for _, topic in ipairs { "guest", "hosts", "machine", "storage" } do
  for name, step in pairs(require("migrun.check." .. topic)) do check[name] = step end
end

return check
