#include "memory/segment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/error.h"
#include "host/limits.h"
#include "host/pages.h"
#include "memory/claim.h"
#include "memory/member.h"

/*
 * Valgrind keeps books of every mapped page: with as much as all of memory it takes minutes for that alone.
 */
#define VALGRIND_BYTES ((uint64_t)256 << 20)

char *segment_base;
size_t segment_size;

static uint64_t half_limit(uint64_t limit)
{
    return limit == LIMITS_NONE ? LIMITS_NONE : limit / 2;
}

uint64_t segment_size_rule(uint64_t total, uint64_t address_space, uint64_t file_size)
{
    uint64_t size = total != 0 ? total : (uint64_t)1 << 30;

    size = bits_smaller(size, bits_smaller(half_limit(address_space), half_limit(file_size)));
    size = bits_smaller(size, SEGMENT_MAX_BYTES) / PAGES_HUGE_BYTES * PAGES_HUGE_BYTES;
    return size > SEGMENT_MIN_BYTES ? size : SEGMENT_MIN_BYTES;
}

static uint64_t make_cookie(void)
{
    uint64_t cookie = 0;

    /* 8 bytes never block once the machine is up, and are never cut. */
    if (getrandom(&cookie, sizeof cookie, 0) != sizeof cookie)
        return 0;
    return cookie;
}

int segment_memfd(uint64_t size, uint32_t n_ranks, sharedmem_error *error)
{
    uint64_t claims = bits_round_up(sizeof(struct segment_header_shared), 128);
    uint64_t members = bits_round_up(claims + claim_table_bytes(n_ranks) + 1, 4096);
    uint64_t criticals = bits_round_up(members + member_table_bytes(), 4096);
    struct segment_header_shared header = {
        .magic = SEGMENT_MAGIC,
        .layout = SEGMENT_LAYOUT,
        .has_huge = pages_huge_is_wanted(),
        .n_ranks = n_ranks,
        .size = size,
        .cookie = make_cookie(),
        .part_offset = {[SEGMENT_CLAIMS] = claims,
                        [SEGMENT_MEMBERS] = members,
                        [SEGMENT_CRITICALS] = criticals,
                        [SEGMENT_HEAP] = criticals + SEGMENT_CRITICALS_BYTES},
    };
    int fd = pages_create(size, &header, sizeof header);

    if (fd < 0)
        error_system(error, "cannot make shared memory of %llu MiB (memfd_create)",
                     (unsigned long long)size >> 20);
    return fd;
}

void segment_adopt(char *base, size_t size)
{
    segment_base = base;
    segment_size = size;
}

void segment_drop(void)
{
    pages_unmap(segment_base, segment_size);
    segment_adopt(NULL, 0);
}

/* Returns the fd, or -1. */
static int create_with_size(uint64_t size, uint32_t n_ranks, sharedmem_error *error)
{
    int fd = segment_memfd(size, n_ranks, error);
    void *base;
    int saved_errno;

    if (fd < 0)
        return -1;
    base = pages_map(fd, size);
    if (base != NULL) {
        segment_adopt(base, size);
        return fd;
    }
    error_system(error, "cannot map %llu MiB of shared memory", (unsigned long long)size >> 20);
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

#define NOT_ASKED_FOR (-2)

/* The size that SHAREDMEM_HEAP asks for; 0: it does not. */
static uint64_t size_of_environment(void)
{
    uint64_t size = 0;

    switch (env_size(ENV_HEAP, &size)) {
    case ENV_UNSET:
        return 0;
    case ENV_MALFORMED:
        env_warn(ENV_HEAP, "a size like 512M or 16G");
        return 0;
    case ENV_GOOD:
        break;
    }
    /* "0" is asked for, and refused. */
    return size != 0 ? size : 1;
}

/* What the user asked for, exactly, or nothing. Returns the fd, -1, or NOT_ASKED_FOR. */
static int create_as_asked(uint32_t n_ranks, uint64_t by_option, sharedmem_error *error)
{
    uint64_t size = by_option != 0 ? by_option : size_of_environment();
    uint64_t file_size = limits_file_size();
    char text[64];
    int fd;

    if (size == 0)
        return NOT_ASKED_FOR;
    if (by_option != 0)
        snprintf(text, sizeof text, "--heap %lluM", (unsigned long long)by_option >> 20);
    else
        snprintf(text, sizeof text, "SHAREDMEM_HEAP=%.40s", env_text(ENV_HEAP));
    if (size < SEGMENT_MIN_BYTES || size > SEGMENT_MAX_BYTES)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL, "%s is not between 16M and 8192G", text);
    size = bits_round_up(size, PAGES_HUGE_BYTES);
    /* Beyond the limit ftruncate would not just fail: SIGXFSZ ends the program. */
    if (size > file_size)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, EFBIG,
                         "%s is more than the file size limit of %llu MiB; raise ulimit -f or ask for less",
                         text, (unsigned long long)file_size >> 20);
    fd = create_with_size(size, n_ranks, error);
    if (fd < 0 && errno == ENOMEM)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, ENOMEM,
                         "%s cannot be mapped; raise ulimit -v or ask for less", text);
    if (fd >= 0)
        segment_header()->size_by = by_option != 0 ? SEGMENT_BY_OPTION : SEGMENT_BY_HEAP;
    return fd;
}

