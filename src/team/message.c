#include "team/message.h"

#include <errno.h>
#include <sched.h>
#include <stdalign.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slow.h"
#include "memory/memory.h"
#include "team/collective.h"
#include "team/job.h"

/* ---- Whose mailbox ---- */

/* A process that works for no team sends to itself, as a team of one. A forked copy of it is another one. */
static struct {
    _Atomic pid_t pid;
    struct team_place place;
    alignas(64) unsigned char memory[sizeof(struct team_shared) + sizeof(struct team_rank_shared) +
                                     sizeof(sharedmem_error)];
} lone;

static struct team_place *lone_place(void)
{
    struct team_shared *team = (struct team_shared *)(void *)lone.memory;

    /* acquire: pairs with the release below, by another thread. */
    if (atomic_load_explicit(&lone.pid, memory_order_acquire) == getpid())
        return &lone.place;
    slow_lock();
    if (atomic_load_explicit(&lone.pid, memory_order_relaxed) != getpid()) {
        team_init(team, 1, false);
        lone.place = (struct team_place){.team = team};
        atomic_store_explicit(&lone.pid, getpid(), memory_order_release);
    }
    slow_unlock();
    return &lone.place;
}

/* Returns 0, or -1 with errno. */
static int begin(struct message_call *call)
{
    struct team_place *place = job_current(call->where);

    if (place != NULL && place->team->is_map)
        return collective_refuse_in_map(call->name, call->where);
    call->place = place != NULL ? place : lone_place();
    return 0;
}

/* Once the arguments are good: who sends nothing needs no memory. */
static int open(struct message_call *call)
{
    sharedmem_error error;

    if (memory_enter_at(call->where, &error) != 0)
        return -1;
    if (team_is_stopping(call->place->team) && call->has_letter)
        return team_cancelled(call->place);
    return mailbox_open(call->place->team);
}

/* ---- Arguments ---- */

static int refuse(const struct message_call *call, const sharedmem_error *error)
{
    sharedmem_error copy = *error;

    return error_end_call(&copy, false, call->where);
}

static bool is_rank(const struct message_call *call, int rank)
{
    return (rank >= 0 && rank < (int)call->place->team->size) || rank == SHAREDMEM_NOBODY;
}

static int check_dest(const struct message_call *call, int dest, int tag)
{
    const struct letter *letter = &call->letter;
    sharedmem_error error;

    if (!is_rank(call, dest))
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: dest is %d; it can be 0 to %d, a rank of the team, or SHAREDMEM_NOBODY", call->name,
                  dest, (int)call->place->team->size - 1);
    else if (tag < 0)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: the tag to send with is %d; it can be 0 or more", call->name, tag);
    else if (letter->data == NULL && letter->bytes > 0)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: the data to send are NULL; give the %zu bytes, or 0 bytes", call->name, letter->bytes);
    else if (dest == (int)call->place->rank && letter->bytes > MESSAGE_EAGER_BYTES && !call->has_wanted)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EDEADLK,
                  "%s: rank %d sends %zu bytes to itself, and would wait until it receives them; up to %zu "
                  "need no wait, or use sharedmem_sendrecv()",
                  call->name, dest, letter->bytes, MESSAGE_EAGER_BYTES);
    else
        return 0;
    return refuse(call, &error);
}

static int check_source(const struct message_call *call)
{
    const struct wanted *wanted = &call->wanted;
    sharedmem_error error;

    if (!is_rank(call, wanted->source) && wanted->source != SHAREDMEM_ANY_SOURCE)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: source is %d; it can be 0 to %d, a rank of the team, SHAREDMEM_ANY_SOURCE or "
                  "SHAREDMEM_NOBODY",
                  call->name, wanted->source, (int)call->place->team->size - 1);
    else if (wanted->tag < 0 && wanted->tag != SHAREDMEM_ANY_TAG)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: the tag to receive is %d; it can be 0 or more, or SHAREDMEM_ANY_TAG", call->name,
                  wanted->tag);
    else if (wanted->data == NULL && wanted->room > 0)
        error_set(&error, SHAREDMEM_ERROR_USAGE, EINVAL,
                  "%s: data is NULL; give room for %zu bytes, or say 0 bytes", call->name, wanted->room);
    else
        return 0;
    return refuse(call, &error);
}

static int refuse_length(const struct message_call *call)
{
    const sharedmem_status *found = &call->wanted.found;
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_USAGE, EMSGSIZE,
              "%s: the message from rank %d with tag %d has %zu bytes, and there is room for %zu; give more "
              "room, sharedmem_probe() tells how much",
              call->name, (int)found->source, (int)found->tag, found->bytes, call->wanted.room);
    return refuse(call, &error);
}

static int refuse_own(const struct message_call *call)
{
    sharedmem_error error;

    error_set(
        &error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
        "%s: rank %u waits for a message from itself, which it has not sent, and it has no other thread",
        call->name, call->place->rank);
    return refuse(call, &error);
}

