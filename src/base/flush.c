#include "config.h"

#include "base/flush.h"

#include <stdio.h>
#ifdef HAVE_SYS_SINGLE_THREADED_H
#include <sys/single_threaded.h>
#endif

#include "base/each_fork.h"

static bool is_single_threaded(void)
{
#ifdef HAVE_SYS_SINGLE_THREADED_H
    return __libc_single_threaded;
#else
    return true;
#endif
}

/* glibc's list of all streams; another C library has none. */
#ifdef __GLIBC__
extern FILE *_IO_list_all __attribute__((weak));
#endif

/* Whether a stream may have something to write. Without locks: only where no other thread is. */
static bool is_pending(void)
{
#ifdef __GLIBC__
    if (&_IO_list_all == NULL)
        return true;
    /* Of wide characters (mode above 0) the buffer lies elsewhere. */
    for (const FILE *stream = _IO_list_all; stream != NULL; stream = stream->_chain) {
        if (stream->_IO_write_ptr > stream->_IO_write_base || stream->_mode > 0)
            return true;
    }
    return false;
#else
    return true;
#endif
}

EACH_FORK void flush_all(void)
{
    if (!is_single_threaded() || is_pending())
        fflush(NULL);
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
