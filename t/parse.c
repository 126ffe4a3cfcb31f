/* Numbers, sizes and times from text: what is refused, and that a refusal leaves the value. */
#include "base/parse.h"

#include <inttypes.h>
#include <limits.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define UNTOUCHED       4711

static const struct {
    const char *text;
    long min, max;
} bad_ints[] = {
    {"", 0, LONG_MAX},
    {" ", 0, LONG_MAX},
    {"\n", 0, LONG_MAX},
    {"x", 0, LONG_MAX},
    {"-1", 0, LONG_MAX},
    {"-0", 0, LONG_MAX},
    {"+1", 0, LONG_MAX},
    {"- 1", 0, LONG_MAX},
    {"1x", 0, LONG_MAX},
    {"1 2", 0, LONG_MAX},
    {"1,2", 0, LONG_MAX},
    {"1.0", 0, LONG_MAX},
    {"1e3", 0, LONG_MAX},
    {"0x10", 0, LONG_MAX},
    {"1K", 0, LONG_MAX},
    {"\xb2", 0, LONG_MAX},
    {"0", 1, 4},
    {"5", 1, 4},
    {"9223372036854775808", 0, LONG_MAX},
    {"18446744073709551615", 0, LONG_MAX},
    {"18446744073709551616", 0, LONG_MAX},
    {"18446744073709551617", 0, LONG_MAX},
    {"184467440737095516160", 0, LONG_MAX},
    {"99999999999999999999999999999999999999999", 0, LONG_MAX},
};

static const struct {
    const char *text;
    long min, max, value;
} good_ints[] = {
    {"0", 0, 0, 0},
    {"1", 1, 4, 1},
    {"4", 1, 4, 4},
    {" 7", 0, 10, 7},
    {"7 ", 0, 10, 7},
    {"\t7\n", 0, 10, 7},
    {"007", 0, 10, 7},
    {"000000000000000000000000000000000000009", 0, 10, 9},
    {"9223372036854775807", 0, LONG_MAX, LONG_MAX},
    {"9223372036854775807", LONG_MAX, LONG_MAX, LONG_MAX},
};

static const char *const bad_sizes[] = {
    "",
    " ",
    "K",
    "-1",
    "-1K",
    "+1K",
    "1.5G",
    "1,000",
    "0x10",
    "1B",
    "1iB",
    "1KK",
    "1BK",
    "1Ki",
    "1KBB",
    "1KiBx",
    "1KiBytes",
    "1P",
    "1E",
    "1X",
    "1%",
    "1 2",
    "1 K 2",
    "1 K B",
    "1K-",
    "18446744073709551616",
    "18446744073709551615K",
    "18014398509481984K",
    "17592186044416M",
    "17179869184G",
    "16777216T",
    "99999999999999999999999T",
};

static const struct {
    const char *text;
    uint64_t value;
} good_sizes[] = {
    {"0", 0},
    {"0T", 0},
    {"1", 1},
    {"4096", 4096},
    {"1k", UINT64_C(1) << 10},
    {"1K", UINT64_C(1) << 10},
    {"1KB", UINT64_C(1) << 10},
    {"1kb", UINT64_C(1) << 10},
    {"1KiB", UINT64_C(1) << 10},
    {"1kib", UINT64_C(1) << 10},
    {"1 kB", UINT64_C(1) << 10},
    {"512M", UINT64_C(512) << 20},
    {"3g", UINT64_C(3) << 30},
    {"4TiB", UINT64_C(4) << 40},
    {" 5 M ", UINT64_C(5) << 20},
    {"\t5M\n", UINT64_C(5) << 20},
    {"010K", UINT64_C(10) << 10},
    {"18446744073709551615", UINT64_MAX},
    {"18014398509481983K", UINT64_MAX - 1023},
    {"17592186044415M", UINT64_MAX - (UINT64_C(1) << 20) + 1},
    {"17179869183G", UINT64_MAX - (UINT64_C(1) << 30) + 1},
    {"16777215T", UINT64_MAX - (UINT64_C(1) << 40) + 1},
};

