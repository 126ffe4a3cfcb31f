/* Causes of failure: what fails in several ranks alike is one, and the first of them ends the job. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "smrrun/verdict.h"

#include "tap.h"

#define N 6

static struct supervise_child children[N];
static struct supervise ranks = {.children = children, .n_room = N, .n_started = N};
static struct verdict verdict;

static void begin(void)
{
    free(verdict.causes);
    verdict = (struct verdict){.begun_ns = clock_monotonic_ns()};
    for (uint32_t rank = 0; rank < N; rank++)
        children[rank] = (struct supervise_child){.rank = rank, .process.pid = 1000 + (int)rank};
}

static void ends(uint32_t rank, enum process_how how, int code)
{
    children[rank].end = (struct process_end){.how = how, .code = code};
    verdict_rank_ended(&verdict, &ranks, &children[rank], false);
}

static void test_single(void)
{
    begin();
    ends(3, PROCESS_EXITED, 0);
    test_int(0, verdict.n_causes, "who exits with 0 has not failed");
    test_ok(verdict.tell_at_ns == 0 && verdict_first(&verdict) == NULL, "and there is nothing to tell");
    ends(2, PROCESS_SIGNALLED, SIGSEGV);
    test_int(1, verdict.n_causes, "a signal is a cause");
    test_int(128 + SIGSEGV, verdict.causes[0].status, "with its status");
    test_ok(verdict.causes[0].rank == 2 && verdict.causes[0].pid == 1002 && verdict.causes[0].n == 1,
            "of one rank");
}

/* Each row: ends in this order, and the ranks of the causes that come of it. */
static void test_groups(void)
{
    static const struct {
        const char *name;
        struct {
            uint32_t rank;
            enum process_how how;
            int code;
        } ends[N];
        uint32_t n_causes;
        uint64_t sets[N];
        int first;
    } rows[] = {
        {"all exit alike",
         {{0, PROCESS_EXITED, 3},
          {1, PROCESS_EXITED, 3},
          {2, PROCESS_EXITED, 3},
          {3, PROCESS_EXITED, 3},
          {4, PROCESS_EXITED, 3},
          {5, PROCESS_EXITED, 3}},
         1,
         {0x3f},
         3},
        {"with other statuses",
         {{5, PROCESS_EXITED, 4},
          {1, PROCESS_EXITED, 3},
          {2, PROCESS_EXITED, 4},
          {3, PROCESS_EXITED, 0},
          {4, PROCESS_EXITED, 5},
          {0, PROCESS_EXITED, 3}},
         3,
         {0x24, 0x03, 0x10},
         4},
        {"a status and the signal that makes the same one",
         {{0, PROCESS_EXITED, 139},
          {1, PROCESS_SIGNALLED, SIGSEGV},
          {2, PROCESS_EXITED, 139},
          {3, PROCESS_SIGNALLED, SIGABRT},
          {4, PROCESS_EXITED, 0},
          {5, PROCESS_VANISHED, 0}},
         4,
         {0x05, 0x02, 0x08, 0x20},
         139},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        for (int k = 0; k < N; k++)
            ends(rows[i].ends[k].rank, rows[i].ends[k].how, rows[i].ends[k].code);
        test_int(rows[i].n_causes, verdict.n_causes, "%s: causes", rows[i].name);
        for (uint32_t k = 0; k < rows[i].n_causes && k < verdict.n_causes; k++)
            test_int((long long)rows[i].sets[k], (long long)verdict.causes[k].set[0], "%s: ranks of cause %u",
                     rows[i].name, k);
        test_int(rows[i].first, verdict_first(&verdict)->status, "%s: the first one's status", rows[i].name);
    }
}

static void test_time(void)
{
    uint64_t begun, most;

    begin();
    begun = clock_monotonic_ns();
    for (uint32_t rank = 0; rank < N; rank++)
        ends(rank, PROCESS_EXITED, (int)rank + 1);
    most = clock_monotonic_ns() + VERDICT_FOLD_MAX_NS;
    test_ok(verdict.tell_at_ns >= begun + VERDICT_FOLD_NS && verdict.tell_at_ns <= most,
            "it is told after a moment, and not later for each that follows");
    verdict_drop(&verdict);
    test_ok(verdict.tell_at_ns == 0 && verdict.n_causes == 0 && verdict.is_told, "what is told is dropped");
    ends(1, PROCESS_EXITED, 3);
    test_int(1, verdict.n_causes, "and later ones are new");
}

/* Errors of ranks may follow from the crash of another, which is seen later. */
static void test_first(void)
{
    struct verdict_cause causes[3] = {{.kind = VERDICT_MISSING, .status = 1},
                                      {.kind = VERDICT_ERROR, .status = 2},
                                      {.kind = VERDICT_END, .status = 139, .end.how = PROCESS_SIGNALLED}};
    struct verdict some = {.causes = causes, .n_causes = 1};

    test_int(1, verdict_first(&some)->status, "that a rank is gone ends a job");
    some.n_causes = 2;
    test_int(2, verdict_first(&some)->status, "rather why it is");
    some.n_causes = 3;
    test_int(139, verdict_first(&some)->status, "rather what a signal ended");
    causes[2].end.how = PROCESS_EXITED;
    test_int(2, verdict_first(&some)->status, "but no exit that came later");
}

int main(void)
{
    test_begin(30);
    test_single();
    test_groups();
    test_time();
    test_first();
    free(verdict.causes);
    return test_end();
}
