#include "host/peer_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/clock.h"

static _Atomic bool is_refused;

/* This process's mark, and the process that made it: a forked copy has it too. 0: there is none. */
static _Atomic uint64_t mark;
static _Atomic pid_t mark_pid;

void peer_memory_tell(struct peer_shared *me)
{
    pid_t pid = getpid();

    /*
     * Where two threads make it at once one tells a mark that is none, and is not read: that costs speed,
     * once.
     */
    if (atomic_load_explicit(&mark_pid, memory_order_acquire) != pid) {
        atomic_store_explicit(&mark, clock_monotonic_ns() << 20 ^ (uint64_t)pid, memory_order_relaxed);
        atomic_store_explicit(&mark_pid, pid, memory_order_release);
    }
    *me = (struct peer_shared){
        .mark = atomic_load_explicit(&mark, memory_order_relaxed), .mark_at = (uintptr_t)&mark, .pid = pid};
}

/* At least one byte. Returns how many it read, of the right process, or -1. */
static ssize_t read_some(const struct peer_shared *peer, uint64_t address, void *data, size_t bytes)
{
    uint64_t found = 0;
    struct iovec local[2] = {{&found, sizeof found}, {data, bytes}};
    struct iovec remote[2] = {{(void *)(uintptr_t)peer->mark_at, sizeof found},
                              {(void *)(uintptr_t)address, bytes}};
    ssize_t got = process_vm_readv(peer->pid, local, 2, remote, 2, 0);

    if (got < 0 && (errno == EPERM || errno == ENOSYS))
        atomic_store_explicit(&is_refused, true, memory_order_relaxed);
    return got > (ssize_t)sizeof found && found == peer->mark ? got - (ssize_t)sizeof found : -1;
}

static bool read_other(const struct peer_shared *peer, uint64_t address, char *data, size_t bytes)
{
    int saved_errno = errno;
    ssize_t got = 1;

    /* It may read less than all: 2 GiB at most. */
    for (; bytes > 0 && got > 0; address += (uint64_t)got, data += got, bytes -= (size_t)got) {
        got = read_some(peer, address, data, bytes);
        if (got < 0)
            break;
    }
    errno = saved_errno;
    return bytes == 0;
}

bool peer_memory_read(const struct peer_shared *peer, uint64_t address, void *data, size_t bytes)
{
    if (peer->pid == getpid() && peer->mark_at == (uintptr_t)&mark &&
        peer->mark == atomic_load_explicit(&mark, memory_order_relaxed)) {
        memcpy(data, (const void *)(uintptr_t)address, bytes);
        return true;
    }
    return !atomic_load_explicit(&is_refused, memory_order_relaxed) && read_other(peer, address, data, bytes);
}
