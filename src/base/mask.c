// SPDX-License-Identifier: MIT
#include "base/mask.h"

#include "base/mask_internal.h"
#include "base/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

// How far a word, a quotation or a tag, a key's block is followed: a text without an end to it stays cheap.
enum { TOKEN_MOST = 1024, QUOTED_MOST = 4096, BLOCK_MOST = 16384, LOOK_BACK = 256 };

static const char mask[] = MASK;

struct masker {
    const char *text;
    const char *pair_end;   // until here, the value of a "name: …" that is a secret's
    const char *url_secret; // a URL that begins before here is one, after its host
    struct buf out;
};

// Masks [from, to). Line ends stay, so that a masked text has the lines of its original.
static void add_masked(struct buf *out, const char *from, const char *to)
{
    while (from < to) {
        const char *newline = memchr(from, '\n', (size_t)(to - from)), *end = newline ? newline : to;
        size_t blank = strspn(from, " \t\r");
        if (blank < (size_t)(end - from)) {
            buf_add(out, from, blank);
            buf_puts(out, mask);
        }
        if (newline)
            buf_puts(out, "\n");
        from = newline ? newline + 1 : to;
    }
}

// Both end at to.
static const char *copy_to(struct masker *m, const char *from, const char *to)
{
    buf_add(&m->out, from, (size_t)(to - from));
    return to;
}

