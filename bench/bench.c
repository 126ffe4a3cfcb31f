#include "bench.h"

#include <sharedmem.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spin.h"

#define MAX_CONTENDERS 24
#define MAX_ROUNDS     101
#define ROUND_NS       20e6
/* Long enough to tell from what starting a contender costs. */
#define CALIBRATION_NS 4e6
#define TIME_LIMIT_S   300
/* Where a table takes longer, whose operations are slow, these are the rounds that it has at least. */
#define LONG_TABLE_NS 10e9
#define MIN_ROUNDS    5

static struct {
    int max_rounds;
    bool is_fixed; /* all of them, however long they take */
    int n_rounds;  /* of this table */
    char **words;  /* NULL after the last */
    bool failed;
} run = {.max_rounds = 15};

/* One contender's results, by round. */
struct row {
    const struct bench_contender *contender;
    uint64_t ops;
    double state; /* BENCH_ABSENT, BENCH_FAILED, BENCH_HUNG, or 0 */
    double ns[MAX_ROUNDS];
};

/* ---- Statistics ---- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void sort(double *sorted, const double *values)
{
    memcpy(sorted, values, (size_t)run.n_rounds * sizeof *values);
    qsort(sorted, (size_t)run.n_rounds, sizeof *sorted, compare);
}

/* The upper one of the two in the middle, where their number is even. */
static double median(const double *values)
{
    double sorted[MAX_ROUNDS];

    sort(sorted, values);
    return sorted[run.n_rounds / 2];
}

static double median_ratio(const struct row *row, const struct row *other)
{
    double ratios[MAX_ROUNDS];

    for (int i = 0; i < run.n_rounds; i++)
        ratios[i] = row->ns[i] / other->ns[i];
    return median(ratios);
}

/* ---- Running ---- */

static double run_once(struct row *row, uint64_t ops)
{
    double ns = row->contender->run(row->contender, ops);

    if (ns <= 0)
        row->state = ns < 0 ? ns : BENCH_FAILED;
    return ns;
}

static uint64_t round_up(double ops, int np)
{
    uint64_t each = (uint64_t)(ops / np);

    return (each + 1) * (uint64_t)np;
}

/* As many as take about a round by the last figure: now and then some are a hundred times slower. */
static void aim(struct row *row, double ns)
{
    if (row->contender->ops == 0 && row->state == 0)
        row->ops = round_up(ROUND_NS / ns, row->contender->np);
}

/* Finds how many operations make a round; also the warm-up. */
static void calibrate(struct row *row)
{
    double ns;

    row->ops = row->contender->ops != 0 ? row->contender->ops : (uint64_t)row->contender->np;
    for (;;) {
        ns = run_once(row, row->ops);
        if (row->state != 0 || row->contender->ops != 0 || ns * (double)row->ops >= CALIBRATION_NS)
            break;
        row->ops *= 4;
    }
    aim(row, ns);
}

static void run_round(struct row *row, int round)
{
    if (row->state != 0)
        return;
    row->ns[round] = run_once(row, row->ops);
    aim(row, row->ns[round]);
}

static bool has_time(uint64_t begin)
{
    return run.is_fixed || run.n_rounds < MIN_ROUNDS || (double)(spin_now_ns() - begin) < LONG_TABLE_NS;
}

static int run_rows(struct row *rows, const struct bench_contender *contenders)
{
    const uint64_t begin = spin_now_ns();
    int n = 0;

    for (; contenders[n].name != NULL && n < MAX_CONTENDERS; n++) {
        rows[n] = (struct row){.contender = &contenders[n]};
        calibrate(&rows[n]);
    }
    for (run.n_rounds = 0; run.n_rounds < run.max_rounds && has_time(begin); run.n_rounds++)
        for (int i = 0; i < n; i++)
            run_round(&rows[i], run.n_rounds);
    return n;
}

/* ---- Printing ---- */

static const struct unit {
    const char *name;
    double ns;
} units[] = {{"ms", 1e6}, {"us", 1e3}, {"ns", 1}};

/* The one for the first row that has figures: it is ours, as a rule. */
static const struct unit *choose_unit(const struct row *rows, int n)
{
    const struct unit *unit = units;
    int i = 0;

    while (i < n - 1 && rows[i].state != 0)
        i++;
    while (unit->ns > 1 && median(rows[i].ns) < unit->ns)
        unit++;
    return unit;
}

/* The row that a row's ratio is made with; NULL for ours itself. */
static const struct row *ours_for(const struct row *rows, const struct row *row)
{
    const struct row *ours = rows;

    while (ours->contender->np != row->contender->np)
        ours++;
    return ours != row && ours->state == 0 ? ours : NULL;
}

/* Behind the point; what is many times faster needs more. */
static int digits(double ratio)
{
    return ratio < 0.1 ? 4 : 2;
}

static const char *state_name(double state)
{
    if (state == BENCH_ABSENT)
        return "not here";
    return state == BENCH_HUNG ? "hung" : "FAILED";
}