static int refuse_unreceived(const struct message_call *call)
{
    sharedmem_error error;

    error_set(&error, SHAREDMEM_ERROR_DEADLOCK, EDEADLK,
              "%s: rank %u sends %zu bytes to itself with tag %d, has received another message, and has no other "
              "thread that would receive these; up to %zu need no wait",
              call->name, call->place->rank, call->letter.bytes, (int)call->letter.tag, MESSAGE_EAGER_BYTES);
    return refuse(call, &error);
}

/* ---- The calls ---- */

static void set_status(const struct message_call *call, sharedmem_status *status)
{
    if (status != NULL)
        *status = call->wanted.found;
}

static int run_in(struct message_call *call)
{
    if (message_wait(call, MESSAGE_IN) != 0)
        return errno == EDEADLK ? refuse_own(call) : -1;
    return call->is_too_long ? refuse_length(call) : 0;
}

/* Both halves to their end: also where one has failed, and the handler of errors returned. */
static int run(struct message_call *call)
{
    int in, code;

    message_begin(call);
    in = call->has_wanted ? run_in(call) : 0;
    code = errno;
    if (!call->is_out && (in == 0 || code != ECANCELED) && message_wait(call, MESSAGE_OUT) != 0)
        return errno == EDEADLK && in == 0 ? refuse_unreceived(call) : -1;
    errno = code;
    return in;
}

/* What is wanted from nobody is there at once, and empty. */
static void want(struct message_call *call, const struct wanted *wanted)
{
    call->wanted = *wanted;
    call->wanted.where = call->where;
    call->wanted.found = (sharedmem_status){SHAREDMEM_NOBODY, SHAREDMEM_ANY_TAG, 0};
    call->has_wanted = true;
}

static struct letter make_letter(const void *data, size_t bytes, int dest, int tag, const char *where)
{
    return (struct letter){.data = data, .bytes = bytes, .to = (uint32_t)dest, .tag = tag, .where = where};
}

int sharedmem_send_at(const void *data, size_t bytes, int dest, int tag, const char *where)
{
    struct message_call call = {
        .name = "send", .where = where, .letter = make_letter(data, bytes, dest, tag, where), .has_letter = true};

    if (begin(&call) != 0 || check_dest(&call, dest, tag) != 0)
        return -1;
    if (dest == SHAREDMEM_NOBODY)
        return 0;
    return open(&call) == 0 ? run(&call) : -1;
}

static int receive(struct message_call *call, sharedmem_status *status)
{
    if (begin(call) != 0 || check_source(call) != 0)
        return -1;
    if (call->wanted.source != SHAREDMEM_NOBODY && (open(call) != 0 || run(call) != 0))
        return -1;
    set_status(call, status);
    return 0;
}

int sharedmem_recv_at(void *data, size_t bytes, int source, int tag, sharedmem_status *status,
                      const char *where)
{
    struct message_call call = {.name = "recv", .where = where};

    want(&call, &(struct wanted){.source = source, .tag = tag, .data = data, .room = bytes});
    return receive(&call, status);
}

int sharedmem_sendrecv_at(const void *out, size_t out_bytes, int dest, int out_tag, void *in, size_t in_bytes,
                          int source, int in_tag, sharedmem_status *status, const char *where)
{
    struct message_call call = {
        .name = "sendrecv", .where = where, .letter = make_letter(out, out_bytes, dest, out_tag, where)};

    want(&call, &(struct wanted){.source = source, .tag = in_tag, .data = in, .room = in_bytes});
    if (begin(&call) != 0 || check_dest(&call, dest, out_tag) != 0 || check_source(&call) != 0)
        return -1;
    call.has_letter = dest != SHAREDMEM_NOBODY;
    call.has_wanted = source != SHAREDMEM_NOBODY;
    if (open(&call) != 0 || run(&call) != 0)
        return -1;
    set_status(&call, status);
    return 0;
}

int sharedmem_probe_at(int source, int tag, sharedmem_status *status, const char *where)
{
    struct message_call call = {.name = "probe", .where = where};

    want(&call, &(struct wanted){.source = source, .tag = tag, .is_probe = true});
    return receive(&call, status);
}

/* A loop of looks must end where the team has failed, and let others come to send. */
static int look_once(struct message_call *call)
{
    struct team_shared *team = call->place->team;

    if (open(call) != 0)
        return -1;
    message_begin(call);
    if (message_look(call)) {
        errno = call->code != 0 ? call->code : errno;
        return call->code != 0 ? -1 : 1;
    }
    if (team_is_stopping(team))
        return team_cancelled(call->place);
    mailbox_serve(call->place, call->where);
    /* Nobody knows how many of these loops share a processor with those who are to send. */
    sched_yield();
    return 0;
}

int sharedmem_iprobe_at(int source, int tag, sharedmem_status *status, const char *where)
{
    struct message_call call = {.name = "iprobe", .where = where};
    int found = 1;

    want(&call, &(struct wanted){.source = source, .tag = tag, .is_probe = true});
    if (begin(&call) != 0 || check_source(&call) != 0)
        return -1;
    if (source != SHAREDMEM_NOBODY)
        found = look_once(&call);
    if (found == 1)
        set_status(&call, status);
    return found;
}
