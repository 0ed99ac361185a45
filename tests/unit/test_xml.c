// SPDX-License-Identifier: MIT
// XML documents: byte for byte as they were, but for what a change touches.
#include "base/memory.h"
#include "base/text.h"
#include "base/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// A guest as libvirt writes it, with Nova's metadata, which libvirt writes in double quotes.
static const char domain[] =
    "<domain type='qemu' id='1' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>instance-00000001</name>\n"
    "  <uuid>4093d372-5966-aca9-9c47-c2a6bbe340b5</uuid>\n"
    "  <metadata>\n"
    "    <nova:instance xmlns:nova=\"http://openstack.org/xmlns/libvirt/nova/1.1\">\n"
    "      <nova:package version=\"27.1.0\"/>\n"
    "      <nova:name>it's \"mine\" &amp; yours</nova:name>\n"
    "    </nova:instance>\n"
    "  </metadata>\n"
    "  <!-- a comment with <tags> & ampersands -->\n"
    "  <title>a &lt; b &amp; &quot;c&quot; &apos;d&apos;</title>\n"
    "  <devices>\n"
    "    <disk type='file' device='disk'>\n"
    "      <source file='/var/lib/nova/instances/a &apos;b&apos; &gt;/disk'/>\n"
    "      <target dev='vda' bus='virtio'/>\n"
    "    </disk>\n"
    "    <graphics type='vnc' port='5900' autoport='yes' listen='10.88.0.11'>\n"
    "      <listen type='address' address='10.88.0.11'/>\n"
    "    </graphics>\n"
    "    <graphics type='spice' port='5901' listen='127.0.0.1'/>\n"
    "  </devices>\n"
    "  <qemu:commandline>\n"
    "    <qemu:arg value='-foo'/>\n"
    "  </qemu:commandline>\n"
    "</domain>\n";

// A status file: a comment and a blank line before the root.
static const char status[] = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO "
                             "BE\nOVERWRITTEN AND LOST.\n-->\n\n"
                             "<domstatus state='running' reason='booted' pid='96'>\n"
                             "  <qemuCaps>\n"
                             "    <flag name='a'/>\n"
                             "    <flag name='b'/>\n"
                             "    <flag name='c'/>\n"
                             "  </qemuCaps>\n"
                             "  <domain type='qemu' id='1'>\n"
                             "    <devices>\n"
                             "      <graphics type='vnc' listen='10.88.0.11'/>\n"
                             "    </devices>\n"
                             "  </domain>\n"
                             "</domstatus>\n";

static struct xml *parse(const char *text)
{
    struct xml *doc;
    struct error err = {0};
    if (xml_parse(text, strlen(text), &doc, &err) < 0)
        fail_msg("%s", err.message);
    return doc;
}

static void expect_text(const struct xml *doc, const char *expected)
{
    char *text = xml_text(doc);
    assert_string_equal(text, expected);
    free(text);
}

// The text of `of` with the first `old` replaced.
static char *with(const char *of, const char *old, const char *new)
{
    const char *at = strstr(of, old);
    assert_non_null(at);
    return xasprintf("%.*s%s%s", (int)(at - of), of, new, at + strlen(old));
}

static void value_is(const struct xml *doc, const char *xpath, const char *expected)
{
    char *value;
    struct error err = {0};
    if (xml_value(doc, xpath, &value, &err) < 0)
        fail_msg("%s", err.message);
    if (expected)
        assert_string_equal(value, expected);
    else
        assert_null(value);
    free(value);
}

static void round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        domain,
        status,
        "<?xml version='1.0' encoding='UTF-8'?>\n<a/>",
        "\n<?pi x?><a\n  b = \"1\"\tc='>'></a >\n<!-- end -->\n\n",
        "<a><![CDATA[<b>]]>\r\n&#13;&#x41;\xc3\xa9</a>",
        "\xef\xbb\xbf<a b='>'/>",
        "<a/>",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct xml *doc = parse(texts[i]), *copy = xml_copy(doc);
        expect_text(doc, texts[i]);
        expect_text(copy, texts[i]);
        xml_free(doc);
        xml_free(copy);
    }
}

