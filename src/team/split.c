/*
 * The public calls of teams. A split is made by two barriers of the team that is split: each rank puts its wish for
 * the first one; rank 0 lays all teams out, and puts where for the second.
 *
 * What a rank has of its team is private to its process: its place, and how to come back from there. The block is
 * entered by the thread that calls, as a rank's own place is (team.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/fault.h"
#include "host/domain.h"
#include "memory/segment.h"
#include "team/barrier.h"
#include "team/collective.h"
#include "team/job.h"
#include "team/loop.h"
#include "team/subteam.h"
#include "team/sync.h"

/* How often a rank can be in one team at once, with others in between. */
#define DEPTH_MAX 16

struct sharedmem_team {
    struct team_place place;
    /* The rank of the outermost team whose this is. NULL: the process was alone, and the team is none, too. */
    struct team_shared *root;
    uint64_t root_number;
    uint32_t root_rank;
    pid_t pid;      /* whose it is: a forked copy of it is nobody's */
    uint32_t depth; /* how often it is entered */
    struct team_place *before[DEPTH_MAX];
    struct team_shared *own; /* a team of one that was made of a team of one: in private memory; or NULL */
};

/* ---- Splitting ---- */

/* A team for the rank in place, NULL where it is alone. Returns NULL with ENOMEM. */
static struct sharedmem_team *make(const struct team_place *place)
{
    struct sharedmem_team *made = calloc(1, sizeof *made);

    if (made == NULL || place == NULL)
        return made;
    made->pid = getpid();
    made->root = team_root(place->team);
    made->root_number = made->root->number;
    made->root_rank = team_root_rank(place->team, place->rank);
    return made;
}

/* A team of one is made without the others. */
static sharedmem_team *split_alone(const struct team_place *place)
{
    struct sharedmem_team *made = make(place);

    if (made == NULL || place == NULL)
        return made;
    made->own = aligned_alloc(64, bits_round_up(team_sub_bytes(1), 64));
    if (made->own == NULL) {
        free(made);
        errno = ENOMEM;
        return NULL;
    }
    team_init_sub(made->own, 1, made->root);
    made->own->ranks[0].root_rank = made->root_rank;
    made->place = (struct team_place){.team = made->own};
    return made;
}

/* Both in one word. */
static uint64_t word_of(const struct subteam_wish *wish)
{
    return (uint64_t)(uint32_t)wish->colour << 32 | (uint32_t)wish->key;
}

/* Rank 0 reads the wishes, put for barrier, and lays the teams out. Returns 0 or an errno. */
static int lay_out(struct team_shared *team, uint32_t barrier, uint64_t *offset)
{
    struct subteam_wish *wishes = calloc(team->size, sizeof *wishes);
    int code;

    *offset = 0;
    if (wishes == NULL)
        return ENOMEM;
    for (uint32_t rank = 0; rank < team->size; rank++) {
        uint64_t word = collective_get(collective_words(team, rank, barrier));

        wishes[rank] = (struct subteam_wish){(int32_t)(uint32_t)(word >> 32), (int32_t)(uint32_t)word, rank};
    }
    code = subteam_lay_out(team, wishes, team->size, offset);
    free(wishes);
    return code;
}

/* All ranks get the offset of the block. Returns 0, or -1 with errno. */
static int make_teams(struct team_place *place, const struct subteam_wish *wish, uint64_t *offset,
                      const char *where)
{
    struct team_shared *team = place->team;
    uint32_t barrier = barrier_next(place);
    _Atomic uint64_t *answer;

    collective_put(collective_words(team, place->rank, barrier), word_of(wish));
    FAULT_POINT();
    if (barrier_meet(place, where) != 0)
        return -1;
    answer = collective_words(team, 0, barrier_next(place));
    if (place->rank == 0) {
        collective_put(&answer[1], (uint64_t)lay_out(team, barrier, offset));
        collective_put(&answer[0], *offset);
    }
    if (barrier_meet(place, where) != 0)
        return -1;
    *offset = collective_get(&answer[0]);
    errno = (int)collective_get(&answer[1]);
    return errno == 0 ? 0 : -1;
}

static sharedmem_team *split_many(struct team_place *place, const struct subteam_wish *wish,
                                  const char *where)
{
    const struct subteam_row_shared *row;
    struct sharedmem_team *made;
    struct team_shared *team;
    uint64_t offset;

    if (make_teams(place, wish, &offset, where) != 0 || wish->colour < 0)
        return NULL;
    row = subteam_row(offset, place->rank);
    team = segment_at(row->team);
    made = make(place);
    if (made == NULL) {
        subteam_give_back(team, row->rank);
        errno = ENOMEM;
        return NULL;
    }
    made->place = (struct team_place){.team = team, .rank = row->rank};
    return made;
}

static sharedmem_team *split(const struct collective_call *call, int colour, int key)
{
    struct team_place *place;
    int saved_errno = errno;
    sharedmem_team *made;

    if (collective_begin(call, &place) != 0)
        return NULL;
    errno = 0;
    if (!collective_is_alone(place))
        made = split_many(place, &(struct subteam_wish){colour, key, place->rank}, call->where);
    else
        made = colour >= 0 ? split_alone(place) : NULL;
    if (made != NULL)
        errno = saved_errno;
    return made;
}

sharedmem_team *sharedmem_team_split_at(int colour, int key, const char *where)
{
    const struct collective_call call = {"team_split", where, 0, -1, -1, -1, 0};
    sharedmem_error error;

    if (colour >= 0 || colour == SHAREDMEM_NO_COLOUR)
        return split(&call, colour, key);
    error_set(
        &error, SHAREDMEM_ERROR_USAGE, EINVAL,
        "team_split: colour is %d; it can be 0 or more, or SHAREDMEM_NO_COLOUR for a rank that is to be "
        "in no team",
        colour);
    error_end_call(&error, false, where);
    return NULL;
}

