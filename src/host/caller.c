#include "host/caller.h"

#include <errno.h>
#include <execinfo.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "host/pc.h"
#include "host/symbols.h"

/* How far up a call may be: the library's own frames are a few. */
#define CALLER_DEPTH 16

static void set_object(struct caller_shared *caller, const char *object)
{
    size_t length = strlen(object), room = sizeof caller->object - 1;

    snprintf(caller->object, sizeof caller->object, "%s", length > room ? object + length - room : object);
}

void caller_note(struct caller_shared *caller)
{
    /* The sanitizers have a backtrace of their own. */
    const void *own = pc_place((uintptr_t)caller_note).base, *unwinder = pc_place((uintptr_t)backtrace).base;
    int saved_errno = errno;
    void *pcs[CALLER_DEPTH];
    int n = backtrace(pcs, CALLER_DEPTH);

    memset(caller, 0, sizeof *caller);
    for (int i = 0; i < n; i++) {
        /* Within the call, not what it returns to. */
        struct pc_place place = pc_place((uintptr_t)pcs[i] - 1);

        if (place.object == NULL || place.base == own || place.base == unwinder)
            continue;
        set_object(caller, place.object);
        caller->address = place.address;
        break;
    }
    errno = saved_errno;
}

struct search {
    const struct caller_shared *caller;
    uint64_t pc; /* 0: not found */
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct search *search = context;
    uint64_t pc = info->dlpi_addr + search->caller->address;
    struct caller_shared here = {.address = 0};
    struct pc_place place = pc_place(pc);

    (void)size;
    if (place.object == NULL || place.address != search->caller->address)
        return 0;
    set_object(&here, place.object);
    if (strcmp(here.object, search->caller->object) != 0)
        return 0;
    search->pc = pc;
    return 1;
}

/* Returns whether debug info knows the line. */
static int format_line(uint64_t pc, char *text, size_t size)
{
    struct pc_place place = pc_place(pc);
    struct symbols_question question = {{place.path, (uintptr_t)place.base, place.base}, pc};
    const struct symbols_answer *answer = symbols_find(&question, 1);
    int found = answer != NULL && answer->n > 0 && answer->places[0].line > 0;

    if (found)
        snprintf(text, size, "%s:%d", answer->places[0].file, answer->places[0].line);
    symbols_free(answer, 1);
    return found;
}

const char *caller_format(const struct caller_shared *caller, char *text, size_t size)
{
    struct search search = {caller, 0};

    if (caller->address == 0 || memchr(caller->object, '\0', sizeof caller->object) == NULL) {
        snprintf(text, size, "an unknown place");
        return text;
    }
    dl_iterate_phdr(look_at_object, &search);
    if (search.pc == 0 || !format_line(search.pc, text, size))
        snprintf(text, size, "%s+0x%" PRIx64, caller->object, caller->address);
    return text;
}

static void find_place(char *where, size_t size)
{
    struct caller_shared caller;

    caller_note(&caller);
    if (caller.address != 0)
        caller_format(&caller, where, size);
}

__attribute__((constructor)) static void offer_to_find_places(void)
{
    error_find_place = find_place;
}
