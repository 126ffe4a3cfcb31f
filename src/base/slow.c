#include "base/slow.h"

#include <pthread.h>

#include "base/each_fork.h"

static const pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

EACH_FORK static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

EACH_FORK static void after_fork(void)
{
    pthread_mutex_unlock(&mutex);
}

/* Its owner is the parent's thread, by a number that the child's does not have. */
EACH_FORK static void in_child(void)
{
    mutex = fresh;
}

static void guard_forks(void)
{
    pthread_atfork(before_fork, after_fork, in_child);
}

void slow_lock(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, guard_forks);
    pthread_mutex_lock(&mutex);
}

void slow_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}
