/* Functions and lines from debug info; and what is left of them where something is missing or broken. */
#include "host/symbols.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/crash.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define NOINLINE static __attribute__((noinline))
#define INLINE   static inline __attribute__((always_inline))

/* ---- Places whose names and lines are known ---- */

struct known {
    uint64_t pc;
    int line, middle_line, caller_line; /* the last two: of the functions that it is inlined in */
};

/* Within the call of this. */
NOINLINE uint64_t here(void)
{
    return (uintptr_t)__builtin_return_address(0) - 1;
}

/* Neither is the last call of its function, which would be a jump. */
static volatile int after;

NOINLINE void in_static(struct known *known)
{
    known->pc = here(), known->line = __LINE__;
    after++;
}

INLINE void in_inlined(struct known *known)
{
    known->pc = here(), known->line = __LINE__;
    after++;
}

INLINE void in_middle(struct known *known)
{
    in_inlined(known), known->middle_line = __LINE__;
    after++;
}

#define DEEPER(name, inner)                                                                                  \
    INLINE void name(struct known *known)                                                                    \
    {                                                                                                        \
        inner(known);                                                                                        \
        after++;                                                                                             \
    }

DEEPER(in_third, in_middle)
DEEPER(in_fourth, in_third)
DEEPER(in_fifth, in_fourth)
DEEPER(in_sixth, in_fifth)

NOINLINE void in_deep(struct known *known)
{
    in_sixth(known);
    after++;
}

NOINLINE void in_outer(struct known *known)
{
    in_middle(known), known->caller_line = __LINE__;
    after++;
}

/* ---- This program as an object, and copies of it ---- */

static const void *start_of_program;

static int take_first(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_offset == 0)
            start_of_program = (const void *)(uintptr_t)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    }
    return 1;
}

/* As if it were mapped where this program is; that it differs is not looked at. */
static struct symbols_object object_of(const char *path)
{
    return (struct symbols_object){.path = path, .start = (uintptr_t)start_of_program};
}

static struct symbols_object program(void)
{
    return (struct symbols_object){"/proc/self/exe", (uintptr_t)start_of_program, start_of_program};
}

static struct symbols_answer ask(const struct symbols_object *object, uint64_t pc)
{
    struct symbols_question question = {*object, pc};
    const struct symbols_answer *answers = symbols_find(&question, 1);
    struct symbols_answer answer = {.n = 0};

    if (answers != NULL)
        answer = *answers;
    symbols_free(answers, 1);
    return answer;
}

static char folder[64], copy[80], unstripped[80];

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "w");

    if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
        printf("Bail out! cannot write %s\n", path), exit(1);
}

static char *read_program(size_t *n)
{
    FILE *file = fopen("/proc/self/exe", "r");
    struct stat stat;
    char *bytes;

    fstat(fileno(file), &stat);
    bytes = malloc((size_t)stat.st_size);
    *n = fread(bytes, 1, (size_t)stat.st_size, file);
    fclose(file);
    return bytes;
}

static void make_folder(void)
{
    size_t n;
    char *bytes = read_program(&n);

    snprintf(folder, sizeof folder, "/tmp/symbols.XXXXXX");
    if (mkdtemp(folder) == NULL)
        printf("Bail out! no folder in /tmp\n"), exit(1);
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(unstripped, sizeof unstripped, "%s/program", folder);
    write_file(unstripped, bytes, n);
    free(bytes);
}

static void remove_folder(void)
{
    unlink(copy);
    unlink(unstripped);
    rmdir(folder);
}

/* ---- With and without ---- */

/* Whether the program as it was built and as it runs here can have lines. */
static bool has_lines(void)
{
    struct symbols_object object = object_of(unstripped);
    struct symbols_answer answer;
    struct known known;

    in_static(&known);
    answer = ask(&object, known.pc);
    return answer.n == 1 && answer.places[0].line > 0;
}

/* Exported, so that the linker knows its name. */
__attribute__((visibility("default"))) void exported_function(void);

