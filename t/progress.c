/*
 * Progress of maps: the text, by tables; and when it is written, to a terminal, a stopped one, a pipe and a full
 * one. The map's time is made up.
 */
#include "run/progress.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host/terminal.h"
#include "team/team.h"

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define HUGE_N          (UINT64_C(1) << 48)

/* ---- The text ---- */

static const struct {
    sharedmem_progress progress;
    const char *text;
} lines[] = {
    /* Nothing is known yet. */
    {{0, 1000, 0, 0, 0, "f.c:12"}, "map at f.c:12: 0% (0 of 1000)"},
    {{0, 1000, 3, 0, 0, "f.c:12"}, "map at f.c:12: 0% (0 of 1000)"},
    {{10, 1000, 0, 0, 0, "f.c:12"}, "map at f.c:12: 1% (10 of 1000)"},
    {{0, 0, 0, 0, 0, "f.c:12"}, "map at f.c:12: 0 done"},
    {{0, 0, 0, 0, 0, NULL}, "map: 0 done"},
    /* What makes no sense. */
    {{10, 1000, -1, 0, 0, NULL}, "map: 1% (10 of 1000)"},
    {{10, 1000, NAN, 0, 0, NULL}, "map: 1% (10 of 1000)"},
    {{10, 1000, INFINITY, 0, 0, NULL}, "map: 1% (10 of 1000)"},
    {{2000, 1000, 10, 0, 0, NULL}, "map: 100% (1000 of 1000), 100/s, 0 s left"},
    {{UINT64_MAX, UINT64_MAX, 1, 1, 0, NULL},
     "map: 100% (18446744073709551615 of 18446744073709551615), 18.4E/s, in 1 s"},
    /* On the way. */
    {{400, 1000, 16, 0, 0, "file.c:12"}, "map at file.c:12: 40% (400 of 1000), 25.0/s, 24 s left"},
    {{999, 1000, 10, 0, 0, NULL}, "map: 99% (999 of 1000), 99.9/s, 1 s left"},
    {{999999, 1000000, 10, 0, 0, NULL}, "map: 99% (999999 of 1000000), 100k/s, 1 s left"},
    {{HUGE_N - 1, HUGE_N, 10, 0, 0, NULL},
     "map: 99% (281474976710655 of 281474976710656), 28.1T/s, 1 s left"},
    {{1, HUGE_N, 1, 0, 0, NULL}, "map: 0% (1 of 281474976710656), 1.00/s, over 1000 d left"},
    {{1, 2, 59.4, 0, 0, NULL}, "map: 50% (1 of 2), 1.01/min, 1 min 00 s left"},
    {{1, 2, 61, 0, 0, NULL}, "map: 50% (1 of 2), 59.0/h, 1 min 01 s left"},
    {{1, 2, 3599, 0, 0, NULL}, "map: 50% (1 of 2), 1.00/h, 59 min 59 s left"},
    {{1, 2, 4000, 0, 0, NULL}, "map: 50% (1 of 2), 21.6/d, 1 h 06 min left"},
    {{1, 2, 99 * 3600.0 + 60, 0, 0, NULL}, "map: 50% (1 of 2), 0.24/d, 99 h 01 min left"},
    {{1, 2, 101 * 3600.0, 0, 0, NULL}, "map: 50% (1 of 2), 0.24/d, 4 d 5 h left"},
    {{1, 2, 999 * 86400.0, 0, 0, NULL}, "map: 50% (1 of 2), 0.00/d, 999 d 0 h left"},
    {{1, 2, 1e300, 0, 0, NULL}, "map: 50% (1 of 2), 0.00/d, over 1000 d left"},
    {{400, 0, 16, 0, 0, "f.c:12"}, "map at f.c:12: 400 done, 25.0/s"},
    /* Rates that are rounded up to the next unit, or almost. */
    {{9994, 0, 1000, 0, 0, NULL}, "map: 9994 done, 9.99/s"},
    {{9996, 0, 1000, 0, 0, NULL}, "map: 9996 done, 10.0/s"},
    {{99960, 0, 1000, 0, 0, NULL}, "map: 99960 done, 100/s"},
    {{999400, 0, 1000, 0, 0, NULL}, "map: 999400 done, 999/s"},
    {{999600, 0, 1000, 0, 0, NULL}, "map: 999600 done, 1.00k/s"},
    {{999600000, 0, 1000, 0, 0, NULL}, "map: 999600000 done, 1.00M/s"},
    /* The last one. */
    {{1000, 1000, 40, 1, 0, "f.c:12"}, "map at f.c:12: 100% (1000 of 1000), 25.0/s, in 40 s"},
    {{400, 1000, 16, 1, 0, "f.c:12"}, "map at f.c:12: 40% (400 of 1000), 25.0/s, ended after 16 s"},
    {{0, 1000, 0, 1, 0, NULL}, "map: 0% (0 of 1000), ended after 0 s"},
    {{400, 0, 16, 1, 0, NULL}, "map: 400 done, 25.0/s, in 16 s"},
    {{1, 1, 0.04, 1, 0, NULL}, "map: 100% (1 of 1), 25.0/s, in 0.0 s"},
    {{1, 1, 0.44, 1, 0, NULL}, "map: 100% (1 of 1), 2.27/s, in 0.4 s"},
    {{1, 1, 9.94, 1, 0, NULL}, "map: 100% (1 of 1), 6.04/min, in 9.9 s"},
    {{1, 1, 9.96, 1, 0, NULL}, "map: 100% (1 of 1), 6.02/min, in 10 s"},
    {{1, 1, 59.6, 1, 0, NULL}, "map: 100% (1 of 1), 1.01/min, in 1 min 00 s"},
};

