#include "host/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/*
 * Newer kernels warn of memfds that may be executed, and may be set to refuse them; older ones lack the flag.
 */
static int open_memfd(void)
{
    int fd = memfd_create("sharedmem", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("sharedmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

int pages_create(uint64_t size, const void *header, size_t header_bytes)
{
    int fd = open_memfd();
    int saved_errno;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)size) == 0 && pwrite(fd, header, header_bytes, 0) == (ssize_t)header_bytes &&
        fcntl(fd, F_ADD_SEALS, SIZE_SEALS) == 0)
        return fd;
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

int pages_inspect(int fd, uint64_t *size)
{
    struct stat status;
    int seals;

    if (fstat(fd, &status) != 0)
        return -1;
    if (status.st_uid != geteuid()) {
        errno = EPERM;
        return -1;
    }
    /* Without the seals somebody could cut it, and the next touch would be a SIGBUS. */
    seals = fcntl(fd, F_GET_SEALS);
    if (seals == -1 || (seals & SIZE_SEALS) != SIZE_SEALS) {
        errno = EBADF;
        return -1;
    }
    *size = (uint64_t)status.st_size;
    return 0;
}

/*
 * At once after the mapping: a core file of one process would else write out every hole, and so allocate it.
 * Huge pages are asked for here, once for all of it in each process: what one process asks for a block,
 * another that touches it first would not have asked for.
 */
static void advise(void *base, uint64_t size)
{
    madvise(base, size, MADV_DONTDUMP);
    if (pages_huge_is_wanted())
        madvise(base, size, MADV_HUGEPAGE);
}

void *pages_map(int fd, uint64_t size)
{
    uint64_t room_bytes = size + PAGES_HUGE_BYTES;
    char *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t front;
    char *base;

    if (room == MAP_FAILED)
        return NULL;
    front = (size_t)(-(uintptr_t)room % PAGES_HUGE_BYTES);
    base = room + front;
    if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(room, room_bytes);
        return NULL;
    }
    advise(base, size);
    if (front > 0)
        munmap(room, front);
    munmap(base + size, PAGES_HUGE_BYTES - front);
    return base;
}

void *pages_map_begin(int fd, uint64_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED)
        return NULL;
    advise(base, size);
    return base;
}

bool pages_map_at(int fd, uint64_t size, void *address)
{
    void *got = mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);

    if (got == MAP_FAILED)
        return false;
    if (got != address) {
        munmap(got, size);
        return false;
    }
    advise(got, size);
    return true;
}

void pages_unmap(void *base, uint64_t size)
{
    munmap(base, size);
}

bool pages_punch(void *begin, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)begin + bytes) / page * page;
    int saved_errno = errno;
    bool done = first < end && madvise((void *)first, end - first, MADV_REMOVE) == 0;

    errno = saved_errno;
    return done && first == (uintptr_t)begin && end == (uintptr_t)begin + bytes;
}

/*
 * Reading does it, since a hole in a shared file has no zero page to stand for it; and a read disturbs nobody
 * who writes there at the same time.
 */
static void touch(const volatile char *begin, const volatile char *end, size_t page)
{
    for (; begin < end; begin += page)
        (void)*begin;
}

int pages_populate(void *begin, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)begin / page * page;
    uintptr_t end = ((uintptr_t)begin + bytes + page - 1) / page * page;
    int saved_errno = errno;

    while (madvise((void *)first, end - first, MADV_POPULATE_WRITE) != 0) {
        /* A signal came, or a page was on its way: what is there already costs little to ask for again. */
        if (errno == EINTR || errno == EAGAIN)
            continue;
        /*
         * EFAULT: the fault would have been a SIGBUS. All else is a refusal of the call, not of the memory.
         */
        if (errno == ENOMEM || errno == EFAULT) {
            errno = ENOMEM;
            return -1;
        }
        touch((char *)first, (char *)end, page);
        break;
    }
    errno = saved_errno;
    return 0;
}

size_t pages_resident(const void *begin, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)begin + bytes) / page * page;
    unsigned char in_memory[4096];
    size_t n = 0;
    int saved_errno = errno;

    while (first < end) {
        size_t pages = (end - first) / page;

        if (pages > sizeof in_memory)
            pages = sizeof in_memory;
        if (mincore((void *)first, pages * page, in_memory) != 0)
            break;
        for (size_t i = 0; i < pages; i++)
            n += in_memory[i] & 1;
        first += pages * page;
    }
    errno = saved_errno;
    return n * page;
}
