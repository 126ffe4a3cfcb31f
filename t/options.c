/* Structs of options from callers older and newer than this library. */
#include "base/options.h"

#include <errno.h>
#include <string.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define OURS  16 /* bytes of the struct that this library knows */
#define GUARD 8

/* The caller's struct has size bytes, all 0x11 as far as we know it; one byte beyond may be set. */
static const struct {
    const char *name;
    size_t size;
    int extra_at; /* -1: none */
    int result;
} callers[] = {
    {"the first byte beyond is set", 17, 16, E2BIG},
    {"a newer one, the first byte beyond is set", 32, 16, E2BIG},
    {"a newer one, a byte in the middle is set", 32, 24, E2BIG},
    {"a newer one, the last byte is set", 32, 31, E2BIG},
    {"a newer one, all zero beyond", 32, -1, 0},
    {"a newer one by one byte", 17, -1, 0},
    {"ours", 16, -1, 0},
    {"an older one by one byte", 15, -1, 0},
    {"an older one", 8, -1, 0},
    {"a single byte", 1, -1, 0},
    {"nothing at all", 0, -1, 0},
};

static bool all_are(const unsigned char *bytes, size_t begin, size_t end, unsigned char value)
{
    for (size_t i = begin; i < end; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

static void fill_caller(unsigned char *from, size_t size, int extra_at)
{
    memset(from, 0, 32);
    memset(from, 0x11, size < OURS ? size : OURS);
    if (extra_at >= 0)
        from[extra_at] = 1;
}

static void test_callers(void)
{
    for (size_t i = 0; i < COUNT_OF(callers); i++) {
        size_t size = callers[i].size, taken = size < OURS ? size : OURS;
        unsigned char from[32], options[OURS + GUARD];

        fill_caller(from, size, callers[i].extra_at);
        memset(options, 0x22, sizeof options);
        test_int(callers[i].result, options_read(options, OURS, from, size), "%s", callers[i].name);
        test_ok(all_are(options, 0, taken, 0x11), "what both know is copied");
        test_ok(all_are(options, taken, OURS, 0), "what the caller lacks is zero");
        test_ok(all_are(options, OURS, sizeof options, 0x22), "nothing is written behind it");
    }
}

static void test_null(void)
{
    unsigned char options[OURS + GUARD];

    memset(options, 0x22, sizeof options);
    test_int(EINVAL, options_read(options, OURS, NULL, OURS), "NULL");
    test_ok(all_are(options, 0, OURS, 0), "leaves zeros");
    test_int(0, options_refused(0, "call", NULL), "what is good is not refused");
    test_ok(options_refused(E2BIG, "call", NULL) == -1 && errno == E2BIG, "the rest is, by its errno");
}

int main(void)
{
    test_begin(10);
    test_callers();
    test_null();
    return test_end();
}
