#include "host/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/each_fork.h"
#include "host/process.h"

/* The unwinder needs some 5 KiB; a signal's own frame up to 11 with the widest registers of x86. */
#define STACK_BYTES ((size_t)65536)

/* Besides the frames wanted: the handler's own and the signal's. */
#define OWN_FRAMES 12

/* How long a copy of the process may look for the frames of a rank. */
#define TWIN_NS 500000000u

#define BIT(signal) (UINT64_C(1) << (signal))

/* The signals that are caught. Not an array: each child would have to fetch the page that this is in. */
#define CAUGHT (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT) | BIT(SIGTRAP))

static struct {
    pthread_once_t once;
    void *stack; /* NULL: there was no memory */
    size_t stack_bytes;
    _Atomic bool has_unwinder; /* it is loaded */
} prepared = {.once = PTHREAD_ONCE_INIT};

static struct {
    struct crash_shared *slot;
    struct crash_objects_shared *objects; /* of a rank; else NULL */
    pid_t pid;                            /* another pid: a fork that did not install, and has no slot */
    _Atomic pid_t crashing;               /* the thread that is recording; 0: none */
    siginfo_t *first;                     /* what brought it there */
} mine;

/* Of this thread, where it is known; else 0. */
static _Thread_local uint64_t stack_top __attribute__((tls_model("initial-exec")));

/* ---- In the handler: only what is async-signal-safe ---- */

static pid_t my_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void set_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    sigaction(signal, &action, NULL);
}

/*
 * Whether it comes again when the handler returns into the instruction. Not what was sent, and not what the
 * kernel reports of something past: bad memory that nobody touched yet, for one.
 */
static bool comes_again(const siginfo_t *info)
{
    switch (info->si_signo) {
    case SIGSEGV:
        return info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR || info->si_code == SI_KERNEL;
    case SIGBUS:
        return info->si_code == BUS_ADRALN || info->si_code == BUS_ADRERR;
    case SIGFPE:
    case SIGILL:
        return info->si_code > 0;
    default:
        return false;
    }
}

/*
 * Makes the signal pending, with its own siginfo. Being blocked it comes as the handler returns, where it
 * came first. Not for what comes again by itself: valgrind takes such a siginfo for a fault of its own.
 */
static void queue_again(siginfo_t *info)
{
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), my_tid(), info->si_signo, info) != 0)
        raise(info->si_signo);
}

struct registers {
    uint64_t pc, sp;
};

#if defined(__x86_64__)
#define REGISTERS_KNOWN 1

static struct registers registers_get(const ucontext_t *context)
{
    return (struct registers){(uint64_t)context->uc_mcontext.gregs[REG_RIP],
                              (uint64_t)context->uc_mcontext.gregs[REG_RSP]};
}

static void registers_set(ucontext_t *context, struct registers registers)
{
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)registers.pc;
    context->uc_mcontext.gregs[REG_RSP] = (greg_t)registers.sp;
}

/* The registers as they were before the call whose first instruction this is. */
static struct registers registers_of_caller(const ucontext_t *context)
{
    struct registers at = registers_get(context);

    return (struct registers){*(const uint64_t *)(uintptr_t)at.sp - 1, at.sp + 8};
}

#elif defined(__aarch64__)
#define REGISTERS_KNOWN 1

static struct registers registers_get(const ucontext_t *context)
{
    return (struct registers){context->uc_mcontext.pc, context->uc_mcontext.sp};
}

static void registers_set(ucontext_t *context, struct registers registers)
{
    context->uc_mcontext.pc = registers.pc;
    context->uc_mcontext.sp = registers.sp;
}

/* The registers as they were before the call whose first instruction this is. */
static struct registers registers_of_caller(const ucontext_t *context)
{
    return (struct registers){context->uc_mcontext.regs[30] - 1, context->uc_mcontext.sp};
}

#else
#define REGISTERS_KNOWN 0

static struct registers registers_get(const ucontext_t *context)
{
    (void)context;
    return (struct registers){0, 0};
}

static void registers_set(ucontext_t *context, struct registers registers)
{
    (void)context;
    (void)registers;
}

static struct registers registers_of_caller(const ucontext_t *context)
{
    return registers_get(context);
}

#endif

/*
 * The unwinder of a program that has one from its start, as those of C++ do: weak, so that nobody else gets it.
 * backtrace(3) would allocate, when it is called first, and a program may have crashed over that.
 */
struct _Unwind_Context;
extern int _Unwind_Backtrace(int (*see)(struct _Unwind_Context *frame, void *argument), void *argument)
    __attribute__((weak));
extern uintptr_t _Unwind_GetIP(struct _Unwind_Context *frame) __attribute__((weak));

static bool has_own_unwinder(void)
{
    return &_Unwind_Backtrace != NULL && &_Unwind_GetIP != NULL;
}

struct frames {
    void *pcs[CRASH_PCS + OWN_FRAMES];
    int n;
};

