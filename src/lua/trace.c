// SPDX-License-Identifier: MIT
#include "lua/trace.h"

#include "lua/interp.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = 12, LEVELS_MAX = 250 };

// What is no policy's mistake (a host's failure, a refusal) needs no place in Lua. Raw, as the value's
// metatable has no say.
static bool is_mistake(lua_State *L, int index)
{
    if (!lua_istable(L, index))
        return true;
    lua_pushliteral(L, "domain");
    bool is_ours = lua_rawget(L, index) != LUA_TSTRING || STREQ(lua_tostring(L, -1), "policy");
    lua_pop(L, 1);
    return is_ours;
}

static void put_frame(struct buf *b, const lua_Debug *frame)
{
    buf_printf(b, "%sat %s:%d", b->len ? "\n" : "", frame->short_src, frame->currentline);
    if (frame->name)
        buf_printf(b, " in '%s'", frame->name);
    else if (STREQ(frame->what, "main"))
        buf_puts(b, " in the file itself");
}

int trace_handler(lua_State *L)
{
    struct interp *in = interp_of(L);
    auto_buf struct buf text = {0};
    lua_Debug frame;
    int frames = 0, line = 0;
    const char *source = "";
    free(in->trace);
    in->trace = NULL;
    in->place[0] = '\0';
    if (!is_mistake(L, 1))
        return 1;
    for (int level = 0; level < LEVELS_MAX && lua_getstack(L, level, &frame); level++) {
        if (!lua_getinfo(L, "Sln", &frame) || frame.currentline < 1)
            continue; // C
        if (frames++ == 0)
            snprintf(in->place, sizeof in->place, "%s:%d:", frame.short_src, frame.currentline);
        bool same = frame.currentline == line && STREQ(frame.source, source); // it calls itself
        if (frames <= FRAMES_MAX && !same)
            put_frame(&text, &frame);
        frames -= same;
        line = frame.currentline;
        source = frame.source;
    }
    if (frames > FRAMES_MAX)
        buf_puts(&text, "\n…");
    in->trace = buf_take(&text);
    return 1;
}

void trace_put_place(struct buf *b, const char *place, const char *message)
{
    if (*place && strncmp(message, place, strlen(place)) != 0)
        buf_printf(b, "%s ", place);
    buf_puts(b, message);
}
