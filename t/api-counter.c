/*
 * Counters: sums, relations, waits between ranks of every kind, with more ranks than cores, waits that end because
 * the call has failed, and those that nobody can end; misuse.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sharedmem.h>

#include "backends.h"
#include "shared_block.h"
#include "tap.h"
#include "uncaught.h"

#define MAX_RANKS 32

struct shared {
    sharedmem_counter counter, turn, go;
    int64_t steps; /* since each rank writes it when all others wait, it is not atomic */
    unsigned char seen[20000];
    int64_t told[2][MAX_RANKS]; /* a rank can be a round ahead */
};

static struct shared *shared;

static void reset(void)
{
    memset(shared, 0, sizeof *shared);
}

/* ---- Sums ---- */

static int add(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    shared->seen[sharedmem_counter_add(&shared->counter, 1) - 1]++;
    return 0;
}

static bool all_seen_once(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (shared->seen[i] != 1)
            return false;
    }
    return true;
}

static void test_sums(void)
{
    size_t n = test_under_valgrind() ? 500 : sizeof shared->seen;
    sharedmem_pool *pool = test_thread_sanitized() ? NULL : sharedmem_pool_create(8, NULL);

    for (size_t w = 0; w < N_WAYS; w++) {
        sharedmem_map_options options = {.n = n, .work = add, .np = 8, .schedule = SHAREDMEM_DYNAMIC};

        if (!way_is_possible(&ways[w]))
            continue;
        reset();
        test_int(0, way_map(&ways[w], pool, &options), "%s: additions", ways[w].name);
        test_int((long long)n, (long long)sharedmem_counter_read(&shared->counter), "none is lost");
        test_ok(all_seen_once(n), "and each gets another sum");
    }
    sharedmem_pool_destroy(pool);
}

static void test_values(void)
{
    sharedmem_counter *c = &shared->counter;

    reset();
    test_int(0, sharedmem_counter_read(c), "zeroed memory is a counter at 0");
    test_int(-5, sharedmem_counter_add(c, -5), "add gives the value behind it");
    test_int(0, sharedmem_counter_set(c, INT64_MAX), "set");
    test_ok(sharedmem_counter_read(c) == INT64_MAX, "gives it another one, of 64 bits");
    test_ok(sharedmem_counter_add(c, 1) == INT64_MIN, "sums wrap");
    test_ok(sharedmem_counter_add(c, -1) == INT64_MAX, "both ways");
    test_ok(sharedmem_counter_add(c, INT64_MIN) == -1, "by any amount");
    test_int(16, sizeof *c, "it is 16 bytes, for ever");
}

static void test_relations(void)
{
    static const int64_t values[] = {INT64_MIN, -1, 0, 1, (int64_t)1 << 32, INT64_MAX};
    size_t n = sizeof values / sizeof *values;
    bool good = true;

    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < n; b++) {
            bool holds[] = {[SHAREDMEM_EQ] = a == b,
                            [SHAREDMEM_NE] = a != b,
                            [SHAREDMEM_LT] = a<b, [SHAREDMEM_LE] = a <= b, [SHAREDMEM_GT] = a> b,
                            [SHAREDMEM_GE] = a >= b};

            sharedmem_counter_set(&shared->counter, values[a]);
            for (int relation = SHAREDMEM_EQ; relation <= SHAREDMEM_GE; relation++) {
                int result = sharedmem_counter_timedwait(&shared->counter, relation, values[b], 0);

                good &= result == (holds[relation] ? 0 : -1) && (result == 0 || errno == ETIMEDOUT);
                good &=
                    !holds[relation] || sharedmem_counter_wait(&shared->counter, relation, values[b]) == 0;
            }
        }
    }
    test_ok(good, "all relations between small, large and negative values");
}

/* ---- Waits ---- */

struct ring {
    int64_t rounds, step;
};

