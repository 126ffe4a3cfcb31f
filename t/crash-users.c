/* Programs that have handlers and stacks for signals of their own: these stay, be they older or younger. */
#include "host/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crash.h"
#include "tap.h"

static void leave_with_7(int signal)
{
    (void)signal;
    test_child_exit(7);
}

static void user_handles(void)
{
    signal(SIGSEGV, leave_with_7);
    signal(SIGFPE, SIG_IGN);
    crash_install(slot);
    raise(SIGFPE);
    raise(SIGSEGV);
}

static void user_handles_later(void)
{
    crash_install(slot);
    signal(SIGSEGV, leave_with_7);
    raise(SIGSEGV);
}

static void user_has_stack(void)
{
    static char memory[65536];
    stack_t mine = {.ss_sp = memory, .ss_size = sizeof memory}, now;

    sigaltstack(&mine, NULL);
    crash_install(slot);
    sigaltstack(NULL, &now);
    test_child_exit(now.ss_sp == memory ? 7 : 8);
}

static void keeps_errno(void)
{
    errno = EDOM;
    crash_prepare();
    crash_install(slot);
    test_child_exit(errno == EDOM ? 7 : 8);
}

static void test_users(void)
{
    test_ok(left_by(run(user_handles), 7), "a handler that was there stays, and what was ignored too");
    test_int(0, crash_format(slot, (char[64]){0}, 64), "there is no traceback then");
    test_ok(left_by(run(user_handles_later), 7), "a handler may be set later");
    test_ok(left_by(run(user_has_stack), 7), "an alternate stack that was there stays");
    test_ok(left_by(run(keeps_errno), 7), "errno is kept");
}

NAMED int main(void)
{
    int fds = begin_crashes();

    test_users();
    return end_crashes(fds);
}
