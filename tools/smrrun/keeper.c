#include "smrrun/keeper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/clock.h"
#include "host/descendants.h"
#include "memory/memory.h"
#include "smrrun/channel.h"
#include "smrrun/keeper_state.h"
#include "smrrun/report.h"
#include "smrrun/start.h"
#include "smrrun/stats.h"
#include "team/job.h"
#include "team/shortage.h"

void keeper_say(const struct keeper *keeper, const char *format, ...)
{
    char text[CHANNEL_TEXT_BYTES];
    size_t length = (size_t)snprintf(text, sizeof text, "smrrun: ");
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, sizeof text - length - 1, format, arguments);
    va_end(arguments);
    length = strlen(text);
    if (text[length - 1] != '\n')
        strcpy(text + length, "\n");
    channel_send_text(keeper->job->channel, text);
}

/* ---- The face ---- */

/* Nobody takes what the ranks print: they end as by the SIGPIPE that they would have got. */
static void nobody_listens(struct keeper *keeper, int code)
{
    if (code == EPIPE) {
        keeper->raise = SIGPIPE;
        keeper_end_all(keeper, 128 + SIGPIPE);
    } else {
        keeper_end_all(keeper, 125);
    }
}

static void read_face(struct keeper *keeper)
{
    struct channel_message message;
    int answer;

    while ((answer = channel_receive(keeper->job->channel, &message)) == 1) {
        if (message.kind == CHANNEL_SIGNAL)
            keeper_hear_of_signal(keeper, message.value, message.detail);
        else if (message.kind == CHANNEL_UNHEARD)
            nobody_listens(keeper, message.value);
    }
    if (answer == 0)
        return;
    /* The face is gone: nothing may outlive it. */
    descendants_end(KEEPER_END_NS);
    debugged_end(keeper->job->debugged);
    _exit(EXIT_FAILURE);
}

/* ---- The loop ---- */

static uint64_t next_deadline(const struct keeper *keeper)
{
    uint64_t next = bits_smaller(keeper->timeout_at_ns, bits_smaller(keeper->kill_at_ns, keeper->hint_at_ns));

    if (keeper->verdict.reach_at_ns != 0 && keeper->phase == PHASE_RUNS)
        next = bits_smaller(next, keeper->verdict.reach_at_ns);
    next = bits_smaller(next, keeper->job->debugged->is_on ? keeper->job->debugged->look_at_ns : KEEPER_NEVER);
    if (keeper->verdict.tell_at_ns != 0)
        next = bits_smaller(next, keeper->verdict.tell_at_ns);
    for (int signal = 1; signal < NSIG; signal++) {
        if (keeper->forward_ns[signal] != 0)
            next = bits_smaller(next, keeper->forward_ns[signal]);
    }
    return next;
}

static void time_is_out(struct keeper *keeper)
{
    keeper->timeout_at_ns = KEEPER_NEVER;
    if (keeper->phase != PHASE_RUNS)
        return;
    keeper_say(keeper, "time limit of %.6g s is over (--timeout)%s",
               (double)keeper->job->options->timeout_ns * 1e-9,
               keeper->job->options->quiet ? "" : "; the ranks:");
    if (!keeper->job->options->quiet)
        report_states(keeper->job->channel, &keeper->ranks, keeper->has_memory);
    keeper_end_all(keeper, 124);
}

static void give_hint(struct keeper *keeper)
{
    keeper->hint_at_ns = KEEPER_NEVER;
    if (keeper->phase == PHASE_SIGNALLED)
        keeper_say_running(keeper, "SIGINT", (double)KEEPER_HINT_NS * 1e-9, "Ctrl-C again ends all at once");
}

static void act_on_time(struct keeper *keeper)
{
    uint64_t now = clock_monotonic_ns();

    keeper_forward_signals(keeper, now);
    debugged_look(keeper->job->debugged, now);
    if (keeper->verdict.reach_at_ns != 0 && now >= keeper->verdict.reach_at_ns && keeper->phase == PHASE_RUNS)
        verdict_reach(&keeper->verdict);
    if (keeper->verdict.tell_at_ns != 0 && now >= keeper->verdict.tell_at_ns)
        keeper_tell(keeper);
    if (now >= keeper->timeout_at_ns)
        time_is_out(keeper);
    if (now >= keeper->hint_at_ns)
        give_hint(keeper);
    if (now >= keeper->kill_at_ns)
        keeper_grace_is_over(keeper);
}

static bool is_rank(pid_t pid, void *argument)
{
    const struct keeper *keeper = argument;

    for (uint32_t i = 0; i < keeper->ranks.n_started; i++) {
        if (keeper->ranks.children[i].process.pid == pid && keeper->ranks.children[i].end.how == PROCESS_RUNS)
            return true;
    }
    return false;
}

