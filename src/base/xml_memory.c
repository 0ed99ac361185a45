// SPDX-License-Identifier: MIT
// libxml2's memory, counted by thread: what a policy reads and asks must end, whatever it is.
#include "base/xml_internal.h"

#include "base/interrupt.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>

static _Thread_local struct {
    size_t used;     // bytes that this thread holds
    size_t taken;    // in all, since the work began
    bool bounded;    // a piece of work is being done, which may be refused memory
    bool interrupts; // heard when it began
    bool refused;
} memory;

// Where an XPath evaluates long strings over and over, the memory that it takes and gives back is its time.
static bool may_take(size_t size)
{
    if (!memory.bounded)
        return true;
    memory.taken += size;
    memory.refused = memory.refused || memory.used + size > XML_MEMORY_MAX || memory.taken > XML_WORK_MAX ||
                     (!memory.interrupts && interrupt_count > 0);
    return !memory.refused;
}

static void *counted(void *block)
{
    memory.used += block ? malloc_usable_size(block) : 0;
    return block;
}

static void *take(size_t size) { return may_take(size) ? counted(malloc(size)) : NULL; }

static void give_back(void *block)
{
    memory.used -= block ? malloc_usable_size(block) : 0; // may wrap where another thread took it
    free(block);
}

static void *take_more(void *block, size_t size)
{
    size_t old = block ? malloc_usable_size(block) : 0;
    if (!may_take(size))
        return NULL;
    void *fresh = realloc(block, size);
    if (!fresh)
        return NULL;
    memory.used -= old;
    return counted(fresh);
}

static char *take_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = take(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static void say_nothing(void *context, const char *format, ...)
{
    (void)context;
    (void)format;
}

static void set_up(void)
{
    xmlThrDefSetGenericErrorFunc(NULL, say_nothing); // what it has to say of memory goes to stderr otherwise
    xmlSetGenericErrorFunc(NULL, say_nothing);
    xmlMemSetup(give_back, take, take_more, take_copy);
    xmlInitParser();
}

void xml_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
}

size_t xml_memory_used(void) { return memory.used; }

void xml_work_begin(void)
{
    memory.taken = 0;
    memory.bounded = true;
    memory.interrupts = interrupt_count > 0;
    memory.refused = false;
}

int xml_work_end(const char *what, struct error *err)
{
    memory.bounded = false;
    if (!memory.refused)
        return 0;
    if (!memory.interrupts && interrupt_count > 0)
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted in %s", what);
    return error_set(err, ERR_XML, 0, "%s takes too much memory: documents may use %d MiB in all", what,
                     XML_MEMORY_MAX >> 20);
}
