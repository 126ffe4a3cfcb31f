/* The text of progress.h. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "run/progress.h"

/* A bar is not narrower than this, nor wider. */
#define BAR_MIN 8
#define BAR_MAX 50

/* The longest piece: two numbers of 20 digits. */
#define PIECE 64

/* "99 h 59 min", with room for any number. */
#define TIME 40

/* What is known of the map, made sound. */
struct look {
    uint64_t done, n; /* n 0: unknown; done is n at most, where that is known */
    double seconds;   /* 0 or more */
    double rate;      /* items a second; 0: not known yet */
    int percent;
};

static struct look look_at(const sharedmem_progress *progress)
{
    struct look look = {.done = progress->n_done, .n = progress->n, .seconds = progress->seconds};

    if (look.n > 0 && look.done > look.n)
        look.done = look.n;
    /* Not a number either. */
    if (!(look.seconds > 0))
        look.seconds = 0;
    if (look.done > 0 && look.seconds > 0)
        look.rate = (double)look.done / look.seconds;
    /* Never 100 before the last item, whatever the rounding. */
    if (look.n > 0)
        look.percent = (int)((double)look.done / (double)look.n * 100);
    if (look.percent > 99 && look.done < look.n)
        look.percent = 99;
    return look;
}

/* ---- Pieces of text ---- */

/* Three digits: 1.23, 12.3, 123. */
static int decimals_of(double value)
{
    if (value < 9.995)
        return 2;
    return value < 99.95 ? 1 : 0;
}

/* What takes longer than a second each is told by the minute, hour or day. */
static void slow_rate_text(char *text, double rate)
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{60, "min"}, {3600, "h"}, {86400, "d"}};
    size_t u = 0;

    while (u < 2 && rate * units[u].seconds < 1)
        u++;
    snprintf(text, PIECE, "%.*f/%s", decimals_of(rate * units[u].seconds), rate * units[u].seconds,
             units[u].name);
}

static void rate_text(char *text, double rate)
{
    static const char *const powers[] = {"", "k", "M", "G", "T", "P", "E"};
    size_t p = 0;

    if (rate < 1) {
        slow_rate_text(text, rate);
        return;
    }
    for (; rate >= 999.5 && p < sizeof powers / sizeof *powers - 1; p++)
        rate /= 1000;
    snprintf(text, PIECE, "%.*f%s/s", decimals_of(rate), rate, powers[p]);
}

/* Two units at most: "3 min 20 s". Less than 10 s have a decimal, where it says something. */
static void time_text(char *text, double seconds)
{
    uint64_t s;

    if (seconds < 9.95) {
        snprintf(text, TIME, "%.*f s", seconds == (int)seconds ? 0 : 1, seconds);
        return;
    }
    if (seconds >= 1000 * 86400.0) {
        snprintf(text, TIME, "over 1000 d");
        return;
    }
    s = (uint64_t)(seconds + 0.5);
    if (s < 60)
        snprintf(text, TIME, "%d s", (int)s);
    else if (s < 3600)
        snprintf(text, TIME, "%d min %02d s", (int)(s / 60), (int)(s % 60));
    else if (s < 100 * 3600)
        snprintf(text, TIME, "%d h %02d min", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(text, TIME, "%d d %d h", (int)(s / 86400), (int)(s / 3600 % 24));
}

/* Rounded up, but for the noise of divisions. What time_text() does not tell is left as it is. */
static double whole_seconds(double seconds)
{
    double whole = seconds < 1e9 ? (double)(int)seconds : seconds;

    return whole * (1 + 1e-9) < seconds ? whole + 1 : whole;
}

/* How long it takes still, or took in the end; "" where nobody knows. */
static void when_text(char *text, const struct look *look, bool is_last)
{
    char time[TIME];

    text[0] = '\0';
    if (is_last) {
        time_text(time, look->seconds);
        snprintf(text, PIECE, "%s %s", look->n > 0 && look->done < look->n ? "ended after" : "in", time);
    } else if (look->n > 0 && look->rate > 0) {
        time_text(time, whole_seconds((double)(look->n - look->done) / look->rate));
        snprintf(text, PIECE, "%s left", time);
    }
}

/* Adds a format's text behind what is there, cut to size. */
static void add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
}

/* ---- A line ---- */

static void render_line(char *text, size_t size, const sharedmem_progress *progress, const struct look *look)
{
    char piece[PIECE];

    add(text, size, "map");
    if (progress->where != NULL)
        add(text, size, " at %s", progress->where);
    if (look->n > 0)
        add(text, size, ": %d%% (%llu of %llu)", look->percent, (unsigned long long)look->done,
            (unsigned long long)look->n);
    else
        add(text, size, ": %llu done", (unsigned long long)look->done);
    if (look->rate > 0) {
        rate_text(piece, look->rate);
        add(text, size, ", %s", piece);
    }
    when_text(piece, look, progress->is_last != 0);
    if (piece[0] != '\0')
        add(text, size, ", %s", piece);
}

/* ---- A bar ---- */

/* What stands behind the bar, from the most that may be told to the least. */
enum { TELL_LEAST, TELL_WHEN, TELL_COUNT, TELL_ALL };

static void tell(char *text, size_t size, const sharedmem_progress *progress, const struct look *look,
                 int how)
{
    char piece[PIECE];

    text[0] = '\0';
    if (look->n == 0)
        add(text, size, "%llu done", (unsigned long long)look->done);
    else if (how >= TELL_COUNT)
        add(text, size, " %llu/%llu", (unsigned long long)look->done, (unsigned long long)look->n);
    if (look->rate > 0 && how >= TELL_ALL) {
        rate_text(piece, look->rate);
        add(text, size, "  %s", piece);
    }
    when_text(piece, look, progress->is_last != 0);
    if (piece[0] != '\0' && how >= TELL_WHEN)
        add(text, size, "  %s", piece);
}

static void add_bar(char *text, size_t size, const struct look *look, int width)
{
    int full = (int)((double)look->done / (double)look->n * width);

    if (full > width || (full == width && look->done < look->n))
        full = width - (look->done < look->n);
    add(text, size, " [");
    for (int i = 0; i < width; i++)
        add(text, size, "%c", i < full ? '#' : '-');
    add(text, size, "]");
}

static void render_bar(char *text, size_t size, const sharedmem_progress *progress, const struct look *look,
                       int columns)
{
    const int frame = (int)strlen("100% []");
    char told[4 * PIECE];
    int how = TELL_ALL, room;

    tell(told, sizeof told, progress, look, how);
    while (how > TELL_LEAST && (int)strlen(told) + (look->n > 0 ? 4 : 0) > columns)
        tell(told, sizeof told, progress, look, --how);
    if (look->n > 0)
        add(text, size, "%3d%%", look->percent);
    room = columns - frame - (int)strlen(told);
    if (look->n > 0 && room >= BAR_MIN)
        add_bar(text, size, look, room < BAR_MAX ? room : BAR_MAX);
    add(text, size, "%s", told);
}

size_t progress_render(char *text, size_t size, const sharedmem_progress *progress, int columns,
                       bool is_terminal)
{
    struct look look = look_at(progress);

    if (size == 0)
        return 0;
    text[0] = '\0';
    if (is_terminal)
        render_bar(text, columns < (int)size - 1 ? (size_t)columns + 1 : size, progress, &look, columns);
    else
        render_line(text, size, progress, &look);
    return strlen(text);
}
