/*
 * wordcount: counts words in all text files of a directory, in parallel.
 *
 *     wordcount DIRECTORY WORD...
 *
 * A word is letters, digits and _; it counts where other characters or nothing stand around it, as in:
 *
 *     LC_ALL=C grep -ow -- WORD FILES | wc -l
 *
 * The files are the regular ones that the shell's * finds in the directory: none that is hidden or in a
 * folder below; links count as what they lead to. A file with a NUL byte is binary, skipped, and reported.
 *
 * An item is a file. Its result is a row of counters, as long as there are words, that reduce adds up.
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sharedmem.h>

#define WORD_MAX 255

/* The result of a file, and the totals. */
struct counts {
    uint64_t files;
    uint64_t skipped;
    uint64_t bytes;
    uint64_t words[]; /* one for each word */
};

struct job {
    char **words;
    size_t n_words;
    struct dirent **files;
    size_t n_files;
    struct counts *totals;
};

static size_t counts_bytes(const struct job *job)
{
    return sizeof(struct counts) + job->n_words * sizeof(uint64_t);
}

/* The program sets no locale, so letters are those of ASCII. */
static bool is_word_character(int c)
{
    return isalnum(c) || c == '_';
}

static void count_word(const struct job *job, const char *found, struct counts *counts)
{
    for (size_t w = 0; w < job->n_words; w++)
        counts->words[w] += strcmp(found, job->words[w]) == 0;
}

/* Counts in a whole file. Returns false where it is binary. */
static bool count_text(FILE *file, const struct job *job, struct counts *counts)
{
    char found[WORD_MAX + 2]; /* a longer word is cut, and still longer than any that is asked for */
    size_t length = 0;
    int c;

    while ((c = getc_unlocked(file)) != EOF && c != '\0') {
        counts->bytes++;
        if (is_word_character(c)) {
            if (length <= WORD_MAX)
                found[length++] = (char)c;
        } else if (length > 0) {
            found[length] = '\0';
            count_word(job, found, counts);
            length = 0;
        }
    }
    found[length] = '\0';
    count_word(job, found, counts);
    return c == EOF;
}

static void skip(const struct job *job, struct counts *counts)
{
    memset(counts, 0, counts_bytes(job));
    counts->skipped = 1;
}

/* File i, in a worker. result is zero before. */
static int work(size_t i, void *result, void *context)
{
    const struct job *job = context;
    const char *name = job->files[i]->d_name;
    struct counts *counts = result;
    FILE *file = fopen(name, "r");
    int code = 0;

    if (file == NULL)
        return sharedmem_fail(errno, "cannot open %s: %s", name, strerror(errno));
    counts->files = 1;
    if (!count_text(file, job, counts))
        skip(job, counts);
    else if (ferror(file))
        code = sharedmem_fail(errno, "cannot read %s: %s", name, strerror(errno));
    fclose(file);
    return code;
}

/* File i's counts, on the master. */
static int reduce(size_t i, void *result, void *context)
{
    struct job *job = context;
    const struct counts *counts = result;

    (void)i;
    job->totals->files += counts->files;
    job->totals->skipped += counts->skipped;
    job->totals->bytes += counts->bytes;
    for (size_t w = 0; w < job->n_words; w++)
        job->totals->words[w] += counts->words[w];
    return 0;
}

/* Counts everything. Without .error the library itself reports a failure, and ends the program. */
static struct counts *count_all(struct job *job, sharedmem_backend backend)
{
    job->totals = calloc(1, counts_bytes(job));
    if (job->totals == NULL) {
        perror("wordcount");
        exit(EXIT_FAILURE);
    }
    sharedmem_map(job->n_files, work, job, .result_size = counts_bytes(job), .reduce = reduce,
                  .backend = backend);
    return job->totals;
}

/* A link that leads nowhere is no file. What cannot be looked at is kept: to open it will say why. */
static int is_wanted(const struct dirent *entry)
{
    struct stat status;

    if (entry->d_name[0] == '.')
        return 0;
    if (stat(entry->d_name, &status) != 0)
        return errno != ENOENT && errno != ELOOP;
    return S_ISREG(status.st_mode);
}

/* Goes to the directory and lists its files by name. */
static bool list_files(struct job *job, const char *directory)
{
    int n = chdir(directory) == 0 ? scandir(".", &job->files, is_wanted, alphasort) : -1;

    if (n < 0) {
        fprintf(stderr, "wordcount: cannot read directory %s: %s\n", directory, strerror(errno));
        return false;
    }
    job->n_files = (size_t)n;
    return true;
}

static void free_files(struct job *job)
{
    for (size_t i = 0; i < job->n_files; i++)
        free(job->files[i]);
    free(job->files);
}

static bool is_word(const char *text)
{
    size_t length = 0;

    while (is_word_character((unsigned char)text[length]))
        length++;
    return length > 0 && length <= WORD_MAX && text[length] == '\0';
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void report(const struct job *job, const struct counts *totals, double time)
{
    size_t workers = (size_t)sharedmem_cpu_count();

    for (size_t w = 0; w < job->n_words; w++)
        printf("%10" PRIu64 "  %s\n", totals->words[w], job->words[w]);
    printf("text files: %" PRIu64 ", bytes: %" PRIu64 ", binary files skipped: %" PRIu64 "\n", totals->files,
           totals->bytes, totals->skipped);
    printf("workers: %zu, seconds: %.4f\n", workers < job->n_files ? workers : job->n_files, time);
}

/* Counts in parallel, and once more without workers. Returns whether both agree. */
static bool run(struct job *job)
{
    double begin = seconds();
    struct counts *totals = count_all(job, SHAREDMEM_PROCESSES);
    double time = seconds() - begin;
    struct counts *again = count_all(job, SHAREDMEM_SERIAL);
    bool agree = memcmp(totals, again, counts_bytes(job)) == 0;

    report(job, totals, time);
    puts(agree ? "right: a serial recount agrees" : "WRONG: a serial recount gives something else");
    free(totals);
    free(again);
    return agree;
}

int main(int argc, char **argv)
{
    struct job job = {.words = argv + 2};
    bool right;

    if (argc < 3) {
        fprintf(stderr, "usage: wordcount DIRECTORY WORD...    words of letters, digits and _\n");
        return 2;
    }
    job.n_words = (size_t)argc - 2;
    for (size_t w = 0; w < job.n_words; w++) {
        if (!is_word(job.words[w])) {
            fprintf(stderr, "wordcount: '%s' is not a word: give 1 to %d letters, digits or _\n",
                    job.words[w], WORD_MAX);
            return 2;
        }
    }
    if (!list_files(&job, argv[1]))
        return EXIT_FAILURE;
    right = run(&job);
    free_files(&job);
    return fflush(stdout) == 0 && right ? EXIT_SUCCESS : EXIT_FAILURE;
}
