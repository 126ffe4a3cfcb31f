/* Whether the owner of a claim died as a member: also where it leaves and ends while somebody asks. */
#include "memory/claim.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/clock.h"
#include "tap.h"

/* Before Linux 5.3 or glibc 2.31 that is not there, and nobody is held up. */
#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif

/* How the answer begins, as the kernel writes it. */
struct syscall_look {
    uint8_t op; /* 1: at its entry */
    uint8_t unused[3];
    uint32_t arch;
    uint64_t instruction, stack;
    uint64_t number;
    uint64_t arguments[6];
};

static struct claim_shared *claim;

/* A child that owns the claim, as a member. */
static pid_t start_owner(void)
{
    pid_t child = fork();

    if (child == 0) {
        while (pause() != 0)
            ;
    }
    atomic_store(&claim->owner, clock_boot_ns() / 1000000u << 22 | (uint64_t)child);
    atomic_store(&claim->state, CLAIM_JOINED);
    return child;
}

static void end_owner(pid_t owner)
{
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
}

static void leave(pid_t owner)
{
    atomic_store(&claim->state, CLAIM_LEFT);
    atomic_store(&claim->owner, 0);
    end_owner(owner);
}

/* Lets the asking child go on to where it opens what the system says of the owner. */
static bool goes_to_open(pid_t asker)
{
    struct syscall_look look;
    int status;

    if (ptrace(PTRACE_SETOPTIONS, asker, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) != 0)
        return false;
    for (int k = 0; k < 1000; k++) {
        if (ptrace(PTRACE_SYSCALL, asker, NULL, NULL) != 0 || waitpid(asker, &status, 0) != asker ||
            !WIFSTOPPED(status))
            return false;
        memset(&look, 0, sizeof look);
        if (ptrace(PTRACE_GET_SYSCALL_INFO, asker, (void *)sizeof look, &look) <= 0)
            return false;
        if (look.op == 1 && look.number == SYS_openat)
            return true;
    }
    return false;
}

static void test_held_up(void)
{
    pid_t owner = start_owner(), asker = fork();
    int status;
    bool is_there;

    if (asker == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            test_child_exit(77);
        raise(SIGSTOP);
        test_child_exit(claim_is_dead(claim) ? 1 : 0);
    }
    is_there = waitpid(asker, &status, 0) == asker && WIFSTOPPED(status) && goes_to_open(asker);
    if (!is_there) {
        kill(asker, SIGKILL);
        waitpid(asker, NULL, 0);
        end_owner(owner);
        test_skip("no child can be held up here");
        return;
    }
    leave(owner);
    ptrace(PTRACE_CONT, asker, NULL, NULL);
    waitpid(asker, &status, 0);
    test_int(0, status, "one that leaves while somebody asks has not died");
}

static void test_ends(void)
{
    pid_t owner = start_owner();

    test_ok(!claim_is_dead(claim), "one that lives");
    leave(owner);
    test_ok(!claim_is_dead(claim), "one that left");
    owner = start_owner();
    end_owner(owner);
    test_ok(claim_is_dead(claim), "one that was killed as a member");
    atomic_store(&claim->state, CLAIM_TAKEN);
    test_ok(!claim_is_dead(claim), "and before it was one");
}

int main(void)
{
    test_begin(20);
    claim = mmap(NULL, sizeof *claim, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_ends();
    test_held_up();
    return test_end();
}
