/*
 * 200 random command lines and environments through smrrun itself, with a program that leaves a mark for each rank:
 * it ends in time; where it refuses it says so in three lines at most and no rank has run; else all ranks have.
 * TEST_ROUNDS says how many, TEST_SEED which.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smrrun_grammar.h"
#include "tap.h"

/* The mark says which rank of how many it was. */
static const char program[] = "#!/bin/sh\n: >\"$FUZZ_MARKS/$SHAREDMEM_RANK.$SHAREDMEM_SIZE\"\n";

static char smrrun[PATH_MAX], folder[] = "/tmp/sharedmem-test-fuzz.XXXXXX", marks[64];

/* ---- Its folder ---- */

static bool write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return is_written;
}

/* Removes all in it, and it. */
static void remove_folder(const char *path)
{
    DIR *entries = opendir(path);
    struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        char name[PATH_MAX];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (unlink(name) != 0)
            remove_folder(name);
    }
    if (entries != NULL)
        closedir(entries);
    rmdir(path);
}

static bool make_folder(void)
{
    bool is_made = mkdtemp(folder) != NULL && chdir(folder) == 0 && mkdir("sub", 0700) == 0;

    snprintf(marks, sizeof marks, "%s/marks", folder);
    return is_made && write_file("mark", program, 0700) && write_file("sub/mark", program, 0700) &&
           write_file("plain", program, 0600) && write_file("hosts", "localhost\n", 0600);
}

/* How many ranks have run; -1: not all of a job, or of two. Takes the marks away. */
static int count_marks(void)
{
    DIR *entries = opendir(marks);
    struct dirent *entry;
    int n = 0, size = -1;

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        int rank, of;

        if (sscanf(entry->d_name, "%d.%d", &rank, &of) != 2)
            continue;
        size = size == -1 || size == of ? of : -2;
        n++;
    }
    if (entries != NULL)
        closedir(entries);
    remove_folder(marks);
    return n == 0 ? 0 : n == size ? n : -1;
}

/* ---- A run ---- */

static void become_smrrun(char **argv, int errors)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    /* What is not in this folder is not found, whatever a slip has made of a name. */
    setenv("PATH", folder, 1);
    setenv("FUZZ_MARKS", marks, 1);
    execv(smrrun, argv);
    test_child_exit(99);
}

/* Runs it. said: gets what it prints to stderr. Returns its wait status. */
static int run(char **argv, char *said, size_t size)
{
    int ends[2], status = -1;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    mkdir(marks, 0700);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        become_smrrun(argv, ends[1]);
    close(ends[1]);
    while (used + 1 < size && (n = read(ends[0], said + used, size - used - 1)) > 0)
        used += (size_t)n;
    said[used] = '\0';
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* ---- What must hold. Each returns NULL, or what does not ---- */

static const char *check_refusal(const char *said)
{
    size_t length = strlen(said), n_lines = 0;

    if (length == 0 || said[length - 1] != '\n')
        return "what is refused is told, in whole lines";
    for (const char *c = said; *c != '\0'; c++) {
        n_lines += *c == '\n';
        if ((*c > 0 && *c < ' ' && *c != '\n') || *c == 0x7f)
            return "without characters that a terminal would obey";
        if ((c == said || c[-1] == '\n') && strncmp(c, "smrrun: ", 8) != 0)
            return "each line says who speaks";
    }
    return n_lines <= 3 ? NULL : "in three lines at most";
}

static const char *check(int status, int n_marks, const char *said)
{
    if (!WIFEXITED(status))
        return "it exits";
    switch (WEXITSTATUS(status)) {
    case 0:
        return n_marks >= 0 ? NULL : "all ranks have run, or none";
    case 124:
        return NULL;
    case 125:
    case 126:
    case 127:
        return n_marks == 0 ? check_refusal(said) : "where it is refused no rank has run";
    default:
        return "its status is 0, 124 to 127";
    }
}

static long rounds_of(void)
{
    const char *text = getenv("TEST_ROUNDS");

    return text != NULL ? atol(text) : 200;
}

int main(void)
{
    struct grammar grammar;
    long n_refused = 0, n_run = 0, rounds;
    const char *wrong = NULL, *builddir = getenv("builddir");
    char here[PATH_MAX - 16], said[8192] = "";

    test_begin(120);
    rounds = rounds_of();
    grammar = grammar_start(8);
    grammar.is_tame = true;
    if (chdir(builddir != NULL ? builddir : ".") != 0 || getcwd(here, sizeof here) == NULL)
        return 1;
    snprintf(smrrun, sizeof smrrun, "%s/smrrun", here);
    if (access(smrrun, X_OK) != 0)
        test_skip_all("smrrun is not built in %s", here);
    if (!test_ok(make_folder(), "a folder of its own"))
        return test_end();
    for (long i = 0; i < rounds && wrong == NULL; i++) {
        int status, n_marks;

        grammar_environment(&grammar);
        grammar_line(&grammar);
        status = run(grammar.argv, said, sizeof said);
        n_marks = count_marks();
        wrong = check(status, n_marks, said);
        n_refused += WIFEXITED(status) && WEXITSTATUS(status) >= 125;
        n_run += n_marks > 0;
        if (wrong != NULL)
            test_note("line %ld, status %x, %d marks: %s", i, (unsigned)status, n_marks, said);
    }
    for (int i = 0; i < grammar.argc && wrong != NULL; i++)
        test_note("word %d: '%s'", i, grammar.words[i]);
    test_str(NULL, wrong, "%ld lines", rounds);
    test_note("%ld refused, %ld run", n_refused, n_run);
    test_ok(n_refused > rounds / 10 && n_run > rounds / 10, "there are many of both kinds");
    test_int(0, test_children(), "no process is left");
    if (chdir("/") == 0)
        remove_folder(folder);
    return test_end();
}