__attribute__((visibility("default"), noinline)) void exported_function(void)
{
    after++;
}

static void *no_library(const char *name, int flags)
{
    (void)name, (void)flags;
    return NULL;
}

static void *other_library(const char *name, int flags)
{
    (void)name;
    return dlopen("libc.so.6", flags);
}

static int *volatile nowhere;

/* What it does wrong is none of UBSan's business. */
__attribute__((no_sanitize("undefined"))) static void *crashing_library(const char *name, int flags)
{
    (void)name, (void)flags;
    *nowhere = 1;
    return NULL;
}

static void *aborting_library(const char *name, int flags)
{
    (void)name, (void)flags;
    abort();
}

static void *exiting_library(const char *name, int flags)
{
    (void)name, (void)flags;
    _exit(1);
}

static void *hanging_library(const char *name, int flags)
{
    (void)name, (void)flags;
    while (after >= 0)
        pause();
    return NULL;
}

static const struct {
    void *(*library)(const char *name, int flags);
    const char *name;
} libraries[] = {
    {no_library, "no libdw"},
    {other_library, "a libdw without the calls"},
    {crashing_library, "a libdw that crashes"},
    {aborting_library, "one that aborts"},
    {exiting_library, "one that ends the program"},
    {hanging_library, "one that hangs"},
};

/* The traceback is what it was before there were symbols. */
static void test_without(void)
{
    struct crash_shared slot = {.n_pcs = 1, .pcs = {(uintptr_t)exported_function + 1}};
    char text[256];

    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        symbols_dlopen = libraries[i].library;
        crash_format(&slot, text, sizeof text);
        test_has("  #0 exported_function+0x1 (symbols.t+0x", text, "%s: the linker's names are left",
                 libraries[i].name);
        test_int(0, test_children(), "%s: no child is left", libraries[i].name);
    }
    symbols_dlopen = dlopen;
}

static void test_arguments(void)
{
    struct symbols_question question = {{NULL, 0, NULL}, 1};
    const struct symbols_answer *answers = symbols_find(&question, 1);

    test_ok(answers == NULL || answers->n == 0, "no object: nothing is known");
    symbols_free(answers, 1);
    test_ok(symbols_find(&question, 0) == NULL, "no questions, no answers");
    symbols_free(NULL, 0);
}

/* ---- What is found ---- */

/* A long one is cut at its beginning. */
static bool is_this_file(const char *file)
{
    const char *all = __FILE__;

    return strlen(file) <= strlen(all) && strcmp(all + strlen(all) - strlen(file), file) == 0 &&
           strlen(file) >= strlen("symbols.c");
}

static void test_place(const struct symbols_place *place, const char *function, int line, const char *name)
{
    test_str(function, place->function, "%s: the function", name);
    test_ok(is_this_file(place->file), "%s: the file as the compiler was given it: %s", name, place->file);
    test_int(line, place->line, "%s: the line", name);
}

static void test_lines(void)
{
    struct symbols_object object = program();
    struct symbols_answer answer;
    struct known known;

    in_static(&known);
    answer = ask(&object, known.pc);
    test_int(1, answer.n, "a static function is one place");
    test_place(&answer.places[0], "in_static", known.line, "a static function");
    test_ok(answer.places[0].offset == known.pc - (uintptr_t)in_static,
            "it knows how far it is in the function");
    in_outer(&known);
    answer = ask(&object, known.pc);
    if (!test_int(3, answer.n, "an inlined function, in one that is inlined: each is a place"))
        return;
    test_place(&answer.places[0], "in_inlined", known.line, "an inlined function");
    test_place(&answer.places[1], "in_middle", known.middle_line, "the one that it is inlined in");
    test_place(&answer.places[2], "in_outer", known.caller_line, "the last one has the code");
    test_ok(answer.places[2].offset == known.pc - (uintptr_t)in_outer, "and the offset");
    errno = EDOM;
    ask(&object, known.pc);
    test_int(EDOM, errno, "errno is kept");
    in_deep(&known);
    answer = ask(&object, known.pc);
    test_int(SYMBOLS_DEPTH, answer.n, "no more places than there is room for");
    test_place(&answer.places[0], "in_inlined", known.line, "the innermost one is there");
    test_str("in_third", answer.places[1].function, "what it is inlined in is not");
    test_str("in_deep", answer.places[SYMBOLS_DEPTH - 1].function, "the outermost one is");
    test_ok(answer.places[SYMBOLS_DEPTH - 1].offset == known.pc - (uintptr_t)in_deep, "with its offset");
}