static const char *mask_to(struct masker *m, const char *from, const char *to)
{
    add_masked(&m->out, from, to);
    return to;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.'; }
static const char *name_end(const char *p)
{
    while (is_name_char(*p))
        p++;
    return p;
}
static const char *line_end(const char *p) { return p + strcspn(p, "\n"); }
// The next of these characters, or where following stops.
static const char *until(const char *p, const char *chars)
{
    const char *end = p;
    while (*end && end - p < TOKEN_MOST && !strchr(chars, *end))
        end++;
    return end;
}
static const char *next_line(const char *p)
{
    p = line_end(p);
    return p + (*p == '\n');
}
static const char *line_start(const struct masker *m, const char *p)
{
    const char *least = p - m->text > LOOK_BACK ? p - LOOK_BACK : m->text;
    while (p > least && p[-1] != '\n')
        p--;
    return p;
}
static bool is_on_line_before(const struct masker *m, const char *p, const char *word)
{
    const char *start = line_start(m, p);
    return memmem(start, (size_t)(p - start), word, strlen(word)) != NULL;
}

static bool ends_in(const struct masker *m, const char *p, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(p - m->text) >= len && strncmp(p - len, word, len) == 0;
}

// Whether nothing stands before it on its line but what indents, quotes, lists, exports it or makes it a
// comment.
static bool begins_line(const struct masker *m, const char *p)
{
    static const char *const words[] = {"export", "set", "setenv", "env", "Environment="};
    size_t gone = 0;
    do {
        p -= gone;
        while (p > m->text && p[-1] != '\n' && strchr(" \t#;-+*\"'\\", p[-1]))
            p--;
        gone = 0;
        for (size_t i = 0; i < COUNT_OF(words) && !gone; i++)
            gone = ends_in(m, p, words[i]) ? strlen(words[i]) : 0;
    } while (gone);
    return p == m->text || p[-1] == '\n';
}

// ---- URLs ----

// What follows a ':' in a URL's authority is a port, or stands for one.
static bool is_port(const char *p, const char *end)
{
    return p == end || isdigit((unsigned char)*p) || strchr("$%{<[*", *p) ||
           (end - p >= 4 && strncasecmp(p, "port", 4) == 0) ||
           (end - p >= 4 && strncasecmp(end - 4, "port", 4) == 0);
}

// "u:" at the end of a line, whose password stands on the next one.
static const char *mask_continued(struct masker *m, const char *colon, const char *end)
{
    if (end != colon + 1 || *end != '\n' || !is_blank(end[1]))
        return NULL;
    const char *from = end + 1 + strspn(end + 1, " \t"), *to = from + strcspn(from, " \t\r\n'\"<>"),
               *at = memchr(from, '@', (size_t)(to - from));
    if (!at)
        return NULL;
    copy_to(m, colon, from);
    return mask_to(m, from, at);
}

// A password with a '/' in it, with no host behind it, or longer than what is followed.
static const char *mask_odd_password(struct masker *m, const char *p, const char *colon, const char *end)
{
    static const char ends[] = " \t\r\n'\"<>";
    const char *from = colon + 1, *token = until(end, ends), *at = memrchr(from, '@', (size_t)(token - from));
    if (!at && *token && !strchr(ends, *token))
        end = token + strcspn(token, ends);
    copy_to(m, p, from);
    return mask_to(m, from, at ? at : end);
}

// One "user:password@host:port" of an authority, up to a comma or its end. Returns where that is.
static const char *mask_authority(struct masker *m, const char *p, const char *end, bool user_too)
{
    const char *at = memchr(p, '@', (size_t)(end - p)), *colon = memchr(p, ':', (size_t)(end - p));
    const char *comma = memchr(at ? at : p, ',', (size_t)(end - (at ? at : p))), *stop = comma ? comma : end,
               *next;
    if (at && colon && colon < at) {
        at = memrchr(at, '@', (size_t)(stop - at)); // a password may contain one
        copy_to(m, p, colon + 1);
        mask_to(m, colon + 1, at);
        return copy_to(m, at, stop);
    }
    if (at && user_too) {
        mask_to(m, p, at);
        return copy_to(m, at, stop);
    }
    if (at || !colon || colon > stop || *p == '[')
        return copy_to(m, p, stop);
    if (colon + 1 == end && (next = mask_continued(m, colon, end)))
        return next;
    return is_port(colon + 1, stop) ? copy_to(m, p, stop) : mask_odd_password(m, p, colon, stop);
}

static const char *mask_url(struct masker *m, const char *p)
{
    bool http = is_on_line_before(m, p, "http"), secret = p < m->url_secret;
    p = copy_to(m, p, p + 3);
    const char *end = until(p, "/? \t\r\n'\"<>");
    while (p < end) {
        p = mask_authority(m, p, end, http || secret);
        while (p < end && *p == ',')
            p = copy_to(m, p, p + 1);
    }
    if (!secret || *p != '/')
        return p;
    p = copy_to(m, p, p + 1);
    return mask_to(m, p, p + strcspn(p, " \t\r\n'\"<>"));
}

// ---- values of names ----

enum link { NO_LINK, ASSIGNED, COLON, SPACED };

struct value {
    enum link link;
    const char *from, *to;
    bool quoted;
};

// Past backslashes and the quotation mark behind them, where there is one.
static const char *past_quote(const char *p)
{
    const char *quote = p + strspn(p, "\\");
    return *quote == '"' || *quote == '\'' ? quote + 1 : p;
}

// What joins a name that ends at p with what follows: "=", ":", "=>", ":=", blanks. Moves *p behind it.
static enum link link_of(const char **p)
{
    const char *q = past_quote(*p), *mark = q + strspn(q, " \t");
    if (*mark == '=' || (*mark == ':' && mark[1] == '=')) {
        mark += *mark == ':';
        *p = mark + 1 + (mark[1] == '>' || mark[1] == '=');
        *p += strspn(*p, " \t");
        return ASSIGNED;
    }
    if (*mark == ':' && mark[1] != ':' && strncmp(mark, "://", 3) != 0) {
        *p = mark + 1 + strspn(mark + 1, " \t");
        return COLON;
    }
    if (mark == q || q != *p || !*mark || *mark == '\n')
        return NO_LINK;
    *p = mark;
    return SPACED;
}

// Where the quotation ends that begins with backslashes (so many) and a quotation mark; NULL: it does not.
static const char *quotation_end(const char *from, char quote, size_t slashes, bool triple)
{
    for (const char *p = from; *p && p - from < QUOTED_MOST; p++) {
        size_t run = strspn(p, "\\");
        if (slashes && run == slashes && p[run] == quote)
            return p;
        if (run)
            p += slashes ? run : 1;
        else if (*p == quote && !slashes && (!triple || (p[1] == quote && p[2] == quote)))
            return p;
        if (!*p)
            break;
    }
    return NULL;
}

// The extent of a value that begins at v->from.
static void measure(struct value *v, bool whole_line)
{
    const char *start = v->from, *content = past_quote(start);
    v->quoted = content != start;
    if (v->quoted) {
        char quote = content[-1];
        size_t slashes = (size_t)(content - start) - 1;
        bool triple = !slashes && content[0] == quote && content[1] == quote;
        v->from = content + (triple ? 2 : 0);
        v->to = quotation_end(v->from, quote, slashes, triple);
        if (!v->to)
            v->to = line_end(v->from);
    } else if (whole_line) {
        v->to = line_end(start);
    } else {
        v->to = until(start, " \t\r\n,;&'\"<>)}]");
    }
}

// The lines of a YAML block ("password: |"), or the entries of a list, that belong to the name.
static const char *mask_lines_below(struct masker *m, const char *p, size_t indent, bool list)
{
    for (const char *line = next_line(p); *line; line = next_line(line)) {
        const char *end = line_end(line), *from = line + strspn(line, " \t");
        size_t deep = (size_t)(from - line);
        bool entry = from[0] == '-' && is_blank(from[1]);
        if (from != end && (list ? deep < indent || !entry : deep <= indent))
            break;
        if (list && from != end)
            from += 2;
        if (list && memmem(from, (size_t)(end - from), ": ", 2))
            break;
        copy_to(m, p, from);
        p = mask_to(m, from, end);
    }
    return p;
}

// A value that is no word or quotation: a list in brackets, lines below.
static const char *mask_structure(struct masker *m, const char *name, const char *p, const struct value *v)
{
    const char *from = v->from, *block = from + 1 + strspn(from + 1, "-+0123456789");
    size_t indent = strspn(line_start(m, name), " \t");
    const char *bracket = until(from, "]{:");
    if (*from == '[' && *bracket == ']') {
        copy_to(m, p, from + 1);
        return mask_to(m, from + 1, bracket);
    }
    if (v->link == COLON && (*from == '|' || *from == '>') && (*block == '\n' || *block == '\r')) {
        copy_to(m, p, block);
        return mask_lines_below(m, block, indent, false);
    }
    if (v->link == COLON && *from == '\n') {
        copy_to(m, p, from);
        return mask_lines_below(m, from, indent, true);
    }
    return p;
}

static bool has_scheme(const char *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || (n && strchr("+-.", p[n]) && p[n]))
        n++;
    return n > 0 && strncmp(p + n, "://", 3) == 0;
}

