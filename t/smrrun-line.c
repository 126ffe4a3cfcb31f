/* Whole lines out of bytes, however these are cut. Nothing is written: the sink shows what passes. */
#include "smrrun/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MAX_STEPS       6

static struct sink sink;

/* ---- A table: what goes in, and what is passed on at once ---- */

struct step {
    const char *in, *out;
};

static const struct {
    const char *name;
    const char *label;
    struct step steps[MAX_STEPS];
    const char *at_end;
} cases[] = {
    {"a line", "", {{"one\n", "one\n"}}, ""},
    {"lines", "", {{"one\ntwo\n", "one\ntwo\n"}}, ""},
    {"empty lines", "", {{"\n\n", "\n\n"}}, ""},
    {"a piece", "", {{"one", ""}}, "one"},
    {"a line in two", "", {{"o", ""}, {"ne\n", "one\n"}}, ""},
    {"a line in four", "", {{"o", ""}, {"n", ""}, {"e", ""}, {"\n", "one\n"}}, ""},
    {"a line and a half", "", {{"one\ntw", "one\n"}, {"o\nthr", "two\n"}, {"ee\n", "three\n"}}, ""},
    {"carriage returns inside", "", {{"1%\r2%\r3%", "1%\r2%\r"}}, "3%"},
    {"carriage return at the end", "", {{"1%\r", ""}, {"2%\r", "1%\r"}, {"3%", "2%\r"}}, "3%"},
    {"carriage return first", "", {{"\r1%", "\r"}, {"\r2%", "1%\r"}, {"\n", "2%\n"}}, ""},
    {"two carriage returns", "", {{"1%\r\r", "1%\r"}}, "\r"},
    {"newline and carriage return", "", {{"one\n\r", "one\n"}, {"1%", "\r"}}, "1%"},
    {"both, together", "", {{"one\r\ntwo\r\n", "one\r\ntwo\r\n"}}, ""},
    {"both, apart", "", {{"one\r", ""}, {"\ntwo\r", "one\r\n"}, {"\n", "two\r\n"}}, ""},
    {"as long as may be", "", {{"12345678", ""}, {"\n", "12345678\n"}}, ""},
    {"longer, at once", "", {{"123456789", "123456789"}, {"0\n", "0\n"}}, ""},
    {"longer, and whole", "", {{"123456789\n", "123456789\n"}}, ""},
    {"longer, whole at the second", "", {{"12345678", ""}, {"9\n", "123456789\n"}}, ""},
    {"longer, in pieces", "", {{"12345", ""}, {"67890", "1234567890"}, {"1", ""}, {"2\n", "12\n"}}, ""},
    {"much longer", "", {{"123456789", "123456789"}, {"1234", ""}, {"56789", "123456789"}}, ""},

    {"a label", "[3] ", {{"one\n", "[3] one\n"}}, ""},
    {"labels", "[3] ", {{"one\n\ntwo\n", "[3] one\n[3] \n[3] two\n"}}, ""},
    {"a label for a piece", "[3] ", {{"one", ""}}, "[3] one\n"},
    {"one label for two pieces", "[3] ", {{"on", ""}, {"e\ntw", "[3] one\n"}, {"o\n", "[3] two\n"}}, ""},
    {"labels and carriage returns", "[3] ", {{"1%\r2%\r", "[3] 1%\r"}, {"\n3", "[3] 2%\r\n"}}, "[3] 3\n"},
    {"a label and both at once", "[3] ", {{"one\r\ntwo\r\n", "[3] one\r\n[3] two\r\n"}}, ""},
    {"no newline behind a carriage return", "[3] ", {{"1%\r", ""}}, "[3] 1%\r"},
    {"one label for a long line", "[3] ", {{"123456789", "[3] 123456789"}, {"0\n1", "0\n"}}, "[3] 1\n"},
    {"a newline behind a long line", "[3] ", {{"123456789", "[3] 123456789"}}, "\n"},
    {"a newline behind a long line's rest", "[3] ", {{"123456789", "[3] 123456789"}, {"0", ""}}, "0\n"},
    {"a newline that comes late", "[3] ", {{"12345678\r", "[3] 12345678\r"}, {"\n4\n", "\n[3] 4\n"}}, ""},
};

/* Takes what the sink has as a string. */
static const char *passed(void)
{
    static char text[SINK_BYTES + 1];

    memcpy(text, sink.text, sink.length);
    text[sink.length] = '\0';
    sink.length = 0;
    return text;
}

static void test_cases(void)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct line line;

        line_init(&line, 8, cases[i].label, false);
        for (int j = 0; j < MAX_STEPS && cases[i].steps[j].in != NULL; j++) {
            const struct step *step = &cases[i].steps[j];
            bool has_passed = line_add(&line, step->in, strlen(step->in), &sink);

            test_int(step->out[0] != '\0', has_passed, "%s: whether step %d passes on", cases[i].name, j);
            test_str(step->out, passed(), "%s: step %d", cases[i].name, j);
        }
        line_end(&line, &sink);
        test_str(cases[i].at_end, passed(), "%s: at the end", cases[i].name);
        test_ok(!line_is_held(&line) && line.held == NULL, "%s: nothing is kept", cases[i].name);
    }
}

