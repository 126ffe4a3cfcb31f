#include "memory/memory.h"

#include <pthread.h>

#include "base/error.h"
#include "memory/heap.h"
#include "memory/segment.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/*
 * A fork while another thread is creating the segment must find it created, and the mutex free, in the child.
 */
static void lock_for_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&mutex);
}

static void guard_forks(void)
{
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
}

static int create_once(sharedmem_error *error)
{
    int result = 0;

    pthread_mutex_lock(&mutex);
    if (segment_base == NULL) {
        result = segment_create(error);
        if (result == 0)
            heap_init();
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int memory_enter_first(sharedmem_error *error)
{
    static pthread_once_t guarded = PTHREAD_ONCE_INIT;

    pthread_once(&guarded, guard_forks);
    if (create_once(error) != 0)
        return -1;
    if (member_join() != 0)
        return error_system(
            error, "the job has no room for one more process or thread: its %u member slots are taken",
            MEMBER_SLOTS - 1);
    return 0;
}
