#include "config.h"

#include "base/flush.h"

#include <stdio.h>
#ifdef HAVE_SYS_SINGLE_THREADED_H
#include <sys/single_threaded.h>
#endif

static bool is_single_threaded(void)
{
#ifdef HAVE_SYS_SINGLE_THREADED_H
    return __libc_single_threaded;
#else
    return true;
#endif
}

bool flush_before_fork(void)
{
    if (is_single_threaded()) {
        fflush(NULL);
        return false;
    }
    flockfile(stdout);
    flockfile(stderr);
    fflush(stdout);
    fflush(stderr);
    return true;
}

static void flush_if_free(FILE *stream)
{
    if (ftrylockfile(stream) != 0)
        return;
    fflush(stream);
    funlockfile(stream);
}

void flush_to_leave(void)
{
    if (is_single_threaded()) {
        fflush(NULL);
        return;
    }
    flush_if_free(stdout);
    flush_if_free(stderr);
}

void flush_after_fork(bool held)
{
    if (!held)
        return;
    funlockfile(stderr);
    funlockfile(stdout);
}