static const struct {
    sharedmem_progress progress;
    int columns;
    const char *text;
} bars[] = {
    {{400, 1000, 16, 0, 0, "f.c:12"}, 60,
     " 40% [##########---------------] 400/1000  25.0/s  24 s left"},
    {{0, 10, 0, 0, 0, NULL}, 29, "  0% [-----------------] 0/10"},
    {{1, 2, 1, 1, 0, NULL}, 49, " 50% [######-------] 1/2  1.00/s  ended after 1 s"},
    {{10, 10, 1, 1, 0, NULL}, 39, "100% [##########] 10/10  10.0/s  in 1 s"},
    /* The bar is full with the last item, and not before. */
    {{999, 1000, 1, 0, 0, NULL}, 48, " 99% [##############-] 999/1000  999/s  1 s left"},
    /* Wider than the widest bar. */
    {{5, 10, 1, 0, 0, NULL}, 500,
     " 50% [#########################-------------------------] 5/10  5.00/s  1 s left"},
    /* Narrower and narrower. */
    {{400, 1000, 16, 0, 0, NULL}, 43, " 40% [###-----] 400/1000  25.0/s  24 s left"},
    {{400, 1000, 16, 0, 0, NULL}, 42, " 40% 400/1000  25.0/s  24 s left"},
    {{400, 1000, 16, 0, 0, NULL}, 32, " 40% 400/1000  25.0/s  24 s left"},
    {{400, 1000, 16, 0, 0, NULL}, 31, " 40% 400/1000  24 s left"},
    {{400, 1000, 16, 0, 0, NULL}, 23, " 40%  24 s left"},
    {{400, 1000, 16, 0, 0, NULL}, 14, " 40%"},
    {{400, 1000, 16, 0, 0, NULL}, 3, " 40"},
    {{400, 1000, 16, 0, 0, NULL}, 1, " "},
    {{400, 1000, 16, 0, 0, NULL}, 0, ""},
    /* How many there are is not known. */
    {{400, 0, 16, 0, 0, NULL}, 60, "400 done  25.0/s"},
    {{400, 0, 16, 1, 0, NULL}, 60, "400 done  25.0/s  in 16 s"},
    {{400, 0, 16, 0, 0, NULL}, 15, "400 done"},
    {{0, 0, 0, 0, 0, NULL}, 60, "0 done"},
    {{HUGE_N / 2, HUGE_N, 1000, 0, 0, NULL}, 79,
     " 50% [#######-------] 140737488355328/281474976710656  141G/s  16 min 40 s left"},
};

static void test_text(void)
{
    char text[512];

    for (size_t r = 0; r < COUNT_OF(lines); r++) {
        size_t length = progress_render(text, sizeof text, &lines[r].progress, 0, false);

        test_str(lines[r].text, text, "line: %s", lines[r].text);
        test_int((long long)strlen(text), (long long)length, "its length");
    }
    for (size_t r = 0; r < COUNT_OF(bars); r++) {
        progress_render(text, sizeof text, &bars[r].progress, bars[r].columns, true);
        test_str(bars[r].text, text, "%d columns: %s", bars[r].columns, bars[r].text);
    }
}

/* Whatever the size, nothing is written behind it; whatever the width, the bar is not wider. */
static void test_limits(void)
{
    const sharedmem_progress progress = {UINT64_MAX / 3, UINT64_MAX, 1e9, 0, 0, "some/long/name.c:1234"};
    bool good = true;

    for (size_t size = 0; size < 200; size++) {
        for (int columns = 0; columns < 200; columns++) {
            char text[256];

            memset(text, 'x', sizeof text);
            good &= progress_render(text, size, &progress, columns, columns % 2 == 0) < (size > 0 ? size : 1);
            good &= text[size] == 'x' && (size == 0 || strlen(text) < size);
            good &= columns % 2 != 0 || size == 0 || (int)strlen(text) <= columns;
        }
    }
    test_ok(good, "no text is longer than its size or the terminal's width");
}

