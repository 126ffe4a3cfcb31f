#include "smrrun/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fds.h"
#include "smrrun/line.h"
#include "smrrun/sink.h"

/* What one turn reads from a pipe, and from how many of them, at most. */
#define TURN_BYTES 65536
#define TURN_PIPES 64

/* One pipe, and the line that comes through it. */
struct source {
    int read_fd; /* -1: it has come to its end, or is not ours */
    int write_fd;
    int stream; /* which of sinks its lines go to */
    struct line line;
    /* A piece that passes when its time has come stands in a queue, the one that grew longest ago first. */
    bool is_queued;
    struct source *before, *behind;
    uint64_t since_ns; /* when it began */
    uint64_t grew_ns;  /* when its last byte came */
    uint64_t regions;  /* of its rank, when it was read last */
};

struct output {
    int n_sources, n_open;
    int n_streams; /* pipes a rank: 1 or 2 */
    int epoll_fd;
    int failed; /* the stream whose failure was returned last; -1: none */
    bool is_terminal[2];
    uint64_t (*regions_of)(int rank);
    bool is_told[2];             /* its failure was returned */
    struct source *first, *last; /* the queue */
    struct source *sources;      /* rank by rank */
    struct sink sinks[2];
    char bytes[TURN_BYTES]; /* what was read last */
};

/* ---- Pipes ---- */

static bool is_same_file(int a, int b)
{
    struct stat a_status, b_status;

    return fstat(a, &a_status) == 0 && fstat(b, &b_status) == 0 && a_status.st_dev == b_status.st_dev &&
           a_status.st_ino == b_status.st_ino && a_status.st_rdev == b_status.st_rdev;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* What it has opened when it fails, output_destroy() closes. */
static int open_source(struct output *output, struct source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    source->read_fd = fds_above_stdio(ends[0]);
    source->write_fd = source->read_fd >= 0 ? fds_above_stdio(ends[1]) : ends[1];
    if (source->read_fd < 0 || source->write_fd < 0)
        return -1;
    /* The read end only: ranks do not expect their stdout to be in non-blocking mode. */
    if (fcntl(source->read_fd, F_SETFL, O_NONBLOCK) != 0)
        return -1;
    return epoll_ctl(output->epoll_fd, EPOLL_CTL_ADD, source->read_fd, &event);
}

static int open_sources(struct output *output, unsigned style)
{
    for (int i = 0; i < output->n_sources; i++) {
        char text[16] = "";

        if (style & OUTPUT_LABELS)
            snprintf(text, sizeof text, "[%d] ", i / output->n_streams);
        line_init(&output->sources[i].line, OUTPUT_LINE_MAX, text, style & OUTPUT_STAMPS);
        output->sources[i].stream = i % output->n_streams;
        if (open_source(output, &output->sources[i]) != 0)
            return -1;
        output->n_open++;
    }
    return 0;
}

/* Everything of an output but open files. */
static struct output *allocate(int n_ranks, int n_streams)
{
    struct output *output = calloc(1, sizeof *output);

    if (output == NULL)
        return NULL;
    output->n_streams = n_streams;
    output->n_sources = n_ranks * n_streams;
    output->epoll_fd = -1;
    output->failed = -1;
    output->sources = calloc((size_t)output->n_sources, sizeof *output->sources);
    if (output->sources == NULL) {
        free(output);
        return NULL;
    }
    for (int i = 0; i < output->n_sources; i++)
        output->sources[i].read_fd = output->sources[i].write_fd = -1;
    return output;
}

struct output *output_create(int n_ranks, const int to[2], unsigned style)
{
    struct output *output = allocate(n_ranks, is_same_file(to[0], to[1]) ? 1 : 2);

    if (output == NULL)
        return NULL;
    for (int i = 0; i < 2; i++) {
        sink_init(&output->sinks[i], to[i]);
        output->is_terminal[i] = isatty(to[i]);
    }
    output->epoll_fd = fds_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (output->epoll_fd >= 0 && open_sources(output, style) == 0)
        return output;
    output_destroy(output);
    return NULL;
}

void output_close_reads(struct output *output)
{
    for (int i = 0; i < output->n_sources; i++)
        close_fd(&output->sources[i].read_fd);
    close_fd(&output->epoll_fd);
}

void output_close_writes(struct output *output)
{
    for (int i = 0; i < output->n_sources; i++)
        close_fd(&output->sources[i].write_fd);
}

void output_close_writes_of(struct output *output, int rank)
{
    for (int i = 0; i < output->n_streams; i++)
        close_fd(&output->sources[rank * output->n_streams + i].write_fd);
}

void output_destroy(struct output *output)
{
    int saved_errno = errno;

    if (output == NULL)
        return;
    output_close_reads(output);
    output_close_writes(output);
    for (int i = 0; i < output->n_sources; i++)
        line_fini(&output->sources[i].line);
    free(output->sources);
    free(output);
    errno = saved_errno;
}

/* ---- The queue of pieces that pass when their time has come ---- */

static void unqueue(struct output *output, struct source *source)
{
    if (!source->is_queued)
        return;
    *(source->before != NULL ? &source->before->behind : &output->first) = source->behind;
    *(source->behind != NULL ? &source->behind->before : &output->last) = source->before;
    source->is_queued = false;
}

static void queue(struct output *output, struct source *source)
{
    source->before = output->last;
    source->behind = NULL;
    *(output->last != NULL ? &output->last->behind : &output->first) = source;
    output->last = source;
    source->is_queued = true;
}

/* ---- From pipes to sinks ---- */

/* The sink of the source. What the other one has was read earlier, and is written before. */
static struct sink *sink_of(struct output *output, const struct source *source)
{
    sink_flush(&output->sinks[1 - source->stream]);
    return &output->sinks[source->stream];
}

/* The source has a piece that passes in time: as of now it has grown, or even begun. */
static void has_grown(struct output *output, struct source *source, bool is_new)
{
    source->grew_ns = clock_monotonic_ns();
    if (is_new)
        source->since_ns = source->grew_ns;
    if (source->grew_ns - source->since_ns < OUTPUT_GROWING_NS)
        queue(output, source);
    else
        line_pass(&source->line, sink_of(output, source));
}

/*
 * Whether what was just read may be of a region: its rank counts the begin before it prints, so that this is
 * seen by who has read it; and the end when all is read, so that a later read sees that too.
 */
static bool is_of_region(const struct output *output, struct source *source)
{
    uint64_t before = source->regions, now;

    if (output->regions_of == NULL)
        return false;
    now = output->regions_of((int)(source - output->sources) / output->n_streams);
    source->regions = now;
    return now != before || (uint32_t)now != (uint32_t)(now >> 32);
}

static void add(struct output *output, struct source *source, size_t n)
{
    struct line *line = &source->line;
    bool was_queued = source->is_queued;
    bool has_passed = line_add(line, output->bytes, n, sink_of(output, source));

    unqueue(output, source);
    if (is_of_region(output, source) && line_is_held(line))
        line_pass(line, sink_of(output, source));
    if (line_is_held_for_newline(line) || (line_is_held(line) && output->is_terminal[source->stream]))
        has_grown(output, source, has_passed || !was_queued);
}

static void end(struct output *output, struct source *source)
{
    unqueue(output, source);
    line_end(&source->line, sink_of(output, source));
    /* Closing is not enough: another process may have the same end of the pipe. */
    epoll_ctl(output->epoll_fd, EPOLL_CTL_DEL, source->read_fd, NULL);
    close_fd(&source->read_fd);
    output->n_open--;
}

/* Reads once. Returns whether there was anything, or the end. */
static bool take(struct output *output, struct source *source)
{
    ssize_t n = read(source->read_fd, output->bytes, sizeof output->bytes);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0)
        add(output, source, (size_t)n);
    else
        end(output, source);
    return true;
}