// "passphrase X": where one word follows a name that begins its line, or an option's value.
static bool may_follow(const struct masker *m, const char *name, const char *name_stop, const char *value)
{
    static const char *const directives[] = {"rocommunity", "rwcommunity", NULL};
    static const char *const keys[] = {"PSK", "XAUTH", "EAP", NULL};
    const char *end = value + strcspn(value, " \t\r\n"), *rest = end + strspn(end, " \t\r");
    size_t len = (size_t)(name_stop - name);
    if (*name == '-' && !begins_line(m, name + strspn(name, "-")))
        return *value != '-';
    if (name[0] == '-' && name[1] == '-')
        return *value != '-';
    if (mask_is_one_of(name, len, directives) || (mask_is_one_of(name, len, keys) && *value == '"'))
        return true;
    if (is_on_line_before(m, name, "login ") && is_on_line_before(m, name, "machine "))
        return true;
    bool prose = end - value > 2 && strncmp(end - 2, "ed", 2) == 0; // "password changed"
    prose = prose || strncmp(line_start(m, name), "# ", 2) == 0 ||  // "# Authorization controls"
            value[strspn(value, "0123456789")] == '/';              // "kpasswd 464/tcp"
    return begins_line(m, name) && (*rest == '\n' || !*rest) && !prose;
}

// How far the name is believed of its value, by where they stand.
static enum secrecy believe(const struct masker *m, const char *name, const char *end, const struct value *v,
                            enum secrecy secrecy)
{
    bool joined = memchr(name, '-', (size_t)(end - name)) || memchr(name, '_', (size_t)(end - name));
    bool quoted = past_quote(v->from) != v->from;
    if (v->link == SPACED)
        return may_follow(m, name, end, v->from) ? secrecy : NOT_SECRET;
    joined = joined && is_blank(v->from[-1]); // no "module.auth_token:function"
    if (v->link == COLON && !joined && !quoted && secrecy == IS_SECRET && !begins_line(m, name))
        return MAY_BE_SECRET; // prose: "no such secret: …"
    return secrecy;
}

// "passwords = 3", "tcp_syncookies = 1".
static bool counts(const char *end, const struct value *v)
{
    return !v->quoted && strchr("sS", end[-1]) && v->from[strspn(v->from, "0123456789")] == *v->to &&
           v->from + strspn(v->from, "0123456789") == v->to;
}

