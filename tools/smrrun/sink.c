#include "smrrun/sink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void sink_init(struct sink *sink, int fd)
{
    sink->fd = fd;
    sink->error = 0;
    sink->length = 0;
}

void sink_reserve(struct sink *sink, size_t n)
{
    if (n > SINK_BYTES - sink->length)
        sink_flush(sink);
}

void sink_add(struct sink *sink, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part;

        sink_reserve(sink, n < SINK_BYTES ? n : SINK_BYTES);
        part = n < SINK_BYTES ? n : SINK_BYTES;
        memcpy(sink->text + sink->length, bytes, part);
        sink->length += part;
        bytes += part;
        n -= part;
    }
}

/*
 * The mode belongs to the open file, which the user's shell and other programs have too: one of them may have
 * made it non-blocking, and none expects it to change. An error shows at the next write.
 */
static void wait_until_writable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};

    poll(&polled, 1, -1);
}

void sink_flush(struct sink *sink)
{
    size_t written = 0;

    while (written < sink->length && sink->error == 0) {
        ssize_t n = write(sink->fd, sink->text + written, sink->length - written);

        if (n > 0)
            written += (size_t)n;
        else if (n == 0)
            sink->error = ENOSPC; /* some device that takes no more */
        else if (errno == EAGAIN)
            wait_until_writable(sink->fd);
        else if (errno != EINTR)
            sink->error = errno;
    }
    sink->length = 0;
}