static void test_traceback(void)
{
    struct symbols_object object = program();
    struct symbols_answer answer;
    struct crash_shared slot = {.n_pcs = 2};
    char text[1024], expected[512];
    struct known inlined, plain;

    in_outer(&inlined);
    in_static(&plain);
    slot.pcs[0] = inlined.pc;
    slot.pcs[1] = plain.pc;
    answer = ask(&object, inlined.pc);
    test_int(4, crash_format(&slot, text, sizeof text), "a traceback has a line for each of them");
    snprintf(
        expected, sizeof expected,
        "  #0 in_inlined at %s:%d\n     inlined in in_middle at %s:%d\n     inlined in in_outer at %s:%d "
        "(symbols.t+0x",
        answer.places[0].file, inlined.line, answer.places[1].file, inlined.middle_line,
        answer.places[2].file, inlined.caller_line);
    test_has(expected, text, "inlined functions in a traceback");
    snprintf(expected, sizeof expected, ")\n  #1 in_static at %s:%d (symbols.t+0x", answer.places[0].file,
             plain.line);
    test_has(expected, text, "and the caller");
}

static const char *const odd_paths[] = {
    "", "/", "/nonexistent", "/dev/null", "/dev/zero", "/dev/tty", "/proc/self/mem", "/etc/passwd",
};

static void test_odd_files(void)
{
    struct symbols_object object;
    struct known known;

    in_static(&known);
    for (size_t i = 0; i < COUNT_OF(odd_paths); i++) {
        object = object_of(odd_paths[i]);
        test_int(0, ask(&object, known.pc).n, "\"%s\" tells nothing", odd_paths[i]);
    }
    unlink(copy);
    mkfifo(copy, 0600);
    object = object_of(copy);
    test_int(0, ask(&object, known.pc).n, "a pipe tells nothing, and is not waited for");
    unlink(copy);
    object = program();
    test_int(0, ask(&object, 16).n, "a pc outside of the object: nothing");
    test_int(0, ask(&object, UINT64_MAX).n, "nor one at the end of all memory");
}

/* One that was built again meanwhile has another first page. */
static void test_rebuilt(void)
{
    struct symbols_object object = program();
    struct known known;
    char image[4096];

    in_static(&known);
    memcpy(image, start_of_program, sizeof image);
    object.image = image;
    test_int(1, ask(&object, known.pc).n, "what is mapped is what the file has");
    image[sizeof image - 1] ^= 1;
    test_int(0, ask(&object, known.pc).n, "a file that is another now tells nothing");
}

static void test_many_objects(void)
{
    struct symbols_question questions[17] = {0};
    const struct symbols_answer *answers;
    struct known known;

    in_static(&known);
    for (int i = 0; i < 17; i++) {
        questions[i].object = (struct symbols_object){"/nonexistent", (uint64_t)i << 12, NULL};
        questions[i].pc = questions[i].object.start + 1;
    }
    questions[15] = (struct symbols_question){program(), known.pc};
    questions[16] = questions[15];
    questions[16].object.start++;
    questions[16].pc++;
    answers = symbols_find(questions, 17);
    test_int(1, answers[15].n, "the 16th object is looked at");
    test_int(0, answers[14].n + answers[16].n, "of more nothing is found");
    symbols_free(answers, 17);
}

