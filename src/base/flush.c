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

void flush_after_fork(bool held)
{
    if (!held)
        return;
    funlockfile(stderr);
    funlockfile(stdout);
}