static void refused(void **state)
{
    (void)state;
    struct {
        const char *text, *message;
    } cases[] = {
        {"", "empty"},
        {"<a>", "line 1"},
        {"<a/><b/>", "line 1"},
        {"<a>&foo;</a>", "foo"},
        {"<a b='<'/>", "'<'"},
        {"<x:a/>", "x"},
        {"<!DOCTYPE a><a/>", "DOCTYPE"},
        {"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "DOCTYPE"},
        {"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "DOCTYPE"},
        {"<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "UTF-8"},
        {"<a>\xff</a>", "line 1"},
        {"no xml", "line 1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct xml *doc;
        struct error err = {0};
        assert_int_equal(xml_parse(cases[i].text, strlen(cases[i].text), &doc, &err), -1);
        assert_int_equal(err.domain, ERR_XML);
        assert_null(doc);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
    }
    struct xml *doc;
    struct error err;
    assert_int_equal(xml_parse("<a/>\0<b/>", 9, &doc, &err), -1);
    struct buf deep = {0}; // libxml2's own limits stay
    for (int i = 0; i < 100000; i++)
        buf_puts(&deep, "<a>");
    assert_int_equal(xml_parse(deep.data, deep.len, &doc, &err), -1);
    buf_free(&deep);
}

static void values(void **state)
{
    (void)state;
    struct xml *doc = parse(domain);
    value_is(doc, "name", "instance-00000001");
    value_is(doc, "/domain/@type", "qemu");
    value_is(doc, "devices/graphics[2]/@listen", "127.0.0.1");
    value_is(doc, "metadata/nova:instance/nova:name", "it's \"mine\" & yours");
    value_is(doc, "qemu:commandline/qemu:arg/@value", "-foo");
    value_is(doc, "count(devices/*)", "3");
    value_is(doc, "devices/graphics/@type = 'spice'", "true");
    value_is(doc, "devices/sound", NULL);
    value_is(doc, "lxc:namespace", NULL); // a known prefix that the document does not declare
    char **list;
    size_t count;
    struct error err = {0};
    assert_int_equal(xml_values(doc, "devices/graphics/@type", &list, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "spice");
    assert_null(list[2]);
    strv_free(list);
    assert_int_equal(xml_fragments(doc, "devices/graphics", &list, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "<graphics type='spice' port='5901' listen='127.0.0.1'/>");
    strv_free(list);
    static const char *const wrong[] = {"devices/[", "foo:bar", "nosuch()", ""};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        err = (struct error){0};
        assert_int_equal(xml_values(doc, wrong[i], &list, &count, &err), -1);
        assert_int_equal(err.domain, ERR_XML);
    }
    assert_int_equal(xml_set(doc, "count(*)", "1", &err), -1);
    xml_free(doc);
    // Nova before 2019 declares another version under the same prefix.
    doc = parse(
        "<domain><metadata><nova:instance "
        "xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.0'>x</nova:instance></metadata></domain>");
    value_is(doc, "metadata/nova:instance", "x");
    xml_free(doc);
}

static void set(void **state)
{
    (void)state;
    struct error err = {0};
    struct xml *doc = parse(domain);
    assert_int_equal(xml_set(doc, "devices/graphics[1]/@listen", "0.0.0.0", &err), 1);
    char *expected = with(domain, "yes' listen='10.88.0.11'", "yes' listen='0.0.0.0'");
    expect_text(doc, expected);
    free(expected);
    assert_int_equal(xml_set(doc, "devices/graphics/@nosuch/..", "x", &err), 0);
    assert_int_equal(xml_set(doc, "nosuch/@a", "x", &err), 0);
    xml_free(doc);

    doc = parse(domain); // in double quotes, and with what needs an escape
    assert_int_equal(xml_set(doc, "//nova:package/@version", "<\"'&\n>", &err), 1);
    expected = with(domain, "\"27.1.0\"", "\"&lt;&quot;&apos;&amp;&#10;&gt;\"");
    expect_text(doc, expected);
    value_is(doc, "//nova:package/@version", "<\"'&\n>");
    free(expected);
    assert_int_equal(xml_set(doc, "title", "x & y", &err), 1);
    value_is(doc, "title", "x & y");
    assert_int_equal(xml_set(doc, "devices", "x", &err), -1); // would lose elements
    assert_int_equal(xml_set(doc, "name", "\x01", &err), -1); // no XML
    assert_int_equal(xml_set(doc, "name", "\xff", &err), -1);
    value_is(doc, "name", "instance-00000001");
    xml_free(doc);

    doc = parse(domain); // attributes that are made
    assert_int_equal(xml_set(doc, "devices/graphics/@passwd", "x", &err), 2);
    expected = with(domain, "listen='127.0.0.1'/>", "listen='127.0.0.1' passwd='x'/>");
    char *both = with(expected, "yes' listen='10.88.0.11'>", "yes' listen='10.88.0.11' passwd='x'>");
    expect_text(doc, both);
    free(expected);
    free(both);
    assert_int_equal(xml_set(doc, "@id", "2", &err), 1);
    assert_int_equal(xml_set(doc, "@new", "3", &err), 1);
    value_is(doc, "/domain/@new", "3");
    assert_int_equal(xml_set(doc, "devices/graphics/@foo:bar", "x", &err),
                     -1); // a prefix that nobody declared
    xml_free(doc);

    doc = parse("<a><b  c='1' /><d></d></a>");
    assert_int_equal(xml_set(doc, "b", "text", &err), 1);
    assert_int_equal(xml_set(doc, "d", "more", &err), 1);
    expect_text(doc, "<a><b  c='1'>text</b><d>more</d></a>");
    xml_free(doc);
}

static void add(void **state)
{
    (void)state;
    struct error err = {0};
    struct xml *doc = parse(domain);
    assert_int_equal(
        xml_add(doc, "devices", "\n<sound model='ich6'>\n  <codec type='micro'/>\n</sound>\n", &err), 1);
    char *expected = with(
        domain, "  </devices>",
        "    <sound model='ich6'>\n      <codec type='micro'/>\n    </sound>\n  </devices>");
    expect_text(doc, expected);
    free(expected);
    xml_free(doc);

    doc = parse(domain);
    assert_int_equal(xml_add(doc, "devices/graphics[2]", "<listen type='none'/>", &err), 1);
    expected = with(domain, "listen='127.0.0.1'/>",
                    "listen='127.0.0.1'>\n      <listen type='none'/>\n    </graphics>");
    expect_text(doc, expected);
    free(expected);
    assert_int_equal(xml_add(doc, "qemu:commandline", "<qemu:arg value='-bar'/>", &err), 1);
    value_is(doc, "qemu:commandline/qemu:arg[2]/@value", "-bar");
    static const char *const wrong[] = {"<a>", "</devices><devices>", "<!-- ",    "text",
                                        "",    "<b>&foo;</b>",        "<foo:a/>", "<a/><![CDATA["};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        err = (struct error){0};
        assert_int_equal(xml_add(doc, "devices", wrong[i], &err), -1);
        assert_int_equal(err.domain, ERR_XML);
    }
    assert_int_equal(xml_add(doc, "devices/graphics/@type", "<a/>", &err), -1);
    assert_int_equal(xml_add(doc, "nosuch", "<a/>", &err), 0);
    xml_free(doc);

    struct {
        const char *before, *after;
    } cases[] = {
        {"<a/>", "<a>\n  <n/>\n</a>"},
        {"<a></a>", "<a>\n  <n/>\n</a>"},
        {"<a>\n</a>", "<a>\n  <n/>\n</a>"},
        {"<a><b/></a>", "<a><b/><n/></a>"},
        {"<a>text</a>", "<a>text<n/></a>"},
        {"<a>\n\t<b/>\n</a>", "<a>\n\t<b/>\n\t<n/>\n</a>"},
        {"<a>\n  <b/>\n  <!-- c -->\n</a>", "<a>\n  <b/>\n  <!-- c -->\n  <n/>\n</a>"},
        {"<a >\n  <b/></a>", "<a >\n  <b/>\n  <n/>\n</a>"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        doc = parse(cases[i].before);
        assert_int_equal(xml_add(doc, ".", "<n/>", &err), 1);
        expect_text(doc, cases[i].after);
        xml_free(doc);
    }
}

static void remove_nodes(void **state)
{
    (void)state;
    struct error err = {0};
    struct xml *doc = parse(domain);
    assert_int_equal(xml_remove(doc, "devices/graphics[@type='spice']", &err), 1);
    char *expected = with(domain, "    <graphics type='spice' port='5901' listen='127.0.0.1'/>\n", "");
    expect_text(doc, expected);
    free(expected);
    xml_free(doc);

    doc = parse(domain);
    assert_int_equal(xml_remove(doc, "devices/graphics/@port", &err), 2);
    value_is(doc, "count(//@port)", "0");
    assert_int_equal(xml_remove(doc, "devices | devices/graphics", &err), 3); // one inside the other
    value_is(doc, "count(devices)", "0");
    assert_int_equal(xml_remove(doc, "/domain", &err), -1);
    assert_int_equal(xml_remove(doc, "comment()", &err), -1);
    assert_int_equal(xml_remove(doc, "nosuch", &err), 0);
    xml_free(doc);

    doc = parse("<a>text <b/> more</a>");
    assert_int_equal(xml_remove(doc, "b", &err), 1);
    expect_text(doc, "<a>text  more</a>");
    xml_free(doc);
}

static int differ(const char *before, const char *after, const char *const *changes, size_t count,
                  struct error *err)
{
    struct xml *a = parse(before), *b = parse(after);
    *err = (struct error){0};
    int result = xml_only_changed(a, b, changes, count, err);
    xml_free(a);
    xml_free(b);
    return result;
}

// Of those that are alike, which one went is for what was declared to say.
static void only_changed_among_the_like(void **state)
{
    (void)state;
    struct error err;
    static const char *const first[] = {"f[1]"}, *const any[] = {"f"}, *const none[] = {"g"};
    assert_int_equal(differ("<r><f n='1'/><f n='1'/></r>", "<r><f n='1'/></r>", first, 1, &err), 0);
    assert_int_equal(differ("<r><f n='1'/><f n='2'/></r>", "<r><f n='1'/></r>", first, 1, &err), -1);
    struct buf many = {0}, fewer = {0};
    for (int i = 0; i < 300; i++) {
        buf_printf(&many, "%s<f n='%d'/>", i ? "" : "<r>", i);
        if (i != 150)
            buf_printf(&fewer, "%s<f n='%d'/>", i ? "" : "<r>", i);
    }
    buf_puts(&many, "</r>");
    buf_puts(&fewer, "</r>");
    assert_int_equal(differ(many.data, fewer.data, any, 1, &err), 0);
    assert_int_equal(differ(fewer.data, many.data, any, 1, &err), 0);
    assert_int_equal(differ(many.data, fewer.data, none, 1, &err), -1);
    assert_non_null(strstr(err.message, "f[151]"));
    buf_free(&many);
    buf_free(&fewer);
}

static void only_changed(void **state)
{
    (void)state;
    struct error err;
    static const char *const listen[] = {"//graphics/@listen", "//graphics/listen/@address"};
    static const char *const by_value[] = {"//graphics[@listen='10.88.0.11']"};
    static const char *const flag[] = {"/domstatus/qemuCaps/flag[@name='b']"};
    static const char *const added[] = {"//flag[@name='x']"};

    assert_int_equal(differ(domain, domain, NULL, 0, &err), 0);
    char *after = with(domain, "yes' listen='10.88.0.11'", "yes' listen='0.0.0.0'");
    assert_int_equal(differ(domain, after, listen, 2, &err), 0);
    assert_int_equal(differ(domain, after, by_value, 1, &err), 0); // matches only before: its place counts
    assert_int_equal(differ(domain, after, NULL, 0, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    assert_int_equal(err.code, REFUSED_UNDECLARED);
    assert_non_null(strstr(err.message, "devices/graphics[1]/@listen"));
    char *more = with(after, "instance-00000001", "instance-00000002");
    assert_int_equal(differ(domain, more, listen, 2, &err), -1);
    assert_non_null(strstr(err.message, "name (its text)"));
    free(more);
    more = with(after, " bus='virtio'", "");
    assert_int_equal(differ(domain, more, listen, 2, &err), -1);
    assert_non_null(strstr(err.message, "devices/disk[1]/target/@bus"));
    free(more);
    free(after);

    after = with(status, "    <flag name='b'/>\n", "");
    assert_int_equal(differ(status, after, flag, 1, &err), 0);
    assert_int_equal(differ(after, status, flag, 1, &err), 0);
    assert_int_equal(differ(status, after, added, 1, &err), -1);
    assert_non_null(strstr(err.message, "qemuCaps/flag[2]"));
    more = with(after, "    <flag name='c'/>\n", "");
    assert_int_equal(differ(status, more, flag, 1, &err), -1);
    assert_non_null(strstr(err.message, "flag[3]"));
    free(more);
    free(after);
    after = with(status, "    <flag name='b'/>\n", "    <flag name='b'/>\n    <flag name='x'/>\n");
    assert_int_equal(differ(status, after, added, 1, &err), 0);
    assert_int_equal(differ(status, after, flag, 1, &err), -1);
    free(after);
    // An allowed twin of what must stay.
    static const char *const first[] = {"a[1]"};
    assert_int_equal(differ("<r><a/><a/></r>", "<r><a/></r>", first, 1, &err), 0);
    assert_int_equal(differ("<r><a/><b/></r>", "<r><b/></r>", first, 1, &err), 0);
    assert_int_equal(differ("<r><a/><b/></r>", "<r><b/><c/></r>", first, 1, &err), -1);
    assert_int_equal(differ("<r>\n  <a/>\n</r>", "<r/>", first, 1, &err), 0);
    assert_int_equal(differ("<r> </r>", "<r/>", NULL, 0, &err), -1);
    assert_int_equal(differ("<r><a>1</a></r>", "<q><a>1</a></q>", NULL, 0, &err), -1);
    static const char *const none[] = {"count(*)"};
    assert_int_equal(differ("<r/>", "<r/>", none, 1, &err), -1);
    assert_int_equal(err.domain, ERR_XML);
}

static void paths(void **state)
{
    (void)state;
    struct xml *doc = parse(domain);
    struct {
        const char *line, *path;
    } cases[] = {
        {"<domain", "domain"},
        {"<name>", "name"},
        {"<nova:package", "metadata/nova:instance/nova:package"},
        {"<devices>", "devices"},
        {"<graphics type='vnc'", "devices/graphics[1]"},
        {"<listen", "devices/graphics[1]/listen"},
        {"    </graphics>", "devices/graphics[1]"},
        {"<graphics type='spice'", "devices/graphics[2]"},
        {"</domain>", "domain"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        long line = 1;
        for (const char *p = domain; p < strstr(domain, cases[i].line); p++)
            line += *p == '\n';
        char *path = xml_path_at_line(doc, line);
        assert_string_equal(path, cases[i].path);
        free(path);
    }
    char *path = xml_path_at_line(doc, 1000);
    assert_string_equal(path, "domain");
    free(path);
    xml_free(doc);
    doc = parse(status);
    path = xml_path_at_line(doc, 14);
    assert_string_equal(path, "domain/devices/graphics[1]");
    free(path);
    path = xml_path_at_line(doc, 1);
    assert_string_equal(path, "domstatus");
    free(path);
    xml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),   cmocka_unit_test(refused),
        cmocka_unit_test(values),       cmocka_unit_test(set),
        cmocka_unit_test(add),          cmocka_unit_test(remove_nodes),
        cmocka_unit_test(only_changed), cmocka_unit_test(only_changed_among_the_like),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
