#include "smrrun/verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
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

/* ---- The causes so far ---- */

static bool is_same(const struct verdict_cause *one, const struct verdict_cause *other)
{
    return one->kind == other->kind && one->end.how == other->end.how && one->end.code == other->end.code &&
           one->status == other->status && one->is_overflow == other->is_overflow &&
           (one->shortage[0] == '\0') == (other->shortage[0] == '\0') &&
           strcmp(one->place, other->place) == 0 && strcmp(one->text, other->text) == 0;
}

static struct verdict_cause *find(struct verdict *verdict, const struct verdict_cause *cause)
{
    for (uint32_t i = 0; i < verdict->n_causes; i++) {
        if (is_same(&verdict->causes[i], cause))
            return &verdict->causes[i];
    }
    return NULL;
}

/* Without memory for one more it is lost; the first is there. */
static struct verdict_cause *append(struct verdict *verdict, const struct verdict_cause *cause)
{
    uint32_t room = verdict->n_room == 0 ? 4 : 2 * verdict->n_room;
    struct verdict_cause *causes;

    if (verdict->n_causes == verdict->n_room) {
        causes = realloc(verdict->causes, room * sizeof *causes);
        if (causes == NULL)
            return NULL;
        verdict->causes = causes;
        verdict->n_room = room;
    }
    verdict->causes[verdict->n_causes] = *cause;
    return &verdict->causes[verdict->n_causes++];
}

static bool has_rank(const struct verdict_cause *cause, uint32_t rank)
{
    return rank < OPTIONS_MAX_RANKS && (cause->set[rank / 64] >> rank % 64 & 1) != 0;
}

static void add_rank(struct verdict_cause *cause, uint32_t rank)
{
    cause->n += !has_rank(cause, rank);
    cause->set[rank / 64] |= UINT64_C(1) << rank % 64;
}

/* Takes the cause, of its one rank, for the same as an earlier one where it is. */
static void note(struct verdict *verdict, const struct verdict_cause *cause)
{
    uint64_t now = clock_monotonic_ns();
    struct verdict_cause *noted = find(verdict, cause);

    if (noted == NULL)
        noted = append(verdict, cause);
    if (noted == NULL)
        return;
    noted->seconds = noted->n == 0 ? (double)(now - verdict->begun_ns) * 1e-9 : noted->seconds;
    add_rank(noted, cause->rank);
    if (verdict->first_ns == 0)
        verdict->first_ns = now;
    verdict->tell_at_ns = bits_smaller(now + VERDICT_FOLD_NS, verdict->first_ns + VERDICT_FOLD_MAX_NS);
}

/* Whether cause is a better one to end by than the one before it. */
static bool is_better(const struct verdict_cause *cause, const struct verdict_cause *before,
                      const sharedmem_error *first)
{
    if (before->kind == VERDICT_END)
        return false;
    if (before->kind == VERDICT_MISSING)
        return cause->kind != VERDICT_MISSING;
    if (cause->kind == VERDICT_END)
        return cause->end.how == PROCESS_SIGNALLED;
    return first != NULL && cause->kind == VERDICT_ERROR && has_rank(cause, (uint32_t)first->rank);
}

const struct verdict_cause *verdict_first(const struct verdict *verdict)
{
    const sharedmem_error *first = job_team() != NULL ? team_first_error(job_team()) : NULL;
    const struct verdict_cause *best = verdict->n_causes > 0 ? verdict->causes : NULL;

    for (uint32_t i = 1; i < verdict->n_causes; i++) {
        if (is_better(&verdict->causes[i], best, first))
            best = &verdict->causes[i];
    }
    return best;
}

void verdict_drop(struct verdict *verdict)
{
    for (uint32_t i = 0; i < verdict->n_causes; i++) {
        if (verdict->causes[i].kind == VERDICT_MISSING)
            memcpy(verdict->missing, verdict->causes[i].text, sizeof verdict->missing);
    }
    verdict->n_causes = 0;
    verdict->tell_at_ns = verdict->first_ns = verdict->reach_at_ns = 0;
    verdict->is_told = true;
    verdict->has_victims = verdict->is_settled = false;
}

