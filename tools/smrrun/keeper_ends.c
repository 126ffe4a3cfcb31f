/* How a job ends; see keeper.h. */
#include <signal.h>
#include <string.h>

#include "base/text.h"
#include "host/clock.h"
#include "host/descendants.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "smrrun/channel.h"
#include "smrrun/failure.h"
#include "smrrun/keeper_state.h"
#include "smrrun/stats.h"
#include "team/job.h"

/* Those that wait for each other shall not: behind SIGTERM, whose handlers then have run. */
static void let_go(const struct keeper *keeper)
{
    if (!keeper->has_memory)
        return;
    team_stop(job_team());
    member_wake_sleepers();
}

/* ---- The debugger of --gdb ---- */

static bool has_debugger(const struct keeper *keeper)
{
    return keeper->job->debugged->is_on && keeper->job->debugged->process.pid != 0;
}

/* A person is in front of it, and ends it; unless a signal says that all is to end. */
static bool is_debugging(pid_t pid, void *argument)
{
    const struct keeper *keeper = argument;

    return !keeper->ends_debugger && debugged_has(keeper->job->debugged, pid);
}

void keeper_note_debugger(struct keeper *keeper)
{
    struct debugged *debugged = keeper->job->debugged;

    for (uint32_t i = 0; i < keeper->ranks.n_started && debugged->is_on; i++) {
        if (keeper->ranks.children[i].rank == (uint32_t)debugged->rank)
            debugged->process = keeper->ranks.children[i].process;
    }
}

/* Whether others wait for the debugged rank because its program was killed there: that is no failure. */
static bool was_killed_in_debugger(const struct keeper *keeper)
{
    const struct debugged *debugged = keeper->job->debugged;
    const sharedmem_error *first =
        debugged->is_on && keeper->has_memory ? team_first_error(job_team()) : NULL;

    return first != NULL && first->kind == SHAREDMEM_ERROR_DEADLOCK && first->rank == debugged->rank &&
           claim_is_dead(claim_of((uint32_t)debugged->rank));
}

/*
 * How the debugged rank has ended, by the end of its debugger: well, as far as its program came to an end; or a
 * person has ended it, and the job with it.
 */
static struct process_end end_of_debugged(struct keeper *keeper, const struct supervise_child *child)
{
    const struct debugged *debugged = keeper->job->debugged;
    bool has_left = keeper->has_memory &&
                    atomic_load_explicit(&claim_of(child->rank)->state, memory_order_acquire) == CLAIM_LEFT;
    struct process_end end = child->end;

    if (end.how != PROCESS_EXITED)
        return end;
    if (keeper->phase == PHASE_RUNS && !keeper->job->options->keep_going && !has_left &&
        !(debugged->tells && end.code == 0)) {
        if (keeper->ranks.n_running > 0)
            keeper_say(keeper, "the debugger of rank %u has ended; ending the others", child->rank);
        keeper_end_all(keeper, 0);
    }
    /* It catches the signal, and exits. */
    end.code = keeper->phase == PHASE_SIGNALLED && end.code != 0 ? 128 + keeper->raise : 0;
    return end;
}

/* ---- Ending all ---- */

void keeper_kill_all(struct keeper *keeper)
{
    bool is_left = has_debugger(keeper) && !keeper->ends_debugger && keeper->ranks.n_running == 1;

    keeper->phase = PHASE_KILLS;
    /* Again, for who was born meanwhile. */
    keeper->kill_at_ns = is_left ? KEEPER_NEVER : clock_monotonic_ns() + 20 * KEEPER_MS;
    let_go(keeper);
    descendants_signal(SIGKILL, is_debugging, keeper);
}

/* A rank that has given up ends by itself, and is printing the last of its output; a debugger stays. */
static bool is_spared(pid_t pid, void *argument)
{
    const struct keeper *keeper = argument;

    for (uint32_t rank = 0; keeper->has_memory && rank < keeper->ranks.n_started; rank++) {
        const struct claim_shared *claim = claim_of(rank);

        if (atomic_load_explicit(&claim->state, memory_order_acquire) == CLAIM_GIVEN_UP &&
            claim_owner_pid(claim) == pid)
            return true;
    }
    return is_debugging(pid, argument);
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
    descendants_signal(SIGTERM, is_spared, keeper);
    /* Who is stopped gets it when it goes on. */
    descendants_signal(SIGCONT, is_debugging, keeper);
    let_go(keeper);
    if (has_debugger(keeper) && !keeper->ends_debugger && !keeper->job->options->quiet)
        keeper_say(keeper, "the debugger of rank %d goes on until you quit it", keeper->job->debugged->rank);
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
    if (keeper->phase != PHASE_KILLS && !(has_debugger(keeper) && keeper->ranks.n_running == 1))
        keeper_say_running(keeper, "being told to end", (double)keeper->job->options->grace_ns * 1e-9,
                           "killing now (--grace gives longer)");
    keeper_kill_all(keeper);
}

/* ---- Ranks that end ---- */

