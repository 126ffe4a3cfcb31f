#include "team/moving.h"

/* The part of rank, which comes behind the one before it; that has begun at offset, and at start. */
static struct part part_of(const struct moving *moving, uint32_t rank, uint64_t offset, uint64_t start)
{
    const struct move *move = moving->move;
    struct part part = {rank, {offset, move->bytes, start, 0}};

    if (move->sizes != NULL)
        part.is.bytes = move->sizes[rank];
    if (move->sizes != NULL && move->offsets != NULL)
        part.is.offset = move->offsets[rank];
    return part;
}

struct part moving_first(const struct moving *moving)
{
    return moving->has_whole ? part_of(moving, 0, 0, 0) : moving->mine;
}

bool moving_has(const struct moving *moving, const struct part *part)
{
    return part->rank < moving->team->size;
}

struct part moving_next(const struct moving *moving, const struct part *part)
{
    const struct slot_shared *is = &part->is;
    uint32_t next = part->rank + 1;

    if (!moving->has_whole || next == moving->team->size)
        return (struct part){.rank = moving->team->size};
    return part_of(moving, next, is->offset + is->bytes, is->start + (moving_is_large(part) ? is->bytes : 0));
}

/* The bytes of the stream. */
static uint64_t total_of(const struct moving *moving)
{
    uint64_t total = 0;

    for (struct part part = moving_first(moving); moving_has(moving, &part);
         part = moving_next(moving, &part))
        total += moving_is_large(&part) ? part.is.bytes : 0;
    return total;
}

struct part moving_find_mine(const struct moving *moving)
{
    const struct move *move = moving->move;
    uint64_t before = (uint64_t)moving->me * move->bytes;
    struct part part = {moving->me, {before, move->bytes, before, 0}};

    if (!move->has_sizes) {
        part.is.total = moving_is_large(&part) ? (uint64_t)moving->team->size * move->bytes : 0;
    } else if (moving->has_whole) {
        part = moving_first(moving);
        while (part.rank < moving->me)
            part = moving_next(moving, &part);
        part.is.total = total_of(moving);
    }
    return part;
}

bool moving_owns(const struct moving *moving, const struct part *part)
{
    return moving->move->way == MOVE_SCATTER ? moving->has_whole : part->rank == moving->me;
}

bool moving_wants(const struct moving *moving, const struct part *part)
{
    return moving->move->way == MOVE_SCATTER ? part->rank == moving->me : moving->has_whole;
}

static bool is_in_place(const struct moving *moving)
{
    return moving->move->in == moving->move->out;
}

/* The parts of a whole that is nowhere are empty. */
static char *part_at(const char *whole, const struct part *part)
{
    return whole != NULL ? (char *)whole + part->is.offset : NULL;
}

const char *moving_source(const struct moving *moving, const struct part *part)
{
    const struct move *move = moving->move;

    return move->way == MOVE_SCATTER || is_in_place(moving) ? part_at(move->in, part) : move->in;
}

char *moving_place(const struct moving *moving, const struct part *part)
{
    const struct move *move = moving->move;

    return move->way != MOVE_SCATTER || is_in_place(moving) ? part_at(move->out, part) : move->out;
}

const char *moving_shared_source(const struct moving *moving, const struct part *part)
{
    bool is_dealt = moving->move->way == MOVE_SCATTER;
    const char *source =
        announce_source(moving->team, is_dealt ? moving->move->root : part->rank, moving->barrier);

    return is_dealt ? part_at(source, part) : source;
}

char *moving_shared_place(const struct moving *moving, const struct part *part)
{
    bool is_dealt = moving->move->way == MOVE_SCATTER;
    char *into = announce_into(moving->team, is_dealt ? part->rank : moving->move->root, moving->barrier);

    return is_dealt ? into : part_at(into, part);
}
