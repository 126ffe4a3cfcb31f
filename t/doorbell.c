/* Doorbells: readable from the first ring until they are cleared, and never in anybody's way. */
#include "host/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static bool is_rung(const struct doorbell *bell, int timeout_ms)
{
    struct pollfd polled = {.fd = bell->fd, .events = POLLIN};

    return poll(&polled, 1, timeout_ms) == 1 && polled.revents == POLLIN;
}

static void test_rings(const struct doorbell *bell)
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

static void test_full(const struct doorbell *bell)
{
    char rings[4096] = {0};

    while (write(bell->ring_fd, rings, sizeof rings) > 0)
        ;
    errno = EDOM;
    doorbell_ring(bell);
    test_int(EDOM, errno, "ringing a full one neither blocks nor fails");
    test_ok(is_rung(bell, 0), "it is still seen");
    doorbell_clear(bell);
    test_ok(!is_rung(bell, 0), "and can be cleared");
}

/* What a work function may do to its worker's files: the bell's number is another file then. */
static void test_replaced(const struct doorbell *bell)
{
    struct stat status;
    FILE *file = tmpfile();
    pid_t child = fork();

    if (child == 0) {
        dup2(fileno(file), bell->ring_fd);
        doorbell_ring(bell);
        close(bell->ring_fd);
        doorbell_ring(bell);
        test_child_exit(0);
    }
    waitpid(child, NULL, 0);
    fstat(fileno(file), &status);
    test_int(0, (long long)status.st_size, "a file in its place is not written to");
    test_ok(!is_rung(bell, 0), "and nothing rings");
    fclose(file);
}

static void test_child_rings(const struct doorbell *bell)
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
    struct doorbell bell;
    int fds;

    test_begin(10);
    fds = test_fds();
    if (test_int(0, doorbell_open(&bell), "a doorbell opens")) {
        test_ok(fcntl(bell.fd, F_GETFD) & FD_CLOEXEC, "programs that are executed do not get it");
        test_ok(bell.fd > 2 && bell.ring_fd > 2, "it keeps away from stdin, stdout and stderr");
        test_rings(&bell);
        test_full(&bell);
        test_replaced(&bell);
        test_child_rings(&bell);
        doorbell_close(&bell);
    }
    test_int(fds, test_fds(), "no file descriptor is left");
    return test_end();
}