static int see_frame(struct _Unwind_Context *frame, void *argument)
{
    struct frames *frames = argument;

    frames->pcs[frames->n++] = (void *)_Unwind_GetIP(frame);
    /* URC_NO_REASON is to go on; else URC_END_OF_STACK. */
    return frames->n < CRASH_PCS + OWN_FRAMES ? 0 : 5;
}

static int find_frames(struct frames *frames)
{
    frames->n = 0;
    if (has_own_unwinder())
        _Unwind_Backtrace(see_frame, frames);
    else
        frames->n = backtrace(frames->pcs, CRASH_PCS + OWN_FRAMES);
    return frames->n;
}

/* Appends the callers of the frame whose pc is pcs[n - 1]. Returns the new n. */
static uint32_t append_callers(uint64_t *pcs, uint32_t n)
{
    struct frames all;
    int found = find_frames(&all), i = 0;
    void **frames = all.pcs;

    while (i < found && (uintptr_t)frames[i] != pcs[n - 1])
        i++;
    for (i++; i < found && n < CRASH_PCS && frames[i] != NULL; i++)
        pcs[n++] = (uintptr_t)frames[i] - 1; /* it returns behind the call */
    return n;
}

/* The kernel does not say which address it was where no address could be meant (SI_KERNEL). */
static bool has_address(const siginfo_t *info)
{
    return (info->si_signo == SIGSEGV || info->si_signo == SIGBUS) && info->si_code > 0 &&
           info->si_code != SI_KERNEL;
}

static void record_fault(struct crash_shared *slot, const siginfo_t *info, struct registers at)
{
    slot->signal = info->si_signo;
    slot->code = info->si_code;
    slot->fault_address = has_address(info) ? (uintptr_t)info->si_addr : 0;
    slot->stack_pointer = at.sp;
    slot->stack_top = stack_top;
    slot->pcs[0] = at.pc;
    /* release: pairs with the load in crash_format(), here and in record(). */
    atomic_store_explicit(&slot->n_pcs, 1, memory_order_release);
}

/* In a copy of the process: it has the same stack. */
static void unwind(void *argument)
{
    struct crash_shared *slot = argument;
    uint32_t n = atomic_load_explicit(&slot->n_pcs, memory_order_relaxed);

    /* relaxed: who made the copy has waited for its end. */
    atomic_store_explicit(&slot->n_pcs, append_callers(slot->pcs, n), memory_order_relaxed);
}

/*
 * To load the unwinder allocates, and this process may have crashed over that, or hold the lock. So a copy of it
 * does. Returns how many frames there are.
 */
static uint32_t append_by_twin(struct crash_shared *slot, uint32_t n)
{
    atomic_store_explicit(&slot->n_pcs, n, memory_order_relaxed);
    process_twin(unwind, slot, TWIN_NS);
    n = atomic_load_explicit(&slot->n_pcs, memory_order_relaxed);
    return n <= CRASH_PCS ? n : CRASH_PCS;
}

/*
 * Unwinding a stack that was overwritten may crash in turn; by then the first frame is published.
 *
 * A call through a wild pointer leaves a pc from which the unwinder knows no way. So for its eyes the call is
 * taken back, for as long as it looks.
 */
static void record(struct crash_shared *slot, const siginfo_t *info, ucontext_t *context)
{
    struct registers at = registers_get(context);
    uint32_t n = 1;

    record_fault(slot, info, at);
    if (has_address(info) && slot->fault_address == at.pc) {
        struct registers caller = registers_of_caller(context);

        registers_set(context, caller);
        slot->pcs[n++] = caller.pc;
    }
    /* relaxed: whoever loaded it stored that before, or the copy does it again. */
    if (mine.objects == NULL || has_own_unwinder() ||
        atomic_load_explicit(&prepared.has_unwinder, memory_order_relaxed))
        n = append_callers(slot->pcs, n);
    else
        n = append_by_twin(slot, n);
    registers_set(context, at);
    if (mine.objects != NULL)
        slot->n_objects = crash_objects_read(mine.objects, slot->pcs, n);
    atomic_store_explicit(&slot->n_pcs, n, memory_order_release);
}

/* In the handler already, and this is the unwinder's crash: ends by the signal that came first. */
static void end_by_first(void)
{
    int signal = mine.first->si_signo;
    sigset_t first;

    sigemptyset(&first);
    sigaddset(&first, signal);
    set_default(signal);
    queue_again(mine.first);
    pthread_sigmask(SIG_UNBLOCK, &first, NULL);
}

/* One thread records; another that crashes meanwhile lets it write, and a later one finds it done. */
static void record_once(siginfo_t *info, ucontext_t *context)
{
    const struct timespec second = {.tv_sec = 1};
    pid_t in_it = 0, me = my_tid();

    /* relaxed, here and below: only its own thread goes by what it stored. */
    if (atomic_compare_exchange_strong_explicit(&mine.crashing, &in_it, me, memory_order_relaxed,
                                                memory_order_relaxed)) {
        mine.first = info;
        if (atomic_load_explicit(&mine.slot->n_pcs, memory_order_relaxed) == 0)
            record(mine.slot, info, context);
        atomic_store_explicit(&mine.crashing, 0, memory_order_relaxed);
    } else if (in_it == me) {
        end_by_first();
    } else {
        nanosleep(&second, NULL);
    }
}

