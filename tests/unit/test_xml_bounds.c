// SPDX-License-Identifier: MIT
// What a policy may ask of XML ends, whatever it is.
#include "base/memory.h"
#include "base/text.h"
#include "base/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct xml *long_text(void)
{
    enum { LENGTH = 200000 };
    struct buf text = {0};
    buf_puts(&text, "<a>");
    for (int i = 0; i < LENGTH / 10; i++)
        buf_puts(&text, "xxxxxxxxxx");
    buf_puts(&text, "</a>");
    auto_free char *whole = buf_take(&text);
    struct xml *doc;
    assert_int_equal(xml_parse(whole, strlen(whole), &doc, NULL), 0);
    return doc;
}

static void fails(const struct xml *doc, const char *xpath, const char *why)
{
    char *value;
    struct error err = {0};
    assert_int_equal(xml_value(doc, xpath, &value, &err), -1);
    if (!strstr(err.message, why))
        fail_msg("%s: %s", xpath, err.message);
}

// Each of these would take hours, or all of the memory.
static void costly(void **state)
{
    (void)state;
    struct xml *doc = long_text();
    auto_free char *concat = xstrdup("/a");
    for (int i = 0; i < 12; i++) {
        char *twice = xasprintf("concat(%s,%s)", concat, concat);
        free(concat);
        concat = twice;
    }
    fails(doc, concat, "takes too much memory");
    fails(doc, "translate(/a, concat('y', /a), 'b')", "takes too much work");
    fails(doc, "contains(/a, concat(/a, 'y'))", "takes too much work");
    fails(doc, "substring-before(/a, concat(/a, 'y'))", "takes too much work");
    fails(doc, "substring-after(/a, concat(/a, 'y'))", "takes too much work");
    char *value;
    struct error err = {0};
    assert_int_equal(xml_value(doc,
                               "contains(/a, 'xx') and contains(translate('ab', 'b', 'c'), 'ac') and "
                               "substring-before('ab', 'b') = 'a' and substring-after('ab', 'a') = 'b'",
                               &value, &err),
                     0);
    assert_string_equal(value, "true");
    free(value);
    fails(doc, "contains('a')", "invalid XPath");
    xml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