/* ---- Pieces that are passed on before their end ---- */

static void test_prompt(void)
{
    struct line line;

    line_init(&line, 100, "[0] ", false);
    line_pass(&line, &sink);
    test_str("", passed(), "nothing held back, nothing passed on");
    line_add(&line, "name? ", 6, &sink);
    test_ok(line_is_held(&line) && !line_is_held_for_newline(&line), "a prompt is held back");
    line_pass(&line, &sink);
    test_str("[0] name? ", passed(), "it can be passed on");
    line_add(&line, "hello", 5, &sink);
    line_pass(&line, &sink);
    test_str("hello", passed(), "what follows has no label");
    line_add(&line, "\nbye\r", 5, &sink);
    test_str("\n", passed(), "nor has the newline");
    test_ok(line_is_held_for_newline(&line), "a carriage return may be followed by a newline");
    line_pass(&line, &sink);
    line_add(&line, "\n", 1, &sink);
    test_str("[0] bye\r\n", passed(), "one that comes late is no line of its own");
    line_end(&line, &sink);
    test_str("", passed(), "at the end there is no more");
}

/* ---- All bytes, cut anyhow ---- */

static unsigned random_below(unsigned n)
{
    static unsigned state = 12345;

    state = state * 1103515245 + 12345;
    return (state >> 16) % n;
}

/* Feeds text in random chunks. Returns how many bytes came out, into out. */
static size_t feed(struct line *line, const char *text, size_t n, unsigned longest_chunk, char *out)
{
    sink.length = 0;
    for (size_t done = 0; done < n;) {
        size_t part = 1 + random_below(longest_chunk);

        if (part > n - done)
            part = n - done;
        line_add(line, text + done, part, &sink);
        done += part;
    }
    line_end(line, &sink);
    memcpy(out, sink.text, sink.length);
    return sink.length;
}

static void fill(char *text, size_t n)
{
    static const char bytes[] = {'a', 'b', '\n', '\r', '\0', '\xff', '\xc3'};

    for (size_t i = 0; i < n; i++)
        text[i] = bytes[random_below(sizeof bytes)];
}

static void test_any_chunks(void)
{
    static char in[500], out[SINK_BYTES], again[SINK_BYTES];
    int changed = 0, different = 0;

    for (int i = 0; i < 3000; i++) {
        size_t n = 1 + random_below(sizeof in), n_out, n_again;
        struct line line;

        fill(in, n);
        line_init(&line, 1 + random_below(20), "", false);
        n_out = feed(&line, in, n, 1 + random_below(30), out);
        changed += n_out != n || memcmp(in, out, n) != 0;

        line_init(&line, 1 + random_below(20), "[1] ", false);
        n_out = feed(&line, in, n, 1 + random_below(30), out);
        line_init(&line, sizeof in, "[1] ", false);
        n_again = feed(&line, in, n, sizeof in, again);
        different += n_out != n_again || memcmp(out, again, n_out) != 0;
    }
    test_int(0, changed, "without labels what comes out is what went in");
    test_int(0, different, "with labels the chunks make no difference");
}

/* Each single step passes on whole lines only, where they are not too long. */
static void test_whole(void)
{
    static char in[64];
    struct line line;
    int torn = 0;

    line_init(&line, 1000000, "", false);
    for (int i = 0; i < 3000; i++) {
        size_t n = 1 + random_below(sizeof in);

        fill(in, n);
        sink.length = 0;
        line_add(&line, in, n, &sink);
        torn += sink.length > 0 && sink.text[sink.length - 1] != '\n' && sink.text[sink.length - 1] != '\r';
    }
    line_fini(&line);
    test_int(0, torn, "each step passes on whole lines");
}

/* A piece takes the memory that it needs, and gives it back. */
static void test_memory(void)
{
    struct line line;

    line_init(&line, 65536, "", false);
    line_add(&line, "x", 1, &sink);
    test_ok(line.size <= 128, "a short piece takes little");
    for (int i = 0; i < 65535; i++)
        line_add(&line, "x", 1, &sink);
    test_int(65536, (long long)line.size, "the longest takes what it needs");
    sink.length = 0;
    line_add(&line, "\n", 1, &sink);
    test_int(65537, (long long)sink.length, "it passes whole");
    test_ok(line.held == NULL, "and its memory is given back");
}

int main(void)
{
    test_begin(30);
    sink_init(&sink, -1);
    test_cases();
    test_prompt();
    test_any_chunks();
    test_whole();
    test_memory();
    return test_end();
}
