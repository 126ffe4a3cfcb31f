/* Doorbells: readable from the first ring until they are cleared, and never in anybody's way. */
#include "host/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static bool is_rung(int bell, int timeout_ms)
{
    struct pollfd polled = {.fd = bell, .events = POLLIN};

    return poll(&polled, 1, timeout_ms) == 1 && polled.revents == POLLIN;
}

static void test_rings(int bell)
{
    errno = EDOM;
    test_ok(!is_rung(bell, 0), "a new doorbell is silent");
    doorbell_clear(bell);
    test_ok(!is_rung(bell, 0), "clearing a silent one does not block");
    doorbell_ring(bell);
    test_ok(is_rung(bell, 0), "a ring is seen");
    test_ok(is_rung(bell, 0), "and stays");
    doorbell_clear(bell);
    test_ok(!is_rung(bell, 0), "until it is cleared");
    for (int i = 0; i < 1000; i++)
        doorbell_ring(bell);
    doorbell_clear(bell);
    test_ok(!is_rung(bell, 0), "many rings are cleared at once");
    test_int(EDOM, errno, "all of it keeps errno");
}

static void test_full(int bell)
{
    uint64_t rings = UINT64_MAX - 1;

    test_int(sizeof rings, write(bell, &rings, sizeof rings), "a doorbell is filled");
    errno = EDOM;
    doorbell_ring(bell);
    test_int(EDOM, errno, "ringing a full one neither blocks nor fails");
    test_ok(is_rung(bell, 0), "it is still seen");
    doorbell_clear(bell);
    test_ok(!is_rung(bell, 0), "and can be cleared");
}

static void test_child_rings(int bell)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        doorbell_ring(bell);
        test_child_exit(0);
    }
    test_ok(is_rung(bell, -1), "a child's ring wakes its parent");
    waitpid(child, &status, 0);
    test_int(0, status, "the child ends well");
    doorbell_clear(bell);
}

int main(void)
{
    int fds, bell;

    test_begin(10);
    fds = test_fds();
    bell = doorbell_open();
    if (test_ok(bell >= 0, "a doorbell opens")) {
        test_ok(fcntl(bell, F_GETFD) & FD_CLOEXEC, "programs that are executed do not get it");
        test_rings(bell);
        test_full(bell);
        test_child_rings(bell);
        close(bell);
    }
    test_int(fds, test_fds(), "it is one file descriptor");
    return test_end();
}
