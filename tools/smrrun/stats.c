#include "smrrun/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/clock.h"
#include "memory/claim.h"
#include "memory/member.h"
#include "memory/wait.h"
#include "smrrun/channel.h"
#include "team/job.h"

/* ---- Words ---- */

static const char *say_time(uint64_t ns, char *text, size_t size)
{
    if (ns == STATS_UNKNOWN)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%.2f s", (double)ns * 1e-9);
    return text;
}

static const char *say_bytes(uint64_t bytes, char *text, size_t size)
{
    char said[TEXT_BYTES_SIZE];

    snprintf(text, size, "%s", text_bytes(said, bytes));
    return text;
}

/* ---- The table ---- */

struct column {
    const char *name;
    size_t offset;
    const char *(*say)(uint64_t value, char *text, size_t size);
};

#define COLUMN(member) offsetof(struct stats_rank, member)

static const struct column columns[] = {
    {"user", COLUMN(user_ns), say_time},
    {"system", COLUMN(system_ns), say_time},
    {"peak memory", COLUMN(peak_bytes), say_bytes},
    {"waiting", COLUMN(waited_ns), say_time},
};

#define N_COLUMNS (sizeof columns / sizeof *columns)

struct table {
    const struct stats_rank *ranks;
    size_t n;
    void (*line)(const char *text, void *argument);
    void *argument;
};

static uint64_t value_of(const struct stats_rank *rank, const struct column *column)
{
    uint64_t value;

    memcpy(&value, (const char *)rank + column->offset, sizeof value);
    return value;
}

double stats_imbalance(const struct stats_rank *ranks, size_t n)
{
    uint64_t most = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t time = ranks[i].user_ns + ranks[i].system_ns;

        most = time > most ? time : most;
        all += time;
    }
    return all > 0 ? (double)most * (double)n / (double)all : 0;
}

static void say_head(const struct table *table, uint64_t wall_ns)
{
    double imbalance = stats_imbalance(table->ranks, table->n);
    char text[128], number[32] = "-";

    if (imbalance > 0)
        snprintf(number, sizeof number, "%.2f", imbalance);
    snprintf(text, sizeof text, "%zu rank%s in %.2f s, imbalance %s", table->n, table->n == 1 ? "" : "s",
             (double)wall_ns * 1e-9, number);
    table->line(text, table->argument);
}

static void say_each(const struct table *table)
{
    char text[160], value[32];
    int used = snprintf(text, sizeof text, "  rank");

    for (size_t k = 0; k < N_COLUMNS; k++)
        used += snprintf(text + used, sizeof text - (size_t)used, "  %12s", columns[k].name);
    table->line(text, table->argument);
    for (size_t i = 0; i < table->n; i++) {
        used = snprintf(text, sizeof text, "  %4u", table->ranks[i].rank);
        for (size_t k = 0; k < N_COLUMNS; k++)
            used += snprintf(text + used, sizeof text - (size_t)used, "  %12s",
                             columns[k].say(value_of(&table->ranks[i], &columns[k]), value, sizeof value));
        table->line(text, table->argument);
    }
}

/* Of those ranks that know it. */
struct extremes {
    uint64_t least, most;
    uint32_t least_rank, most_rank;
    double sum;
    size_t n;
};

static struct extremes extremes_of(const struct table *table, const struct column *column)
{
    struct extremes extremes = {.n = 0};

    for (size_t i = 0; i < table->n; i++) {
        uint64_t value = value_of(&table->ranks[i], column);

        if (value == STATS_UNKNOWN)
            continue;
        if (extremes.n == 0 || value < extremes.least) {
            extremes.least = value;
            extremes.least_rank = table->ranks[i].rank;
        }
        if (extremes.n == 0 || value > extremes.most) {
            extremes.most = value;
            extremes.most_rank = table->ranks[i].rank;
        }
        extremes.sum += (double)value;
        extremes.n++;
    }
    return extremes;
}

