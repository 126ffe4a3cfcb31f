/* The barrier, threads as ranks: what each wrote before it is read after it, and who never comes ends it. */
#include "team/barrier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_RANKS       32
#define STEPS           60u
#define LAST_STEP       (STEPS / 2) /* of the rank that gives up, where one does */

/* How the last rank, or the first, gives up. */
enum end { GOES_ON, LEAVES, LEAVES_AND_IS_GONE, IS_GONE, FAILS };

static const struct kind {
    const char *name;
    enum end end;
    bool is_uneven;
    bool is_first; /* rank 0 gives up */
    int error;     /* the kind of the team's first error, or -1 for none */
} kinds[] = {
    {"all come at once", GOES_ON, false, false, -1},
    {"one at a time comes late", GOES_ON, true, false, -1},
    {"the last rank leaves", LEAVES, false, false, SHAREDMEM_ERROR_DEADLOCK},
    {"the first rank leaves, and its thread ends", LEAVES_AND_IS_GONE, true, true, SHAREDMEM_ERROR_DEADLOCK},
    {"the last rank's thread ends", IS_GONE, false, false, -1},
    {"the first rank fails", FAILS, true, true, SHAREDMEM_ERROR_RETURNED},
};

static const uint32_t rank_counts[] = {1, 2, 3, 4, 5, 8, MAX_RANKS};

struct rank {
    pthread_t thread;
    struct team_place place;
    uint32_t wrote[2]; /* by the parity of the step; not atomic: the barrier is what orders it */
    uint32_t n_met;
    uint32_t n_wrong;
    int code; /* errno, where a barrier failed */
};

static struct rank ranks[MAX_RANKS];
static const struct kind *kind;

static uint32_t quitter(const struct team_shared *team)
{
    return kind->is_first ? 0 : team->size - 1;
}

static void give_up(struct team_place *place)
{
    struct team_shared *team = place->team;
    sharedmem_error error;

    switch (kind->end) {
    case LEAVES:
    case LEAVES_AND_IS_GONE:
        atomic_store_explicit(&team->ranks[place->rank].left, 1, memory_order_release);
        break;
    case FAILS:
        error_set(&error, SHAREDMEM_ERROR_RETURNED, ECANCELED, "as planned");
        error.rank = (int32_t)place->rank;
        team_fail(team, place->rank, &error);
        break;
    default:
        break;
    }
    while (kind->end == LEAVES && !team_is_stopping(team))
        usleep(1000);
}

static void step(struct rank *me, uint32_t number)
{
    struct team_shared *team = me->place.team;

    if (kind->is_uneven && number % 16 == 0 && number / 16 % team->size == me->place.rank)
        usleep(300);
    me->wrote[number % 2] = number;
    if (barrier_meet(&me->place, "t/barrier.c:1") != 0) {
        me->code = errno;
        return;
    }
    me->n_met++;
    for (uint32_t rank = 0; rank < team->size; rank++)
        me->n_wrong += ranks[rank].wrote[number % 2] != number;
}

static void *be_rank(void *argument)
{
    struct rank *me = argument;
    struct team_shared *team = me->place.team;
    bool quits = kind->end != GOES_ON && me->place.rank == quitter(team);

    if (memory_enter(NULL) != 0)
        return NULL;
    atomic_store_explicit(&team->ranks[me->place.rank].member, member_my_id, memory_order_release);
    for (uint32_t number = 1; number <= (quits ? LAST_STEP : STEPS) && me->code == 0; number++)
        step(me, number);
    if (quits)
        give_up(&me->place);
    return NULL;
}

/* What is wrong with the team's first error, or NULL. */
static const char *wrong_error(const struct team_shared *team)
{
    const sharedmem_error *first = team_first_error(team);

    if (kind->error < 0)
        return first == NULL ? NULL : "an error that nobody made";
    if (first == NULL)
        return "no error";
    if (first->kind != kind->error || first->rank != (int32_t)quitter(team))
        return "another error";
    if (first->kind == SHAREDMEM_ERROR_DEADLOCK && strstr(first->message, "t/barrier.c:1") == NULL)
        return "an error that does not say where";
    return NULL;
}

/* What is wrong with what the ranks saw, or NULL. A barrier that all came to counts, whatever follows. */
static const char *wrong_steps(const struct team_shared *team)
{
    bool goes_on = kind->end == GOES_ON;

    for (uint32_t rank = 0; rank < team->size; rank++) {
        if (ranks[rank].n_wrong != 0)
            return "what a rank wrote before the barrier was not seen after it";
        if (ranks[rank].n_met != (goes_on ? STEPS : LAST_STEP))
            return "too few barriers, or too many";
        if (ranks[rank].code != (goes_on || rank == quitter(team) ? 0 : ECANCELED))
            return "another errno than ECANCELED";
    }
    return NULL;
}

/* A team's whole life. What was wrong with it, or NULL. */
static const char *run(uint32_t n)
{
    struct team_shared *team = heap_alloc(team_bytes(n), HEAP_ALIGNMENT);
    const char *wrong;

    team_init(team, n, false);
    for (uint32_t rank = 0; rank < n; rank++)
        ranks[rank] = (struct rank){.place = {.team = team, .rank = rank}};
    for (uint32_t rank = 0; rank < n; rank++)
        pthread_create(&ranks[rank].thread, NULL, be_rank, &ranks[rank]);
    for (uint32_t rank = 0; rank < n; rank++)
        pthread_join(ranks[rank].thread, NULL);
    wrong = wrong_steps(team);
    if (wrong == NULL)
        wrong = wrong_error(team);
    heap_free(team);
    return wrong;
}

static void test_kind(uint32_t n, unsigned rounds)
{
    const char *wrong = NULL;

    /* Nobody waits for a rank that is alone. */
    if (n == 1 && kind->end != GOES_ON)
        return;
    for (unsigned round = 0; round < rounds && wrong == NULL; round++)
        wrong = run(n);
    test_str(NULL, wrong, "%u ranks: %s", n, kind->name);
}

int main(void)
{
    const char *text = getenv("TEST_ROUNDS");
    unsigned rounds = text != NULL ? (unsigned)atoi(text) : 1;

    test_begin(60 + 2 * rounds);
    setenv("SHAREDMEM_HEAP", "64M", 1);
    if (memory_enter(NULL) != 0)
        test_skip_all("no shared memory here");
    for (kind = kinds; kind < kinds + COUNT_OF(kinds); kind++) {
        for (size_t i = 0; i < COUNT_OF(rank_counts); i++)
            test_kind(rank_counts[i], rounds);
    }
    return test_end();
}