sharedmem_team *sharedmem_team_split_by_at(int32_t level, const char *where)
{
    static const enum domain domains[] = {
        [SHAREDMEM_BY_NUMA] = DOMAIN_NUMA,
        [SHAREDMEM_BY_L3] = DOMAIN_L3,
        [SHAREDMEM_BY_PACKAGE] = DOMAIN_PACKAGE,
    };
    const struct collective_call call = {"team_split_by", where, 0, -1, -1, -1, level};
    sharedmem_error error;

    if (level >= SHAREDMEM_BY_NUMA && level <= SHAREDMEM_BY_PACKAGE)
        return split(&call, domain_here(domains[level]), 0);
    error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
              "team_split_by: level is %d; it can be SHAREDMEM_BY_NUMA, SHAREDMEM_BY_L3 or "
              "SHAREDMEM_BY_PACKAGE",
              (int)level);
    error_end_call(&error, false, where);
    return NULL;
}

/* ---- Entering and leaving ---- */

/* Whether the rank whose team this is works at place: in its call, or job, which goes on. */
static bool is_of(const struct sharedmem_team *team, const struct team_place *place)
{
    const struct team_place *root = place != NULL ? team_root_place(place) : NULL;

    if (team->root == NULL || root == NULL)
        return team->root == NULL && root == NULL;
    return root->team == team->root && root->team->number == team->root_number &&
           root->rank == team->root_rank;
}

static const char *why_not(const struct sharedmem_team *team, const struct team_place *place)
{
    if (!is_of(team, place))
        return "the caller is not the rank that has got this team: each rank uses the one that its own "
               "sharedmem_team_split() has returned, in the same job or parallel call";
    if (place != NULL && place->in_ordered)
        return "this rank is in an ordered region, which keeps the others out of the team; enter the team "
               "outside";
    if (team->depth == DEPTH_MAX)
        return "this rank is in this team 16 times already, each in another one; leave some";
    return NULL;
}

/* The team's place is that of the same rank, in all that is the rank's own. */
static void carry_over(struct team_place *to, const struct team_place *from)
{
    to->leave = from->leave;
    to->masters_hold = from->masters_hold;
    to->item = from->item;
    to->cores = from->cores;
    to->within = from->within;
    to->root = team_root_place(from);
}

int sharedmem_team_enter_at(sharedmem_team *team, const char *where)
{
    struct team_place *place = job_current(where);
    const char *why;

    if (team == NULL) {
        errno = EINVAL;
        return -1;
    }
    why = why_not(team, place);
    if (why != NULL)
        return sync_misused(where, EPERM, "team_enter", why);
    if (place == NULL)
        return 0;
    carry_over(&team->place, place);
    team->before[team->depth++] = team_enter_thread(&team->place);
    return 0;
}

/* What the rank is still in as it leaves the team for good. */
static const char *end_what_is_open(struct team_place *place)
{
    if (place->in_ordered) {
        sharedmem_ordered_end();
        return "it was left within an ordered region; end that before";
    }
    if (place->loop == NULL)
        return NULL;
    loop_leave(place);
    return "it was left within a loop; end that before";
}

void sharedmem_team_leave(sharedmem_team *team)
{
    struct team_place *place = team_here();
    const char *why = NULL;
    int saved_errno = errno;

    /* Alone; or a copy that the program forked in it, which has no team. */
    if (team == NULL || team->root == NULL || place == NULL)
        return;
    if (team->depth == 0 || place != &team->place) {
        sync_misused(NULL, EPERM, "team_leave",
                     "this is not the team that the caller has entered last; leave them in reverse order");
        return;
    }
    if (team->depth == 1 || place->in_ordered)
        why = end_what_is_open(place);
    team_enter_thread(team->before[--team->depth]);
    errno = saved_errno;
    if (why != NULL)
        sync_misused(NULL, EPERM, "team_leave", why);
}

/* ---- The rest ---- */

/*
 * Whether the rank whose team this is works at place, or has made the call there that place is in: an item of a map
 * of its own, say. A copy that a worker was born with is not the rank's.
 */
static bool is_callers(const struct sharedmem_team *team, const struct team_place *place)
{
    if (team->root == NULL)
        return place == NULL;
    while (place != NULL && !is_of(team, place))
        place = place->within;
    return place != NULL && team->pid == getpid();
}

/* What the rank has of it in shared memory, where its call or job goes on; else that has gone with it. */
static void give_back(sharedmem_team *team)
{
    if (team->root != NULL && team->own == NULL)
        subteam_give_back(team->place.team, team->place.rank);
    /* Messages to itself went by the heap. */
    if (team->own != NULL)
        team_free_blocks(team->own);
}

void sharedmem_team_free(sharedmem_team *team)
{
    struct team_place *place = team_here();
    int saved_errno = errno;

    if (team == NULL)
        return;
    if (is_callers(team, place)) {
        if (team->depth > 0) {
            sync_misused(NULL, EPERM, "team_free",
                         is_of(team, place) ? "the caller is in this team; leave it before"
                                            : "this rank is in this team, around the call that it is freed in; "
                                              "leave it before");
            return;
        }
        give_back(team);
    }
    free(team->own);
    free(team);
    errno = saved_errno;
}

int sharedmem_team_rank(const sharedmem_team *team)
{
    return team != NULL ? (int)team->place.rank : -1;
}

int sharedmem_team_size(const sharedmem_team *team)
{
    if (team == NULL)
        return 0;
    return team->place.team != NULL ? (int)team->place.team->size : 1;
}
