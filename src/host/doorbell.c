#include "host/doorbell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int doorbell_open(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void doorbell_ring(int fd)
{
    const uint64_t one = 1;
    int saved_errno = errno;

    /* It can only fail by being rung more often than 64 bits count. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}

void doorbell_clear(int fd)
{
    uint64_t rings;
    int saved_errno = errno;

    while (read(fd, &rings, sizeof rings) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}