/* The same pc again, as in a recursion. */
static void test_repeats(void)
{
    struct symbols_question questions[64];
    const struct symbols_answer *answers;
    int n_found = 0;
    struct known known;

    in_outer(&known);
    for (int i = 0; i < 64; i++)
        questions[i] = (struct symbols_question){program(), known.pc};
    answers = symbols_find(questions, 64);
    for (int i = 0; i < 64; i++)
        n_found += answers[i].n == 3 && strcmp(answers[i].places[2].function, "in_outer") == 0;
    test_int(64, n_found, "the same question has the same answer");
    symbols_free(answers, 64);
}

/* ---- Files with less in them ---- */

static bool make_copy(const char *command)
{
    char line[256];

    snprintf(line, sizeof line, "%s %s %s 2>/dev/null", command, unstripped, copy);
    return system(line) == 0;
}

static void test_stripped(void)
{
    struct symbols_object object = object_of(copy);
    struct symbols_answer answer;
    struct known known;

    if (!make_copy("objcopy --strip-debug")) {
        test_skip("there is no objcopy");
        return;
    }
    in_static(&known);
    answer = ask(&object, known.pc);
    test_int(1, answer.n, "without debug info there is the symbol table");
    test_str("in_static", answer.places[0].function, "that has static functions");
    test_int(0, answer.places[0].line, "without lines");
    test_str("", answer.places[0].file, "and files");
    test_ok(answer.places[0].offset == known.pc - (uintptr_t)in_static, "but with offsets");
    if (make_copy("objcopy --remove-section .debug_aranges"))
        test_int(1, ask(&object, known.pc).places[0].line > 0,
                 "the table of units may be missing, as clang has it");
    if (make_copy("objcopy --strip-all"))
        test_int(0, ask(&object, known.pc).n, "a stripped one tells nothing of a static function");
}

/* Numbers that are the same each time. */
static unsigned random_number(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33);
}

/* Where its headers of sections lie, and the debug info before them. */
static size_t begin_of_info(const char *bytes, size_t n)
{
    ElfW(Ehdr) header;

    memcpy(&header, bytes, sizeof header);
    return header.e_shoff < n ? header.e_shoff : n - 1;
}

static void break_bytes(char *bytes, size_t n)
{
    static const char values[] = {0, 1, 0x7f, (char)0x80, (char)0xff};
    size_t sections = begin_of_info(bytes, n);

    for (unsigned k = 0, times = 1u << random_number() % 8; k < times; k++) {
        size_t place =
            random_number() % 4 == 0 ? sections + random_number() % (n - sections) : random_number() % n;

        bytes[place] = values[random_number() % sizeof values];
    }
}

/* All that matters is that it comes back. */
static void test_broken(void)
{
    struct symbols_object object = object_of(copy);
    int rounds = test_under_valgrind() ? 10 : 300, n_found = 0;
    size_t n;
    char *bytes = read_program(&n), *broken = malloc(n);
    struct known known;

    in_outer(&known);
    for (int i = 0; i < rounds; i++) {
        memcpy(broken, bytes, n);
        break_bytes(broken, n);
        write_file(copy, broken, i % 5 == 0 ? 1 + random_number() % n : n);
        n_found += ask(&object, known.pc).n > 0;
    }
    free(bytes);
    free(broken);
    test_ok(n_found >= 0, "%d broken files: nothing happens, and %d tell something", rounds, n_found);
}

/* ---- What it must not do ---- */

static bool read_pages(long *size, long *resident)
{
    FILE *file = fopen("/proc/self/statm", "r");
    bool are_read = file != NULL && fscanf(file, "%ld %ld", size, resident) == 2;

    if (file != NULL)
        fclose(file);
    return are_read;
}

