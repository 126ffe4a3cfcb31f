/*
 * sharedmem_bcast(): what root has goes by its words, or in one slot of the board, or is taken from where it
 * lies, or goes window by window: by its size, and by where root's data are, which only root knows before.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/fault.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/windows.h"

/* What one barrier can pass by a rank's words. */
#define WORDS_BYTES ((TEAM_WORDS - 1) * sizeof(uint64_t))

struct broadcast {
    struct team_place *place;
    const char *where;
    char *data;
    size_t bytes;
    uint32_t root;
};

static bool is_root(const struct broadcast *bcast)
{
    return bcast->place->rank == bcast->root;
}

/* What root puts first: where its data are, if they are shared. */
static void put_source(_Atomic uint64_t *word, const void *data)
{
    collective_put(word, segment_contains(data) ? segment_offset(data) : 0);
}

/* Where root's data are; NULL: in its private memory. */
static const char *get_source(const _Atomic uint64_t *word)
{
    uint64_t offset = collective_get(word);

    return offset != 0 ? segment_at(offset) : NULL;
}

/*
 * Whether this rank takes what root gave. Not where both mean the same shared memory: root may have gone on,
 * and changed it.
 */
static bool wants_copy(const struct broadcast *bcast, const char *source)
{
    return !is_root(bcast) && bcast->data != source;
}

/* Up to WORDS_BYTES go by the words behind the source. */
static int bcast_words(const struct broadcast *bcast)
{
    _Atomic uint64_t *words = collective_words(bcast->place->team, bcast->root, barrier_next(bcast->place));
    uint64_t copy[TEAM_WORDS] = {0};

    if (is_root(bcast)) {
        if (bcast->bytes > 0)
            memcpy(copy, bcast->data, bcast->bytes);
        put_source(&words[0], bcast->data);
        for (size_t i = 1; i < TEAM_WORDS; i++)
            collective_put(&words[i], copy[i - 1]);
    }
    if (barrier_meet(bcast->place, bcast->where) != 0)
        return -1;
    if (bcast->bytes == 0 || !wants_copy(bcast, get_source(&words[0])))
        return 0;
    for (size_t i = 1; i < TEAM_WORDS; i++)
        copy[i - 1] = collective_get(&words[i]);
    memcpy(bcast->data, copy, bcast->bytes);
    return 0;
}

static void put_window(const void *what, char *half, size_t from, size_t to)
{
    const struct broadcast *bcast = what;

    if (is_root(bcast))
        copy_far(half, bcast->data + from, to - from);
}

static void take_window(const void *what, char *half, size_t from, size_t to)
{
    const struct broadcast *bcast = what;

    if (!is_root(bcast))
        copy_far(bcast->data + from, half, to - from);
}

/*
 * Whether root's data, at source, are few or private: they, or as much as fits, come with the first
 * barrier.
 */
static bool goes_by_board(const struct broadcast *bcast, const char *source)
{
    return source == NULL || bcast->bytes <= COLLECTIVE_SLOT_BYTES;
}

/* Puts source, why there is no board, and the first bytes, up to first. */
static void put_first(const struct broadcast *bcast, _Atomic uint64_t *words, size_t first)
{
    struct team_shared *team = bcast->place->team;
    int code = collective_put_up_board(team);

    put_source(&words[0], bcast->data);
    collective_put(&words[1], (uint64_t)code);
    if (code == 0 && goes_by_board(bcast, get_source(&words[0])))
        copy_far(collective_half(team, barrier_next(bcast->place)), bcast->data, first);
    FAULT_POINT();
}

/* Root waits until all have their copy. */
static int bcast_from_place(const struct broadcast *bcast, const char *source)
{
    if (wants_copy(bcast, source))
        copy_far(bcast->data, source, bcast->bytes);
    FAULT_POINT();
    return barrier_meet(bcast->place, bcast->where);
}

static int bcast_board(const struct broadcast *bcast)
{
    struct team_shared *team = bcast->place->team;
    uint32_t barrier = barrier_next(bcast->place);
    _Atomic uint64_t *words = collective_words(team, bcast->root, barrier);
    struct windows windows = {bcast->place, bcast->where, bcast->bytes, collective_half_bytes(team),
                              put_window,   take_window,  bcast};
    size_t first = bits_smaller(bcast->bytes, windows.window);
    const char *source;

    if (is_root(bcast))
        put_first(bcast, words, first);
    if (barrier_meet(bcast->place, bcast->where) != 0)
        return -1;
    if (collective_get(&words[1]) != 0) {
        errno = (int)collective_get(&words[1]);
        return -1;
    }
    source = get_source(&words[0]);
    if (!goes_by_board(bcast, source))
        return bcast_from_place(bcast, source);
    if (wants_copy(bcast, source))
        take_window(bcast, collective_half(team, barrier), 0, first);
    return windows_pass(&windows, first);
}

int sharedmem_bcast_at(void *data, size_t bytes, int root, const char *where)
{
    const struct collective_call call = {"bcast", where, bytes, -1, -1, root, 0};
    struct broadcast bcast = {.where = where, .data = data, .bytes = bytes, .root = (uint32_t)root};
    sharedmem_error error;

    if (collective_begin(&call, &bcast.place) != 0 || collective_check_root(&call, bcast.place) != 0)
        return -1;
    if (data == NULL && bytes > 0) {
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "bcast: data is NULL; give the %zu bytes that root sends, and that others receive into",
                  bytes);
        return error_end_call(&error, false, where);
    }
    if (collective_is_alone(bcast.place))
        return 0;
    return bytes <= WORDS_BYTES ? bcast_words(&bcast) : bcast_board(&bcast);
}