/* ---- A rank's own end ---- */

/* A SIGBUS of a program that shares nothing is another matter. */
static bool may_be_shortage(const struct supervise_child *child, bool has_job)
{
    return child->end.code != SIGBUS ||
           (has_job &&
            atomic_load_explicit(&claim_of(child->rank)->state, memory_order_acquire) == CLAIM_JOINED);
}

const struct crash_shared *verdict_crash(uint32_t rank, const struct process_end *end)
{
    const struct crash_shared *crash = job_team() != NULL ? &job_team()->ranks[rank].crash : NULL;

    /* acquire: pairs with the release in the rank's handler. */
    if (crash == NULL || atomic_load_explicit(&crash->n_pcs, memory_order_acquire) == 0 ||
        verdict_status_of(end) != 128 + crash->signal || team_own_error(job_team(), rank) != NULL)
        return NULL;
    return crash;
}

/* Its addresses of shared memory as this process has them. */
static struct crash_shared translated(const struct crash_shared *crash)
{
    struct crash_shared ours = {.signal = crash->signal, .code = crash->code};
    /* relaxed: it is written once, before any rank joins. */
    uint64_t address = atomic_load_explicit(&segment_header()->address, memory_order_relaxed);

    ours.fault_address = crash->fault_address - address + (uint64_t)(uintptr_t)segment_base;
    return ours;
}

static void look_at_crash(struct verdict_cause *cause, const struct crash_shared *crash)
{
    struct crash_shared ours = translated(crash);

    crash_format_place(crash, team_crash_objects(job_team(), cause->rank), cause->place, sizeof cause->place);
    cause->is_overflow = crash_is_stack_overflow(crash);
    shortage_explains(&cause->end, &ours, cause->shortage, sizeof cause->shortage);
}

static struct verdict_cause end_of(const struct supervise_child *child, bool has_job)
{
    struct verdict_cause cause = {.kind = VERDICT_END,
                                  .end = child->end,
                                  .status = verdict_status_of(&child->end),
                                  .rank = child->rank,
                                  .pid = child->process.pid};

    if (has_job && verdict_crash(child->rank, &child->end) != NULL)
        look_at_crash(&cause, verdict_crash(child->rank, &child->end));
    else if (may_be_shortage(child, has_job))
        shortage_explains(&child->end, NULL, cause.shortage, sizeof cause.shortage);
    return cause;
}

/* ---- What ranks say ---- */

/* Of the rank that it is about: in checking mode all say the same of one. */
static struct verdict_cause error_of(const sharedmem_error *error)
{
    struct verdict_cause cause = {.kind = VERDICT_ERROR,
                                  .status = 1,
                                  .rank = (uint32_t)error->rank % OPTIONS_MAX_RANKS,
                                  .pid = error->pid};
    uint32_t abort_status = atomic_load_explicit(&job_team()->abort_status, memory_order_relaxed);

    if (abort_status != 0)
        cause.status = (int)abort_status;
    snprintf(cause.text, sizeof cause.text, "%.103s%s%.800s", error->where,
             error->where[0] != '\0' ? ": " : "", error->message);
    return cause;
}

/* Takes the uncaught errors that are new, be their ranks still about to end. */
static void note_errors(struct verdict *verdict)
{
    const struct team_shared *team = job_team();

    for (uint32_t rank = 0; rank < team->size && team_first_error(team) != NULL; rank++) {
        const sharedmem_error *error = team_own_error(team, rank);
        struct verdict_cause cause;
        uint64_t bit = UINT64_C(1) << rank % 64;

        /* That another is gone says no more than that one's end. */
        if (error == NULL || error->kind == SHAREDMEM_ERROR_DEADLOCK || verdict->noted[rank / 64] & bit)
            continue;
        verdict->noted[rank / 64] |= bit;
        cause = error_of(error);
        note(verdict, &cause);
    }
}

