/* What a master makes of a worker's crash. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "host/crash.h"
#include "host/pc.h"
#include "host/symbols.h"

/* How far below its stack pointer a call faults that uses up the stack; and what a stack may be at most. */
#define BELOW_STACK_POINTER ((uint64_t)64 << 10)
#define STACK_MAX           ((uint64_t)16 << 30)

static bool is_named(const struct pc_place *place, const char *name)
{
    return place->function != NULL && strcmp(place->function, name) == 0;
}

/* How many of the frames there are up to main; without its name, up to the C library's that call it. */
static uint32_t count_to_main(const uint64_t *pcs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct pc_place place = pc_place(pcs[i]);

        if (is_named(&place, "main"))
            return i + 1;
        if (is_named(&place, "__libc_start_main")) {
            while (i > 0 && pc_place(pcs[i - 1]).base == place.base)
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
static bool append_symbol(struct lines *lines, uint32_t i, const struct pc_place *place)
{
    if (place->function == NULL)
        return append(lines, "  #%u %.60s+0x%" PRIx64 "\n", i, place->object, place->address);
    return append(lines, "  #%u %.120s+0x%" PRIx64 " (%.60s+0x%" PRIx64 ")\n", i, place->function,
                  place->offset, place->object, place->address);
}

/* "function at file:line", as far as it is known. */
static const char *describe(const struct symbols_place *source, char *text, size_t size)
{
    const char *function = source->function[0] != '\0' ? source->function : "?";

    if (source->line > 0)
        snprintf(text, size, "%.120s at %s:%d", function, source->file, source->line);
    else
        snprintf(text, size, "%.120s", function);
    return text;
}

/* A line for each function of the frame, the last with what all have in common. */
static bool append_sources(struct lines *lines, uint32_t i, const struct pc_place *place,
                           const struct symbols_place *sources, int n)
{
    char begin[32], source[256];

    snprintf(begin, sizeof begin, "  #%u ", i);
    for (int k = 0; k < n; k++) {
        const char *before = k == 0 ? begin : "     inlined in ";

        describe(&sources[k], source, sizeof source);
        if (k < n - 1 ? !append(lines, "%s%s\n", before, source)
                      : !append(lines, "%s%s (%.60s+0x%" PRIx64 ")\n", before, source, place->object,
                                place->address))
            return false;
    }
    return true;
}

/* answer: what debug info says; NULL: it was not asked. */
static bool append_frame(struct lines *lines, uint32_t i, const struct pc_place *at, uint64_t pc,
                         const struct symbols_answer *answer)
{
    struct pc_place place = *at;
    const struct symbols_place *sources = answer != NULL ? answer->places : NULL;
    int n = answer != NULL ? answer->n : 0;

    if (place.object == NULL)
        return append(lines, "  #%u 0x%" PRIx64 "\n", i, pc);
    if (n > 1 || (n == 1 && sources->line > 0))
        return append_sources(lines, i, &place, sources, n);
    if (n == 1) {
        place.function = sources->function;
        place.offset = sources->offset;
    }
    return append_symbol(lines, i, &place);
}

/* What is known of a frame before the debug info is asked. */
struct frame {
    struct pc_place place;
    struct symbols_question question;
};

static struct frame own_frame(uint64_t pc)
{
    struct pc_place place = pc_place(pc);

    return (struct frame){place, {{place.path, (uintptr_t)place.base, place.base}, pc}};
}

/* Of a process with another layout. */
static struct frame rank_frame(const struct crash_objects_shared *objects, uint32_t n_objects, uint64_t pc)
{
    const char *path = NULL;
    const struct crash_object_shared *object = crash_objects_find(objects, n_objects, pc, &path);
    struct frame frame = {.question = {.pc = pc}};

    if (object == NULL)
        return frame;
    frame.place.object = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    frame.place.path = path;
    frame.place.address = pc - object->bias;
    if (object->start != 0)
        frame.question.object = (struct symbols_object){path, object->start, NULL};
    return frame;
}

static struct frame frame_of(const struct crash_shared *slot, const struct crash_objects_shared *objects,
                             uint64_t pc)
{
    return objects != NULL ? rank_frame(objects, slot->n_objects, pc) : own_frame(pc);
}

/* Asks the debug info. */
static const struct symbols_answer *look_up(const struct frame *frames, uint32_t n)
{
    struct symbols_question questions[CRASH_PCS] = {0};

    for (uint32_t i = 0; i < n; i++)
        questions[i] = frames[i].question;
    return symbols_find(questions, (int)n);
}

/* The same as count_to_main(), by what was found of the frames. */
static uint32_t count_by_answers(const struct frame *frames, const struct symbols_answer *answers, uint32_t n)
{
    for (uint32_t i = 0; answers != NULL && i < n; i++) {
        const char *function = answers[i].n > 0 ? answers[i].places[answers[i].n - 1].function : "";

        if (strcmp(function, "main") == 0)
            return i + 1;
        if (strncmp(function, "__libc_start_", 13) == 0) {
            uint64_t start = frames[i].question.object.start;

            while (i > 0 && frames[i - 1].question.object.start == start)
                i--;
            return i;
        }
    }
    return n;
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

/* objects: NULL where the process had this one's layout. */
static int format(const struct crash_shared *slot, const struct crash_objects_shared *objects, char *text,
                  size_t size)
{
    struct lines lines = {.text = text, .size = size};
    struct frame frames[CRASH_PCS];
    uint64_t pcs[CRASH_PCS];
    uint32_t n_asked, n = pcs_of(slot, pcs), same;
    const struct symbols_answer *answers;

    if (size == 0)
        return 0;
    *text = '\0';
    n_asked = n = objects == NULL ? count_to_main(pcs, n) : n;
    for (uint32_t i = 0; i < n; i++)
        frames[i] = frame_of(slot, objects, pcs[i]);
    answers = look_up(frames, n);
    if (objects != NULL)
        n = count_by_answers(frames, answers, n);
    for (uint32_t i = 0; i < n; i += same) {
        same = count_same(pcs + i, n - i);
        if (!append_frame(&lines, i, &frames[i].place, pcs[i], answers != NULL ? &answers[i] : NULL) ||
            (same > 1 && !append(&lines, "  ... %u more\n", same - 1)))
            break;
    }
    symbols_free(answers, (int)n_asked);
    return lines.n;
}

int crash_format(const struct crash_shared *slot, char *text, size_t size)
{
    return format(slot, NULL, text, size);
}

int crash_format_rank(const struct crash_shared *slot, const struct crash_objects_shared *objects, char *text,
                      size_t size)
{
    return format(slot, objects, text, size);
}

void crash_format_place(const struct crash_shared *slot, const struct crash_objects_shared *objects, char *text,
                        size_t size)
{
    struct lines lines = {.text = text, .size = size};
    uint64_t pcs[CRASH_PCS];
    uint32_t n = pcs_of(slot, pcs);

    if (size == 0)
        return;
    *text = '\0';
    for (uint32_t i = 0; i < n; i++) {
        struct frame frame = rank_frame(objects, slot->n_objects, pcs[i]);

        if (frame.place.object == NULL ||
            !append(&lines, "%.40s+0x%" PRIx64 " ", frame.place.object, frame.place.address))
            break;
    }
}

bool crash_is_stack_overflow(const struct crash_shared *slot)
{
    /* A stack pointer or an address that lies above the top wraps around to a large number. */
    uint64_t used = slot->stack_top - slot->stack_pointer;
    uint64_t depth = slot->stack_top - slot->fault_address;

    return slot->signal == SIGSEGV && slot->code > 0 && used < STACK_MAX && depth > 0 &&
           depth <= used + BELOW_STACK_POINTER;
}
