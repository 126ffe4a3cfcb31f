#include "smrrun/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/affinity.h"
#include "host/clock.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/segment.h"
#include "memory/wait.h"
#include "smrrun/channel.h"
#include "team/barrier.h"
#include "team/job.h"
#include "team/team.h"

/* What a rank, or a worker of one, does, as far as it says and the system knows. */
struct doing {
    uint32_t rank;
    pid_t pid;     /* a worker's: of its thread */
    uint32_t kind; /* enum wait_kind */
    bool is_worker;
    char what[480];    /* "waiting in the barrier or collective at heat.c:88" */
    uint64_t since_ns; /* 0: not known */
    bool is_told;
};

/* The rank that member is; -1: none of the job's, a worker say. */
static int rank_of(uint32_t member)
{
    const struct team_shared *team = job_team();

    for (uint32_t rank = 0; member != 0 && rank < team->size; rank++) {
        if (atomic_load_explicit(&team->ranks[rank].member, memory_order_relaxed) == member)
            return (int)rank;
    }
    return -1;
}

/* The team that member waits in, if the segment has it as a whole; else NULL. A rank may have overwritten it. */
static const struct team_shared *team_of(const struct member_shared *member)
{
    uint64_t offset = atomic_load_explicit(&member->team, memory_order_relaxed);
    const struct team_shared *team;

    if (offset == 0 || offset % 64 != 0 || offset > segment_size - sizeof *team)
        return NULL;
    team = segment_at(offset);
    return team->size > 0 && team->size < MEMBER_SLOTS && team_sub_bytes(team->size) <= segment_size - offset
               ? team
               : NULL;
}

/* Of a wait in a barrier: who is missing. */
static void say_missing(const struct member_shared *member, char *text, size_t size)
{
    const struct team_shared *team = team_of(member);
    struct text_ranges missing;

    if (team == NULL)
        return;
    barrier_list_missing(team, &missing);
    if (missing.n > 0)
        snprintf(text, size, " (rank%s %s %s missing)", missing.n > 1 ? "s" : "", missing.text,
                 missing.n > 1 ? "are" : "is");
}

static void say_wait(struct doing *doing, uint32_t kind, const char *where, const char *whom,
                     uint64_t since_ns)
{
    snprintf(doing->what, sizeof doing->what, "waiting %s%s%.39s%.280s", wait_phrase(kind),
             where[0] != '\0' ? " at " : "", where, whom);
    doing->kind = kind;
    doing->since_ns = since_ns;
}

static bool is_stopped(char state)
{
    return state == 'T' || state == 't';
}

static char state_of(pid_t tid)
{
    struct process_look look;

    return process_look(tid, &look) == 1 ? look.state : 0;
}

static void say_code(struct doing *doing, pid_t tid, bool has_joined)
{
    char state = state_of(tid);
    const char *how = "asleep";

    if (state == 'R')
        how = "running";
    else if (is_stopped(state))
        how = "stopped";
    else if (state == 'D')
        how = "waiting for a device or file";
    snprintf(doing->what, sizeof doing->what, "%s in own code%s", how, has_joined ? "" : ", not joined");
}

static pid_t thread_of(const struct member_shared *member)
{
    return (pid_t)(uint32_t)atomic_load_explicit(&member->owner, memory_order_acquire);
}

/* What a member says of its wait. Returns false where it does not wait. */
static bool say_member(struct doing *doing, const struct member_shared *member)
{
    const struct member_wait_shared *wait = &member->wait;
    uint32_t kind = atomic_load_explicit(&wait->kind, memory_order_acquire);
    char whom[280] = "";

    if (kind == WAIT_NOTHING)
        return false;
    if (kind == WAIT_BARRIER)
        say_missing(member, whom, sizeof whom);
    else
        wait_whom_text(kind, rank_of(atomic_load_explicit(&wait->whom, memory_order_relaxed)), whom,
                       sizeof whom);
    say_wait(doing, kind, wait->where, whom, atomic_load_explicit(&wait->since_ns, memory_order_relaxed));
    if (is_stopped(state_of(thread_of(member))))
        strncat(doing->what, ", and stopped", sizeof doing->what - strlen(doing->what) - 1);
    return true;
}

/* The member that the rank is, if it has joined; else NULL. */
static const struct member_shared *member_of(uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&job_team()->ranks[rank].member, memory_order_acquire);

    return member != 0 ? member_slot(member) : NULL;
}

static void look(struct doing *doing, const struct supervise_child *child, bool has_memory)
{
    const struct claim_shared *claim = has_memory ? claim_of(child->rank) : NULL;
    uint32_t state = has_memory ? atomic_load_explicit(&claim->state, memory_order_acquire) : CLAIM_FREE;
    const struct member_shared *member = state == CLAIM_JOINED ? member_of(child->rank) : NULL;

    *doing = (struct doing){.rank = child->rank, .pid = child->process.pid};
    if (claim != NULL && claim_owner_pid(claim) != 0)
        doing->pid = claim_owner_pid(claim);
    if (state == CLAIM_MEETING)
        say_wait(doing, WAIT_MEETING, claim->where, "",
                 atomic_load_explicit(&claim->since_ns, memory_order_relaxed));
    else if (member == NULL || !say_member(doing, member))
        say_code(doing, doing->pid, state == CLAIM_JOINED || !has_memory);
}