/* Ranks pass a token: the counter comes to each multiple of step once, and one rank waits for it. */
static int pass_on(size_t rank, void *result, void *context)
{
    const struct ring *ring = context;
    int64_t size = sharedmem_size();

    (void)result;
    for (int64_t round = 0; round < ring->rounds; round++) {
        int64_t mine = (round * size + (int64_t)rank) * ring->step;

        if (sharedmem_counter_wait(&shared->turn, SHAREDMEM_EQ, mine) != 0)
            return 1;
        shared->steps++;
        sharedmem_counter_add(&shared->turn, ring->step);
    }
    return 0;
}

static bool can_fork(int backend)
{
    return backend == SHAREDMEM_THREADS || !test_thread_sanitized();
}

static void test_ring(void)
{
    static const struct {
        int np;
        struct ring ring;
    } rows[] = {
        {2, {3000, 1}},
        {3, {500, 1}},
        {MAX_RANKS, {20, 1}},
        /* The low half of the value is always the same. */
        {2, {3000, (int64_t)1 << 32}},
        {8, {200, (int64_t)1 << 32}},
        {3, {500, -1}},
    };

    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_THREADS; backend++) {
            struct ring ring = rows[r].ring;

            if (!can_fork(backend))
                continue;
            if (test_under_valgrind())
                ring.rounds = 3;
            reset();
            test_int(0, sharedmem_parallel(rows[r].np, pass_on, &ring, .backend = backend),
                     "%d ranks pass a token, backend %d", rows[r].np, backend);
            test_int(ring.rounds * rows[r].np, (long long)shared->steps, "one after the other");
        }
    }
}

/* Rounds that begin when rank 0 says so, and end when the last one of all has come. */
static int meet_often(size_t rank, void *result, void *context)
{
    int64_t rounds = *(int64_t *)context, size = sharedmem_size();

    (void)result;
    for (int64_t round = 1; round <= rounds; round++) {
        if (rank == 0)
            sharedmem_counter_set(&shared->go, round);
        if (sharedmem_counter_wait(&shared->go, SHAREDMEM_GE, round) != 0)
            return 1;
        shared->told[round % 2][rank] = round;
        if (sharedmem_counter_add(&shared->counter, 1) == round * size)
            sharedmem_counter_add(&shared->turn, 1);
        else if (sharedmem_counter_wait(&shared->turn, SHAREDMEM_GT, round - 1) != 0)
            return 1;
        for (int64_t other = 0; other < size; other++) {
            if (shared->told[round % 2][other] != round)
                return 2;
        }
    }
    return 0;
}

static void test_meetings(void)
{
    static const int nps[] = {1, 2, 5, MAX_RANKS};
    int64_t rounds = test_under_valgrind() ? 5 : 300;

    for (size_t p = 0; p < sizeof nps / sizeof *nps; p++) {
        for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_THREADS; backend++) {
            if (!can_fork(backend) || (test_thread_sanitized() && nps[p] > 5))
                continue;
            reset();
            test_int(0, sharedmem_parallel(nps[p], meet_often, &rounds, .backend = backend),
                     "%d ranks meet, backend %d, and see what was written before", nps[p], backend);
        }
    }
}

static int wait_in_map(size_t i, void *result, void *context)
{
    (void)result;
    (void)context;
    if (i > 0 && sharedmem_counter_wait(&shared->counter, SHAREDMEM_GE, (int64_t)i) != 0)
        return 1;
    sharedmem_counter_add(&shared->counter, 1);
    return 0;
}

/* Earlier items have always begun. */
static void test_maps(void)
{
    for (size_t w = 0; w < N_WAYS; w++) {
        sharedmem_map_options options = {
            .n = 300, .work = wait_in_map, .np = 4, .schedule = SHAREDMEM_DYNAMIC};

        if (!way_is_possible(&ways[w]) || ways[w].has_pool)
            continue;
        reset();
        test_int(0, way_map(&ways[w], NULL, &options), "%s: items wait for earlier ones", ways[w].name);
    }
}

static void *set_in_thread(void *unused)
{
    sharedmem_counter_wait(&shared->go, SHAREDMEM_EQ, 1);
    sharedmem_counter_set(&shared->counter, 7);
    return unused;
}

