/* What a process writes down of its files, and what another makes of that, be it damaged. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/crash.h"

#include "tap.h"

static struct crash_objects_shared objects;

static uint64_t address_of(void (*function)(void))
{
    return (uintptr_t)function;
}

static void here(void)
{
}

/* Of a function in the C library, wherever a sanitizer or the linker's table puts its own. */
static uint64_t in_libc(void)
{
    void *function = dlsym(RTLD_NEXT, "gnu_get_libc_version");

    return (uintptr_t)function;
}

static void test_own(void)
{
    uint64_t pcs[] = {address_of(here), 16, in_libc(), address_of(here) + 1};
    uint32_t n = crash_objects_read(&objects, pcs, 4);
    const struct crash_object_shared *object;
    const char *path = NULL;
    char own[4096] = "";

    test_int(2, n, "two files");
    object = crash_objects_find(&objects, n, pcs[0], &path);
    test_ok(object != NULL && readlink("/proc/self/exe", own, sizeof own - 1) > 0, "the program");
    test_str(own, path, "its path");
    test_ok(object != NULL && object->start != 0 &&
                memcmp((void *)(uintptr_t)object->start, ELFMAG, SELFMAG) == 0,
            "where it begins");
    test_ok(object != NULL && (object->bias == 0 || object->bias == object->start), "its bias");
    object = crash_objects_find(&objects, n, pcs[2], &path);
    test_ok(object != NULL, "the C library");
    test_has("libc", path != NULL ? path : "", "its path");
    test_ok(crash_objects_find(&objects, n, 16, &path) == NULL, "what is no file");
    test_int(0, crash_objects_read(&objects, pcs + 1, 1), "nothing but that");
}

static void test_damaged(void)
{
    uint64_t pc = address_of(here);
    uint32_t n = crash_objects_read(&objects, &pc, 1);
    struct crash_shared slot = {.n_pcs = 1, .signal = 11, .n_objects = n, .pcs = {pc}};
    const char *path = NULL;
    char text[1024];

    test_ok(crash_format_rank(&slot, &objects, text, sizeof text) >= 1, "a traceback of what is whole");
    test_has("  #0 ", text, "a line");
    crash_format_place(&slot, &objects, text, sizeof text);
    test_has("+0x", text, "and its place");
    slot.n_objects = UINT32_MAX;
    slot.n_pcs = UINT32_MAX;
    test_ok(crash_format_rank(&slot, &objects, text, sizeof text) >= 1, "counts that are too large");
    slot.n_pcs = 1;
    objects.path[0] = UINT16_MAX;
    test_ok(crash_objects_find(&objects, n, pc, &path) == NULL, "a path behind all");
    objects.path[0] = (uint16_t)(sizeof objects.paths - 1);
    objects.paths[sizeof objects.paths - 1] = 'x';
    test_ok(crash_objects_find(&objects, n, pc, &path) == NULL, "a path without an end");
    test_int(1, crash_format_rank(&slot, &objects, text, sizeof text), "then there is one line");
    test_has("  #0 0x", text, "with the address alone");
    crash_format_place(&slot, &objects, text, sizeof text);
    test_str("", text, "and no place");
    memset(&objects, 0xff, sizeof objects);
    test_int(1, crash_format_rank(&slot, &objects, text, sizeof text), "all of it is damaged");
    test_int(0, crash_format_rank(&slot, &objects, text, 0), "no room");
}

int main(void)
{
    test_begin(60);
    here();
    test_own();
    test_damaged();
    return test_end();
}
