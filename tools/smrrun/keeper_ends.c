/* How a job ends; see keeper.h. */
#include <signal.h>
#include <string.h>

#include "base/text.h"
#include "host/clock.h"
#include "host/descendants.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "smrrun/keeper_state.h"
#include "team/job.h"

/* Those that wait for each other shall not: behind SIGTERM, whose handlers then have run. */
static void let_go(const struct keeper *keeper)
{
    if (!keeper->has_memory)
        return;
    team_stop(job_team());
    member_wake_sleepers();
}

void keeper_kill_all(struct keeper *keeper)
{
    keeper->phase = PHASE_KILLS;
    keeper->kill_at_ns = clock_monotonic_ns() + 20 * KEEPER_MS; /* again, for who was born meanwhile */
    let_go(keeper);
    descendants_signal(SIGKILL, NULL, NULL);
}

/* A rank that has given up ends by itself, and is printing the last of its output. */
static bool is_leaving(pid_t pid, void *argument)
{
    const struct keeper *keeper = argument;

    for (uint32_t rank = 0; keeper->has_memory && rank < keeper->ranks.n_started; rank++) {
        const struct claim_shared *claim = claim_of(rank);

        if (atomic_load_explicit(&claim->state, memory_order_acquire) == CLAIM_GIVEN_UP &&
            claim_owner_pid(claim) == pid)
            return true;
    }
    return false;
}

/* The job is over: all get SIGTERM, and after the grace SIGKILL. */
void keeper_end_all(struct keeper *keeper, int status)
{
    if (keeper->status == 0)
        keeper->status = status;
    if (keeper->phase >= PHASE_ENDS)
        return;
    keeper->phase = PHASE_ENDS;
    keeper->kill_at_ns = clock_monotonic_ns() + keeper->job->options->grace_ns;
    descendants_signal(SIGTERM, is_leaving, keeper);
    /* Who is stopped gets it when it goes on. */
    descendants_signal(SIGCONT, NULL, NULL);
    let_go(keeper);
}

/* "ranks 0-2 still run"; nothing where nobody does, or quiet is asked for. */
void keeper_say_running(const struct keeper *keeper, const char *when, double seconds, const char *what)
{
    struct text_ranges running;

    text_ranges_begin(&running);
    for (uint32_t i = 0; i < keeper->ranks.n_started; i++) {
        if (keeper->ranks.children[i].end.how == PROCESS_RUNS)
            text_ranges_add(&running, keeper->ranks.children[i].rank);
    }
    if (running.n > 0 && !keeper->job->options->quiet)
        keeper_say(keeper, "rank%s %s still run%s %.3g s after %s; %s", running.n > 1 ? "s" : "",
                   running.text, running.n > 1 ? "" : "s", seconds, when, what);
}

void keeper_grace_is_over(struct keeper *keeper)
{
    if (keeper->phase != PHASE_KILLS)
        keeper_say_running(keeper, "being told to end", (double)keeper->job->options->grace_ns * 1e-9,
                           "killing now (--grace gives longer)");
    keeper_kill_all(keeper);
}

/* ---- Ranks that end ---- */

void keeper_act_on_verdict(struct keeper *keeper)
{
    struct verdict *verdict = &keeper->verdict;

    if (!verdict->is_reached)
        return;
    if (keeper->status == 0)
        keeper->status = verdict->status;
    /* Without the traceback. */
    if (keeper->job->options->quiet)
        verdict->text[strcspn(verdict->text, "\n")] = '\0';
    if (keeper->job->options->keep_going) {
        /* Those who give up because of one failure all tell of that. */
        if (strcmp(keeper->told, verdict->text) != 0)
            keeper_say(keeper, "%s", verdict->text);
        memcpy(keeper->told, verdict->text, sizeof keeper->told);
        *verdict = (struct verdict){.is_reached = false};
        return;
    }
    keeper_say(keeper, "%s%s", verdict->text,
               keeper->ranks.n_running > 0 && strchr(verdict->text, '\n') == NULL ? "; ending the others"
                                                                                  : "");
    keeper_end_all(keeper, verdict->status);
}

/* After a signal to all, their own ends count: who saved its work and exits with 0 did well. */
static void note_signalled_end(struct keeper *keeper, const struct process_end *end)
{
    const sharedmem_error *first = keeper->has_memory ? team_first_error(job_team()) : NULL;

    if (verdict_is_failure(end) && keeper->status == 0)
        keeper->status = verdict_status_of(end);
    /* That others are gone is no news now; but a save may have failed. */
    if (first != NULL && first->kind != SHAREDMEM_ERROR_DEADLOCK && !keeper->verdict.is_reached) {
        verdict_reach(&keeper->verdict);
        keeper_say(keeper, "%s", keeper->verdict.text);
        keeper->status = keeper->verdict.status;
    }
}

void keeper_rank_ended(const struct supervise_child *child, void *argument)
{
    struct keeper *keeper = argument;

    /*
     * Of a signal to the whole group the keeper has its own copy before a rank can be seen to have died of
     * it.
     */
    keeper_read_signals(keeper);
    if (keeper->phase == PHASE_RUNS)
        verdict_rank_ended(&keeper->verdict, &keeper->ranks, child, keeper->has_memory, keeper->begun_ns);
    else if (keeper->phase == PHASE_SIGNALLED)
        note_signalled_end(keeper, &child->end);
    /* Before its end is told to the others, or they would tell what is known already. */
    if (keeper->phase == PHASE_RUNS)
        keeper_act_on_verdict(keeper);
    if (keeper->has_memory)
        job_rank_ended(child->rank);
}
