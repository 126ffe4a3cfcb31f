/* The sentences in which a map says what went wrong. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "run/map_shared.h"

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

void map_item_error(sharedmem_error *error, uint32_t rank, uint64_t i, int code)
{
    error_set(error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "item %llu failed with code %d in worker %u",
              (unsigned long long)i, code, rank);
    append_fail_message(error);
    error->code = code;
    error->rank = (int32_t)rank;
    error->pid = getpid();
    error->item = i;
}

void map_reduce_error(sharedmem_error *error, uint64_t i, int code)
{
    error_set(error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "reduce of item %llu failed with code %d",
              (unsigned long long)i, code);
    append_fail_message(error);
    error->code = code;
    error->pid = getpid();
    error->item = i;
}

/* "while it did item 7", or that it had none. */
static const char *describe_item(uint64_t item, char *text, size_t size)
{
    if (item == SHAREDMEM_NO_ITEM)
        snprintf(text, size, "between two items");
    else
        snprintf(text, size, "while it did item %llu", (unsigned long long)item);
    return text;
}

void map_death_error(sharedmem_error *error, const struct supervise_child *child, uint64_t item)
{
    int pid = (int)child->process.pid;
    char doing[64], name[32];

    describe_item(item, doing, sizeof doing);
    switch (child->end.how) {
    case PROCESS_SIGNALLED:
        error_set(error, SHAREDMEM_ERROR_SIGNAL, ECANCELED, "worker %u (pid %d) was ended by %s %s%s",
                  child->rank, pid, process_signal_name(child->end.code, name, sizeof name), doing,
                  child->end.dumped_core ? " (core dumped)" : "");
        break;
    case PROCESS_EXITED:
        error_set(error, SHAREDMEM_ERROR_EXITED, ECANCELED, "worker %u (pid %d) called exit(%d) %s",
                  child->rank, pid, child->end.code, doing);
        break;
    default:
        error_set(error, SHAREDMEM_ERROR_EXITED, ECANCELED,
                  "worker %u (pid %d) ended %s; how is unknown, since the program collected its status "
                  "(SIGCHLD ignored, or a wait for any child)",
                  child->rank, pid, doing);
    }
    error->code = child->end.how == PROCESS_VANISHED ? -1 : child->end.code;
    error->rank = (int32_t)child->rank;
    error->pid = pid;
    error->item = item;
}
