#include "base/thread_room.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* In front of each block. The blocks of a thread are a list, which its end goes through. */
struct room {
    struct room *next;
    void **slot;
    max_align_t block[];
};

static _Thread_local struct room *rooms __attribute__((tls_model("initial-exec")));
static pthread_key_t end_key;

/* Destructors of others may come later, and have new ones made: this is called again then. */
static void free_all(void *unused)
{
    (void)unused;
    while (rooms != NULL) {
        struct room *room = rooms;

        rooms = room->next;
        *room->slot = NULL;
        free(room);
    }
}

static void make_key(void)
{
    pthread_key_create(&end_key, free_all);
}

static void add(void **slot, size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct room *room = calloc(1, sizeof *room + bytes);

    if (room == NULL)
        return;
    pthread_once(&once, make_key);
    *room = (struct room){.next = rooms, .slot = slot};
    rooms = room;
    *slot = room->block;
    /* The value only has to differ from NULL. Where there is no room for it, the block outlives its thread. */
    pthread_setspecific(end_key, room);
}

void *thread_room(void **slot, size_t bytes)
{
    int saved_errno = errno;

    if (*slot == NULL)
        add(slot, bytes);
    errno = saved_errno;
    return *slot;
}
