/* Deaths by signals: they are as without the handlers, and leave a traceback. */
#include "host/crash.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"
#include "tap.h"

/* ---- Ways to crash; each is named in the traceback ---- */

static int *volatile wild_pointer = (int *)4080;
static int *volatile not_canonical = (int *)0xdeadbeefdeadbeef;
static volatile int zero, dividend = 7;
static volatile bool ends;
static void (*volatile null_function)(void);

NAMED void crash_wild(void);
NAMED void crash_not_canonical(void);
NAMED void crash_bus(void);
NAMED void crash_raise_fpe(void);
NAMED void crash_divide(void);
NAMED void crash_trap(void);
NAMED void crash_raise_trap(void);
NAMED void crash_killed(void);
NAMED void crash_call_null(void);
NAMED void crash_call_data(void);
NAMED int crash_recursion(int depth);
NAMED void crash_overflow(void);
NAMED void crash_big_frame(void);
NAMED void *crash_in_thread(void *barrier);

void crash_wild(void)
{
    *wild_pointer = 1;
    after++;
}

void crash_not_canonical(void)
{
    *not_canonical = 1;
    after++;
}

void crash_bus(void)
{
    int fd = memfd_create("empty", MFD_CLOEXEC);
    volatile char *nothing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    *nothing = 1;
    after++;
}

void crash_raise_fpe(void)
{
    raise(SIGFPE);
    after++;
}

void crash_divide(void)
{
    after = dividend / zero;
    after++;
}

void crash_trap(void)
{
    __builtin_trap();
}

void crash_raise_trap(void)
{
    raise(SIGTRAP);
    after++;
}

/* Its parent sees it stop, sends SIGSEGV, and lets it go on. */
void crash_killed(void)
{
    raise(SIGSTOP);
    after++;
}

void crash_call_null(void)
{
    null_function();
    after++;
}

void crash_call_data(void)
{
    ((void (*)(void))(uintptr_t)&zero)();
    after++;
}

int crash_recursion(int depth)
{
    volatile char frame[256];

    frame[depth & 255] = 1;
    if (ends)
        return 0;
    return crash_recursion(depth + 1) + frame[depth & 255];
}

void crash_overflow(void)
{
    after += crash_recursion(0);
}

/* As an automatic array larger than the stack: written from its lowest address on. */
void crash_big_frame(void)
{
    struct rlimit limit;
    volatile char *array;

    getrlimit(RLIMIT_STACK, &limit);
    array = __builtin_alloca(limit.rlim_cur + (1 << 20));
    array[1 << 19] = 1;
    after++;
}

#ifdef __x86_64__
#define DIVIDES 1
#define TRAP    SIGILL
#else
#define DIVIDES 0
#define TRAP    SIGTRAP
#endif

enum address { ANY, NONE, NEAR_NULL };

static const struct crash_case {
    const char *name, *frame;
    void (*crash)(void);
    int signal;
    bool sent, overflow;
    enum address address;
    bool not_here;
} crashes[] = {
    {"a null pointer", "#0 crash_null", crash_null, SIGSEGV, .address = NEAR_NULL},
    {"a wild pointer", "#0 crash_wild", crash_wild, SIGSEGV, .address = NEAR_NULL},
    {"a pointer that is no address", "#0 crash_not_canonical", crash_not_canonical, SIGSEGV, .address = ANY},
    {"a file's lost page", "#0 crash_bus", crash_bus, SIGBUS, .address = ANY},
    {"abort()", " crash_abort", crash_abort, SIGABRT, .sent = true, .address = NONE},
    {"SIGFPE raised", " crash_raise_fpe", crash_raise_fpe, SIGFPE, .sent = true, .address = NONE},
    {"7 / 0", "#0 crash_divide", crash_divide, SIGFPE, .address = NONE, .not_here = !DIVIDES},
    {"a trap", "#0 crash_trap", crash_trap, TRAP, .address = NONE},
    {"SIGTRAP raised", " crash_raise_trap", crash_raise_trap, SIGTRAP, .sent = true, .address = NONE},
    {"a kill from outside", " crash_killed", crash_killed, SIGSEGV, .sent = true, .address = NONE},
    {"a call of NULL", "#0 0x0\n  #1 crash_call_null", crash_call_null, SIGSEGV, .address = NEAR_NULL},
    {"a call of data", "\n  #1 crash_call_data", crash_call_data, SIGSEGV, .address = ANY},
    {"a recursion without end", "#0 crash_recursion", crash_overflow, SIGSEGV, .overflow = true},
    {"an array larger than the stack", "#0 crash_big_frame", crash_big_frame, SIGSEGV, .overflow = true},
};

