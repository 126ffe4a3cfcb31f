#include "host/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/each_fork.h"

int fds_above_stdio(int fd)
{
    int above, saved_errno;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return above;
}

int fds_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)limit.rlim_cur;
}

/* The soft limit until it was raised; 0: it was not. */
static rlim_t former_limit;

static void set_soft_limit(rlim_t soft)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = soft;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void fds_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    former_limit = limit.rlim_cur;
    set_soft_limit(limit.rlim_max);
}

void fds_restore_limit(void)
{
    if (former_limit != 0)
        set_soft_limit(former_limit);
}

EACH_FORK uint64_t fds_inode(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* Opens n more of fd, one in each call, and closes them on the way back. */
static bool can_open(int fd, int n)
{
    int another, saved_errno;
    bool can;

    if (n == 0)
        return true;
    another = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (another < 0)
        return false;
    can = can_open(fd, n - 1);
    saved_errno = errno;
    close(another);
    errno = saved_errno;
    return can;
}

bool fds_has_room(int n)
{
    return can_open(STDERR_FILENO, n);
}