/* What ends the process is the signal itself, at its own place: so core and status are right. */
static void handle(int signal, siginfo_t *info, void *context)
{
    if (getpid() == mine.pid)
        record_once(info, context);
    set_default(signal);
    if (!comes_again(info))
        queue_again(info);
}

/* ---- Before ---- */

/*
 * The lowest page stays closed: what runs over ends there instead of overwriting the heap of who crashed. Returns
 * the stack and its size, or NULL.
 */
static void *map_stack(size_t *size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t wanted = (size_t)SIGSTKSZ > STACK_BYTES ? (size_t)SIGSTKSZ : STACK_BYTES;
    size_t bytes = (wanted + page - 1) / page * page;
    char *memory;

    memory = mmap(NULL, page + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    mprotect(memory, page, PROT_NONE);
    *size = bytes;
    return memory + page;
}

static void prepare_once(void)
{
    struct sigaction action;
    void *frames[4];
    stack_t stack;

    /* The first one loads libgcc_s and allocates. */
    backtrace(frames, 4);
    atomic_store_explicit(&prepared.has_unwinder, true, memory_order_relaxed);
    /* So that the linker looks these up here, not in each child; it halves the time of crash_install(). */
    sigaction(SIGSEGV, NULL, &action);
    sigaltstack(NULL, &stack);
    getpid();
    prepared.stack = map_stack(&prepared.stack_bytes);
}

void crash_prepare(void)
{
    int saved_errno = errno;

    pthread_once(&prepared.once, prepare_once);
    errno = saved_errno;
}

/* As a rule there is none, so that it is cheaper to install first, and to look then what was there. */
EACH_FORK static void install_stack(void *memory, size_t bytes)
{
    stack_t there, stack = {.ss_sp = memory, .ss_size = bytes};

    if (memory != NULL && sigaltstack(&stack, &there) == 0 && (there.ss_flags & SS_DISABLE) == 0)
        sigaltstack(&there, NULL);
}

EACH_FORK static void install_handler(int signal)
{
    struct sigaction before, action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    /* Told to end, since others have crashed too, it says first where. */
    sigaddset(&action.sa_mask, SIGTERM);
    if (sigaction(signal, &action, &before) == 0 && before.sa_handler != SIG_DFL)
        sigaction(signal, &before, NULL);
}

static void install(struct crash_shared *slot, struct crash_objects_shared *objects)
{
    mine.slot = slot;
    mine.objects = objects;
    atomic_store_explicit(&mine.crashing, 0, memory_order_relaxed);
    mine.pid = getpid();
    for (uint64_t left = CAUGHT; left != 0; left &= left - 1)
        install_handler(__builtin_ctzll(left));
}

EACH_FORK void crash_install(struct crash_shared *slot)
{
    if (!REGISTERS_KNOWN)
        return;
    pthread_once(&prepared.once, prepare_once);
    stack_top = (uintptr_t)__builtin_frame_address(0);
    install_stack(prepared.stack, prepared.stack_bytes);
    install(slot, NULL);
}

void crash_use(struct crash_shared *slot)
{
    mine.slot = slot;
}

/* ---- Ranks ---- */

static pthread_key_t stack_key; /* a thread's own stack, as map_stack() gave it */

/* The thread ends, and a signal can still come. */
static void unmap_stack(void *memory)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    stack_t none = {.ss_flags = SS_DISABLE}, there;

    if (sigaltstack(NULL, &there) != 0 || (there.ss_flags & SS_ONSTACK) != 0)
        return;
    if (there.ss_sp == memory) {
        sigaltstack(&none, NULL);
        munmap((char *)memory - page, page + there.ss_size);
    }
}

/* What the program, or a sanitizer, has installed for the thread stays. */
static void give_stack(void)
{
    stack_t there;
    size_t bytes;
    void *stack;

    if (sigaltstack(NULL, &there) != 0 || (there.ss_flags & SS_DISABLE) == 0)
        return;
    stack = map_stack(&bytes);
    install_stack(stack, bytes);
    pthread_setspecific(stack_key, stack);
}

void crash_join_thread(void)
{
    if (mine.objects == NULL || mine.pid != getpid() || stack_top != 0)
        return;
    stack_top = (uintptr_t)__builtin_frame_address(0);
    give_stack();
}

void crash_join_rank(struct crash_shared *slot, struct crash_objects_shared *objects)
{
    static bool has_key;

    if (!REGISTERS_KNOWN || (!has_key && pthread_key_create(&stack_key, unmap_stack) != 0))
        return;
    has_key = true;
    /* relaxed: nobody reads it while this process lives. */
    atomic_store_explicit(&slot->n_pcs, 0, memory_order_relaxed);
    install(slot, objects);
    crash_join_thread();
}