static bool has_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur <= (64 << 20);
}

static bool is_address(const struct crash_shared *from, enum address expected)
{
    switch (expected) {
    case NONE:
        return from->fault_address == 0;
    case NEAR_NULL:
        return from->fault_address < 4096;
    default:
        return true;
    }
}

static void test_crash(const struct crash_case *crash)
{
    int status = await(fork_crash(crash->crash));
    const char *text = text_of(slot);

    test_int(crash->signal, status, "%s: the status is that of the signal, without a core", crash->name);
    test_int(crash->signal, slot->signal, "%s: the slot has the signal", crash->name);
    test_ok((slot->code <= 0) == crash->sent, "%s: it knows whether it was sent", crash->name);
    test_ok(is_address(slot, crash->address), "%s: it has the address", crash->name);
    test_ok(slot->n_pcs >= 2 && slot->n_pcs <= CRASH_PCS, "%s: there are frames", crash->name);
    test_has(crash->frame, text, "%s: the traceback says where", crash->name);
    if (!crash->overflow) {
        test_has(" crash_outer", text, "%s: and from where", crash->name);
        test_has(" main", text, "%s: up to main", crash->name);
        test_ok(strstr(text, "libc_start") == NULL, "%s: and not beyond", crash->name);
    }
    test_int(crash->overflow, crash_is_stack_overflow(slot), "%s: is it a stack overflow", crash->name);
}

static void test_crashes(void)
{
    for (size_t i = 0; i < COUNT_OF(crashes); i++) {
        if (!is_default(crashes[i].signal) || crashes[i].not_here)
            test_skip("%s: another handles it, or it does not exist here", crashes[i].name);
        else if (crashes[i].overflow && (!has_limit() || test_under_valgrind()))
            test_skip("%s: this stack has no end", crashes[i].name);
        else
            test_crash(&crashes[i]);
    }
}

/* ---- What it looks like from outside ---- */

#define MAX_STOPS 8

struct stop {
    siginfo_t info;
    uint64_t pc;
};

static uint64_t pc_of(pid_t child)
{
    struct user_regs_struct registers;
    struct iovec vector = {&registers, sizeof registers};

    if (ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector) != 0)
        return 0;
#ifdef __x86_64__
    return registers.rip;
#else
    return registers.pc;
#endif
}

/* Runs the crash traced, and notes each stop at this signal. Returns their number. */
static int trace(void (*crash)(void), int signal, bool installed, struct stop *stops)
{
    int status, n = 0;
    pid_t child = fork();

    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            test_child_exit(77);
        if (installed)
            crash_install(slot);
        run_and_exit(crash);
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == signal && n < MAX_STOPS) {
            ptrace(PTRACE_GETSIGINFO, child, NULL, &stops[n].info);
            stops[n++].pc = pc_of(child);
        }
        ptrace(PTRACE_CONT, child, NULL, (void *)(uintptr_t)WSTOPSIG(status));
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == signal ? n : -1;
}

/* The last stop is the death: what a core dump has. */
static void test_same_death(void (*crash)(void), int signal, const char *name)
{
    struct stop with[MAX_STOPS], without[MAX_STOPS];
    int n_without, n_with;

    if (test_under_valgrind() || !is_default(signal)) {
        test_skip("%s: cannot be traced here", name);
        return;
    }
    n_without = trace(crash, signal, false, without);
    n_with = trace(crash, signal, true, with);
    if (n_without < 1) {
        test_skip("%s: there is no tracing", name);
        return;
    }
    if (!test_int(n_without + 1, n_with, "%s: the signal comes twice", name))
        return;
    test_int(without[0].info.si_code, with[1].info.si_code, "%s: the last has the same code", name);
    test_ok(without[0].pc == with[1].pc, "%s: it comes at the same instruction", name);
    if (with[1].info.si_code > 0)
        test_ok(without[0].info.si_addr == with[1].info.si_addr, "%s: with the same address", name);
    else
        test_int(with[0].info.si_pid, with[1].info.si_pid, "%s: from the same sender", name);
}

/* ---- Forks and threads of a worker ---- */

static _Noreturn void end_as(pid_t child)
{
    int status;

    waitpid(child, &status, 0);
    test_child_exit(WIFSIGNALED(status) ? WTERMSIG(status) : 99);
}

