/* What a master makes of a worker's crash. */
#include <dlfcn.h>
#include <inttypes.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "host/crash.h"

/* How far below its stack pointer a call faults that uses up the stack; and what a stack may be at most. */
#define BELOW_STACK_POINTER ((uint64_t)64 << 10)
#define STACK_MAX           ((uint64_t)16 << 30)

struct place {
    const char *function, *object; /* NULL: unknown */
    uint64_t offset;               /* from the function's beginning */
    uint64_t address;              /* as the object's file has it */
    const void *base;
};

static struct place place_of(uint64_t pc)
{
    struct place place = {0};
    struct link_map *map;
    const char *slash;
    Dl_info info;

    if (dladdr1((const void *)(uintptr_t)pc, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return place;
    slash = strrchr(info.dli_fname, '/');
    place.object = slash != NULL ? slash + 1 : info.dli_fname;
    place.address = pc - map->l_addr;
    place.base = info.dli_fbase;
    place.function = info.dli_sname;
    if (place.function != NULL)
        place.offset = pc - (uintptr_t)info.dli_saddr;
    return place;
}

static bool is_named(const struct place *place, const char *name)
{
    return place->function != NULL && strcmp(place->function, name) == 0;
}

/* How many of the frames there are up to main; without its name, up to the C library's that call it. */
static uint32_t count_to_main(const uint64_t *pcs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct place place = place_of(pcs[i]);

        if (is_named(&place, "main"))
            return i + 1;
        if (is_named(&place, "__libc_start_main")) {
            while (i > 0 && place_of(pcs[i - 1]).base == place.base)
                i--;
            return i;
        }
    }
    return n;
}

struct lines {
    char *text;
    size_t size, used;
    int n;
};

/* Appends a line where all of it fits. Returns whether it did. */
__attribute__((format(printf, 2, 3))) static bool append(struct lines *lines, const char *format, ...)
{
    size_t room = lines->size - lines->used;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(lines->text + lines->used, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room) {
        lines->text[lines->used] = '\0';
        return false;
    }
    lines->used += (size_t)length;
    lines->n++;
    return true;
}

/* Names are cut, or one function of C++ would take all the room. */
static bool append_frame(struct lines *lines, uint32_t i, uint64_t pc)
{
    struct place place = place_of(pc);

    if (place.object == NULL)
        return append(lines, "  #%u 0x%" PRIx64 "\n", i, pc);
    if (place.function == NULL)
        return append(lines, "  #%u %.60s+0x%" PRIx64 "\n", i, place.object, place.address);
    return append(lines, "  #%u %.120s+0x%" PRIx64 " (%.60s+0x%" PRIx64 ")\n", i, place.function,
                  place.offset, place.object, place.address);
}

/* Copies the frames that are there. Returns how many. */
static uint32_t pcs_of(const struct crash_shared *slot, uint64_t *pcs)
{
    /* acquire: pairs with the release in record(). */
    uint32_t n = atomic_load_explicit(&slot->n_pcs, memory_order_acquire);

    n = n < CRASH_PCS ? n : CRASH_PCS;
    memcpy(pcs, slot->pcs, n * sizeof *pcs);
    return n;
}

static uint32_t count_same(const uint64_t *pcs, uint32_t n)
{
    uint32_t same = 1;

    while (same < n && pcs[same] == pcs[0])
        same++;
    return same;
}

int crash_format(const struct crash_shared *slot, char *text, size_t size)
{
    struct lines lines = {.text = text, .size = size};
    uint64_t pcs[CRASH_PCS];
    uint32_t n = pcs_of(slot, pcs), same;

    if (size == 0)
        return 0;
    *text = '\0';
    n = count_to_main(pcs, n);
    for (uint32_t i = 0; i < n; i += same) {
        same = count_same(pcs + i, n - i);
        if (!append_frame(&lines, i, pcs[i]) || (same > 1 && !append(&lines, "  ... %u more\n", same - 1)))
            break;
    }
    return lines.n;
}

bool crash_is_stack_overflow(const struct crash_shared *slot)
{
    /* A stack pointer or an address that lies above the top wraps around to a large number. */
    uint64_t used = slot->stack_top - slot->stack_pointer;
    uint64_t depth = slot->stack_top - slot->fault_address;

    return slot->signal == SIGSEGV && slot->code > 0 && used < STACK_MAX && depth > 0 &&
           depth <= used + BELOW_STACK_POINTER;
}
