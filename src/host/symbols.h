/*
 * symbols.h: what debug info says of an instruction: its function, static ones too, file and line.
 *
 * Needs elfutils: its headers when the library was built (HAVE_DWFL), and libdw.so.1 now. Where either is
 * missing nothing is found, and nothing is said of it. Why elfutils: libbacktrace would be smaller, but
 * Debian 12 has no package of it; addr2line is a process for each file, of a package that machines without
 * a compiler lack.
 *
 * libdw is loaded and works in a child of the caller's, for some milliseconds. A file that is broken, or
 * that grows while it is read, may crash it, and where memory is short it aborts the program or exits. All
 * that ends the child only, and so does a limit of 3 seconds; what it found until then counts. And nothing
 * of libdw gets into the program, no library, memory or descriptor. The child is gone when the call
 * returns.
 *
 * No file is read but the objects themselves, and nothing is asked of the network, whatever DEBUGINFOD_URLS
 * says: elfutils asks from its own ways to find debug info, and those are not used. So debug info that was
 * split off into a file of its own is not found either.
 */
#ifndef HOST_SYMBOLS_H
#define HOST_SYMBOLS_H

#include <stdint.h>

/*
 * As many functions are told of one instruction: the one that it was written in, and the outermost of those
 * that it was inlined in.
 */
#define SYMBOLS_DEPTH 6

/*
 * A file that a process has mapped. For another process than the caller it is what the line of its
 * /proc/PID/maps with offset 0 says.
 */
struct symbols_object {
    const char *path; /* NULL: nothing is known */
    uint64_t start;   /* where its first byte is mapped */
    /*
     * The same bytes as the caller has mapped them, at least a page; NULL: not at all. They are compared
     * with the file, which may have been built anew meanwhile: then nothing is found in it.
     */
    const void *image;
};

struct symbols_question {
    struct symbols_object object;
    uint64_t pc; /* the instruction; in a caller any byte of its call, not what it returns to */
};

struct symbols_place {
    char function[128]; /* as in the source, of C++ with its arguments; "" where unknown */
    char file[64];      /* as the compiler was given it; of a longer one the last folders; "" where unknown */
    int line;           /* 0: unknown, and so is the file */
    uint64_t offset;    /* of the last place: how far behind the function's symbol; else 0 */
};

struct symbols_answer {
    int n;                                      /* places; 0: nothing is known */
    struct symbols_place places[SYMBOLS_DEPTH]; /* from the innermost function on, each inlined in the next */
};

/*
 * Answers n questions, of 16 objects at most. Forks a child and waits for it: besides the fork 2 to 4 ms, for
 * a program of 10 MB 10, and 80 where its debug info is compressed. Any thread may call it; not for signal
 * handlers. In a program with raised privileges (AT_SECURE), or without memory, there are no answers. Keeps
 * errno.
 * Returns n answers for symbols_free(), or NULL.
 */
const struct symbols_answer *symbols_find(const struct symbols_question *questions, int n);

/* Takes back what symbols_find() returned for n questions; NULL too. Keeps errno. */
void symbols_free(const struct symbols_answer *answers, int n);

/* What the child loads libdw by: dlopen(3), unless a test sets another. */
extern void *(*symbols_dlopen)(const char *name, int flags);

#endif
