#include "smrrun/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/affinity.h"
#include "host/clock.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/wait.h"
#include "smrrun/channel.h"
#include "team/job.h"

/* What a rank does, as far as it says and the system knows. */
struct doing {
    uint32_t rank;
    char what[160];    /* "waiting in the barrier or collective at heat.c:88" */
    uint64_t since_ns; /* 0: not known */
    bool is_told;
};

static const char *place_of(uint32_t kind)
{
    switch ((enum wait_kind)kind) {
    case WAIT_LOCK:
        return "waiting for a lock or critical region";
    case WAIT_WORKERS:
        return "waiting for workers of a map or parallel call";
    case WAIT_BARRIER:
        return "waiting in the barrier or collective";
    case WAIT_ORDERED:
        return "waiting for the turn of an ordered region";
    case WAIT_MEETING:
        return "waiting for all ranks to join the job";
    case WAIT_OUTPUT:
        return "waiting until the launcher takes what was printed";
    case WAIT_LOOP:
        return "waiting for ranks behind it in earlier loops, before the loop";
    case WAIT_COUNTER:
        return "waiting for a counter";
    case WAIT_TIMED:
        return "waiting for a lock or counter, for some time only,";
    case WAIT_RECEIVE:
        return "waiting for a message";
    case WAIT_SEND:
        return "waiting until another rank receives";
    default:
        return "waiting";
    }
}

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

/* For whom, where that is one rank. Who is missing in a barrier stands in a line of its own. */
static void say_whom(uint32_t kind, uint32_t whom, char *text, size_t size)
{
    static const char *const phrases[][2] = {[WAIT_LOCK] = {"", " has it"},
                                             [WAIT_ORDERED] = {"", " is before"},
                                             [WAIT_LOOP] = {"", " is behind"},
                                             [WAIT_RECEIVE] = {"from ", ""},
                                             [WAIT_SEND] = {"to ", ""}};
    bool is_known = kind < sizeof phrases / sizeof *phrases && phrases[kind][0] != NULL;
    int rank = is_known ? rank_of(whom) : -1;

    text[0] = '\0';
    if (rank >= 0)
        snprintf(text, size, " (%srank %d%s)", phrases[kind][0], rank, phrases[kind][1]);
}

static void say_wait(struct doing *doing, uint32_t kind, const char *where, uint32_t whom, uint64_t since_ns)
{
    char named[40];

    say_whom(kind, whom, named, sizeof named);
    snprintf(doing->what, sizeof doing->what, "%s%s%.39s%s", place_of(kind), where[0] != '\0' ? " at " : "",
             where, named);
    doing->since_ns = since_ns;
}

static void say_code(struct doing *doing, pid_t pid, bool has_joined)
{
    struct process_look look;
    const char *how;

    switch (process_look(pid, &look) == 1 ? look.state : 0) {
    case 'R':
        how = "running";
        break;
    case 'T':
    case 't':
        how = "stopped";
        break;
    case 'D':
        how = "waiting for a device or file";
        break;
    default:
        how = "asleep";
        break;
    }
    snprintf(doing->what, sizeof doing->what, "%s in own code%s", how, has_joined ? "" : ", not joined");
}

/* What a rank that has joined says of its wait. Returns false where it says nothing. */
static bool say_member(struct doing *doing, uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&job_team()->ranks[rank].member, memory_order_acquire);
    const struct member_wait_shared *wait;
    uint32_t kind;

    if (member == 0)
        return false;
    wait = &member_slot(member)->wait;
    kind = atomic_load_explicit(&wait->kind, memory_order_acquire);
    if (kind == WAIT_NOTHING)
        return false;
    say_wait(doing, kind, wait->where, atomic_load_explicit(&wait->whom, memory_order_relaxed),
             atomic_load_explicit(&wait->since_ns, memory_order_relaxed));
    return true;
}

static void look(struct doing *doing, const struct supervise_child *child, bool has_memory)
{
    const struct claim_shared *claim = has_memory ? claim_of(child->rank) : NULL;
    uint32_t state = has_memory ? atomic_load_explicit(&claim->state, memory_order_acquire) : CLAIM_FREE;
    pid_t pid = child->process.pid;

    *doing = (struct doing){.rank = child->rank};
    if (state == CLAIM_MEETING)
        say_wait(doing, WAIT_MEETING, claim->where, 0,
                 atomic_load_explicit(&claim->since_ns, memory_order_relaxed));
    else if (state != CLAIM_JOINED || !say_member(doing, child->rank))
        say_code(doing, claim != NULL && claim_owner_pid(claim) != 0 ? claim_owner_pid(claim) : pid,
                 state == CLAIM_JOINED || !has_memory);
}

/* Tells of the i'th, and of all later ones that do the same. */
static void tell_group(int channel, struct doing *doings, uint32_t n, uint32_t i)
{
    struct text_ranges ranks;
    uint64_t since_ns = doings[i].since_ns, now = clock_monotonic_ns();
    char text[512], since[64] = "";

    text_ranges_begin(&ranks);
    for (uint32_t k = i; k < n; k++) {
        if (strcmp(doings[k].what, doings[i].what) != 0)
            continue;
        doings[k].is_told = true;
        text_ranges_add(&ranks, doings[k].rank);
        if (doings[k].since_ns < since_ns)
            since_ns = doings[k].since_ns;
    }
    if (since_ns != 0 && now > since_ns)
        snprintf(since, sizeof since, ", for %.1f s", (double)(now - since_ns) * 1e-9);
    snprintf(text, sizeof text, "smrrun:   rank%s %s: %s%s\n", ranks.n > 1 ? "s" : "", ranks.text,
             doings[i].what, since);
    channel_send_text(channel, text);
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
    for (uint32_t i = 0; i < n; i++) {
        if (!doings[i].is_told)
            tell_group(channel, doings, n, i);
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