/* ---- Who wants it ---- */

static void test_wanted(void)
{
    static const struct {
        const char *value;
        bool wanted;
    } rows[] = {{NULL, false}, {"", false}, {"2", false}, {"yes", false}, {"0", false}, {"1", true}};
    sharedmem_log_handler *log = sharedmem_set_log(NULL);

    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        if (rows[r].value != NULL)
            setenv("SHAREDMEM_PROGRESS", rows[r].value, 1);
        test_ok(progress_is_wanted() == rows[r].wanted, "SHAREDMEM_PROGRESS=%s",
                rows[r].value != NULL ? rows[r].value : "(unset)");
    }
    sharedmem_set_log(log);
}

static int say_wanted(size_t i, void *result, void *context)
{
    (void)i;
    (void)context;
    *(bool *)result = progress_is_wanted();
    return 0;
}

static int store_wanted(size_t rank, void *result, void *context)
{
    bool *wanted = context;

    (void)result;
    wanted[rank] = progress_is_wanted();
    return 0;
}

static void test_wanted_inside(void)
{
    bool forked[2] = {true, true}, serial[2] = {true, true}, *ranks = sharedmem_calloc(2, sizeof *ranks);

    sharedmem_map(2, say_wanted, NULL, .np = 2, .results = forked, .result_size = sizeof(bool));
    test_ok(!forked[0] && !forked[1], "nobody wants the progress of maps in a map");
    sharedmem_map(2, say_wanted, NULL, .backend = SHAREDMEM_SERIAL, .results = serial,
                  .result_size = sizeof(bool));
    test_ok(!serial[0] && !serial[1], "a serial one, too");
    sharedmem_parallel(2, store_wanted, ranks);
    test_ok(ranks[0] && !ranks[1], "in a parallel call that of rank 0");
    unsetenv("SHAREDMEM_PROGRESS");
    sharedmem_free(ranks);
}

/* ---- When it is written ---- */

static int saved_stderr;

static void stderr_to(int fd)
{
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
}

