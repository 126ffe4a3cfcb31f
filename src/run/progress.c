#include "run/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/log.h"
#include "host/terminal.h"
#include "memory/claim.h"
#include "team/team.h"

/* Where there is no terminal, a line comes as often as this. */
#define LINE_SECONDS 10.0

/* A map that is over so soon shows nothing on a terminal. */
#define BAR_SECONDS 0.2

/* What terminal_takes() answers for, with what is put around it. */
#define LINE_MAX_BYTES 1024

/* Of the calling thread's map. */
static _Thread_local struct {
    bool is_shown;  /* some of it was written */
    double seconds; /* when that was, since the map began */
} shown;

/* Of all ranks, not of those of a sub-team, of which each has a first one. */
static bool is_first_rank(void)
{
    const struct team_place *place = team_here();

    return (place != NULL ? (int)team_root_place(place)->rank : sharedmem_rank()) == 0;
}

bool progress_is_wanted(void)
{
    const struct team_place *place = team_here();
    long value = 0;

    if (env_int(ENV_PROGRESS, 0, 1, &value) == ENV_MALFORMED)
        env_warn(ENV_PROGRESS, "0 or 1");
    return value != 0 && (place == NULL || !place->team->is_map) && is_first_rank();
}

/* Of several that draw at once nobody could read anything: ranks and workers but the first say nothing. */
static bool is_speaker(void)
{
    return is_first_rank() && claim_rank() <= 0;
}

static bool is_due(const sharedmem_progress *progress, bool is_terminal)
{
    double since = progress->seconds - (shown.is_shown ? shown.seconds : 0);

    if (shown.is_shown && (is_terminal || progress->is_last))
        return true;
    return since >= (is_terminal ? BAR_SECONDS : LINE_SECONDS);
}

/* The line is as wide as the terminal, less the last column: so it covers what was there before. */
static void write_bar(const sharedmem_progress *progress)
{
    char text[LINE_MAX_BYTES] = "\r";
    int columns = terminal_columns(STDERR_FILENO) - 1;
    size_t length;

    if (columns > LINE_MAX_BYTES - 3)
        columns = LINE_MAX_BYTES - 3;
    length = 1 + progress_render(text + 1, sizeof text - 2, progress, columns, true);
    while (length < 1 + (size_t)columns)
        text[length++] = ' ';
    text[length] = '\0';
    if (progress->is_last)
        strcpy(text + length, "\n");
    log_write(text);
}

static void write_line(const sharedmem_progress *progress)
{
    char text[LINE_MAX_BYTES];
    size_t length = progress_render(text, sizeof text - 1, progress, 0, false);

    strcpy(text + length, "\n");
    log_write(text);
}

static void show(const sharedmem_progress *progress, bool is_terminal)
{
    if (is_terminal)
        write_bar(progress);
    else
        write_line(progress);
    shown.is_shown = true;
    shown.seconds = progress->seconds;
}

void sharedmem_progress_bar(const sharedmem_progress *progress, void *context)
{
    bool is_terminal;

    (void)context;
    if (progress == NULL || !is_speaker())
        return;
    /* A map before this one was left without its last call. */
    if (progress->seconds < shown.seconds)
        shown.is_shown = false;
    is_terminal = terminal_is(STDERR_FILENO);
    if (is_due(progress, is_terminal) && terminal_takes(STDERR_FILENO))
        show(progress, is_terminal);
    if (progress->is_last)
        shown.is_shown = false;
}
