-- SPDX-License-Identifier: MIT
-- Writes a token, and looks for it on the other host.
local prepare = require "migrun.prepare"

return { api = 1, summary = "Prove a shared folder by a token", steps = { prepare.token_seen_on_both } }