// The value that a name of such secrecy (ending at p) is given. Masks it, returns where it ends; p itself
// where none follows or it may be read.
static const char *mask_value(struct masker *m, const char *name, const char *p, enum secrecy secrecy)
{
    struct value v = {.from = p};
    v.link = link_of(&v.from);
    if (v.link == NO_LINK || !*v.from)
        return p;
    secrecy = believe(m, name, p, &v, secrecy);
    if (secrecy == NOT_SECRET)
        return p;
    if (secrecy == IS_SECRET && (v.link == COLON || v.link == ASSIGNED) && strchr("[|>\n", *v.from))
        return mask_structure(m, name, p, &v);
    if (has_scheme(past_quote(v.from))) {
        m->url_secret = secrecy == IS_SECRET ? line_end(v.from) : m->url_secret;
        return p;
    }
    if (*v.from == '{')
        return p;
    measure(&v, secrecy == IS_SECRET && v.link != SPACED && begins_line(m, name));
    if (!mask_is_wanted(secrecy, v.from, (size_t)(v.to - v.from)) || counts(p, &v))
        return p;
    copy_to(m, p, v.from);
    if (v.to - v.from >= TOKEN_MOST)
        v.to += strcspn(v.to, " \t\r\n'\"<>"); // all of it
    return mask_to(m, v.from, v.to);
}

// "name: DB_PASSWORD", whose "value: …" stands beside or below it.
static void note_pair(struct masker *m, const char *p)
{
    struct value v = {.from = p};
    v.link = link_of(&v.from);
    if (v.link != ASSIGNED && v.link != COLON)
        return;
    measure(&v, false);
    if (mask_secrecy(v.from, (size_t)(v.to - v.from)) == IS_SECRET)
        m->pair_end = line_end(next_line(v.to));
}

// "-pPASSWORD" of MySQL's programs and of sshpass.
static bool is_short_password(const struct masker *m, const char *name, const char *end)
{
    return name[0] == '-' && name[1] == 'p' && end - name > 2 && name > m->text && is_blank(name[-1]) &&
           (is_on_line_before(m, name, "mysql") || is_on_line_before(m, name, "mariadb") ||
            is_on_line_before(m, name, "sshpass"));
}

// A public key has the shape of a private one.
static const char *copy_public(struct masker *m, const char *p)
{
    struct value v = {.from = p};
    v.link = link_of(&v.from);
    if (v.link != ASSIGNED && v.link != COLON)
        return p;
    measure(&v, false);
    return copy_to(m, p, v.to);
}

static const char *mask_name(struct masker *m, const char *name)
{
    const char *end = name_end(name);
    size_t len = (size_t)(end - name);
    if (is_short_password(m, name, end)) {
        copy_to(m, name, name + 2);
        return mask_to(m, name + 2, name + strcspn(name, " \t\r\n\"'"));
    }
    copy_to(m, name, end);
    enum secrecy secrecy = mask_secrecy(name, len);
    if (name < m->pair_end && mask_is_pair_value(name, len))
        secrecy = IS_SECRET;
    else if (mask_is_pair_name(name, len))
        note_pair(m, end);
    if (secrecy != NOT_SECRET)
        return mask_value(m, name, end, secrecy);
    return mask_is_public(name, len) ? copy_public(m, end) : end;
}

// ---- tags ----

struct attribute {
    const char *name, *name_end, *from, *to; // from, to: its value
};

// The attribute that begins at or behind p; false: none before the tag ends at end.
static bool next_attribute(const char *p, const char *end, struct attribute *a)
{
    for (; p < end; p++) {
        if (!is_name_char(*p))
            continue;
        *a = (struct attribute){.name = p, .name_end = name_end(p)};
        const char *mark = a->name_end + strspn(a->name_end, " \t\r\n");
        p = a->name_end;
        if (*mark != '=')
            continue;
        mark += 1 + strspn(mark + 1, " \t\r\n");
        if (*mark != '"' && *mark != '\'')
            continue;
        a->from = mark + 1;
        a->to = memchr(a->from, *mark, (size_t)(end - a->from));
        return a->to != NULL;
    }
    return false;
}

static const char *tag_end(const char *p)
{
    char quote = '\0';
    for (const char *from = p; *p && p - from < QUOTED_MOST; p++) {
        if (quote && *p == quote)
            quote = '\0';
        else if (quote)
            continue;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>')
            return p;
        else if (*p == '<' && p > from)
            return NULL;
    }
    return NULL;
}