static void say_summary(const struct table *table)
{
    char text[256], values[3][32], ranks[2][24], rank[16];

    table->line("                      least  (rank)          mean          most  (rank)", table->argument);
    for (size_t k = 0; k < N_COLUMNS; k++) {
        struct extremes extremes = extremes_of(table, &columns[k]);
        double mean = extremes.n > 0 ? extremes.sum / (double)extremes.n : 0;
        uint64_t parts[] = {extremes.least, (uint64_t)mean, extremes.most};

        for (int i = 0; i < 3; i++)
            columns[k].say(extremes.n > 0 ? parts[i] : STATS_UNKNOWN, values[i], sizeof values[i]);
        snprintf(ranks[0], sizeof ranks[0], "(%u)", extremes.least_rank);
        snprintf(rank, sizeof rank, "(%u)", extremes.most_rank);
        snprintf(ranks[1], sizeof ranks[1], "  %6s", rank);
        snprintf(text, sizeof text, "  %-11s  %12s  %6s  %12s  %12s%s", columns[k].name, values[0],
                 extremes.n > 0 ? ranks[0] : "", values[1], values[2], extremes.n > 0 ? ranks[1] : "");
        table->line(text, table->argument);
    }
}

void stats_table(const struct stats_rank *ranks, size_t n, uint64_t wall_ns, bool is_each,
                 void (*line)(const char *text, void *argument), void *argument)
{
    const struct table table = {.ranks = ranks, .n = n, .line = line, .argument = argument};

    say_head(&table, wall_ns);
    if (is_each || n <= STATS_EACH_MAX)
        say_each(&table);
    else
        say_summary(&table);
}

/* ---- The job ---- */

struct sent {
    int channel;
    char text[CHANNEL_TEXT_BYTES]; /* lines that are not sent yet */
    size_t used;
};

static void send_lines(struct sent *sent)
{
    if (sent->used > 0)
        channel_send_last_text(sent->channel, sent->text);
    sent->used = 0;
}

static void add_line(const char *text, void *argument)
{
    struct sent *sent = argument;

    if (sent->used + strlen(text) + 16 > sizeof sent->text)
        send_lines(sent);
    sent->used +=
        (size_t)snprintf(sent->text + sent->used, sizeof sent->text - sent->used, "smrrun: %s\n", text);
}

void stats_rank_ended(uint32_t rank)
{
    uint32_t member = atomic_load_explicit(&job_team()->ranks[rank].member, memory_order_acquire);
    const struct member_wait_shared *wait;
    uint32_t kind;

    if (member == 0)
        return;
    wait = &member_slot(member)->wait;
    kind = atomic_load_explicit(&wait->kind, memory_order_acquire);
    if (kind != WAIT_NOTHING && kind != WAIT_WORKERS)
        atomic_fetch_add_explicit(
            &claim_of(rank)->waited_ns,
            bits_difference(clock_monotonic_ns(),
                            atomic_load_explicit(&wait->since_ns, memory_order_relaxed)),
            memory_order_relaxed);
}

static uint64_t waited(uint32_t rank)
{
    const struct claim_shared *claim = claim_of(rank);

    /* relaxed: its process has ended. */
    return atomic_load_explicit(&claim->has_voted, memory_order_relaxed) != 0
               ? atomic_load_explicit(&claim->waited_ns, memory_order_relaxed)
               : STATS_UNKNOWN;
}

void stats_say(const struct keeper_job *job, const struct supervise *ranks, bool has_memory, uint64_t wall_ns)
{
    struct stats_rank *all = calloc(ranks->n_started + 1, sizeof *all);
    struct sent sent = {.channel = job->channel};

    if (all == NULL || ranks->n_started == 0) {
        free(all);
        return;
    }
    for (uint32_t i = 0; i < ranks->n_started; i++) {
        const struct supervise_child *child = &ranks->children[i];

        all[i] = (struct stats_rank){.rank = child->rank,
                                     .user_ns = child->end.use.user_ns,
                                     .system_ns = child->end.use.system_ns,
                                     .peak_bytes = child->end.use.peak_bytes,
                                     .waited_ns = has_memory ? waited(child->rank) : STATS_UNKNOWN};
    }
    stats_table(all, ranks->n_started, wall_ns, job->options->verbose, add_line, &sent);
    send_lines(&sent);
    free(all);
}
