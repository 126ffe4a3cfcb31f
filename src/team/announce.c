#include "team/announce.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"

/* A rank's words: these, then its bytes. */
enum { SOURCE, INTO, BYTES };

/* In place of a source: no board, and why. No offset is that large. */
#define NO_BOARD ((uint64_t)1 << 63)

_Static_assert(BYTES < TEAM_WORDS, "a rank says three things at once");
_Static_assert(sizeof(struct announce_verdict) == sizeof(uint64_t), "a verdict is a word");

static uint64_t offset_of(const void *address)
{
    return segment_contains(address) ? segment_offset(address) : 0;
}

bool announce_put(struct team_place *place, const struct announcement *mine)
{
    _Atomic uint64_t *words = collective_words(place->team, place->rank, barrier_next(place));
    int code = collective_put_up_board(place->team);

    collective_put(&words[SOURCE], code == 0 ? offset_of(mine->source) : NO_BOARD | (uint64_t)code);
    FAULT_POINT();
    collective_put(&words[INTO], offset_of(mine->into));
    collective_put(&words[BYTES], mine->bytes);
    return code == 0;
}

/* ---- The verdict ---- */

struct hearing {
    announce_judge *judge;
    const void *what;
    uint32_t barrier;
};

static struct announce_verdict judge_all(struct team_shared *team, const struct hearing *hearing)
{
    for (uint32_t rank = 0; rank < team->size; rank++) {
        uint64_t source = collective_get(&collective_words(team, rank, hearing->barrier)[SOURCE]);

        if ((source & NO_BOARD) != 0)
            return (struct announce_verdict){.is_refused = ANNOUNCE_ERRNO, .value = (uint32_t)source};
    }
    return hearing->judge(team, hearing->what);
}

/* As the sums (collective.c): one place is enough for the verdict. */
static void judge_for_all(struct team_shared *team, const void *argument)
{
    struct announce_verdict verdict = judge_all(team, argument);
    uint64_t word;

    memcpy(&word, &verdict, sizeof word);
    collective_put(&team->result[0], word);
}

int announce_meet(struct team_place *place, const char *where, announce_judge *judge, const void *what,
                  struct announce_verdict *verdict)
{
    struct team_shared *team = place->team;
    struct hearing hearing = {judge, what, barrier_next(place)};
    int met;

    FAULT_POINT();
    met = barrier_meet_and(place, where, judge_for_all, &hearing);
    if (met < 0)
        return -1;
    if (met == 1) {
        uint64_t word = collective_get(&team->result[0]);

        memcpy(verdict, &word, sizeof *verdict);
    } else {
        *verdict = judge_all(team, &hearing);
    }
    if (verdict->is_refused != ANNOUNCE_ERRNO)
        return 0;
    errno = (int)verdict->value;
    return -1;
}

/* ---- What was said ---- */

static char *address_in(struct team_shared *team, uint32_t rank, uint32_t barrier, int word)
{
    uint64_t offset = collective_get(&collective_words(team, rank, barrier)[word]);

    return offset != 0 ? segment_at(offset) : NULL;
}

const char *announce_source(struct team_shared *team, uint32_t rank, uint32_t barrier)
{
    return address_in(team, rank, barrier, SOURCE);
}

char *announce_into(struct team_shared *team, uint32_t rank, uint32_t barrier)
{
    return address_in(team, rank, barrier, INTO);
}

uint64_t announce_bytes(struct team_shared *team, uint32_t rank, uint32_t barrier)
{
    return collective_get(&collective_words(team, rank, barrier)[BYTES]);
}

static void set(struct announce_ranks *ranks, uint32_t rank, bool is_one)
{
    uint64_t bit = (uint64_t)1 << rank % 64;

    ranks->bits[rank / 64] = (ranks->bits[rank / 64] & ~bit) | (is_one ? bit : 0);
}

void announce_note(struct team_shared *team, uint32_t barrier, uint32_t begin, uint32_t end,
                   struct announce_ranks *sources, struct announce_ranks *intos)
{
    for (uint32_t rank = begin; rank < end; rank++) {
        set(sources, rank, announce_source(team, rank, barrier) != NULL);
        set(intos, rank, announce_into(team, rank, barrier) != NULL);
    }
}