static const char *const bad_durations[] = {
    "",
    " ",
    "s",
    "-1",
    "+1",
    "1.5",
    "1.5h",
    "1e3",
    "1x",
    "1us",
    "1ns",
    "1M",
    "1min",
    "1 2",
    "1 m 2",
    "1h30m",
    "1,5",
    ":",
    ":30",
    "1:",
    "1::30",
    "1:30:",
    "1:30:00:00",
    "1:60",
    "1:60:00",
    "1:-5",
    "1:30s",
    "1:30 m",
    "1: 30",
    "1 :30",
    "106752d",
    "9223372037",
    "9223372036855ms",
    "18446744073709551616",
    "18446744073709551615",
    "18446744073709551615:00",
    "18446744073709551615ms",
    "99999999999999999999999d",
    "1secondsandmore",
};

#define SECOND UINT64_C(1000000000)

static const struct {
    const char *text;
    uint64_t ns;
} good_durations[] = {
    {"0", 0},
    {"0:00", 0},
    {"90", 90 * SECOND},
    {"90s", 90 * SECOND},
    {"500ms", SECOND / 2},
    {"5m", 300 * SECOND},
    {"1h", 3600 * SECOND},
    {"2d", 172800 * SECOND},
    {" 5 m\n", 300 * SECOND},
    {"1:30", 90 * SECOND},
    {"1:5", 65 * SECOND},
    {"90:00", 5400 * SECOND},
    {"1:30:00", 5400 * SECOND},
    {"01:02:03", 3723 * SECOND},
    {"100:00:00", 360000 * SECOND},
    {" 1:30 ", 90 * SECOND},
    {"9223372036", UINT64_C(9223372036) * SECOND},
    {"106751d", UINT64_C(106751) * 86400 * SECOND},
};

static void test_bad_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_ints); i++) {
        long value = UNTOUCHED;

        test_int(-1, parse_int(bad_ints[i].text, bad_ints[i].min, bad_ints[i].max, &value),
                 "number \"%s\" from %ld to %ld is refused", bad_ints[i].text, bad_ints[i].min,
                 bad_ints[i].max);
        test_int(UNTOUCHED, value, "and leaves the value");
    }
}

static void test_good_ints(void)
{
    for (size_t i = 0; i < COUNT_OF(good_ints); i++) {
        long value = UNTOUCHED;

        test_int(0, parse_int(good_ints[i].text, good_ints[i].min, good_ints[i].max, &value),
                 "number \"%s\" is read", good_ints[i].text);
        test_int(good_ints[i].value, value, "as %ld", good_ints[i].value);
    }
}

static void test_bad_sizes(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_sizes); i++) {
        uint64_t value = UNTOUCHED;

        test_int(-1, parse_size(bad_sizes[i], &value), "size \"%s\" is refused", bad_sizes[i]);
        test_ok(value == UNTOUCHED, "and leaves the value");
    }
}

static void test_good_sizes(void)
{
    for (size_t i = 0; i < COUNT_OF(good_sizes); i++) {
        uint64_t value = UNTOUCHED;

        test_int(0, parse_size(good_sizes[i].text, &value), "size \"%s\" is read", good_sizes[i].text);
        test_ok(value == good_sizes[i].value, "as %" PRIu64, good_sizes[i].value);
    }
}

static void test_bad_durations(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_durations); i++) {
        uint64_t ns = UNTOUCHED;

        test_int(-1, parse_duration(bad_durations[i], &ns), "time \"%s\" is refused", bad_durations[i]);
        test_ok(ns == UNTOUCHED, "and leaves the value");
    }
}

static void test_good_durations(void)
{
    for (size_t i = 0; i < COUNT_OF(good_durations); i++) {
        uint64_t ns = UNTOUCHED;

        test_int(0, parse_duration(good_durations[i].text, &ns), "time \"%s\" is read",
                 good_durations[i].text);
        test_ok(ns == good_durations[i].ns, "as %" PRIu64 " ns", good_durations[i].ns);
    }
}

int main(void)
{
    test_begin(10);
    test_bad_ints();
    test_good_ints();
    test_bad_sizes();
    test_good_sizes();
    test_bad_durations();
    test_good_durations();
    return test_end();
}