/* Which of the limits in segment_size_rule() was the one. */
static enum segment_by size_by(uint64_t size, uint64_t ruled)
{
    if (size < ruled || env_has_valgrind())
        return SEGMENT_BY_SYSTEM;
    if (half_limit(limits_address_space()) < size + PAGES_HUGE_BYTES)
        return SEGMENT_BY_ADDRESS_SPACE;
    if (half_limit(limits_file_size()) < size + PAGES_HUGE_BYTES)
        return SEGMENT_BY_FILE_SIZE;
    return SEGMENT_BY_MEMORY;
}

/* Returns the fd, or -1. */
static int create_as_fits(uint32_t n_ranks, sharedmem_error *error)
{
    struct limits_memory memory;
    uint64_t size, ruled;
    int fd;

    limits_memory_read("", &memory);
    if (limits_file_size() < SEGMENT_MIN_BYTES)
        return error_set(error, SHAREDMEM_ERROR_NO_MEMORY, EFBIG,
                         "shared memory needs a file size limit of 16 MiB or more; raise ulimit -f");
    size = segment_size_rule(memory.total, limits_address_space(), limits_file_size());
    if (env_has_valgrind())
        size = bits_smaller(size, VALGRIND_BYTES);
    ruled = size;
    while ((fd = create_with_size(size, n_ranks, error)) < 0) {
        if (errno != ENOMEM || size == SEGMENT_MIN_BYTES)
            return -1;
        size = size / 2 > SEGMENT_MIN_BYTES ? size / 2 : SEGMENT_MIN_BYTES;
    }
    segment_header()->size_by = size_by(size, ruled);
    return fd;
}

int segment_create_for(uint32_t n_ranks, uint64_t asked, sharedmem_error *error)
{
    int fd = create_as_asked(n_ranks, asked, error);

    return fd == NOT_ASKED_FOR ? create_as_fits(n_ranks, error) : fd;
}

int segment_create(sharedmem_error *error)
{
    int fd = segment_create_for(0, 0, error);

    if (fd < 0)
        return -1;
    /* Forked members inherit the mapping; the fd would only be one more for the program to trip over. */
    close(fd);
    return 0;
}

uint64_t segment_part_end(enum segment_part part)
{
    return part + 1 < SEGMENT_PARTS ? segment_header()->part_offset[part + 1] : segment_header()->size;
}

int segment_header_check(const struct segment_header_shared *header, uint64_t size, sharedmem_error *error)
{
    if (header->magic != SEGMENT_MAGIC)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                         "the job's shared memory is not a libsharedmem segment");
    if (header->layout != SEGMENT_LAYOUT)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                         "the job's shared memory has layout %u, this program's library has %u: "
                         "build the program against the library that its launcher comes with",
                         header->layout, SEGMENT_LAYOUT);
    if (header->size != size || size < SEGMENT_MIN_BYTES || size > SEGMENT_MAX_BYTES)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO, "the job's shared memory has the wrong size");
    for (int part = 0; part < SEGMENT_PARTS; part++) {
        uint64_t begin = header->part_offset[part];
        uint64_t end = part + 1 < SEGMENT_PARTS ? header->part_offset[part + 1] : size;

        if (begin < sizeof *header || begin % 128 != 0 || begin >= end || end > size)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                             "the job's shared memory has a damaged header");
    }
    if (header->part_offset[SEGMENT_MEMBERS] - header->part_offset[SEGMENT_CLAIMS] <
            claim_table_bytes(header->n_ranks) ||
        header->part_offset[SEGMENT_CRITICALS] - header->part_offset[SEGMENT_MEMBERS] <
            member_table_bytes() ||
        header->part_offset[SEGMENT_HEAP] - header->part_offset[SEGMENT_CRITICALS] < SEGMENT_CRITICALS_BYTES)
        return error_set(error, SHAREDMEM_ERROR_USAGE, EPROTO,
                         "the job's shared memory has a damaged header");
    return 0;
}