static void watch(struct keeper *keeper)
{
    while (keeper->ranks.n_running > 0) {
        uint64_t now = clock_monotonic_ns(), next = next_deadline(keeper);

        if (supervise_wait(&keeper->ranks, next > now ? next - now : 0, keeper_rank_ended, keeper)) {
            keeper_read_signals(keeper);
            read_face(keeper);
        }
        /* Orphans that were adopted and have ended. */
        while (descendants_collect(is_rank, keeper) != 0)
            ;
        act_on_time(keeper);
    }
    /* The last ones may have given up together, and nobody is left to wait for. */
    if (keeper->phase == PHASE_RUNS && keeper->verdict.n_causes == 0 && keeper->has_memory &&
        (keeper->verdict.reach_at_ns != 0 || verdict_is_told()))
        verdict_reach(&keeper->verdict);
    keeper_tell(keeper);
}

/* ---- The life ---- */

/* One fd that is readable when a signal or the face has something to say. Returns it, or -1. */
static int open_events(struct keeper *keeper)
{
    struct epoll_event event = {.events = EPOLLIN};
    int events = epoll_create1(EPOLL_CLOEXEC);
    sigset_t heard;

    keeper_choose_signals(&heard);
    keeper->signal_fd = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    if (events < 0 || keeper->signal_fd < 0 ||
        epoll_ctl(events, EPOLL_CTL_ADD, keeper->signal_fd, &event) != 0 ||
        epoll_ctl(events, EPOLL_CTL_ADD, keeper->job->channel, &event) != 0)
        return -1;
    return events;
}

static _Noreturn void leave(const struct keeper *keeper)
{
    descendants_end(KEEPER_END_NS);
    debugged_end(keeper->job->debugged);
    channel_send(keeper->job->channel, CHANNEL_END, keeper->status, keeper->raise);
    _exit(EXIT_SUCCESS);
}

/* Between two starts: a face that is gone ends all; what ends the job spares the rest the start. */
static bool may_start_next(void *argument)
{
    struct keeper *keeper = argument;

    read_face(keeper);
    return keeper_note_early_signals(keeper) && keeper->phase == PHASE_RUNS;
}

static void start(struct keeper *keeper)
{
    const struct options *options = keeper->job->options;
    char message[1024] = "";
    int status = start_ranks(keeper->job, &keeper->ranks, may_start_next, keeper, message, sizeof message);

    keeper->begun_ns = keeper->verdict.begun_ns = clock_monotonic_ns();
    /* A person who looks at a rank is not to be hurried. */
    if (options->timeout_ns != 0 && options->gdb_rank < 0)
        keeper->timeout_at_ns = keeper->begun_ns + options->timeout_ns;
    if (status != 0) {
        keeper_say(keeper, "%s", message);
        keeper->status = status;
        leave(keeper);
    }
    keeper_note_debugger(keeper);
    keeper_forward_early_signals(keeper);
    if (options->report_bindings)
        report_bindings(keeper->job, &keeper->ranks);
    if (keeper->job->output != NULL)
        output_close_writes(keeper->job->output);
}

/* The signal that ended the ranks is the launcher's end too, unless they ended otherwise after it. */
static void settle_raise(struct keeper *keeper)
{
    if (keeper->raise == 0 || keeper->raise == SIGPIPE)
        return;
    /* Killed after it, or not even started because of it. */
    if (keeper->status == 0 &&
        (keeper->phase == PHASE_KILLS || keeper->ranks.n_started < (uint32_t)keeper->job->plan->n_ranks))
        keeper->status = 128 + keeper->raise;
    if (keeper->status != 128 + keeper->raise && keeper->status != 128 + SIGKILL)
        keeper->raise = 0;
}

void keeper_run(void *argument)
{
    const struct keeper_job *job = argument;
    struct keeper keeper = {
        .job = job, .kill_at_ns = KEEPER_NEVER, .timeout_at_ns = KEEPER_NEVER, .hint_at_ns = KEEPER_NEVER};
    int events;

    prctl(PR_SET_NAME, "smrrun-keeper");
    close(job->face_channel);
    if (job->output != NULL)
        output_close_reads(job->output);
    descendants_adopt();
    /* What ranks leave locked is taken from them by a member, and the face is another. */
    keeper.has_memory = job->memory_fd >= 0 && memory_enter(NULL) == 0;
    if (keeper.has_memory)
        job_launcher_waits();
    events = open_events(&keeper);
    if (events < 0 || supervise_init(&keeper.ranks, (uint32_t)job->plan->n_ranks, events) != 0) {
        keeper_say(&keeper, "cannot start: %s", strerror(errno));
        keeper.status = 125;
        leave(&keeper);
    }
    start(&keeper);
    /* Now that the ranks are on their way: it takes longer than their forks, and less than their start. */
    shortage_note();
    watch(&keeper);
    if (job->options->stats)
        stats_say(job, &keeper.ranks, keeper.has_memory, clock_monotonic_ns() - keeper.begun_ns);
    settle_raise(&keeper);
    leave(&keeper);
}
