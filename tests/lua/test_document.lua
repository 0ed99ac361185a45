-- SPDX-License-Identifier: MIT
-- fake_document: what other tests stand on.
local t = require "t"
local fake_document = require "fake_document"

t.run("fake_document answers as a Document does, and raises where it cannot", function()
    local document = fake_document.new("<d a='1'><b c='x'>one</b><b c='y&amp;z'/><e><b>two</b></e></d>")
    t.equal(document:find("b/@c"), { "x", "y&z" })
    t.equal(document:find("b"), { "one", "" })
    t.equal(document:get("@a"), "1")
    t.equal(document:get("e/b"), "two")
    t.equal(document:get("b[@c='x']"), "one")
    t.equal(#document:fragments("b[@d or @c]"), 2)
    t.equal(document:get("e[b='two']/b"), "two")
    t.equal(document:find("b[@c='x'][@d]"), {})
    t.equal(document:get("b[@c='q' or @c='y&z']/@c"), "y&z")
    t.equal(document:find("b[not(@c='x')]/@c"), { "y&z" })
    t.equal(document:find("b[not(@d)][@c='x']"), { "one" })
    t.equal(document:set("b[@c='x']/@c", "new"), 1)
    t.equal(document:fragments("b"), { "<b c='new'>one</b>", "<b c='y&amp;z'></b>" })
    t.raises(function() document:find("//b") end, "no such XPath")
    t.raises(function() document:find("b[1]x") end, "no such XPath")
    t.raises(function() fake_document.new("<a><b></a></b>") end, "ends nothing")
end)