static void print_row(const struct row *rows, const struct row *row, const struct unit *unit)
{
    const struct row *ours = ours_for(rows, row);
    double sorted[MAX_ROUNDS];

    printf("  %-40s", row->contender->name);
    if (row->state != 0) {
        printf("%10s\n", state_name(row->state));
        return;
    }
    sort(sorted, row->ns);
    printf("%10.2f%10.2f%10.2f", median(row->ns) / unit->ns, sorted[0] / unit->ns,
           sorted[run.n_rounds - 1] / unit->ns);
    if (ours != NULL)
        printf("%14.*f", digits(median_ratio(ours, row)), median_ratio(ours, row));
    printf("\n");
}

static const struct row *find(const struct row *rows, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].contender->name, name) == 0)
            return rows[i].state == 0 ? &rows[i] : NULL;
    return NULL;
}

static const struct row *best_of(const struct row *rows, int n, const char *const *names, int n_names)
{
    const struct row *best = NULL, *row;

    for (int i = 0; i < n_names && names[i] != NULL; i++) {
        row = find(rows, n, names[i]);
        if (row != NULL && (best == NULL || median(row->ns) < median(best->ns)))
            best = row;
    }
    return best;
}

static void print_goal(const struct row *rows, int n, const struct bench_goal *goal)
{
    const int n_against = sizeof goal->against / sizeof *goal->against;
    const struct row *ours = find(rows, n, goal->ours);
    const struct row *best = best_of(rows, n, goal->against, n_against);
    double ratio;
    bool met;

    if (ours == NULL || best == NULL) {
        printf("  goal: %s: not measured\n", goal->ours);
        return;
    }
    ratio = median_ratio(ours, best);
    met = ratio <= goal->limit || median(ours->ns) <= goal->or_ns;
    printf("  goal: %s at most %.*f x %s", goal->ours, digits(goal->limit), goal->limit,
           best->contender->name);
    if (goal->or_ns > 0)
        printf(" or %.0f ns", goal->or_ns);
    printf(": %.*f %s\n", digits(ratio), ratio, met ? "met" : "MISSED");
}

static void print_table(const struct bench_table *table, const struct row *rows, int n)
{
    const struct unit *unit = choose_unit(rows, n);

    printf("\n%s, %s per %s", table->title, unit->name, table->operation);
    if (run.n_rounds < run.max_rounds)
        printf(", %d rounds", run.n_rounds);
    printf("\n");
    printf("  %-40s%10s%10s%10s%14s\n", "", "median", "min", "max", "ours / this");
    for (int i = 0; i < n; i++) {
        print_row(rows, &rows[i], unit);
        run.failed = run.failed || rows[i].state == BENCH_FAILED;
    }
    for (const struct bench_goal *goal = table->goals; goal != NULL && goal->limit > 0; goal++)
        print_goal(rows, n, goal);
    fflush(stdout);
}

/* ---- The program ---- */

static void drop_openmp_environment(void)
{
    /* Removing a variable moves the others. */
    for (char **entry = environ; *entry != NULL;) {
        char name[64];

        if (strncmp(*entry, "OMP_", 4) != 0 && strncmp(*entry, "GOMP_", 5) != 0) {
            entry++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
        unsetenv(name);
        entry = environ;
    }
}

void bench_begin(int argc, char **argv)
{
    cpu_set_t cpus;
    int option;

    while ((option = getopt(argc, argv, "r:")) != -1) {
        if (option != 'r' || (run.max_rounds = atoi(optarg)) < 1 || run.max_rounds > MAX_ROUNDS) {
            fprintf(stderr, "usage: %s [-r 1..%d] [WORD]...\n", argv[0], MAX_ROUNDS);
            exit(2);
        }
        run.is_fixed = true;
    }
    run.words = argv + optind;
    drop_openmp_environment();
    sched_getaffinity(0, sizeof cpus, &cpus);
    printf("%s: sharedmem %s, %d processors, %d rounds in turn\n", argv[0], sharedmem_version(),
           CPU_COUNT(&cpus), run.max_rounds);
    fflush(stdout);
}

static bool is_chosen(const char *title)
{
    for (char **word = run.words; *word != NULL; word++)
        if (strstr(title, *word) != NULL)
            return true;
    return run.words[0] == NULL;
}

void bench_table(const struct bench_table *table)
{
    static struct row rows[MAX_CONTENDERS];

    if (!is_chosen(table->title))
        return;
    alarm(TIME_LIMIT_S);
    print_table(table, rows, run_rows(rows, table->contenders));
    alarm(0);
}

int bench_end(void)
{
    return run.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

uint64_t bench_work_loops(uint64_t ns)
{
    const uint64_t loops = 1000000;
    uint64_t best = UINT64_MAX, start, took;

    for (int i = 0; i < 10; i++) {
        start = spin_now_ns();
        spin_work(loops);
        took = spin_now_ns() - start;
        best = took < best ? took : best;
    }
    return best > 0 ? loops * ns / best : loops;
}