/* One turn over the readable pipes, in the order that the system gives. Returns how many there were. */
static int take_ready(struct output *output)
{
    struct epoll_event events[TURN_PIPES];
    int n = epoll_wait(output->epoll_fd, events, TURN_PIPES, 0);

    for (int i = 0; i < n; i++)
        take(output, events[i].data.ptr);
    return n;
}

/* Passes on pieces whose time has come, unless the rest came meanwhile: writing may have blocked for long. */
static void pass_due(struct output *output, uint64_t now_ns)
{
    struct source *source;

    while ((source = output->first) != NULL && source->grew_ns + OUTPUT_PIECE_NS <= now_ns) {
        if (take(output, source))
            continue;
        unqueue(output, source);
        line_pass(&source->line, sink_of(output, source));
    }
}

static void pass_all_held(struct output *output)
{
    for (int i = 0; i < output->n_sources; i++) {
        struct source *source = &output->sources[i];

        unqueue(output, source);
        if (line_is_held(&source->line))
            line_pass(&source->line, sink_of(output, source));
    }
}

/* ---- What the owner calls ---- */

/* Writes what is on its way, and tells of a failure that was not told of before. */
static enum output_state flush(struct output *output)
{
    for (int i = 0; i < 2; i++)
        sink_flush(&output->sinks[i]);
    for (int i = 0; i < 2; i++) {
        if (output->sinks[i].error == 0 || output->is_told[i])
            continue;
        output->is_told[i] = true;
        output->failed = i;
        return output->sinks[i].error == EPIPE ? OUTPUT_CLOSED : OUTPUT_BROKEN;
    }
    return OUTPUT_OPEN;
}

enum output_state output_run(struct output *output)
{
    uint64_t now_ns = clock_monotonic_ns();

    take_ready(output);
    pass_due(output, now_ns);
    return flush(output);
}

enum output_state output_finish(struct output *output)
{
    /* Pipes take turns, so each has 64: more than the largest pipe of an unprivileged user, 1 MiB, needs. */
    for (int turns = output->n_open + 64; turns > 0 && take_ready(output) > 0; turns--)
        ;
    pass_all_held(output);
    return flush(output);
}

uint64_t output_timeout_ns(const struct output *output)
{
    uint64_t now_ns, due_ns;

    if (output->first == NULL)
        return UINT64_MAX;
    now_ns = clock_monotonic_ns();
    due_ns = output->first->grew_ns + OUTPUT_PIECE_NS;
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

void output_follow(struct output *output, uint64_t (*regions_of)(int rank))
{
    output->regions_of = regions_of;
}

int output_poll_fd(const struct output *output)
{
    return output->epoll_fd;
}

int output_n_open(const struct output *output)
{
    return output->n_open;
}

int output_stdout_fd(const struct output *output, int rank)
{
    return output->sources[rank * output->n_streams].write_fd;
}

int output_stderr_fd(const struct output *output, int rank)
{
    return output->sources[rank * output->n_streams + output->n_streams - 1].write_fd;
}

int output_errno(const struct output *output)
{
    return output->failed >= 0 ? output->sinks[output->failed].error : 0;
}

int output_failed_stream(const struct output *output)
{
    return output->failed;
}