static void fork_without(void)
{
    pid_t child;

    crash_install(slot);
    child = fork();
    if (child == 0)
        run_and_exit(crash_abort);
    end_as(child);
}

static void fork_with(void)
{
    pid_t child;

    crash_install(slot);
    child = fork();
    if (child == 0) {
        crash_install(slot + 1);
        run_and_exit(crash_abort);
    }
    end_as(child);
}

void *crash_in_thread(void *barrier)
{
    if (barrier != NULL)
        pthread_barrier_wait(barrier);
    crash_outer(crash_abort);
    return NULL;
}

static void thread_crashes(void)
{
    pthread_t thread;

    crash_install(slot);
    pthread_create(&thread, NULL, crash_in_thread, NULL);
    pthread_join(thread, NULL);
}

static void threads_crash(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    crash_install(slot);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, crash_in_thread, &barrier);
    crash_in_thread(&barrier);
}

static void test_families(void)
{
    if (!is_default(SIGABRT)) {
        test_skip("another handles SIGABRT");
        return;
    }
    test_ok(left_by(run(fork_without), SIGABRT), "a fork of a worker dies by its signal");
    test_int(0, slot->n_pcs, "and leaves the worker's slot alone");
    test_ok(left_by(run(fork_with), SIGABRT), "so does one that installed");
    test_int(0, slot[0].n_pcs, "that leaves the worker's slot alone too");
    test_has(" crash_abort", text_of(slot + 1), "and has a traceback in its own");
    test_int(SIGABRT, run(thread_crashes), "a thread's crash ends the process by its signal");
    test_has(" crash_in_thread", text_of(slot), "it has a traceback");
    test_ok(slot->stack_top == 0, "and its stack is not known");
    test_int(SIGABRT, run(threads_crash), "two threads may crash at once");
    test_has(" crash_outer", text_of(slot), "one has a traceback");
}

/* ---- Stacks that cannot be unwound ---- */

#ifdef __x86_64__

static void lose_stack(void)
{
    __asm__ volatile("mov $16, %rsp\n\tmov $16, %rbp\n\tmovq $1, 0");
}

static void lose_stack_by_call(void)
{
    __asm__ volatile("mov $16, %rsp\n\tmov $16, %rbp\n\txor %eax, %eax\n\tjmp *%rax");
}

/* The unwinder's crash is another signal than the first then. */
static void lose_stack_and_abort(void)
{
    __asm__ volatile("mov $16, %%rsp\n\tmov $16, %%rbp\n\tsyscall\n\tud2"
                     :
                     : "a"(SYS_kill), "D"(getpid()), "S"(SIGABRT)
                     : "rcx", "r11", "memory");
}

static void test_lost_stack(void (*crash)(void), int signal, const char *name)
{
    if (!is_default(signal) || !is_default(SIGSEGV) || test_under_valgrind()) {
        test_skip("%s: another handles it", name);
        return;
    }
    test_int(signal, await(fork_crash(crash)), "%s: the status is that of the signal", name);
    test_int(signal, slot->signal, "%s: so it is in the slot", name);
    test_int(1, slot->n_pcs, "%s: the first frame is there", name);
    test_ok(!crash_is_stack_overflow(slot), "%s: it is no stack overflow", name);
}

static void test_lost_stacks(void)
{
    test_lost_stack(lose_stack, SIGSEGV, "no stack");
    test_lost_stack(lose_stack_by_call, SIGSEGV, "no stack and no code");
    test_lost_stack(lose_stack_and_abort, SIGABRT, "no stack and a signal that was sent");
}

#else

static void test_lost_stacks(void)
{
    test_skip("lost stacks are made on x86-64 only");
}

#endif

NAMED int main(void)
{
    int fds = begin_crashes();

    crash_prepare();
    test_crashes();
    test_same_death(crash_null, SIGSEGV, "a null pointer, traced");
    test_same_death(crash_call_null, SIGSEGV, "a call of NULL, traced");
    test_same_death(crash_not_canonical, SIGSEGV, "no address, traced");
    test_same_death(crash_trap, TRAP, "a trap, traced");
    test_same_death(crash_abort, SIGABRT, "abort(), traced");
    test_same_death(crash_raise_fpe, SIGFPE, "SIGFPE raised, traced");
    test_families();
    test_lost_stacks();
    return end_crashes(fds);
}
