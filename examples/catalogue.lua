-- SPDX-License-Identifier: MIT
-- A site's own causes and remedies for `migrun diagnose`: /etc/migrun/catalogue.lua, or --catalogue. They
-- come before migrun's. An entry is { kind, pattern, cause, remedy }; kinds and placeholders are those of
-- migrun's own (lua/migrun/catalogue.lua). The pattern is Lua's, and matches in either case.
return {
  { "cause", "could not open '/srv/(gold[^']*)'", "the golden image %1 was not brought to %d yet",
    "ansible-playbook images.yml --limit %d" },
  { "noise", "the site's probe asked" },
}