// Whether it is <x name='password' value='…'/>.
static bool is_pair(const char *p, const char *end)
{
    struct attribute a;
    bool named = false, valued = false;
    for (; next_attribute(p, end, &a); p = a.to + 1) {
        named = named || (mask_is_pair_name(a.name, (size_t)(a.name_end - a.name)) &&
                          mask_secrecy(a.from, (size_t)(a.to - a.from)));
        valued = valued || mask_is_pair_value(a.name, (size_t)(a.name_end - a.name));
    }
    return named && valued;
}

static const char *mask_attributes(struct masker *m, const char *p, const char *end)
{
    struct attribute a;
    for (bool pair = is_pair(p, end); next_attribute(p, end, &a); p = a.to) {
        size_t len = (size_t)(a.to - a.from);
        enum secrecy secrecy = mask_secrecy(a.name, (size_t)(a.name_end - a.name));
        if (pair)
            secrecy = mask_is_pair_value(a.name, (size_t)(a.name_end - a.name)) ? IS_SECRET : NOT_SECRET;
        copy_to(m, p, a.from);
        auto_free char *value = xstrndup(a.from, len), *masked = mask_secrets(value);
        if (mask_is_wanted(secrecy, a.from, len))
            mask_to(m, a.from, a.to);
        else
            buf_puts(&m->out, masked);
    }
    return copy_to(m, p, end);
}

static const char *local_name(const char *p)
{
    const char *end = name_end(p);
    return *end == ':' ? end + 1 : p;
}

// The text of an element with such a name, and of a <value> in it; up to the next tag.
static const char *mask_content(struct masker *m, const char *p, enum secrecy secrecy)
{
    static const char cdata[] = "<![CDATA[";
    const char *end = p + strcspn(p, "<"), *inner = end, *stop;
    bool empty = p + strspn(p, " \t\r\n") >= end, closed = *end == '<' && (end[1] == '/' || end[1] == '!');
    if (!empty && !closed && line_end(p) < end)
        end = line_end(p); // "<password>" in prose is no tag
    p = mask_is_wanted(secrecy, p, (size_t)(end - p)) ? mask_to(m, p, end) : copy_to(m, p, end);
    if (strncmp(p, cdata, strlen(cdata)) == 0) {
        p = copy_to(m, p, p + strlen(cdata));
        stop = strstr(p, "]]>");
        return mask_to(m, p, stop ? stop : p + strlen(p));
    }
    const char *name = local_name(inner + (*inner == '<'));
    if (p != inner || *inner != '<' || !mask_is_pair_value(name, (size_t)(name_end(name) - name)) ||
        !(stop = tag_end(inner)))
        return p;
    p = mask_attributes(m, p, stop);
    p = copy_to(m, p, stop + 1);
    return stop[-1] == '/' ? p : mask_content(m, p, secrecy);
}

static const char *mask_tag(struct masker *m, const char *p)
{
    const char *end = tag_end(p), *name = local_name(p + 1);
    if (!end)
        return p;
    enum secrecy secrecy = mask_secrecy(name, (size_t)(name_end(name) - name));
    p = copy_to(m, p, name_end(name));
    p = mask_attributes(m, p, end);
    p = copy_to(m, p, end + 1);
    return secrecy == NOT_SECRET || end[-1] == '/' ? p : mask_content(m, p, secrecy);
}

// ---- whole lines ----

// Lines of one word each that go on with a key, or what is encrypted.
static const char *mask_words_below(struct masker *m, const char *p)
{
    for (const char *line = p; *line; line = p) {
        const char *from = line + strspn(line, " \t+-"), *end = line_end(from), *stop = end;
        while (stop > from && strchr(" \t\r", stop[-1]))
            stop--;
        if (from == stop || memchr(from, ' ', (size_t)(stop - from)) || *from == '#')
            break;
        copy_to(m, line, from);
        mask_to(m, from, stop);
        p = copy_to(m, stop, end + (*end == '\n'));
    }
    return p;
}

// A private key in PEM's form, up to its END; on one line ("\\n" between), or cut off, too.
static const char *mask_pem(struct masker *m, const char *p)
{
    static const char begins[] = "-----BEGIN ", kind[] = "PRIVATE KEY", rule[] = "-----",
                      ends[] = "-----END ";
    if (strncmp(p, begins, strlen(begins)) != 0)
        return p;
    const char *from = p + strlen(begins), *mark = memmem(from, strnlen(from, 80), rule, strlen(rule));
    if (!mark || !memmem(from, (size_t)(mark - from), kind, strlen(kind)))
        return p;
    from = copy_to(m, p, mark + strlen(rule));
    const char *end = memmem(from, strnlen(from, BLOCK_MOST), ends, strlen(ends));
    if (end)
        return mask_to(m, from, end);
    if (*from != '\n')
        return mask_to(m, from, from + strcspn(from, "\n\"' "));
    return mask_words_below(m, copy_to(m, from, from + 1));
}