static void test_leaks(void)
{
    struct symbols_object object = program();
    int rounds = test_under_valgrind() ? 5 : 1000, fds = test_fds(), n_found = 0;
    long size = 0, resident = 0, size_before = 0, resident_before = 0;
    struct known known;

    in_outer(&known);
    for (int i = -10; i < rounds; i++) {
        if (i == 0)
            read_pages(&size_before, &resident_before);
        n_found += ask(&object, known.pc).n;
    }
    read_pages(&size, &resident);
    test_int(3 * (rounds + 10), n_found, "%d times the same is found", rounds);
    test_int(fds, test_fds(), "no fd is left open");
    test_int(0, test_children(), "nor a child");
    if (!test_address_sanitized() && !test_thread_sanitized() && !test_under_valgrind()) {
        test_int(size_before, size, "nor memory mapped");
        test_ok(resident - resident_before < 128, "nor used"); /* the kernel counts by 64 */
    }
    test_ok(dlopen("libdw.so.1", RTLD_NOW | RTLD_NOLOAD) == NULL, "and the library was not loaded here");
}

/* Has so much memory, and no more. */
static void find_within(rlim_t bytes)
{
    struct symbols_object object = program();
    struct rlimit limit = {0, 0};
    long pages, resident;
    struct known known;

    in_outer(&known);
    if (!read_pages(&pages, &resident))
        test_child_exit(1);
    limit.rlim_cur = limit.rlim_max = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
    setrlimit(RLIMIT_AS, &limit);
    ask(&object, known.pc);
    test_child_exit(7);
}

/* Here libdw itself ends the program, by abort() or exit(). */
static void test_no_memory(void)
{
    int n_survived = 0, n_tried = 0, status;

    if (test_address_sanitized() || test_thread_sanitized() || test_under_valgrind()) {
        test_skip("memory has no end under a sanitizer");
        return;
    }
    for (rlim_t bytes = 0; bytes < 4 << 20; bytes += 64 << 10) {
        pid_t child = fork();

        if (child == 0)
            find_within(bytes);
        waitpid(child, &status, 0);
        n_tried++;
        n_survived += WIFEXITED(status) && WEXITSTATUS(status) == 7;
    }
    test_int(n_tried, n_survived, "with little memory it may find nothing, and the program goes on");
}

static int listen_locally(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    *port = ntohs(address.sin_port);
    return fd;
}

static void test_network(void)
{
    struct symbols_object object = object_of(copy);
    struct known known;
    int port, status, fd = listen_locally(&port);
    pid_t child;

    if (fd < 0 || !make_copy("objcopy --strip-debug")) {
        test_skip("no network, or no objcopy");
        return;
    }
    in_static(&known);
    child = fork();
    if (child == 0) {
        char url[64];

        snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
        setenv("DEBUGINFOD_URLS", url, 1);
        setenv("DEBUGINFOD_TIMEOUT", "1", 1);
        setenv("DEBUGINFOD_CACHE_PATH", folder, 1);
        ask(&object, known.pc);
        test_child_exit(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 0 ? 7 : 1);
    }
    close(fd);
    waitpid(child, &status, 0);
    test_ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "no server is asked for debug info");
}

static void *find_often(void *known_pc)
{
    struct symbols_object object = program();
    intptr_t n_found = 0;

    for (int i = 0; i < 20; i++)
        n_found += ask(&object, *(uint64_t *)known_pc).n;
    return (void *)n_found;
}

static void test_threads(void)
{
    pthread_t threads[4];
    struct known known;
    intptr_t sum = 0;
    void *n_found;

    in_static(&known);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, find_often, &known.pc);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &n_found);
        sum += (intptr_t)n_found;
    }
    test_int(80, sum, "threads find at the same time");
}

int main(void)
{
    int fds;

    test_begin(120);
    fds = test_fds();
    dl_iterate_phdr(take_first, NULL);
    make_folder();
    test_arguments();
    test_without();
    test_odd_files();
    test_broken();
    test_network();
    if (has_lines()) {
        test_lines();
        test_traceback();
        test_rebuilt();
        test_many_objects();
        test_repeats();
        test_stripped();
        test_leaks();
        test_no_memory();
        test_threads();
    } else {
        test_skip("no lines: without libdw-dev or libdw, or compiled without -g");
    }
    remove_folder();
    test_int(fds, test_fds(), "no fd is left open");
    return test_end();
}