static void test_times(void)
{
    static const double seconds[] = {0, -1, -INFINITY, 1e-9, 0.001, 0.08};
    pthread_t thread;

    reset();
    for (size_t s = 0; s < sizeof seconds / sizeof *seconds; s++) {
        double begun = sharedmem_wtime();
        int result = sharedmem_counter_timedwait(&shared->counter, SHAREDMEM_NE, 0, seconds[s]);

        test_ok(result == -1 && errno == ETIMEDOUT && sharedmem_wtime() - begun >= seconds[s],
                "nobody changes it in %g s", seconds[s]);
    }
    pthread_create(&thread, NULL, set_in_thread, NULL);
    sharedmem_counter_set(&shared->go, 1);
    test_int(0, sharedmem_counter_timedwait(&shared->counter, SHAREDMEM_EQ, 7, INFINITY),
             "infinity is for ever");
    pthread_join(thread, NULL);
    test_int(0, uncaught, "none of this is an uncaught error");
}

static int set_beside(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    sharedmem_counter_wait(&shared->go, SHAREDMEM_EQ, 1);
    return sharedmem_counter_set(&shared->counter, 9);
}

static void test_background(void)
{
    sharedmem_background *background;

    reset();
    background = sharedmem_background_start(set_beside, NULL);
    sharedmem_counter_set(&shared->go, 1);
    test_int(0, sharedmem_counter_wait(&shared->counter, SHAREDMEM_GT, 8),
             "the master waits for a background call");
    test_int(0, sharedmem_background_wait(background, NULL), "which ends");
}

/* ---- Waits that end without their goal ---- */

enum end { KILLED, FAILED, N_ENDS };

/* Rank 1 ends when the others wait, or are about to. */
static int wait_in_vain(size_t rank, void *result, void *context)
{
    (void)result;
    if (rank != 1) {
        sharedmem_counter_add(&shared->go, 1);
        return sharedmem_counter_wait(&shared->counter, SHAREDMEM_GE, 1) != 0 && errno != ECANCELED;
    }
    sharedmem_counter_wait(&shared->go, SHAREDMEM_EQ, sharedmem_size() - 1);
    if (*(enum end *)context == KILLED)
        kill(getpid(), SIGKILL);
    return sharedmem_fail(8, "in vain");
}

/* The same from within a serial map, which is a team of its own. */
static int wait_in_item(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_counter_wait(&shared->counter, SHAREDMEM_GE, 1);
}

static int wait_within(size_t rank, void *result, void *context)
{
    sharedmem_error error;

    if (rank == 1)
        return wait_in_vain(rank, result, context);
    sharedmem_counter_add(&shared->go, 1);
    return sharedmem_map(1, wait_in_item, NULL, .backend = SHAREDMEM_SERIAL, .error = &error) != -1;
}

static void test_failures(void)
{
    static sharedmem_function *const bodies[] = {wait_in_vain, wait_within};
    int rounds = test_under_valgrind() || test_thread_sanitized() ? 3 : 20;

    for (int k = 0; k < 2; k++) {
        for (int backend = SHAREDMEM_PROCESSES; backend <= SHAREDMEM_THREADS; backend++) {
            for (enum end end = KILLED; end < N_ENDS && can_fork(backend); end++) {
                int right = 0;

                if (backend == SHAREDMEM_THREADS && end == KILLED)
                    continue;
                for (int round = 0; round < rounds; round++) {
                    sharedmem_error error;
                    int result;

                    reset();
                    result = sharedmem_parallel(2 + round % 4, bodies[k], &end, .backend = backend,
                                                .error = &error);
                    right +=
                        result == -1 && error.rank == 1 &&
                        error.kind == (end == KILLED ? SHAREDMEM_ERROR_SIGNAL : SHAREDMEM_ERROR_RETURNED);
                    if (right <= round)
                        test_note("round %d: %s", round, error.message);
                }
                test_int(rounds, right, "body %d, backend %d: waits end with the call, which tells of end %d",
                         k, backend, (int)end);
            }
        }
    }
}