/* Behind its message; not where quiet is asked for. */
static void tell_traceback(const struct keeper *keeper, const struct verdict_cause *cause)
{
    const struct crash_shared *crash = NULL;
    const sharedmem_error *error = NULL;
    char text[CHANNEL_TEXT_BYTES];

    if (keeper->job->options->quiet || !keeper->has_memory)
        return;
    if (cause->kind == VERDICT_ERROR)
        error = team_own_error(job_team(), cause->rank);
    else if (cause->kind == VERDICT_END)
        crash = verdict_crash(cause->rank, &cause->end);
    if (error != NULL && error->traceback[0] != '\0')
        channel_send_text(keeper->job->channel, error->traceback);
    if (crash != NULL &&
        crash_format_rank(crash, team_crash_objects(job_team(), cause->rank), text, sizeof text) > 0)
        channel_send_text(keeper->job->channel, text);
}

/* Goes on; the first one's status is the job's in the end. */
static void tell_all(struct keeper *keeper)
{
    char text[CHANNEL_TEXT_BYTES];

    for (uint32_t i = 0; i < keeper->verdict.n_causes; i++) {
        const struct verdict_cause *cause = &keeper->verdict.causes[i];

        if (keeper->status == 0)
            keeper->status = cause->status;
        failure_say(keeper->job, cause, text, sizeof text);
        keeper_say(keeper, "%s", text);
        tell_traceback(keeper, cause);
    }
}

/* Whoever fails of the same before it ends will be told of too. */
static void end_by_first(struct keeper *keeper)
{
    verdict_settle(&keeper->verdict);
    keeper->n_others = keeper->ranks.n_running;
    keeper_end_all(keeper, keeper->verdict.causes[0].status);
}

static void tell_first(struct keeper *keeper)
{
    const struct verdict_cause *cause = verdict_first(&keeper->verdict);
    char text[CHANNEL_TEXT_BYTES];

    if (keeper->status == 0)
        keeper->status = cause->status;
    failure_say(keeper->job, cause, text, sizeof text);
    keeper_say(keeper, "%s%s", text, keeper->n_others > 0 ? "; ending the others" : "");
    tell_traceback(keeper, cause);
}

/* Who says that the debugged rank is gone tells of no failure, if a person has ended that. */
static void forgive_debugger(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->verdict.n_causes; i++) {
        if (keeper->verdict.causes[i].kind != VERDICT_END && was_killed_in_debugger(keeper))
            keeper->verdict.causes[i].status = 0;
    }
}

void keeper_tell(struct keeper *keeper)
{
    if (keeper->verdict.n_causes == 0)
        return;
    forgive_debugger(keeper);
    if (!keeper->job->options->keep_going && keeper->phase == PHASE_RUNS) {
        end_by_first(keeper);
        if (keeper->ranks.n_running > 0)
            return;
    }
    if (keeper->job->options->keep_going) {
        bool has_victims = keeper->verdict.has_victims;

        tell_all(keeper);
        verdict_drop(&keeper->verdict);
        /* Else nobody knows why they are gone too. */
        if (has_victims) {
            verdict_reach(&keeper->verdict);
            tell_all(keeper);
        }
    } else {
        tell_first(keeper);
    }
    verdict_drop(&keeper->verdict);
}

/* After a signal to all, their own ends count: who saved its work and exits with 0 did well. */
static void note_signalled_end(struct keeper *keeper, const struct process_end *end)
{
    const sharedmem_error *first = keeper->has_memory ? team_first_error(job_team()) : NULL;

    if (verdict_is_failure(end) && keeper->status == 0)
        keeper->status = verdict_status_of(end);
    /* That others are gone is no news now; but a save may have failed. */
    if (first != NULL && first->kind != SHAREDMEM_ERROR_DEADLOCK && !keeper->verdict.is_told) {
        verdict_reach(&keeper->verdict);
        keeper->status = verdict_first(&keeper->verdict)->status;
        keeper_tell(keeper);
    }
}

/* One rank prints by itself, and so it is the one to find that nobody reads any more. */
static bool found_no_reader(const struct keeper *keeper, const struct process_end *end)
{
    return keeper->job->output == NULL && end->how == PROCESS_SIGNALLED && end->code == SIGPIPE;
}

void keeper_rank_ended(const struct supervise_child *ended, void *argument)
{
    struct keeper *keeper = argument;
    struct supervise_child debugged;
    const struct supervise_child *child = ended;

    /*
     * Of a signal to the whole group the keeper has its own copy before a rank can be seen to have died of
     * it.
     */
    keeper_read_signals(keeper);
    if (has_debugger(keeper) && ended->process.pid == keeper->job->debugged->process.pid) {
        debugged_end(keeper->job->debugged);
        debugged = *ended;
        debugged.end = end_of_debugged(keeper, ended);
        child = &debugged;
    }
    if (keeper->phase == PHASE_RUNS && found_no_reader(keeper, &child->end)) {
        keeper->raise = SIGPIPE;
        keeper_end_all(keeper, 128 + SIGPIPE);
    } else if (keeper->phase == PHASE_RUNS)
        verdict_rank_ended(&keeper->verdict, &keeper->ranks, child, keeper->has_memory);
    else if (keeper->phase == PHASE_SIGNALLED)
        note_signalled_end(keeper, &child->end);
    else if (keeper->verdict.is_settled && verdict_joins(&keeper->verdict, child, keeper->has_memory))
        keeper->n_others--;
    if (keeper->has_memory && keeper->job->options->stats)
        stats_rank_ended(child->rank);
    if (keeper->has_memory)
        job_rank_ended(child->rank);
}