/* ---- Lines ---- */

/* Tells of the i'th, and of all later ones that do the same: of ranks by their numbers, else by their pids. */
static void tell_group(int channel, struct doing *doings, uint32_t n, uint32_t i, const char *who)
{
    struct text_ranges group;
    uint64_t since_ns = doings[i].since_ns, now = clock_monotonic_ns();
    char text[800], since[64] = "";

    text_ranges_begin(&group);
    for (uint32_t k = i; k < n; k++) {
        if (doings[k].is_told || strcmp(doings[k].what, doings[i].what) != 0)
            continue;
        doings[k].is_told = true;
        text_ranges_add(&group, doings[k].is_worker ? (unsigned)doings[k].pid : doings[k].rank);
        if (doings[k].since_ns < since_ns)
            since_ns = doings[k].since_ns;
    }
    if (since_ns != 0 && now > since_ns)
        snprintf(since, sizeof since, ", for %.1f s", (double)(now - since_ns) * 1e-9);
    snprintf(text, sizeof text, "smrrun:   %s%s %s: %s%s\n", who, group.n > 1 ? "s" : "", group.text,
             doings[i].what, since);
    channel_send_text(channel, text);
}

static void tell_groups(int channel, struct doing *doings, uint32_t n, const char *who)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!doings[i].is_told)
            tell_group(channel, doings, n, i, who);
    }
}

/* Whether member works for the rank, as a thread or a child of its process. */
static bool is_worker_of(const struct member_shared *member, const struct doing *rank)
{
    pid_t pid = atomic_load_explicit(&member->pid, memory_order_relaxed);
    struct process_look seen;

    if ((atomic_load_explicit(&member->state, memory_order_acquire) & 3) != MEMBER_LIVE ||
        member == member_of(rank->rank))
        return false;
    return pid == rank->pid || (process_look(pid, &seen) == 1 && seen.parent == rank->pid);
}

/* Tells of the workers that a rank waits for, by their pids; of threads by the system's numbers of those. */
static void tell_workers(int channel, const struct doing *rank)
{
    uint32_t n_used = member_slots_used(), n = 0;
    struct doing *doings = calloc(n_used + 1, sizeof *doings);
    char who[64];

    for (uint32_t slot = 1; doings != NULL && slot <= n_used; slot++) {
        const struct member_shared *member = member_numbered(slot);
        struct doing *doing = &doings[n];

        if (!is_worker_of(member, rank))
            continue;
        *doing = (struct doing){.is_worker = true, .pid = thread_of(member)};
        if (!say_member(doing, member))
            say_code(doing, doing->pid, true);
        n++;
    }
    snprintf(who, sizeof who, "worker of rank %u, pid", rank->rank);
    tell_groups(channel, doings, n, who);
    free(doings);
}

void report_states(int channel, const struct supervise *ranks, bool has_memory)
{
    struct doing *doings = calloc(ranks->n_started + 1, sizeof *doings);
    struct text_ranges ended;
    char text[512];
    uint32_t n = 0;

    if (doings == NULL)
        return;
    text_ranges_begin(&ended);
    for (uint32_t i = 0; i < ranks->n_started; i++) {
        if (ranks->children[i].end.how == PROCESS_RUNS)
            look(&doings[n++], &ranks->children[i], has_memory);
        else
            text_ranges_add(&ended, ranks->children[i].rank);
    }
    tell_groups(channel, doings, n, "rank");
    for (uint32_t i = 0; i < n; i++) {
        if (doings[i].kind == WAIT_WORKERS)
            tell_workers(channel, &doings[i]);
    }
    if (ended.n > 0) {
        snprintf(text, sizeof text, "smrrun:   rank%s %s: ended well\n", ended.n > 1 ? "s" : "", ended.text);
        channel_send_text(channel, text);
    }
    free(doings);
}

struct mask {
    const cpu_set_t *set;
    size_t bytes;
};

static bool mask_has(int os_index, const void *argument)
{
    const struct mask *mask = argument;

    return CPU_ISSET_S((size_t)os_index, mask->bytes, mask->set) != 0;
}

void report_bindings(const struct keeper_job *job, const struct supervise *ranks)
{
    for (uint32_t i = 0; i < ranks->n_started && job->topology != NULL; i++) {
        char text[1024], described[900];
        struct mask mask;
        cpu_set_t *set = affinity_read_of(ranks->children[i].process.pid, &mask.bytes);

        if (set == NULL)
            continue;
        mask.set = set;
        plan_describe(job->topology, mask_has, &mask, described, sizeof described);
        snprintf(text, sizeof text, "smrrun: rank %u: %s\n", ranks->children[i].rank, described);
        channel_send_text(job->channel, text);
        CPU_FREE(set);
    }
}
