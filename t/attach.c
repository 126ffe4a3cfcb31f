/*
 * Attach: processes born by exec get one segment at one address, and a pointer made in one is good in the
 * others.
 * The test runs itself again as those processes: argv says what each is to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/pages.h"
#include "memory/attach.h"
#include "memory/claim.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"

struct node {
    struct node *next;
    int value;
};

struct meeting {
    _Atomic(struct node *) list; /* made by rank 0, followed by the others */
    _Atomic uint32_t followed;
};

/* ---- In the ranks ---- */

/*
 * Takes the first n candidate addresses, so that this rank must say no to them. Under the thread sanitizer it
 * says no to all but the first anyhow, and may not even map there.
 */
static void block_candidates(int n)
{
    if (n > 1 && test_thread_sanitized())
        n = 1;
    for (int c = 0; c < n && attach_candidate((unsigned)c) != NULL; c++)
        mmap(attach_candidate((unsigned)c), 4096, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static int make_list(struct meeting *meeting, uint32_t followers)
{
    struct node *last = sharedmem_malloc(sizeof *last), *first = sharedmem_malloc(sizeof *first);

    *last = (struct node){NULL, 42};
    *first = (struct node){last, 1};
    atomic_store(&meeting->list, first);
    while (atomic_load(&meeting->followed) < followers)
        sched_yield();
    return 0;
}

static int follow_list(struct meeting *meeting)
{
    struct node *node;

    while ((node = atomic_load(&meeting->list)) == NULL)
        sched_yield();
    node = node->next;
    atomic_fetch_add(&meeting->followed, 1);
    return node->value == 42 ? 0 : 3;
}

/*
 * argv: rank, OFFSET of the meeting, RANK, how many FOLLOWERS, candidates to BLOCK. The errno, or 0, is the
 * status.
 */
static int be_rank(char **argv)
{
    struct meeting *meeting;
    int rank = atoi(argv[3]);

    block_candidates(atoi(argv[5]));
    if (attach_join("t/attach.c:1", NULL) != 0)
        return errno;
    if (memory_enter(NULL) != 0 || atomic_load(&segment_header()->address) != (uintptr_t)segment_base)
        return 2;
    meeting = segment_at(strtoull(argv[2], NULL, 10));
    return rank == 0 ? make_list(meeting, (uint32_t)atoi(argv[4])) : follow_list(meeting);
}

/* ---- In the launcher ---- */

struct job {
    int fd;
    char environment[ATTACH_JOB_BYTES];
    struct meeting *meeting;
};

/* Makes this process's next segment; the one before is left to whoever has it. */
static struct job create(uint32_t n_ranks)
{
    struct job job;

    if (segment_base != NULL)
        pages_unmap(segment_base, segment_size);
    segment_base = NULL;
    member_me = NULL;
    member_my_id = 0;
    job.fd = attach_create(n_ranks, 0, job.environment, NULL);
    test_ok(job.fd >= 0, "a job of %u", n_ranks);
    if (job.fd < 0 || memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    job.meeting = heap_alloc_zeroed(sizeof *job.meeting);
    return job;
}

static pid_t start(const struct job *job, int rank, int followers, int block)
{
    char offset[24], text[3][12], path[4096];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    setenv("SHAREDMEM_JOB", job->environment, 1);
    snprintf(text[0], sizeof text[0], "%d", rank);
    setenv("SHAREDMEM_RANK", text[0], 1);
    snprintf(offset, sizeof offset, "%llu", (unsigned long long)segment_offset(job->meeting));
    snprintf(text[1], sizeof text[1], "%d", followers);
    snprintf(text[2], sizeof text[2], "%d", block);
    /* Not /proc/self/exe itself: under valgrind, which translates only the reading of it, that is valgrind. */
    path[readlink("/proc/self/exe", path, sizeof path - 1)] = '\0';
    execl(path, "attach.t", "rank", offset, text[0], text[1], text[2], (char *)NULL);
    test_child_exit(120);
}

static int status_of(pid_t pid)
{
    int status;

    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_meet(int n, int block)
{
    struct job job = create((uint32_t)n);
    pid_t pids[16];

    for (int rank = 0; rank < n; rank++)
        pids[rank] = start(&job, rank, n - 1, rank == n - 1 ? block : 0);
    for (int rank = 0; rank < n; rank++)
        test_int(0, status_of(pids[rank]), "rank %d of %d, %d candidates taken", rank, n, block);
    test_ok(atomic_load(&segment_header()->address) != 0, "they agreed on %p",
            (void *)atomic_load(&segment_header()->address));
    test_int(0, heap_check(NULL), "the heap is whole");
    close(job.fd);
}

static void test_many_starts(void)
{
    int starts = test_under_valgrind() ? 3 : 50, good = 0;

    for (int i = 0; i < starts; i++) {
        struct job job = create(2);
        pid_t first = start(&job, 0, 1, 0), second = start(&job, 1, 1, 0);

        good += status_of(first) == 0 && status_of(second) == 0;
        close(job.fd);
    }
    test_int(starts, good, "starts under address randomisation");
}

static void test_no_address(void)
{
    struct job job = create(2);
    pid_t free_one = start(&job, 0, 1, 0), blocked = start(&job, 1, 1, 100);

    test_int(EADDRNOTAVAIL, status_of(free_one), "where one has no address free");
    test_int(EADDRNOTAVAIL, status_of(blocked), "all are told");
    close(job.fd);
}

static void test_later_program(void)
{
    struct job job = create(1);

    test_int(0, status_of(start(&job, 0, 0, 0)), "a job of one");
    test_int(0, status_of(start(&job, 0, 0, 0)), "its later program finds the address decided");
    test_int(EADDRNOTAVAIL, status_of(start(&job, 0, 0, 100)), "or taken");
    close(job.fd);
}

static void test_give_up(void)
{
    struct job job = create(2);
    pid_t pid = start(&job, 0, 1, 0);

    while (atomic_load(&claim_of(0)->state) != CLAIM_MEETING)
        sched_yield();
    attach_give_up(1);
    test_int(ECANCELED, status_of(pid), "who waits for a rank that never comes is let go");
    close(job.fd);
}

/* What is inherited counts where /proc/pid/fd does not help. */
static void test_inherited(void)
{
    struct job job = create(1);
    unsigned long long cookie = segment_header()->cookie;

    fcntl(job.fd, F_SETFD, 0);
    snprintf(job.environment, sizeof job.environment, "%d:%d:%016llx", 0x3fffffff, job.fd, cookie);
    test_int(0, status_of(start(&job, 0, 0, 0)), "by the inherited fd");
    fcntl(job.fd, F_SETFD, FD_CLOEXEC);
    test_int(ESRCH, status_of(start(&job, 0, 0, 0)), "a launcher that is gone");
    close(job.fd);
}

static void test_bad_environment(void)
{
    static const char *const malformed[] = {"",      "1",      "1:2",    "1:2:",   "x:2:3",
                                            "0:2:3", "-1:2:3", "1:-2:3", "1:2:zz", "1:2:3:4"};
    struct job job = create(1);
    char good[ATTACH_JOB_BYTES];
    int null = open("/dev/null", O_RDWR), zero;

    memcpy(good, job.environment, sizeof good);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        snprintf(job.environment, sizeof job.environment, "%s", malformed[i]);
        test_int(EINVAL, status_of(start(&job, 0, 0, 0)), "malformed: \"%s\"", malformed[i]);
    }
    snprintf(job.environment, sizeof job.environment, "%d:%d:%016llx", (int)getpid(), null, 1ull);
    zero = status_of(start(&job, 0, 0, 0));
    test_ok(zero == ESRCH || zero == EPERM, "a file that is no segment");
    snprintf(job.environment, sizeof job.environment, "%d:%d:%016llx", (int)getpid(), job.fd, 1ull);
    test_int(ESRCH, status_of(start(&job, 0, 0, 0)), "another job's cookie");
    memcpy(job.environment, good, sizeof good);
    segment_header()->layout++;
    test_int(1, status_of(start(&job, 0, 0, 0)), "another layout: the program ends");
    close(null);
    close(job.fd);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "rank") == 0)
        return be_rank(argv);
    test_begin(120);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    test_int(ENOENT, attach_join(NULL, NULL) == -1 ? errno : 0, "a process that belongs to no job");
    test_meet(2, 0);
    test_meet(8, 0);
    if (!test_thread_sanitized()) {
        test_meet(2, 1);
        test_meet(2, 2);
    }
    test_many_starts();
    test_no_address();
    test_later_program();
    test_give_up();
    test_inherited();
    test_bad_environment();
    return test_end();
}