static void stderr_back(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

/* Tells the bar of a map of 100 items, one each second. */
static void at(double seconds, bool is_last)
{
    sharedmem_progress progress = {.n_done = (uint64_t)seconds,
                                   .n = 100,
                                   .seconds = seconds,
                                   .is_last = is_last,
                                   .where = "f.c:1"};

    sharedmem_progress_bar(&progress, NULL);
}

/* What can be read now, as text. */
static const char *read_all(int fd)
{
    static char text[8192];
    size_t length = 0;
    ssize_t got;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (length < sizeof text - 1 && (got = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    return text;
}

static int count(const char *text, char c)
{
    int n = 0;

    for (; *text != '\0'; text++)
        n += *text == c;
    return n;
}

static void test_pipe(void)
{
    int ends[2];
    const char *text;

    if (!test_ok(pipe(ends) == 0, "a pipe"))
        return;
    stderr_to(ends[1]);
    for (int s = 0; s < 9; s++)
        at(s, false);
    at(9.5, true);
    text = read_all(ends[0]);
    stderr_back();
    test_str("", text, "elsewhere a short map says nothing");

    stderr_to(ends[1]);
    for (int tenths = 0; tenths < 255; tenths++)
        at(tenths / 10., false);
    at(25.5, true);
    at(0, false);
    at(9, true);
    at(11, true);
    text = read_all(ends[0]);
    stderr_back();
    test_str("map at f.c:1: 10% (10 of 100), 1.00/s, 1 min 30 s left\n"
             "map at f.c:1: 20% (20 of 100), 1.00/s, 1 min 20 s left\n"
             "map at f.c:1: 25% (25 of 100), 58.8/min, ended after 26 s\n"
             "map at f.c:1: 11% (11 of 100), 1.00/s, ended after 11 s\n",
             text, "a long one a line every 10 s, and a last one; the next begins anew");

    stderr_to(ends[1]);
    at(10, false);
    at(3, false);
    at(5, true);
    text = read_all(ends[0]);
    stderr_back();
    test_int(1, count(text, '\n'), "so does the next of one that came to no end");
    close(ends[0]);
    close(ends[1]);
}

static void test_full_pipe(void)
{
    char bytes[4096] = {0};
    int ends[2];

    if (!test_ok(pipe(ends) == 0, "a pipe"))
        return;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        ;
    fcntl(ends[1], F_SETFL, 0);
    stderr_to(ends[1]);
    test_ok(!terminal_takes(STDERR_FILENO), "a full pipe takes nothing");
    at(20, false);
    at(30, true);
    stderr_back();
    test_ok(true, "and does not keep the map");
    close(ends[0]);
    close(ends[1]);
}

/* What a map shows at this time, on a terminal whose other side is other. */
static const char *shown_at(double seconds, bool is_last, int terminal, int other)
{
    stderr_to(terminal);
    at(seconds, is_last);
    stderr_back();
    return read_all(other);
}

/* A terminal of columns columns. Returns its other side; *terminal is the program's. */
static int open_terminal(int *terminal, unsigned short columns)
{
    int other = posix_openpt(O_RDWR | O_NOCTTY);
    struct winsize window = {.ws_row = 24, .ws_col = columns};

    if (other < 0 || grantpt(other) != 0 || unlockpt(other) != 0)
        return -1;
    *terminal = open(ptsname(other), O_RDWR | O_NOCTTY);
    if (*terminal < 0 || ioctl(other, TIOCSWINSZ, &window) != 0)
        return -1;
    return other;
}

static void test_terminal(void)
{
    int terminal, other = open_terminal(&terminal, 60);
    const char *text;

    if (other < 0) {
        test_skip("no terminal can be made");
        return;
    }
    test_ok(terminal_is(terminal) && terminal_takes(terminal), "a terminal");
    test_int(60, terminal_columns(terminal), "has a width");

    test_str("", shown_at(0.1, true, terminal, other), "a map of 0.1 s shows nothing");
    test_str("", shown_at(0.1, false, terminal, other), "nor does a longer one at first");
    text = shown_at(50, false, terminal, other);
    test_str("\r 50% [#############-------------] 50/100  1.00/s  50 s left", text, "then a bar");
    text = shown_at(50.25, false, terminal, other);
    test_str("\r 50% [############------------] 50/100  59.7/min  51 s left", text, "which is drawn over it");
    text = shown_at(51, false, terminal, other);
    test_int(60, (long long)strlen(text), "as wide as the terminal, less a column, to cover what was there");
    text = shown_at(100, true, terminal, other);
    test_str("\r100% [#####################] 100/100  1.00/s  in 1 min 40 s\r\n", text, "a line's end is the last");
    test_str("", shown_at(0.1, true, terminal, other), "the next is another map");
    close(terminal);
    close(other);
}

static void test_width(void)
{
    int terminal, other = open_terminal(&terminal, 0);

    if (other < 0) {
        test_skip("no terminal can be made");
        return;
    }
    unsetenv("COLUMNS");
    test_int(80, terminal_columns(terminal), "a terminal that does not know its width has 80 columns");
    setenv("COLUMNS", "132", 1);
    test_int(132, terminal_columns(terminal), "or those of COLUMNS");
    setenv("COLUMNS", "wide", 1);
    test_int(80, terminal_columns(terminal), "where that is a number");
    setenv("COLUMNS", "5000", 1);
    test_int(1024, (long long)strlen(shown_at(1, true, terminal, other)), "no line is longer than fits");
    unsetenv("COLUMNS");
    close(terminal);
    close(other);
}

/* As by Ctrl-S: a write would wait for Ctrl-Q. */
static void test_stopped(void)
{
    int terminal, other = open_terminal(&terminal, 60);

    if (other < 0) {
        test_skip("no terminal can be made");
        return;
    }
    tcflow(terminal, TCOOFF);
    test_ok(!terminal_takes(terminal), "a stopped terminal takes nothing");
    test_str("", shown_at(1, false, terminal, other), "and does not keep the map");
    tcflow(terminal, TCOON);
    test_has("\r  2% [", shown_at(2, false, terminal, other), "when it goes on, the map is seen again");
    shown_at(3, true, terminal, other);
    close(terminal);
    close(other);
}

/* In a session of its own, whose terminal it is: in the foreground, and in the background. */
static void be_in_both(const char *name)
{
    int terminal, status;
    pid_t child;

    if (setsid() < 0 || (terminal = open(name, O_RDWR)) < 0 || !terminal_takes(terminal))
        test_child_exit(1);
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        test_child_exit(terminal_takes(terminal) ? 2 : 0);
    }
    test_child_exit(child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : 2);
}

static void test_background(void)
{
    int terminal, other = open_terminal(&terminal, 60), status;
    pid_t child;

    if (other < 0) {
        test_skip("no terminal can be made");
        return;
    }
    child = fork();
    if (child == 0)
        be_in_both(ptsname(other));
    test_ok(child > 0 && waitpid(child, &status, 0) == child && status == 0,
            "a terminal takes from the foreground, and not from the background");
    close(terminal);
    close(other);
}

int main(void)
{
    test_begin(60);
    test_text();
    test_limits();
    test_wanted();
    test_wanted_inside();
    test_pipe();
    test_full_pipe();
    test_terminal();
    test_width();
    test_stopped();
    test_background();
    return test_end();
}
