#include "host/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fds.h"

/* A pipe, not an eventfd: all eventfds are one inode, so that nobody could tell ours from another. */
static bool is_still(int fd, const struct doorbell *bell)
{
    struct stat status;

    return fstat(fd, &status) == 0 && status.st_dev == bell->device && status.st_ino == bell->inode;
}

int doorbell_open(struct doorbell *bell)
{
    struct stat status;
    int ends[2];

    *bell = DOORBELL_NONE;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    bell->fd = fds_above_stdio(ends[0]);
    bell->ring_fd = fds_above_stdio(ends[1]);
    if (bell->fd >= 0 && bell->ring_fd >= 0 && fstat(bell->fd, &status) == 0) {
        bell->device = status.st_dev;
        bell->inode = status.st_ino;
        return 0;
    }
    if (bell->fd >= 0)
        close(bell->fd);
    if (bell->ring_fd >= 0)
        close(bell->ring_fd);
    *bell = DOORBELL_NONE;
    return -1;
}

void doorbell_ring(const struct doorbell *bell)
{
    int saved_errno = errno;

    /* A full pipe is readable already. */
    if (is_still(bell->ring_fd, bell))
        while (write(bell->ring_fd, "!", 1) < 0 && errno == EINTR)
            ;
    errno = saved_errno;
}

void doorbell_clear(const struct doorbell *bell)
{
    int saved_errno = errno;
    char rings[256];

    if (is_still(bell->fd, bell)) {
        ssize_t got;

        do
            got = read(bell->fd, rings, sizeof rings);
        while (got == sizeof rings || (got < 0 && errno == EINTR));
    }
    errno = saved_errno;
}

/* The program may have closed it, and opened a file of its own there. */
static void close_if_ours(int fd, const struct doorbell *bell)
{
    if (fd >= 0 && is_still(fd, bell))
        close(fd);
}

void doorbell_close(struct doorbell *bell)
{
    int saved_errno = errno;

    close_if_ours(bell->fd, bell);
    close_if_ours(bell->ring_fd, bell);
    *bell = DOORBELL_NONE;
    errno = saved_errno;
}