static int wait_alone(size_t i, void *result, void *context)
{
    (void)i;
    (void)result;
    (void)context;
    return sharedmem_counter_wait(&shared->counter, SHAREDMEM_LT, 0);
}

static void test_alone(void)
{
    sharedmem_error error;
    pid_t pid;

    reset();
    uncaught = 0;
    test_ok(wait_alone(0, NULL, NULL) == -1 && errno == EDEADLK,
            "a program that is alone does not wait for ever");
    test_ok(uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "which is an uncaught error: %s",
            last.message);
    test_has("api-counter.c:", last.where, "with its place");
    sharedmem_set_uncaught(sharedmem_uncaught);
    test_ok(sharedmem_map(3, wait_alone, NULL, .backend = SHAREDMEM_SERIAL, .error = &error) == -1 &&
                error.code == EDEADLK && error.item == 0,
            "nor does a serial map");
    sharedmem_set_debug(true);
    test_ok(sharedmem_map(3, wait_alone, NULL, .np = 3, .error = &error) == -1 && error.code == EDEADLK,
            "nor one in debug mode");
    sharedmem_set_debug(false);
    sharedmem_set_uncaught(note_uncaught);
    pid = fork();
    if (pid == 0) {
        /* For longer than it takes to look around. */
        usleep(150000);
        sharedmem_counter_add(&shared->counter, -1);
        test_child_exit(0);
    }
    test_int(0, wait_alone(0, NULL, NULL), "with a child it is not alone");
    waitpid(pid, NULL, 0);
}

/* ---- Misuse ---- */

static sharedmem_counter private_counter;

static sharedmem_counter *misaligned(void)
{
    uintptr_t at = (uintptr_t)&shared->counter + 4;

    return (sharedmem_counter *)at;
}

static void check_misuse(const char *name, long long result, long long expected, const char *message)
{
    test_int(expected, result, "misuse: %s", name);
    test_int(EINVAL, errno, "is EINVAL");
    test_ok(uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "it is an uncaught usage error");
    test_has(message, last.message, "its message");
    test_has("api-counter.c:", last.where, "its place");
    uncaught = 0;
}

static void test_misuse(void)
{
    struct {
        const char *name, *message;
        sharedmem_counter *counter;
    } rows[] = {
        {"NULL", "sharedmem_new(sharedmem_counter, 1)", NULL},
        {"a static one", "sharedmem_new(sharedmem_counter, 1)", &private_counter},
        {"misaligned", "multiple of 8", misaligned()},
    };

    uncaught = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        sharedmem_counter *c = rows[r].counter;

        check_misuse(rows[r].name, sharedmem_counter_add(c, 1), 0, rows[r].message);
        check_misuse(rows[r].name, sharedmem_counter_read(c), 0, rows[r].message);
        check_misuse(rows[r].name, sharedmem_counter_set(c, 1), -1, rows[r].message);
        check_misuse(rows[r].name, sharedmem_counter_wait(c, SHAREDMEM_EQ, 0), -1, rows[r].message);
        check_misuse(rows[r].name, sharedmem_counter_timedwait(c, SHAREDMEM_EQ, 0, 1), -1, rows[r].message);
    }
    check_misuse("relation 0", sharedmem_counter_wait(&shared->counter, 0, 0), -1, "relation");
    check_misuse("relation 7", sharedmem_counter_wait(&shared->counter, 7, 0), -1, "relation");
    check_misuse("relation -1", sharedmem_counter_timedwait(&shared->counter, -1, 0, 1), -1, "relation");
    check_misuse("for NaN", sharedmem_counter_timedwait(&shared->counter, SHAREDMEM_NE, 0, NAN), -1,
                 "not a number");
}

int main(void)
{
    test_begin(240);
    sharedmem_set_uncaught(note_uncaught);
    shared = shared_block("64M", sizeof *shared);
    test_values();
    test_relations();
    test_sums();
    test_ring();
    test_meetings();
    test_maps();
    test_times();
    if (!test_thread_sanitized()) {
        test_background();
        test_alone();
    }
    test_failures();
    test_misuse();
    return test_end();
}
