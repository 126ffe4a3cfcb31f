/*
 * The segment: how large it is made, that it is sealed and kept out of cores, and that damaged headers are
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/limits.h"
#include "host/pages.h"
#include "memory/member.h"
#include "memory/segment.h"
#include "tap.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static void test_size_rule(void)
{
    static const struct {
        uint64_t total, address_space, file_size, size;
    } rows[] = {
        {0, LIMITS_NONE, LIMITS_NONE, GIB},
        {1, LIMITS_NONE, LIMITS_NONE, SEGMENT_MIN_BYTES},
        {24 * GIB, LIMITS_NONE, LIMITS_NONE, 24 * GIB},
        {24 * GIB + 4096, LIMITS_NONE, LIMITS_NONE, 24 * GIB},
        {24 * GIB, 4 * GIB, LIMITS_NONE, 2 * GIB},
        {24 * GIB, LIMITS_NONE, 3 * GIB, 3 * GIB / 2},
        {24 * GIB, 8 * GIB, 2 * GIB, GIB},
        {24 * GIB, 0, LIMITS_NONE, SEGMENT_MIN_BYTES},
        {UINT64_MAX, LIMITS_NONE, LIMITS_NONE, SEGMENT_MAX_BYTES},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        test_int((long long)rows[i].size,
                 (long long)segment_size_rule(rows[i].total, rows[i].address_space, rows[i].file_size),
                 "row %zu", i);
}

static void limit(int resource, uint64_t soft)
{
    struct rlimit both;

    getrlimit(resource, &both);
    both.rlim_cur = soft;
    setrlimit(resource, &both);
}

/* What segment_create() answers in a child with SHAREDMEM_HEAP set to heap, or not, and one limit. */
struct answer {
    int result, code;
    uint64_t size;
    sharedmem_error error;
};

static struct answer create_in_child(const char *heap, int resource, uint64_t soft)
{
    struct answer answer = {.result = -2};
    int ends[2];
    pid_t pid;

    if (pipe(ends) != 0)
        return answer;
    pid = fork();
    if (pid == 0) {
        if (heap != NULL)
            setenv("SHAREDMEM_HEAP", heap, 1);
        if (resource >= 0)
            limit(resource, soft);
        sharedmem_set_log(NULL);
        answer.result = segment_create(&answer.error);
        answer.code = errno;
        answer.size = segment_size;
        if (write(ends[1], &answer, sizeof answer) != sizeof answer)
            test_child_exit(1);
        test_child_exit(0);
    }
    close(ends[1]);
    if (read(ends[0], &answer, sizeof answer) != sizeof answer)
        answer.result = -3;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return answer;
}

static void test_asked_sizes(void)
{
    struct answer answer = create_in_child("64M", -1, 0);

    test_int(0, answer.result, "64M is had");
    test_int((long long)(64 * MIB), (long long)answer.size, "and is 64 MiB");
    answer = create_in_child("17M", -1, 0);
    test_int((long long)(18 * MIB), (long long)answer.size, "sizes are rounded up to 2 MiB");
    answer = create_in_child("1M", -1, 0);
    test_int(EINVAL, answer.code, "1M is too small");
    test_has("16M", answer.error.message, "and the message says from where on");
    answer = create_in_child("many", -1, 0);
    test_int(0, answer.result, "a malformed size is ignored");
    answer = create_in_child("64M", RLIMIT_FSIZE, 32 * MIB);
    test_int(EFBIG, answer.code, "beyond ulimit -f it is an error, not SIGXFSZ");
    test_has("ulimit -f", answer.error.message, "that names the limit");
}

static void test_limits(void)
{
    struct answer answer = create_in_child(NULL, RLIMIT_FSIZE, 64 * MIB);

    test_int((long long)(32 * MIB), (long long)answer.size, "half of the file size limit");
    answer = create_in_child(NULL, RLIMIT_FSIZE, 4096);
    test_int(EFBIG, answer.code, "a file size limit of a page is an error");
    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind()) {
        test_skip("an address space limit is no use here");
        return;
    }
    answer = create_in_child(NULL, RLIMIT_AS, GIB);
    test_int((long long)(512 * MIB), (long long)answer.size, "half of the address space limit");
    answer = create_in_child(NULL, RLIMIT_AS, 8 * MIB);
    test_int(ENOMEM, answer.code, "no address space is ENOMEM");
}

static bool damage(struct segment_header_shared header, int what)
{
    sharedmem_error error;
    uint64_t size = header.size;

    switch (what) {
    case 0:
        header.magic++;
        break;
    case 1:
        header.layout++;
        break;
    case 2:
        header.size *= 2;
        break;
    case 3:
        header.part_offset[SEGMENT_MEMBERS] = 0;
        break;
    case 4:
        header.part_offset[SEGMENT_HEAP] = header.size + 4096;
        break;
    case 5:
        header.part_offset[SEGMENT_HEAP] = header.part_offset[SEGMENT_MEMBERS] + 4096;
        break;
    case 6:
        header.part_offset[SEGMENT_HEAP] += 8;
        break;
    default:
        break;
    }
    return segment_header_check(&header, size, &error) == -1 && errno == EPROTO && error.message[0] != '\0';
}

static void test_header(void)
{
    struct segment_header_shared header;
    int fd = segment_memfd(64 * MIB, 3, NULL);
    uint64_t size = 0;

    test_int(sizeof header, pread(fd, &header, sizeof header, 0), "a memfd begins with its header");
    test_int(0, pages_inspect(fd, &size), "it is sealed and ours");
    test_int(0, segment_header_check(&header, size, NULL), "its header is good");
    test_ok(header.cookie != 0, "it has a cookie");
    test_int(3, header.n_ranks, "and knows its ranks");
    for (int what = 0; what <= 6; what++)
        test_ok(damage(header, what), "damage %d is refused", what);
    test_ok(!damage(header, 7), "and no damage is not");
    close(fd);
}

static void test_parts(void)
{
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_int(0, segment_create(NULL), "a segment for this process");
    test_int(0, (long long)((uintptr_t)segment_base % PAGES_HUGE_BYTES), "at a multiple of 2 MiB");
    test_ok(segment_contains(segment_base) && segment_contains(segment_base + segment_size - 1),
            "contains its ends");
    test_ok(!segment_contains(segment_base - 1) && !segment_contains(segment_base + segment_size),
            "and no more");
    for (int part = 0; part + 1 < SEGMENT_PARTS; part++)
        test_int((long long)segment_part_end(part), (long long)segment_offset(segment_part(part + 1)),
                 "part %d follows part %d", part + 1, part);
    test_int((long long)segment_size, (long long)segment_part_end(SEGMENT_HEAP), "to the end");
}

int main(void)
{
    test_begin(60);
    test_size_rule();
    test_asked_sizes();
    test_limits();
    test_header();
    test_parts();
    return test_end();
}
