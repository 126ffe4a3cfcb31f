/* Tracebacks as text, whatever is in the slot and however little room; and what a stack overflow is. */
#include "host/crash.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "crash.h"
#include "tap.h"

static int count_lines(const char *text)
{
    int lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* At the ends one by one. */
static size_t next_size(size_t size, size_t all)
{
    size_t most = test_under_valgrind() ? 10 : 100, step = test_under_valgrind() ? 97 : 13;

    return size < most || size + most / 5 > all ? size + 1 : size + step;
}

/* In any size the lines are the first of those in full, and nothing is written past the end. */
static void test_sizes(void)
{
    char full[3072], text[3072];
    int all = crash_format(slot, full, sizeof full);
    bool fits = true;

    test_int(all, count_lines(full), "a traceback's lines are counted");
    for (size_t size = 0; size <= strlen(full) + 1; size = next_size(size, strlen(full))) {
        int lines;

        memset(text, '#', sizeof text);
        lines = crash_format(slot, text, size);
        if (size == 0) {
            fits &= lines == 0 && text[0] == '#';
            continue;
        }
        fits &= memchr(text, '\0', size) != NULL && text[size] == '#';
        fits &= strncmp(full, text, strlen(text)) == 0 && count_lines(text) == lines;
        fits &= lines == 0 ? text[0] == '\0' : text[strlen(text) - 1] == '\n';
        fits &= (lines == all) == (size == strlen(full) + 1);
    }
    test_ok(fits, "in any size there are whole lines only");
}

static void test_repeats(void)
{
    char text[512];

    memset(slot, 0, sizeof *slot);
    for (int i = 0; i < 9; i++)
        slot->pcs[i] = i < 2 || i > 6 ? 16 : 32;
    slot->n_pcs = 9;
    test_int(6, crash_format(slot, text, sizeof text), "repeated frames are lines");
    test_str("  #0 0x10\n  ... 1 more\n  #2 0x20\n  ... 4 more\n  #7 0x10\n  ... 1 more\n", text,
             "that count them");
}

static void test_garbage(void)
{
    char text[4096];

    memset(slot, 0, sizeof *slot);
    test_int(0, crash_format(slot, text, sizeof text), "an empty slot has no lines");
    test_str("", text, "and no text");
    test_ok(!crash_is_stack_overflow(slot), "nor was its stack used up");
    memset(slot, 0xff, sizeof *slot);
    for (int i = 0; i < CRASH_PCS; i++)
        slot->pcs[i] = (uint64_t)i << (i % 61);
    test_int(count_lines((crash_format(slot, text, sizeof text), text)),
             crash_format(slot, text, sizeof text), "a slot of garbage has lines");
    test_ok(count_lines(text) >= 32, "no more than there is room for");
    test_ok(!crash_is_stack_overflow(slot), "and no stack overflow");
}

static const struct {
    int signal, code;
    uint64_t address, sp, top;
    bool overflow;
    const char *name;
} overflows[] = {
    {SIGBUS, 1, 0x7000000, 0x7000010, 0x7800000, false, "another signal"},
    {SIGSEGV, 0, 0x7000000, 0x7000010, 0x7800000, false, "a signal that was sent"},
    {SIGSEGV, 1, 0, 0x7000010, 0x7800000, false, "a null pointer"},
    {SIGSEGV, 1, 0x6fe0000, 0x7000010, 0x7800000, false, "far below"},
    {SIGSEGV, 1, 0x7800000, 0x7000010, 0x7800000, false, "above the stack"},
    {SIGSEGV, 1, 0x7000000, 0x7000010, 0, false, "another thread"},
    {SIGSEGV, 1, 0, 16, UINT64_C(0x7ffc00000000), false, "a stack pointer that was overwritten"},
    {SIGSEGV, 1, 0x7000000, 0x7900000, 0x7800000, false, "a stack pointer above the stack"},
    {SIGSEGV, 1, 0x7000008, 0x7000010, 0x7800000, true, "a call"},
    {SIGSEGV, 1, 0x7000010, 0x7000010, 0x7800000, true, "a variable"},
    {SIGSEGV, 1, 0x7300000, 0x7000010, 0x7800000, true, "a large array"},
};

static void test_overflows(void)
{
    for (size_t i = 0; i < COUNT_OF(overflows); i++) {
        struct crash_shared fault = {.signal = overflows[i].signal,
                                     .code = overflows[i].code,
                                     .fault_address = overflows[i].address,
                                     .stack_pointer = overflows[i].sp,
                                     .stack_top = overflows[i].top};

        test_int(overflows[i].overflow, crash_is_stack_overflow(&fault), "stack overflow: %s",
                 overflows[i].name);
    }
}

/* Where main has no name, as in most programs, the C library's part is known by its base. */
static void test_nameless_main(void)
{
    uint64_t start = (uintptr_t)dlsym(RTLD_DEFAULT, "__libc_start_main") + 1;
    char text[512];

    memset(slot, 0, sizeof *slot);
    slot->pcs[0] = (uintptr_t)crash_null + 1;
    slot->pcs[1] = (uintptr_t)dlsym(RTLD_DEFAULT, "gnu_get_libc_version") + 1;
    slot->pcs[2] = 16;
    slot->pcs[3] = slot->pcs[1];
    slot->pcs[4] = start;
    slot->pcs[5] = slot->pcs[0];
    slot->n_pcs = 6;
    test_int(3, crash_format(slot, text, sizeof text), "what calls main is left out");
    test_has("#1 gnu_get_libc_version+0x1 (libc", text, "what it calls is not");
}

NAMED int main(void)
{
    int fds = begin_crashes();

    if (is_default(SIGABRT)) {
        await(fork_crash(crash_abort));
        test_has(" main", text_of(slot), "a traceback goes up to main");
        test_sizes();
    }
    test_nameless_main();
    test_repeats();
    test_garbage();
    test_overflows();
    return end_crashes(fds);
}
