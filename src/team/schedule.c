#include "team/schedule.h"

#include <errno.h>

#include "base/bits.h"
#include "base/each_fork.h"
#include "base/error.h"

int schedule_check_n(const char *call, size_t n, sharedmem_error *error)
{
    if (n <= SCHEDULE_MAX_ITEMS)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                     "%s: n is %zu; it can be 2^48 at most (was it negative?)", call, n);
}

int schedule_check_kind(const char *call, int32_t kind, sharedmem_error *error)
{
    if (kind >= SHAREDMEM_GUIDED && kind <= SHAREDMEM_STATIC)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_USAGE, EINVAL,
                     "%s: .schedule is none of SHAREDMEM_GUIDED, SHAREDMEM_DYNAMIC, SHAREDMEM_STATIC", call);
}

/*
 * The order of all of it is relaxed: the counter only deals numbers, and what items exchange is ordered by
 * the end of the map or by the flags of its results.
 */

static uint64_t at_least_one(uint64_t chunk)
{
    return chunk > 0 ? chunk : 1;
}

/*
 * One step, without a look at the counter first: that would fetch its line twice. Each rank goes beyond the
 * end once at most, so that the counter cannot wrap.
 */
static bool next_dynamic(const struct schedule *schedule, struct schedule_shared *shared,
                         struct schedule_turn *turn, uint64_t *begin, uint64_t *end)
{
    uint64_t chunk = at_least_one(schedule->chunk);

    if (turn->is_over)
        return false;
    *begin = atomic_fetch_add_explicit(&shared->next, chunk, memory_order_relaxed) - schedule->origin;
    *end = bits_smaller(*begin + chunk, schedule->n);
    turn->is_over = *begin >= schedule->n;
    return !turn->is_over;
}

/*
 * Half of an equal share of what is left: a member that gets a slow chunk leaves enough for the others to do.
 */
static uint64_t guided_chunk(const struct schedule *schedule, uint64_t left)
{
    uint64_t chunk = left / (2 * (uint64_t)schedule->n_ranks);

    chunk = bits_smaller(chunk, schedule->chunk_max);
    if (chunk < schedule->chunk)
        chunk = schedule->chunk;
    return bits_smaller(at_least_one(chunk), left);
}

uint64_t schedule_chunk(const struct schedule *schedule, uint64_t next)
{
    if (schedule->kind == SHAREDMEM_DYNAMIC)
        return bits_smaller(at_least_one(schedule->chunk), schedule->n - next);
    return guided_chunk(schedule, schedule->n - next);
}

static bool next_guided(const struct schedule *schedule, struct schedule_shared *shared, uint64_t *begin,
                        uint64_t *end)
{
    uint64_t next = atomic_load_explicit(&shared->next, memory_order_relaxed);
    uint64_t chunk;

    do {
        *begin = next - schedule->origin;
        if (*begin >= schedule->n)
            return false;
        chunk = guided_chunk(schedule, schedule->n - *begin);
    } while (!atomic_compare_exchange_weak_explicit(&shared->next, &next, next + chunk, memory_order_relaxed,
                                                    memory_order_relaxed));
    *end = *begin + chunk;
    return true;
}

/* Block r of n_ranks equal ones: the first n % n_ranks are one item longer. */
static uint64_t block_begin(const struct schedule *schedule, uint32_t rank)
{
    return schedule->n / schedule->n_ranks * rank + bits_smaller(schedule->n % schedule->n_ranks, rank);
}

static bool next_static(const struct schedule *schedule, struct schedule_turn *turn, uint32_t rank,
                        uint64_t *begin, uint64_t *end)
{
    uint64_t round = turn->n_taken++;
    uint64_t chunk_number;

    if (schedule->chunk == 0) {
        *begin = block_begin(schedule, rank);
        *end = block_begin(schedule, rank + 1);
        return round == 0 && *begin < *end;
    }
    if (__builtin_mul_overflow(round, (uint64_t)schedule->n_ranks, &chunk_number) ||
        __builtin_add_overflow(chunk_number, (uint64_t)rank, &chunk_number) ||
        __builtin_mul_overflow(chunk_number, schedule->chunk, begin) || *begin >= schedule->n)
        return false;
    *end = schedule->n - *begin > schedule->chunk ? *begin + schedule->chunk : schedule->n;
    return true;
}

EACH_FORK bool schedule_next(const struct schedule *schedule, struct schedule_shared *shared,
                             struct schedule_turn *turn, uint32_t rank, uint64_t *begin, uint64_t *end)
{
    switch (schedule->kind) {
    case SHAREDMEM_DYNAMIC:
        return next_dynamic(schedule, shared, turn, begin, end);
    case SHAREDMEM_STATIC:
        return next_static(schedule, turn, rank, begin, end);
    default:
        return next_guided(schedule, shared, begin, end);
    }
}
