#include "run/crew_errors.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "run/crew.h"
#include "team/shortage.h"

int crew_check_np(const char *call, const char *name, int64_t np, sharedmem_error *error)
{
    if (np >= 0 && np <= CREW_MAX_WORKERS)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                     "%s: %s is %lld; it can be 1 to %d, or 0 for sharedmem_cpu_count()", call, name,
                     (long long)np, CREW_MAX_WORKERS);
}

int crew_check_backend(const char *call, int32_t backend, sharedmem_error *error)
{
    if (backend >= SHAREDMEM_PROCESSES && backend <= SHAREDMEM_SERIAL)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                     "%s: .backend is none of SHAREDMEM_PROCESSES, SHAREDMEM_THREADS, SHAREDMEM_SERIAL",
                     call);
}

/* Puts what sharedmem_fail() was told behind the sentence in error->message. */
static void append_fail_message(sharedmem_error *error)
{
    size_t length = strlen(error->message);
    sharedmem_error told;

    told.message[0] = '\0';
    error_take_fail_message(&told);
    if (told.message[0] != '\0')
        snprintf(error->message + length, sizeof error->message - length, ": %.*s",
                 (int)(sizeof error->message - length - 3), told.message);
}

/* Fills error with a sentence, a colon and what the user's function said. */
static void fill(sharedmem_error *error, uint64_t item, int rank, int code, const char *sentence)
{
    error_set(error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "%s", sentence);
    append_fail_message(error);
    error->code = code;
    error->rank = rank;
    error->pid = getpid();
    error->item = item;
}

void crew_item_error(sharedmem_error *error, uint32_t rank, uint64_t i, int code)
{
    char sentence[128];

    snprintf(sentence, sizeof sentence, "item %llu failed with code %d in worker %u", (unsigned long long)i,
             code, rank);
    fill(error, i, (int)rank, code, sentence);
}

void crew_region_error(sharedmem_error *error, uint64_t i)
{
    error_set(error, SHAREDMEM_ERROR_USAGE, EPERM, "ordered: item %llu began a region and did not end it",
              (unsigned long long)i);
    error->item = i;
}

void crew_reduce_error(sharedmem_error *error, uint64_t i, int code)
{
    char sentence[128];

    snprintf(sentence, sizeof sentence, "reduce of item %llu failed with code %d", (unsigned long long)i,
             code);
    fill(error, i, -1, code, sentence);
}

void crew_next_error(sharedmem_error *error, uint64_t i, int code)
{
    char sentence[128];

    snprintf(sentence, sizeof sentence, "next failed with code %d instead of item %llu", code,
             (unsigned long long)i);
    fill(error, i, -1, code, sentence);
}

void crew_body_error(sharedmem_error *error, uint32_t rank, int code)
{
    char sentence[128];

    snprintf(sentence, sizeof sentence, "rank %u failed with code %d", rank, code);
    fill(error, SHAREDMEM_NO_ITEM, (int)rank, code, sentence);
}

void crew_call_error(sharedmem_error *error, int code)
{
    char sentence[128];

    snprintf(sentence, sizeof sentence, "the background call failed with code %d", code);
    fill(error, SHAREDMEM_NO_ITEM, 0, code, sentence);
}

/* " while it did item 7", or nothing where it had none. */
static const char *describe_item(uint64_t item, char *text, size_t size)
{
    text[0] = '\0';
    if (item != SHAREDMEM_NO_ITEM)
        snprintf(text, size, " while it did item %llu", (unsigned long long)item);
    return text;
}

/*
 * A signal that the worker was sent has no traceback, and a slot of an earlier, mended fault says nothing of
 * it.
 */
static bool has_traceback(const struct supervise_child *child, const struct crash_shared *crash)
{
    return child->end.how == PROCESS_SIGNALLED && crash->signal == child->end.code;
}

/* How the worker ended, up to what it did then. */
static void describe_end(const struct supervise_child *child, const struct crash_shared *crash, char *text,
                         size_t size)
{
    char name[32];

    switch (child->end.how) {
    case PROCESS_SIGNALLED:
        snprintf(text, size, "was ended by %s%s", process_signal_name(child->end.code, name, sizeof name),
                 has_traceback(child, crash) && crash_is_stack_overflow(crash) ? ", a stack overflow," : "");
        break;
    case PROCESS_EXITED:
        snprintf(text, size, "called exit(%d)", child->end.code);
        break;
    default:
        snprintf(text, size,
                 "ended (how is unknown, since the program collected its status: SIGCHLD ignored, or a wait "
                 "for any child)");
    }
}

void crew_note_oom(void)
{
    shortage_note();
}

void crew_death_error(sharedmem_error *error, const struct supervise_child *child,
                      const struct team_rank_shared *rank)
{
    bool signalled = child->end.how == PROCESS_SIGNALLED;
    uint64_t item = atomic_load_explicit(&rank->item, memory_order_relaxed);
    char doing[64], end[160], shortage[600];
    bool is_shortage = shortage_explains(&child->end, &rank->crash, shortage, sizeof shortage);

    describe_end(child, &rank->crash, end, sizeof end);
    describe_item(item, doing, sizeof doing);
    error_set(error, signalled ? SHAREDMEM_ERROR_SIGNAL : SHAREDMEM_ERROR_EXITED, ECANCELED,
              "worker %u (pid %d) %s%s%s%s", child->rank, (int)child->process.pid, end, doing,
              child->end.dumped_core ? " (core dumped)" : "", shortage);
    if (has_traceback(child, &rank->crash))
        crash_format(&rank->crash, error->traceback, sizeof error->traceback);
    error->code = child->end.how == PROCESS_VANISHED ? -1 : child->end.code;
    if (is_shortage) {
        error->kind = SHAREDMEM_ERROR_NO_MEMORY;
        error->code = ENOMEM;
    }
    error->rank = (int32_t)child->rank;
    error->pid = child->process.pid;
    error->item = item;
}