static const char *mask_vault(struct masker *m, const char *p)
{
    static const char begins[] = "$ANSIBLE_VAULT;";
    return strncmp(p, begins, strlen(begins)) == 0 ? mask_words_below(m, copy_to(m, p, next_line(p))) : p;
}

// Of a line in words, masks those that are chosen (bits of their numbers).
static const char *mask_words_of_line(struct masker *m, const char *p, unsigned which)
{
    for (unsigned number = 0; *p && *p != '\n'; number++) {
        const char *from = p + strspn(p, " \t\r"), *end = from + strcspn(from, " \t\r\n");
        copy_to(m, p, from);
        p = number < 8 && (which & 1U << number) ? mask_to(m, from, end) : copy_to(m, from, end);
    }
    return p;
}

// "host:port:database:user:password" of .pgpass.
static bool is_pgpass(const char *p, const char *end)
{
    const char *fields[5] = {p};
    size_t n = 1;
    for (const char *q = p; q < end; q++) {
        if (isspace((unsigned char)*q) || (*q == ':' && n == COUNT_OF(fields)))
            return false;
        if (*q == ':')
            fields[n++] = q + 1;
    }
    if (n != COUNT_OF(fields))
        return false;
    size_t port = strspn(fields[1], "0123456789*");
    return fields[1] - p > 1 && port && fields[1][port] == ':' && fields[4] < end &&
           fields[4] - fields[3] > 1;
}

// "1 SHA1 HEX:…" of chrony.keys.
static bool is_key_of_chrony(const char *p)
{
    static const char *const kinds[] = {"MD5 ", "SHA", "AES", "M ", "A "};
    size_t number = strspn(p, "0123456789");
    const char *kind = p + number + strspn(p + number, " \t");
    if (!number || kind == p + number)
        return false;
    const char *word = kind + strcspn(kind, " \t\r\n"), *key = word + strspn(word, " \t"),
               *rest = key + strcspn(key, " \t\r\n");
    bool alone = *rest == '\n' || !*rest;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (alone && rest - key >= 4 && strncmp(kind, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

static const char *mask_line(struct masker *m, const char *p)
{
    static const char snmp[] = "createUser ";
    const char *end = line_end(p);
    if (strncmp(p, snmp, strlen(snmp)) == 0)
        return mask_words_of_line(m, p, 1U << 3 | 1U << 5);
    if (is_key_of_chrony(p))
        return mask_words_of_line(m, p, 1U << 2);
    if (!is_pgpass(p, end))
        return p;
    const char *last = memrchr(p, ':', (size_t)(end - p));
    return mask_to(m, copy_to(m, p, last + 1), end);
}

// ---- texts ----

static const char *mask_shaped(struct masker *m, const char *p)
{
    size_t shown, len = mask_shape(p, &shown);
    if (!len)
        return p;
    copy_to(m, p, p + shown);
    return mask_to(m, p + shown, p + len);
}

// Masks or copies what begins at p; returns what follows.
static const char *step(struct masker *m, const char *p)
{
    bool in_word = p > m->text && (is_name_char(p[-1]) || strchr("+/", p[-1]));
    const char *next = p == m->text || p[-1] == '\n' ? mask_line(m, p) : p;
    if (next == p && *p == '-')
        next = mask_pem(m, p);
    if (next == p && *p == '$')
        next = mask_vault(m, p);
    if (next == p && (!in_word || *p == '$'))
        next = mask_shaped(m, p);
    if (next != p)
        return next;
    if (*p == '<' && is_name_char(p[1]))
        next = mask_tag(m, p);
    else if (strncmp(p, "://", 3) == 0)
        next = mask_url(m, p);
    else if (is_name_char(*p))
        next = mask_name(m, p);
    return next == p ? copy_to(m, p, p + 1) : next;
}

char *mask_secrets(const char *text)
{
    struct masker m = {.text = text};
    for (const char *p = text; *p;)
        p = step(&m, p);
    return buf_take(&m.out);
}
