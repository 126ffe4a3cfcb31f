#include "run/escape.h"

#include <setjmp.h>
#include <string.h>

#include "base/error.h"
#include "memory/member.h"
#include "team/regions.h"
#include "team/team.h"

/* One call of escape_run(). */
struct escape {
    jmp_buf back;
    struct escape *before;
    enum escape_end how;
    sharedmem_error *error;
    error_leave *leave_before;
    struct team_place *place; /* what the thread works for when it begins */
    struct regions_mark regions;
};

static _Thread_local struct escape *innermost;

static _Noreturn void go_back(enum escape_end how)
{
    innermost->how = how;
    longjmp(innermost->back, 1);
}

static void leave_by_error(const sharedmem_error *error)
{
    memcpy(innermost->error, error, sizeof *error);
    go_back(ESCAPE_BY_ERROR);
}

void escape_cancelled(void)
{
    go_back(ESCAPE_CANCELLED);
}

bool escape_is_possible(void)
{
    return innermost != NULL;
}

static void begin(struct escape *escape, sharedmem_error *error)
{
    escape->before = innermost;
    escape->how = ESCAPE_CAME_BACK;
    escape->error = error;
    escape->place = team_enter_thread(NULL);
    team_enter_thread(escape->place);
    regions_mark(&escape->regions);
    escape->leave_before = error_set_thread_leave(leave_by_error);
    innermost = escape;
}

/* Also where an exception of C++ passes through. */
static void end(struct escape *escape)
{
    innermost = escape->before;
    error_set_thread_leave(escape->leave_before);
}

/* What the dropped frames would have done. */
static void clean_up(struct escape *escape)
{
    team_enter_thread(escape->place);
    regions_leave_since(&escape->regions);
    error_drop_fail_message();
}

enum escape_end escape_run(void (*body)(void *argument), void *argument, sharedmem_error *error)
{
    return escape_run_and(body, argument, error, NULL);
}

enum escape_end escape_run_and(void (*body)(void *argument), void *argument, sharedmem_error *error,
                               void (*failed)(void *argument, sharedmem_error *error))
{
    __attribute__((cleanup(end))) struct escape escape;

    begin(&escape, error);
    /* What changes between setjmp() and longjmp() is in the struct, and read through a pointer. */
    if (setjmp(escape.back) == 0) {
        body(argument);
        return escape.how;
    }
    if (escape.how == ESCAPE_BY_ERROR && failed != NULL)
        failed(argument, error);
    clean_up(&escape);
    return escape.how;
}
