#include "smrrun/verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "host/clock.h"
#include "memory/claim.h"
#include "team/job.h"
#include "team/shortage.h"

bool verdict_is_failure(const struct process_end *end)
{
    return end->how != PROCESS_EXITED || end->code != 0;
}

int verdict_status_of(const struct process_end *end)
{
    switch (end->how) {
    case PROCESS_EXITED:
        return end->code;
    case PROCESS_SIGNALLED:
        return 128 + end->code;
    default:
        return 125;
    }
}

static void reach(struct verdict *verdict, int status)
{
    verdict->is_reached = true;
    verdict->status = status;
}

/* A SIGBUS of a program that shares nothing is another matter. */
static bool may_be_shortage(const struct supervise_child *child, bool has_job)
{
    return child->end.code != SIGBUS ||
           (has_job &&
            atomic_load_explicit(&claim_of(child->rank)->state, memory_order_acquire) == CLAIM_JOINED);
}

static void say_end(struct verdict *verdict, const struct supervise_child *child, bool has_job,
                    uint64_t begun_ns)
{
    double seconds = (double)(clock_monotonic_ns() - begun_ns) * 1e-9;
    const struct process_end *end = &child->end;
    char name[32], shortage[600] = "";

    if (may_be_shortage(child, has_job))
        shortage_explains(end, NULL, shortage, sizeof shortage);
    if (end->how == PROCESS_VANISHED)
        snprintf(verdict->text, sizeof verdict->text, "how rank %u (pid %d) ended is not known, after %.2f s",
                 child->rank, (int)child->process.pid, seconds);
    else if (end->how == PROCESS_SIGNALLED)
        snprintf(verdict->text, sizeof verdict->text, "rank %u (pid %d) was ended by %s%s after %.2f s%s",
                 child->rank, (int)child->process.pid, process_signal_name(end->code, name, sizeof name),
                 end->dumped_core ? " (core dumped)" : "", seconds, shortage);
    else
        snprintf(verdict->text, sizeof verdict->text, "rank %u (pid %d) exited with status %d after %.2f s",
                 child->rank, (int)child->process.pid, end->code, seconds);
}

static void say_error(struct verdict *verdict, const sharedmem_error *error)
{
    /* A rank that is gone is in the message already. */
    if (error->kind == SHAREDMEM_ERROR_DEADLOCK)
        snprintf(verdict->text, sizeof verdict->text, "%.800s", error->message);
    else
        snprintf(verdict->text, sizeof verdict->text, "rank %d (pid %d): %.103s%s%.800s%s%.3000s",
                 (int)error->rank, (int)error->pid, error->where, error->where[0] != '\0' ? ": " : "",
                 error->message, error->traceback[0] != '\0' ? "\n" : "", error->traceback);
}

/* "rank 3 has ended without joining the job, while ranks 0-2 wait for it at heat.c:40" */
static void say_unjoined(struct verdict *verdict)
{
    uint32_t missing = atomic_load_explicit(&segment_header()->given_up, memory_order_acquire) - 1;
    uint32_t n_ranks = segment_header()->n_ranks;
    struct text_ranges waiting;
    char where[sizeof((struct claim_shared *)0)->where] = "";

    text_ranges_begin(&waiting);
    for (uint32_t rank = 0; rank < n_ranks; rank++) {
        const struct claim_shared *claim = claim_of(rank);
        uint32_t state = atomic_load_explicit(&claim->state, memory_order_acquire);

        if (rank == missing || (state != CLAIM_MEETING && state != CLAIM_GIVEN_UP))
            continue;
        text_ranges_add(&waiting, rank);
        if (where[0] == '\0')
            memcpy(where, claim->where, sizeof where - 1);
    }
    snprintf(verdict->text, sizeof verdict->text,
             "rank %u has ended without joining the job, while rank%s %s wait%s for it%s%s", missing,
             waiting.n > 1 ? "s" : "", waiting.text, waiting.n > 1 ? "" : "s", where[0] != '\0' ? " at " : "",
             where);
}

static bool has_ended(const struct supervise *ranks, uint32_t rank)
{
    for (uint32_t i = 0; i < ranks->n_started; i++) {
        if (ranks->children[i].rank == rank)
            return ranks->children[i].end.how != PROCESS_RUNS;
    }
    return true;
}

void verdict_reach(struct verdict *verdict)
{
    const sharedmem_error *first = team_first_error(job_team());

    if (first != NULL) {
        uint32_t abort_status = atomic_load_explicit(&job_team()->abort_status, memory_order_relaxed);

        say_error(verdict, first);
        reach(verdict, abort_status != 0 ? (int)abort_status : 1);
    } else if (atomic_load_explicit(&segment_header()->given_up, memory_order_acquire) != 0) {
        say_unjoined(verdict);
        reach(verdict, 1);
    } else {
        snprintf(verdict->text, sizeof verdict->text, "a rank is gone while others wait for it");
        reach(verdict, 1);
    }
}

/* The rank gave up because of another, or said itself what failed; or it is one that others gave up for. */
static void note_victim(struct verdict *verdict, const struct supervise *ranks)
{
    const sharedmem_error *first = team_first_error(job_team());
    bool is_unjoined = atomic_load_explicit(&segment_header()->given_up, memory_order_acquire) != 0;

    if (verdict->reach_at_ns == 0)
        verdict->reach_at_ns = clock_monotonic_ns() + VERDICT_WAIT_NS;
    if (first != NULL ? has_ended(ranks, (uint32_t)first->rank) : is_unjoined)
        verdict_reach(verdict);
}

bool verdict_is_told(void)
{
    return team_first_error(job_team()) != NULL;
}

void verdict_rank_ended(struct verdict *verdict, const struct supervise *ranks,
                        const struct supervise_child *child, bool has_job, uint64_t begun_ns)
{
    bool gave_up = has_job && atomic_load_explicit(&claim_of(child->rank)->state, memory_order_acquire) ==
                                  CLAIM_GIVEN_UP;

    if (verdict->is_reached)
        return;
    if (verdict_is_failure(&child->end) && !gave_up) {
        say_end(verdict, child, has_job, begun_ns);
        reach(verdict, verdict_status_of(&child->end));
    } else if (gave_up || verdict->reach_at_ns != 0 || (has_job && verdict_is_told())) {
        /* Whatever its status: a shell around a program may have one of its own (./prog | tee log). */
        note_victim(verdict, ranks);
    }
}
