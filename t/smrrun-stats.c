/* The table of --stats: each rank, or the extremes of many. */
#include <stdio.h>
#include <string.h>

#include "smrrun/stats.h"

#include "tap.h"

#define S ((uint64_t)1000000000)

static char lines[64][256];
static size_t n_lines;

static void take(const char *text, void *argument)
{
    test_ok(argument == lines, "a line comes with the argument");
    if (n_lines < sizeof lines / sizeof *lines)
        snprintf(lines[n_lines++], sizeof lines[0], "%s", text);
}

static void make(const struct stats_rank *ranks, size_t n, bool is_each)
{
    n_lines = 0;
    stats_table(ranks, n, 3 * S / 2, is_each, take, lines);
}

static void test_imbalance(void)
{
    static const struct {
        const char *name;
        size_t n;
        struct stats_rank ranks[4];
        double imbalance;
    } rows[] = {
        {"one rank", 1, {{.user_ns = S}}, 1},
        {"no time at all", 2, {{0}, {0}}, 0},
        {"equal ones", 2, {{.user_ns = S}, {.user_ns = S}}, 1},
        {"system time counts too", 2, {{.user_ns = S}, {.system_ns = S}}, 1},
        {"one does all", 4, {{.user_ns = S}, {0}, {0}, {0}}, 4},
        {"one does twice as much", 3, {{.user_ns = S}, {.user_ns = 2 * S}, {.user_ns = S}}, 1.5},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double got = stats_imbalance(rows[i].ranks, rows[i].n);

        test_ok(got > rows[i].imbalance - 1e-9 && got < rows[i].imbalance + 1e-9, "%s: %g", rows[i].name,
                rows[i].imbalance);
    }
}

static void test_few(void)
{
    static const struct stats_rank ranks[] = {
        {0, 12 * S, S / 4, (uint64_t)100 << 20, S / 2},
        {1, 4 * S, 0, (uint64_t)3 << 29, STATS_UNKNOWN},
    };

    make(ranks, 2, false);
    test_int(4, (long long)n_lines, "a head, a heading, and a line for each");
    test_str("2 ranks in 1.50 s, imbalance 1.51", lines[0], "the head");
    test_str("  rank          user        system   peak memory       waiting", lines[1], "the heading");
    test_str("     0       12.00 s        0.25 s       100 MiB        0.50 s", lines[2], "the first");
    test_str("     1        4.00 s        0.00 s       1.5 GiB             -", lines[3],
             "one that does not use the library");
    make(ranks, 1, false);
    test_str("1 rank in 1.50 s, imbalance 1.00", lines[0], "one rank");
}

static void test_many(void)
{
    static struct stats_rank ranks[20];

    for (uint32_t i = 0; i < 20; i++)
        ranks[i] = (struct stats_rank){i, (i + 1) * S, 0, (uint64_t)(40 - i) << 20,
                                       i == 7   ? STATS_UNKNOWN
                                       : i == 3 ? 20 * S
                                                : S};
    make(ranks, 20, false);
    test_int(6, (long long)n_lines, "of many: a head, a heading, and a line for each number");
    test_has("least  (rank)", lines[1], "the heading");
    test_str("  user               1.00 s     (0)       10.50 s       20.00 s    (19)", lines[2], "user");
    test_str("  system             0.00 s     (0)        0.00 s        0.00 s     (0)", lines[3], "system");
    test_str("  peak memory        21 MiB    (19)        30 MiB        40 MiB     (0)", lines[4],
             "peak memory");
    test_str("  waiting            1.00 s     (0)        2.00 s       20.00 s     (3)", lines[5],
             "waiting, of those that know it");
    make(ranks, 20, true);
    test_int(22, (long long)n_lines, "all, where that is asked for");
    for (uint32_t i = 0; i < 20; i++)
        ranks[i].waited_ns = STATS_UNKNOWN;
    make(ranks, 20, false);
    test_str("  waiting                 -                     -             -", lines[5], "nobody knows");
}

int main(void)
{
    test_begin(30);
    test_imbalance();
    test_few();
    test_many();
    return test_end();
}
