/* What is done to text before a person reads it. */
#include <string.h>

#include "base/text.h"
#include "tap.h"

static void test_one_line(void)
{
    char text[] = "a\nb\r\nc\n\n";

    text_one_line(text);
    test_ok(strchr(text, '\n') == NULL, "no line break is left");
    test_has("a b", text, "one in the middle is a blank");
}

static void test_controls(void)
{
    char text[] = "a\tb\033[2J\007\177 \xc3\xa9\xc2\x9b\xe2\x82\xac";

    text_one_line(text);
    test_str("a b?[2J?? \xc3\xa9?\x9b\xe2\x82\xac", text,
             "what a terminal would obey is shown, other letters stay");
}

static void test_copy_end(void)
{
    char to[6];

    text_copy_end(to, sizeof to, "path/heat.c:88");
    test_str("c:88", strchr(to, 'c'), "the end is what is kept");
    text_copy_end(to, sizeof to, NULL);
    test_str("", to, "NULL is nothing");
}

static void test_ranges(void)
{
    static const struct {
        unsigned numbers[8];
        unsigned n;
        const char *text;
    } cases[] = {
        {{0}, 0, ""},
        {{7}, 1, "7"},
        {{0, 1}, 2, "0-1"},
        {{0, 1, 3}, 3, "0-1, 3"},
        {{0, 2, 4, 5, 6, 9}, 6, "0, 2, 4-6, 9"},
        {{4294967294u, 4294967295u}, 2, "4294967294-4294967295"},
    };
    struct text_ranges ranges;

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        text_ranges_begin(&ranges);
        for (unsigned i = 0; i < cases[c].n; i++)
            text_ranges_add(&ranges, cases[c].numbers[i]);
        test_str(cases[c].text, ranges.text, "\"%s\"", cases[c].text);
        test_int(cases[c].n, ranges.n, "of %u numbers", cases[c].n);
    }
    text_ranges_begin(&ranges);
    for (unsigned i = 0; i < 4096; i += 2)
        text_ranges_add(&ranges, i);
    test_has("0, 2, 4, 6", ranges.text, "many");
    test_str(", ...", ranges.text + strlen(ranges.text) - 5, "are cut");
    test_int(2048, ranges.n, "but counted");
}

static void test_distance(void)
{
    static const struct {
        const char *word, *other;
        int distance;
    } cases[] = {
        {"", "", 0},          {"heap", "heap", 0},       {"", "abc", 3},
        {"heap", "heaps", 1}, {"heap", "hep", 1},        {"heap", "heat", 1},
        {"heap", "haep", 1},  {"timeout", "tiemotu", 2}, {"mem", "quiet", 4},
    };
    char longer[100];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_int(cases[i].distance, text_distance(cases[i].word, cases[i].other), "from '%s' to '%s'",
                 cases[i].word, cases[i].other);
        test_int(cases[i].distance, text_distance(cases[i].other, cases[i].word), "and back");
    }
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    test_int(TEXT_DISTANCE_BYTES, text_distance(longer, ""), "a longer word is cut");
}

int main(void)
{
    test_begin(10);
    test_distance();
    test_one_line();
    test_controls();
    test_copy_end();
    test_ranges();
    return test_end();
}
