#include "host/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/clock.h"

/* Not FUTEX_PRIVATE_FLAG anywhere: sleeper and waker may be different processes. */

bool futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec timeout = clock_timespec(timeout_ns);
    int saved_errno = errno;
    bool in_time = true;

    if (syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0) == -1)
        in_time = errno != ETIMEDOUT;
    errno = saved_errno;
    return in_time;
}

void futex_wake(_Atomic uint32_t *word, int count)
{
    int saved_errno = errno;

    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    errno = saved_errno;
}