/* "rank 3 has ended without joining the job, while ranks 0-2 wait for it at heat.c:40" */
static void say_unjoined(char *text, size_t size)
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
    snprintf(text, size, "rank %u has ended without joining the job, while rank%s %s wait%s for it%s%s",
             missing, waiting.n > 1 ? "s" : "", waiting.text, waiting.n > 1 ? "" : "s",
             where[0] != '\0' ? " at " : "", where);
}

static void note_missing(struct verdict *verdict, const sharedmem_error *first)
{
    struct verdict_cause cause = {.kind = VERDICT_MISSING, .status = 1};

    if (first != NULL)
        snprintf(cause.text, sizeof cause.text, "%.800s", first->message);
    else if (atomic_load_explicit(&segment_header()->given_up, memory_order_acquire) != 0)
        say_unjoined(cause.text, sizeof cause.text);
    else
        snprintf(cause.text, sizeof cause.text, "a rank is gone while others wait for it");
    if (strcmp(cause.text, verdict->missing) != 0)
        note(verdict, &cause);
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

    verdict->reach_at_ns = 0;
    note_errors(verdict);
    if (first == NULL || first->kind == SHAREDMEM_ERROR_DEADLOCK)
        note_missing(verdict, first);
}

/* The rank gave up because of another; or it is one that others gave up for. */
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

static bool has_given_up(uint32_t rank)
{
    return atomic_load_explicit(&claim_of(rank)->state, memory_order_acquire) == CLAIM_GIVEN_UP;
}

void verdict_settle(struct verdict *verdict)
{
    const struct verdict_cause *first = verdict_first(verdict);

    memmove(verdict->causes, first, sizeof *first);
    verdict->n_causes = 1;
    verdict->is_settled = true;
    verdict->tell_at_ns = clock_monotonic_ns() + VERDICT_LATE_NS;
}

/* Those that smrrun itself has ended count for nothing, but for who was about to crash: it has said so. */
static bool end_by_itself(struct supervise_child *child, bool has_job)
{
    const struct process_end *end = &child->end;

    if (end->how == PROCESS_SIGNALLED && (end->code == SIGTERM || end->code == SIGKILL) && has_job)
        child->end.code = job_team()->ranks[child->rank].crash.signal;
    return verdict_is_failure(end) && !(end->how == PROCESS_SIGNALLED &&
                                        (end->code == 0 || end->code == SIGTERM || end->code == SIGKILL));
}

bool verdict_joins(struct verdict *verdict, const struct supervise_child *child, bool has_job)
{
    const sharedmem_error *error = has_job ? team_own_error(job_team(), child->rank) : NULL;
    struct verdict_cause cause = {.kind = VERDICT_MISSING};
    struct supervise_child ended = *child;

    if (verdict->causes[0].kind == VERDICT_ERROR && error != NULL)
        cause = error_of(error);
    else if (verdict->causes[0].kind == VERDICT_END && !(has_job && has_given_up(child->rank)) &&
             end_by_itself(&ended, has_job))
        cause = end_of(&ended, has_job);
    if (cause.kind == VERDICT_MISSING || !is_same(&cause, &verdict->causes[0]))
        return false;
    add_rank(&verdict->causes[0], cause.rank);
    return true;
}

void verdict_rank_ended(struct verdict *verdict, const struct supervise *ranks,
                        const struct supervise_child *child, bool has_job)
{
    bool gave_up = has_job && has_given_up(child->rank);
    struct verdict_cause cause;

    if (verdict_is_failure(&child->end) && !gave_up) {
        cause = end_of(child, has_job);
        note(verdict, &cause);
    }
    if (has_job)
        note_errors(verdict);
    verdict->has_victims |= gave_up && verdict->n_causes > 0;
    /* Whatever its status: a shell around a program may have one of its own (./prog | tee log). */
    if (verdict->n_causes == 0 && (gave_up || verdict->reach_at_ns != 0 || (has_job && verdict_is_told())))
        note_victim(verdict, ranks);
}
