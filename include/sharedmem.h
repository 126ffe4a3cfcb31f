/*
 * sharedmem.h: parallel programming on one shared-memory machine. The whole public interface, in the order of
 * the manual sharedmem(7): errors, the machine, shared memory, arrays, map, background, over arrays, parallel,
 * ranks, teams, loops, collectives, regions, mutexes and counters, debug mode.
 *
 * Plain C11, usable from C++; every macro has a function under it for other languages. C++ needs that instead of
 * the macros that take options by name or an array's shape in braces, and of SHAREDMEM_FOR.
 * Names keep the spelling of the Python package sharedmem, whose ideas these are, with the prefix sharedmem_.
 *
 * Unless a call says otherwise, any thread may call it, at any time, in the master and in workers; threads of
 * OpenMP too. A program need not be linked with it: what it loads by dlopen(3) may be, and it then stays loaded.
 */
#ifndef SHAREDMEM_H
#define SHAREDMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SHAREDMEM_API                 __attribute__((__visibility__("default")))
#define SHAREDMEM_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define SHAREDMEM_MALLOC              __attribute__((__malloc__, __warn_unused_result__))
#else
#define SHAREDMEM_API
#define SHAREDMEM_PRINTF(text, first)
#define SHAREDMEM_MALLOC
#endif

/* For calls of a few nanoseconds: called directly, not by way of a jump. */
#if defined(__has_attribute)
#if __has_attribute(__noplt__)
#define SHAREDMEM_DIRECT __attribute__((__noplt__))
#endif
#endif
#if !defined(SHAREDMEM_DIRECT)
#define SHAREDMEM_DIRECT
#endif

/* The place of a call, "file:line"; messages name it. */
#define SHAREDMEM_HERE               SHAREDMEM_HERE_(__FILE__, __LINE__)
#define SHAREDMEM_HERE_(file, line)  SHAREDMEM_HERE__(file, line)
#define SHAREDMEM_HERE__(file, line) file ":" #line

/*
 * The version of the library that runs, as "1.2.3".
 * Owner: the library; never NULL.
 */
SHAREDMEM_API const char *sharedmem_version(void);

/* ---- Errors ------------------------------------------------------------------------------------------- */

/*
 * A call that fails returns -1 or NULL and sets errno. Where a person must read why, the call takes a
 * sharedmem_error and fills it. Given none, the error is uncaught: it is printed once and the program ends
 * with status 1; in a worker the item fails instead. sharedmem_set_uncaught() changes that.
 */
typedef enum sharedmem_error_kind {
    SHAREDMEM_ERROR_NONE = 0,
    SHAREDMEM_ERROR_USAGE,     /* the call was wrong: bad argument, wrong place */
    SHAREDMEM_ERROR_SYSTEM,    /* the system refused; code is the errno */
    SHAREDMEM_ERROR_RETURNED,  /* a function of the user returned non-zero; code is what it returned */
    SHAREDMEM_ERROR_SIGNAL,    /* a process was ended by a signal; code is the signal's number */
    SHAREDMEM_ERROR_EXITED,    /* a process ended inside a function of the user; code is its exit status */
    SHAREDMEM_ERROR_NO_MEMORY, /* memory ran out: the shared heap, or a limit of the machine */
    SHAREDMEM_ERROR_DEADLOCK   /* those who wait can never be woken */
} sharedmem_error_kind;

/* No item: the value of sharedmem_error.item where the error belongs to none. */
#define SHAREDMEM_NO_ITEM UINT64_MAX

/* What went wrong, as plain data of 4096 bytes without pointers: it may be copied, stored and sent. */
typedef struct sharedmem_error {
    int32_t kind;         /* a sharedmem_error_kind */
    int32_t code;         /* errno, returned code, signal or exit status, by kind */
    int32_t rank;         /* the worker or rank it happened in; -1: none */
    int32_t pid;          /* its process; 0: none */
    uint64_t item;        /* the item it worked on, or SHAREDMEM_NO_ITEM */
    char where[104];      /* the call that reports it, "file:line"; "" where unknown */
    char message[896];    /* one sentence for a person, without a newline */
    char traceback[3072]; /* lines of where it happened, each with a newline; "" where unknown */
} sharedmem_error;

/*
 * Says why an item fails and returns the code for it: return sharedmem_fail(code, "cannot open %s", name);
 *
 * code: what to return, non-zero; 0 is taken as -1, so that a failure is never lost.
 * format: as printf's, cut after 895 bytes.
 * Caller: a function of the user (work, reduce, body), in the thread that the library called it in. The
 *   message is kept until that function returns; it is dropped if the function returns 0.
 * Returns code.
 */
SHAREDMEM_API int sharedmem_fail(int code, const char *format, ...) SHAREDMEM_PRINTF(2, 3);

/* sharedmem_fail() with a ready message, for languages without C's variadic calls. NULL is "". */
SHAREDMEM_API int sharedmem_fail_message(int code, const char *message);

/*
 * Prints error to stderr as one line, its traceback after it. NULL prints nothing. Blocks as write(2) does.
 */
SHAREDMEM_API void sharedmem_print_error(const sharedmem_error *error);

/* Gets an error that nobody asked for. If it returns, the call that failed returns its -1 or NULL. */
typedef void sharedmem_uncaught_handler(const sharedmem_error *error);

/*
 * Sets what happens to uncaught errors in this process, and in the workers that it starts from then on.
 *
 * handler: called in the thread that failed; NULL: nothing happens and the call just returns.
 * Returns the handler until now; sharedmem_uncaught is the one a program starts with.
 */
SHAREDMEM_API sharedmem_uncaught_handler *sharedmem_set_uncaught(sharedmem_uncaught_handler *handler);

/*
 * The handler a program starts with: prints the error, then ends the program (in a worker: fails the item).
 */
SHAREDMEM_API void sharedmem_uncaught(const sharedmem_error *error);

/* Gets one warning without a newline. It must not call the library. */
typedef void sharedmem_log_handler(const char *message);

/*
 * Sets who gets the library's warnings in this process.
 *
 * handler: NULL: they are dropped.
 * Returns the handler until now; a program starts with one that writes "sharedmem: message" to stderr.
 */
SHAREDMEM_API sharedmem_log_handler *sharedmem_set_log(sharedmem_log_handler *handler);

/* ---- The machine -------------------------------------------------------------------------------------- */

/*
 * How many workers a map starts by default: the first good value of SHAREDMEM_NP, OMP_NUM_THREADS (the first
 * of its list) and PBS_NUM_PPN, else the physical cores that this process may use by its cgroup and affinity,
 * capped by the cgroup's cpu quota. A malformed value is warned of once and skipped.
 *
 * Returns 1 to 4096; never fails. The variables are read at each call, the machine once per process.
 * Source: cpu_count() of Python's sharedmem.
 */
SHAREDMEM_API int sharedmem_cpu_count(void);

/*
 * Where sharedmem_cpu_count() has its value from: "SHAREDMEM_NP", "OMP_NUM_THREADS", "PBS_NUM_PPN", "cores",
 * "cpu quota", or "processors" where the cores are unknown.
 * Owner: the library; never NULL.
 */
SHAREDMEM_API const char *sharedmem_cpu_count_source(void);

/*
 * The memory that this process could ever have, in bytes: the smaller of the machine's and of every cgroup
 * limit above the process. Never fails; 0 where the system does not tell.
 * Source: total_memory() of Python's sharedmem.
 */
SHAREDMEM_API uint64_t sharedmem_total_memory(void);

/* What of sharedmem_total_memory() is unused now, in bytes: a moment's figure, others may take it. */
SHAREDMEM_API uint64_t sharedmem_available_memory(void);

/* ---- Shared memory ------------------------------------------------------------------------------------ */

/*
 * Shared memory is one heap per program, made at the first call that needs it. Every worker sees it at the
 * same address: a pointer into it is good in all of them, and what one allocates another may use and free. It
 * has no name in the file system and is gone with the last process. Its size is SHAREDMEM_HEAP where set
 * (64M, 2G), else what memory and limits allow; pages cost nothing until they are touched.
 *
 * What the machine cannot hold is refused here, as far as that can be known: the heap, the memory that the
 * machine has available, each cgroup's limit less what is used, and under vm.overcommit_memory=2 the commit
 * limit; less what was handed out and nobody has touched yet. A block up to 1 MiB has its memory when it is
 * returned. A larger one gets it where it is touched first, and others may have taken it by then: a worker
 * that ends of that (SIGBUS in the heap, or the system kills it) is an error of kind NO_MEMORY, with sizes.
 *
 * Blocks are aligned to 64 bytes. All calls are as those of malloc(3): NULL with errno
 *   ENOMEM   memory has run out, of the heap or of the machine; a warning says which limit it was, with sizes,
 *            once for each cause; calls with a sharedmem_error have that in the error
 *   EAGAIN   the program has more threads and processes than the member table's 16,383
 *   EINVAL   SHAREDMEM_HEAP is less than 16M or more than 8192G
 *   EFBIG    ulimit -f, which limits the heap too, is less than it needs
 *   or what memfd_create(2) says. Where there can be no heap at all, a warning says why, once.
 * They may wait, for microseconds, for another member's call. They are not for signal handlers: inside a
 * handler that interrupted one of them they fail with EDEADLK, and one that forks there leaves the child undefined.
 */

/* Allocates size bytes of shared memory, not initialised; at least one byte. */
SHAREDMEM_API void *sharedmem_malloc(size_t size) SHAREDMEM_MALLOC;

/* Allocates count elements of size bytes, all zero. errno ENOMEM also where the product overflows. */
SHAREDMEM_API void *sharedmem_calloc(size_t count, size_t size) SHAREDMEM_MALLOC;

/*
 * Makes a block size bytes large and keeps its content up to the smaller size; it may move.
 *
 * block: NULL allocates; size 0 gives a block of one byte, it does not free.
 * Returns NULL where memory has run out; the block is then as it was.
 */
SHAREDMEM_API void *sharedmem_realloc(void *block, size_t size);

/*
 * Allocates size bytes at a multiple of alignment, a power of two up to 2 MiB. errno EINVAL where it is not.
 */
SHAREDMEM_API void *sharedmem_aligned_alloc(size_t alignment, size_t size) SHAREDMEM_MALLOC;

/*
 * Frees a block of the shared heap, whoever allocated it. NULL is fine. Keeps errno.
 *
 * What is no block of the heap, or no longer one, is an uncaught usage error; the heap stays whole.
 */
SHAREDMEM_API void sharedmem_free(void *block);

/*
 * How many bytes of block may be used: what was asked for or a little more. 0 for NULL and what is no block.
 */
SHAREDMEM_API size_t sharedmem_usable_size(const void *block);

/* Whether address lies in the shared heap of this program, and so is seen by all its workers. */
SHAREDMEM_API bool sharedmem_is_shared(const void *address);

/*
 * With SHAREDMEM_HEAP_CHECK=1 in the environment of whoever makes the heap (the program, or smrrun) each block
 * carries a guard. Then freeing a block twice, freeing one that was written beyond its end, and writing to
 * one after it was freed are told with its size and where it was allocated and freed, file:line where there is
 * debug info. Each allocation costs microseconds and some 100 bytes more.
 */

/*
 * Checks the whole heap: every list, every block, every sum, and in a checked heap every guard.
 *
 * error: filled with the first thing found wrong; may be NULL.
 * Blocks other members' allocations meanwhile. Returns 0 where the heap is whole, else -1 with errno EUCLEAN,
 * or where there is no heap as sharedmem_malloc().
 */
SHAREDMEM_API int sharedmem_heap_check(sharedmem_error *error);

/* What the heap is made of at a moment, in bytes. */
typedef struct sharedmem_heap_statistics {
    uint64_t capacity_bytes; /* what it can hold */
    uint64_t used_bytes;     /* pages of blocks, small ones together with their neighbours */
    uint64_t kept_bytes;     /* of that: freed small blocks that their members keep for their next calls */
    uint64_t resident_bytes; /* of that: in memory now; pages that nobody has touched yet are not */
    uint64_t huge_bytes;     /* of that: in huge pages, as far as this process has touched them */
    uint64_t n_blocks;       /* blocks that are allocated and not freed, the library's own among them */
    uint64_t is_checked;     /* 1: SHAREDMEM_HEAP_CHECK */
    uint64_t reserved[9];    /* 0 */
} sharedmem_heap_statistics;

/*
 * Reads the heap's statistics: exact where no other member allocates or frees meanwhile. It takes milliseconds
 * where gigabytes are used.
 *
 * Returns 0, or where there is no heap -1 with errno as sharedmem_malloc(). NULL is an uncaught usage error (EINVAL).
 */
SHAREDMEM_API int sharedmem_heap_statistics_read(sharedmem_heap_statistics *statistics);

/*
 * Allocates count elements of a type, all zero: double *x = sharedmem_new(double, n);
 * It is sharedmem_calloc() with a cast to a pointer to the type, and fails as that does.
 */
#define sharedmem_new(type, count) ((type *)sharedmem_calloc((count), sizeof(type)))

/*
 * Copies size bytes, of private or shared memory, into a new block. What is NULL is an uncaught usage error
 * (EINVAL), but for size 0.
 */
SHAREDMEM_API void *sharedmem_memdup(const void *memory, size_t size) SHAREDMEM_MALLOC;

/* Copies text with its 0 into a new block. A NULL text is an uncaught usage error (EINVAL). */
SHAREDMEM_API char *sharedmem_strdup(const char *text) SHAREDMEM_MALLOC;

/* Which NUMA nodes of the machine memory lies on. */
typedef enum sharedmem_placement {
    SHAREDMEM_FIRST_TOUCH = 0, /* each page on the node of whoever touches it first */
    SHAREDMEM_INTERLEAVE,      /* pages in turn on all nodes of the team: for what all read everywhere */
    SHAREDMEM_BY_RANK          /* in slices, as sharedmem_part() cuts them, each on the node of its rank */
} sharedmem_placement;

/*
 * Says where the pages of a large block are to lie that nobody has touched yet; that holds for all processes,
 * until the block is freed. One rank calls it for all:
 *
 *     double *x = sharedmem_malloc(n * sizeof *x);
 *     sharedmem_place(x, n * sizeof *x, SHAREDMEM_BY_RANK, NULL);
 *
 * Pages that were touched stay where they are: those of full, copy and sharedmem_team_calloc(), and those of
 * blocks of less than 1 MiB. Where a node is full another one gives pages.
 *
 * memory, size: any part of the shared heap; its whole pages count.
 * how: a sharedmem_placement. The nodes are those near the processors that the ranks are bound to: the ranks
 *   of the team that the caller works for, or outside of all the workers that its next map will have. The
 *   slice of a rank that is near to several nodes is interleaved over them.
 * error: filled on failure; NULL: what the system refuses is a warning, once, since it costs speed only; all
 *   else is uncaught.
 * Caller: anyone; it takes some milliseconds the first time. Does not block.
 * Returns over how many nodes the ranks are spread; 1: there is nothing to choose, and nothing was done. Or
 * -1 with errno
 *   EINVAL  memory is not in the shared heap, or how is no placement: kind USAGE
 *   EPERM   the system forbids it, as containers do: kind SYSTEM
 *   or what mbind(2) or hwloc says: kind SYSTEM
 */
SHAREDMEM_API int sharedmem_place(void *memory, size_t size, int32_t how, sharedmem_error *error);

/* ---- Arrays ------------------------------------------------------------------------------------------- */

/*
 * An array is memory with a dtype and a shape, as NumPy has them.
 *
 *     int64_t shape[] = {ny, nx};
 *     double one = 1;
 *     sharedmem_array a = sharedmem_full(SHAREDMEM_FLOAT64, 2, shape, &one);
 *     double *x = a.data;   // element i, j is x[i * nx + j]
 *
 * A sharedmem_array is a plain value that says where the elements are: it may be copied, and put into shared
 * memory. It does not own them: sharedmem_free(a.data) frees what empty, full, copy and fromiter have made,
 * once.
 *
 * Where a call that returns an array fails, that is all zero, its data NULL, and errno is
 *   EINVAL  no such dtype, ndim not 0 to 8, a shape that is NULL or has a negative number, value or data that
 *           is NULL, an array without data, or with strides farther than memory; or what the call itself
 *           says: uncaught usage errors
 *   ENOMEM  memory has run out, or the shape is of more bytes than 2^63 - 1
 *   or as sharedmem_malloc(); these are only returned.
 */

/* What an element is, by NumPy's names. 0 is none. */
typedef enum sharedmem_dtype {
    SHAREDMEM_BOOL = 1,  /* 1 byte, C's bool */
    SHAREDMEM_INT8,      /* 1 byte, int8_t */
    SHAREDMEM_INT16,     /* 2 bytes */
    SHAREDMEM_INT32,     /* 4 bytes */
    SHAREDMEM_INT64,     /* 8 bytes */
    SHAREDMEM_UINT8,     /* 1 byte, uint8_t */
    SHAREDMEM_UINT16,    /* 2 bytes */
    SHAREDMEM_UINT32,    /* 4 bytes */
    SHAREDMEM_UINT64,    /* 8 bytes */
    SHAREDMEM_FLOAT32,   /* 4 bytes, float */
    SHAREDMEM_FLOAT64,   /* 8 bytes, double */
    SHAREDMEM_COMPLEX64, /* 8 bytes, float complex: real part, imaginary part */
    SHAREDMEM_COMPLEX128 /* 16 bytes, double complex */
} sharedmem_dtype;

/* The most dimensions that an array can have. */
#define SHAREDMEM_NDIM_MAX 8

/* Element i, j, ... is at (char *)data + i * strides[0] + j * strides[1] + ... */
typedef struct sharedmem_array {
    void *data;                          /* the first element, never NULL */
    int32_t dtype;                       /* a sharedmem_dtype */
    int32_t ndim;                        /* 0 to 8; 0 is a scalar, which has one element */
    int64_t shape[SHAREDMEM_NDIM_MAX];   /* elements along each of ndim dimensions; the rest is 0 */
    int64_t strides[SHAREDMEM_NDIM_MAX]; /* bytes to the next element along each; the rest is 0 */
} sharedmem_array;

/* How many bytes an element of dtype has; 0 where there is no such dtype. */
SHAREDMEM_API size_t sharedmem_itemsize(int32_t dtype);

/* How many elements an array has; 1 for a scalar; 0 also, with errno EINVAL, where a is none. */
SHAREDMEM_API size_t sharedmem_array_size(sharedmem_array a);

/* How many bytes the elements of an array have together; 0 also, with errno EINVAL, where a is none. */
SHAREDMEM_API size_t sharedmem_array_nbytes(sharedmem_array a);

/*
 * Allocates a shared array, its elements not initialised.
 *
 * dtype: a sharedmem_dtype.
 * ndim: 0 to 8.
 * shape: ndim numbers, slowest dimension first (C order); NULL where ndim is 0. A 0 among them is fine: such
 *   an array has no elements, but data to free.
 * Owner: the caller, who frees its data.
 * Source: empty() of Python's sharedmem, as are the others.
 */
SHAREDMEM_API sharedmem_array sharedmem_empty(int32_t dtype, int32_t ndim, const int64_t *shape);

/* Allocates a shared array with the dtype and shape of a, in C order, its elements not initialised. */
SHAREDMEM_API sharedmem_array sharedmem_empty_like(sharedmem_array a);

/*
 * Allocates a shared array, as sharedmem_empty(), with all elements set to one value.
 *
 * value: one element of dtype, at any address: for SHAREDMEM_FLOAT64 a double, not an int. All bytes zero is
 *   the fastest: large arrays' pages then stay untouched.
 * An array of 32 MiB or more is filled by as many processes as a map has workers, each its slice, so that
 * workers that get the same slice later find it on their NUMA node. They are forked as a map's are. Where they
 * cannot be started, or are killed, or where the caller has more private memory than half of the array, which
 * makes a fork dear, the caller does it alone.
 */
SHAREDMEM_API sharedmem_array sharedmem_full(int32_t dtype, int32_t ndim, const int64_t *shape,
                                             const void *value);

/* Allocates a shared array with the dtype and shape of a, in C order, all elements set to one value. */
SHAREDMEM_API sharedmem_array sharedmem_full_like(sharedmem_array a, const void *value);

/*
 * Allocates a shared array in C order and copies all elements of a into it.
 *
 * a: in private or shared memory, with any strides. A large one is copied as sharedmem_full() fills.
 */
SHAREDMEM_API sharedmem_array sharedmem_copy(sharedmem_array a);

/*
 * Makes memory that is there an array in C order. Nothing is copied.
 *
 * data: of the shape's size, private or shared. A shape of more than 2^63 - 1 bytes is EINVAL here.
 * Owner: who owned data.
 */
SHAREDMEM_API sharedmem_array sharedmem_wrap(void *data, int32_t dtype, int32_t ndim, const int64_t *shape);

/*
 * Views: the next four calls return an array of elements that a has, by NumPy's rules. Nothing is copied:
 * what is written through a view is written to a. Nothing is to be freed for it: what sharedmem_free() gets is
 * the data of the array that was made, and its views are void then.
 *
 *     sharedmem_array column = sharedmem_index(a, 1, j);                                       // a[:, j]
 *     sharedmem_array inner = sharedmem_slice(a, 0, 1, -1, 1);                                 // a[1:-1]
 *     sharedmem_array backwards = sharedmem_slice(a, 0, SHAREDMEM_END, SHAREDMEM_END, -1);     // a[::-1]
 *
 * dim: 0 to ndim-1, or from the last dimension -1 to -ndim. What is none is EINVAL.
 */

/* As start or stop of a slice: where the array begins, or ends, in the direction of step. Python's None. */
#define SHAREDMEM_END INT64_MIN

/*
 * Takes elements start, start + step, ... before stop along dim: a[start:stop:step].
 *
 * start, stop: negative ones count from the end; out of range they are clipped, so that none is an error.
 * step: negative goes backwards; 0 is EINVAL.
 * Source: NumPy's basic slicing.
 */
SHAREDMEM_API sharedmem_array sharedmem_slice(sharedmem_array a, int32_t dim, int64_t start, int64_t stop,
                                              int64_t step);

/*
 * Takes element i along dim, which the view then lacks: of a matrix a row or a column.
 *
 * i: 0 to shape[dim]-1, or from the last one -1 to -shape[dim]. Out of range is EINVAL.
 */
SHAREDMEM_API sharedmem_array sharedmem_index(sharedmem_array a, int32_t dim, int64_t i);

/*
 * Changes the order of the dimensions: the view's dimension k is dimension axes[k] of a.
 *
 * axes: ndim numbers, each dimension once (else EINVAL), negative ones from the last; NULL: all reversed.
 * Source: numpy.transpose.
 */
SHAREDMEM_API sharedmem_array sharedmem_transpose(sharedmem_array a, const int32_t *axes);

/*
 * Gives the same elements, in C order, another shape.
 *
 * shape: ndim numbers whose product is the number of elements; one of them may be -1, and is computed.
 * It is always a view. Where the strides of a allow none that is EINVAL; sharedmem_copy() it first.
 * Source: numpy.reshape, but that it never copies.
 */
SHAREDMEM_API sharedmem_array sharedmem_reshape(sharedmem_array a, int32_t ndim, const int64_t *shape);

/*
 * Where one element is: *(double *)sharedmem_element(a, (int64_t[]){i, j}) = 1; It checks all that it is
 * given; inner loops compute it from data and strides.
 *
 * index: ndim numbers, as the i of sharedmem_index(); may be NULL for a scalar.
 * Returns its address; or NULL with errno EINVAL, an uncaught usage error.
 */
SHAREDMEM_API void *sharedmem_element(sharedmem_array a, const int64_t *index);

/*
 * Whether the elements lie side by side in C order, as those of a new array do. false also, with errno
 * EINVAL, where a is none.
 */
SHAREDMEM_API bool sharedmem_is_contiguous(sharedmem_array a);

/*
 * Copies all elements of from into to, which is there: to[...] = from.
 *
 *     sharedmem_copy_into(sharedmem_slice(a, 0, 1, SHAREDMEM_END, 2), b);    // a[1::2] = b
 *
 * to: with any strides, in private or shared memory. Each element must be by itself: a stride of 0 is EINVAL.
 * from: of the same dtype (EINVAL), with any strides. Of the same shape, or one that NumPy would broadcast to
 *   it: along a dimension where it has one element, or that it lacks in front, it is repeated. Else EINVAL. It
 *   may share memory with to: all of it is read first then, which may take as much private memory again.
 * Returns 0, or -1 with errno, an uncaught error: EINVAL; or ENOMEM, where from and to overlap: kind
 * NO_MEMORY.
 * Source: numpy.copyto.
 */
SHAREDMEM_API int sharedmem_copy_into(sharedmem_array to, sharedmem_array from);

/*
 * Allocates a shared array of one dimension, of elements that a function makes one after the other.
 *
 * next: a sharedmem_function, as .next of a map: writes element i, of dtype, to result, which begins as
 *   zeros. Returns 1, 0 where there are no more, or a negative number to fail. Called in the calling thread.
 * context: given to next.
 * count: how many elements: next is called no more after them, and where it makes less that is EINVAL. -1:
 *   until next ends; the array then has been grown, and has just the size that it needs.
 * Owner: the caller, who frees its data. Where it fails nothing is left; a failure of next is an uncaught
 * error of kind RETURNED, with errno ECANCELED and the element as item.
 * Source: fromiter() of Python's sharedmem.
 */
SHAREDMEM_API sharedmem_array sharedmem_fromiter(int32_t dtype,
                                                 int (*next)(size_t i, void *result, void *context),
                                                 void *context, int64_t count);

/* ---- Map ---------------------------------------------------------------------------------------------- */

/*
 * The one type of the functions that users write.
 *
 * work:   does item i, puts what comes out into result: result_size bytes, aligned to 8 where they are not
 *         in the caller's array; NULL where result_size is 0. They begin as what .results holds for item i,
 *         and as zeros where there is no .results. Returns 0, or non-zero to fail.
 * reduce: gets item i's result on the master. Returns 0, or non-zero to fail.
 * next:   writes item i, of item_size bytes, to result. Returns 1, 0 where there are no more items, or a
 *         negative number to fail.
 * body:   runs as rank i of a parallel call; result is NULL. Returns 0, or non-zero to fail.
 *
 * None of them may be left by longjmp(3): what follows is undefined. An exception of C++ that leaves work, or
 * body in a rank but 0, ends that worker by SIGABRT; one that leaves reduce, next, or body in rank 0, ends
 * the call's workers and goes on to the caller.
 */
typedef int sharedmem_function(size_t i, void *result, void *context);

/* How items are dealt to workers. Results do not depend on it. */
typedef enum sharedmem_schedule {
    SHAREDMEM_GUIDED = 0, /* big chunks first, then smaller ones, down to .chunk items (0: 1) */
    SHAREDMEM_DYNAMIC,    /* .chunk items at a time (0: 1), to whoever is free */
    SHAREDMEM_STATIC      /* dealt beforehand: np equal blocks, or blocks of .chunk items in turn */
} sharedmem_schedule;

/*
 * Who does the work. Results, their order and the errors are the same with all three, but for what ends a
 * whole process: a crash, exit() or a kill in an item is an error of the map with processes, and the end of
 * the program with the others.
 */
typedef enum sharedmem_backend {
    SHAREDMEM_PROCESSES = 0, /* forked workers: they see the caller's memory as of the call */
    SHAREDMEM_THREADS, /* threads of the caller: they share its memory, and must not get in each other's way */
    SHAREDMEM_SERIAL   /* no workers: the caller does all items, in order */
} sharedmem_backend;

/* When reduce gets a result. */
typedef enum sharedmem_reduce_order {
    SHAREDMEM_BY_INDEX = 0, /* by rising index: the same bits for every np */
    SHAREDMEM_AS_DONE       /* as they come: none waits for a slower one before it */
} sharedmem_reduce_order;

/* What has become of an item, in .states. */
typedef enum sharedmem_state {
    SHAREDMEM_PENDING = 0, /* not begun, or not ended */
    SHAREDMEM_DONE,        /* its result is in .results, and reduce has had it */
    SHAREDMEM_FAILED       /* it failed, or ended its worker, in all its tries */
} sharedmem_state;

/* What a map returns that was stopped by sharedmem_stop(). */
#define SHAREDMEM_STOPPED 1

/* What a map tells about how far it is. */
typedef struct sharedmem_progress {
    uint64_t n_done;   /* items that are done */
    uint64_t n;        /* of so many; 0: unknown */
    double seconds;    /* since the map began */
    int32_t is_last;   /* 1 in the last call: all are done, or the map has ended early */
    int32_t reserved;  /* 0 */
    const char *where; /* the map's place, "file:line"; or NULL */
} sharedmem_progress;

/* A function of the user that is told so, now and then, on the master. progress is valid during the call. */
typedef void sharedmem_progress_function(const sharedmem_progress *progress, void *context);

/*
 * Shows how far the map is, on stderr. On a terminal it is one line that changes, with a bar, the rate, and
 * the time that is left; a map that takes less than 0.2 s shows nothing. Elsewhere it is a line every 10 s; a
 * map that takes less shows nothing. Where that could not be written at once (a terminal that is stopped, or
 * another program's at the time; a full pipe), it is left out.
 *
 * context: unused, may be NULL.
 * Caller: the thread that called the map; one after the other, with rising seconds, the last with is_last.
 *   Ranks and workers other than 0 show nothing.
 */
SHAREDMEM_API void sharedmem_progress_bar(const sharedmem_progress *progress, void *context);

/* Workers that stay, see sharedmem_pool_create(). */
typedef struct sharedmem_pool sharedmem_pool;

/* The arguments of a map: the first three in order, the rest by name. 0 is always the default. */
typedef struct sharedmem_map_options {
    size_t n;                   /* items 0 to n-1; 0 does nothing; SIZE_MAX with .next */
    sharedmem_function *work;   /* called once for each item, in a worker */
    void *context;              /* given to work, reduce, next and progress; workers see it as of the call */
    void *results;              /* n * result_size bytes: item i's result at i * result_size; or NULL */
    size_t result_size;         /* bytes of one result; needed with .results */
    sharedmem_function *reduce; /* called on the master for each item, by .reduce_order; or NULL */
    sharedmem_error *error;     /* filled on failure; NULL: a failure is uncaught */
    const char *where;          /* the call's place, for messages; the macro sets it */
    size_t chunk;               /* items dealt at a time, by schedule */
    int32_t np;                 /* workers: 0 is sharedmem_cpu_count(); never more than n are started */
    int32_t schedule;           /* a sharedmem_schedule */
    int32_t backend;            /* a sharedmem_backend */
    int32_t reduce_order;       /* a sharedmem_reduce_order */
    const void *items;          /* n * item_size bytes: item i is what sharedmem_item() gives; or NULL */
    size_t item_size;           /* bytes of one item; needed with .items and .next */
    sharedmem_function *next;   /* makes the items, on the master; n is SIZE_MAX then; or NULL */
    size_t look_ahead; /* how many items .next may be ahead of the oldest that is not done (0: 256) */
    size_t min_length; /* fewer items than this are done by the caller, as with SHAREDMEM_SERIAL */
    uint8_t *states;   /* n of them: what has become of each item, a sharedmem_state; or NULL */
    sharedmem_progress_function *progress; /* called on the master about four times a second; or NULL */
    sharedmem_pool *pool;                  /* workers that are there; NULL: the map starts its own */
    size_t context_size; /* with .pool: that many bytes of context are copied for the workers */
    int32_t retries;     /* how many more times an item is tried that fails, or ends its worker */
    int32_t reserved;    /* 0 */
} sharedmem_map_options;

/*
 * Does work(i) for every item i in 0..n-1 in parallel, and reduce(i) on the caller as results come in.
 *
 *     sharedmem_map(n, work, context, .np = 4, .results = r, .result_size = sizeof *r);
 *     sharedmem_map(SIZE_MAX, work, file, .next = read_line, .item_size = sizeof(struct line));
 *
 * Results: written in place where .results is shared memory (with THREADS always), copied there where it is
 *   private. Item i's result begins as what .results holds for it, whoever does the work. Without .results it
 *   begins as zeros, and lives until reduce has seen it. Nothing depends on np, but the order of AS_DONE.
 * Workers: are forked, so they see all memory as it was at the call; what they write is lost unless it is
 *   shared memory or a result. They end with the caller, whatever ends it. Before the fork stdio is flushed.
 *   No more than the member table's 16,383 less one. Each has at most as many threads of OpenMP as its share
 *   has cores, and a map in it as many workers where it does not say.
 * Generators: .next is called on the master, by rising i, while workers do the items before. .results and
 *   .states need a known n and cannot be with it.
 * Retries: with .retries an item that fails, or ends its worker, is tried again on a fresh worker, which sees
 *   the caller's memory as of then; in shared memory, results in place among it, that is what the failed try
 *   has left. After its last try it is marked FAILED, the other items go on, and the map
 *   fails at its end with the first of these errors.
 * Caller: any thread, blocks until all items are done, or the map has failed and its workers are gone. A
 *   worker may call it. The program may ignore SIGCHLD; it should not wait for children that it did not
 *   start.
 * Failure: the first item that fails, or worker that dies, ends the map. Others stop at their next item, and
 *   after 10 ms in the middle of one (threads always finish theirs). .states tells which items were done. Items that
 *   all wait for each other's locks and turns fail too (kind DEADLOCK).
 * Returns 0, SHAREDMEM_STOPPED where sharedmem_stop() ended it early, or -1 with errno and .error:
 *   ECANCELED  an item, reduce or next failed, or a worker died: kind RETURNED, SIGNAL or EXITED, with rank,
 *              pid and item; NO_MEMORY where it very likely ended for want of memory; or the kind
 *              of an uncaught error within the item
 *   EINVAL     a NULL work, .results without .result_size, .result_size without .results and .reduce,
 *              n * result_size or n (2^48) too large, np or retries negative, np over 16,382, unknown schedule,
 *              backend or order, .items and .next both or without .item_size, .next with an n, .results or
 *              .states, a private context for a .pool without .context_size, SHAREDMEM_HEAP out of range: kind
 *              USAGE
 *   EBUSY      the pool is in another map: kind USAGE
 *   E2BIG      the options hold something that this version of the library does not know: kind USAGE
 *   ENOMEM     no shared memory for the results: kind NO_MEMORY
 *   EFBIG      ulimit -f is less than the heap needs: kind NO_MEMORY
 *   EAGAIN     no more processes or members can be had: kind SYSTEM
 *   EPERM      the caller is inside an OpenMP parallel region; or the pool is another process's: kind USAGE
 *   or what fork(2) or memfd_create(2) said: kind SYSTEM
 * Source: MapReduce.map of Python's sharedmem; with THREADS that of MapReduceByThread.
 */
SHAREDMEM_API int sharedmem_map_with(const sharedmem_map_options *options, size_t sizeof_options);
#define sharedmem_map(...)                                                                                   \
    sharedmem_map_with(&(sharedmem_map_options){__VA_ARGS__, .where = SHAREDMEM_HERE},                       \
                       sizeof(sharedmem_map_options))

/*
 * The item of the calling worker, where the map has .items or .next: item_size bytes, aligned as the caller's
 * array is, or to 16 where .next made it. It is the item's own struct of several arguments (the original's
 * star). Valid until work returns; in reduce it is the item of the result.
 * Returns NULL outside of such a map.
 */
SHAREDMEM_API const void *sharedmem_item(void);

/*
 * Ends the map early, and quietly: items in hand end as after a failure, what is done is kept (.results,
 * .states, reduce), and the map returns SHAREDMEM_STOPPED.
 *
 * Caller: an item, reduce, next or progress of the map, or the body of a parallel call; or, outside of all
 *   these, a signal handler or another thread of the master: that stops all maps and parallel calls which run
 *   in this process. Async-signal-safe. Where none runs it does nothing. What fails after that because it was
 *   stopped is no failure.
 * Source: StopProcessGroup of Python's sharedmem.
 */
SHAREDMEM_API void sharedmem_stop(void);

/*
 * Starts workers that stay, for many maps: they are forked once, and sleep until one is given to them.
 *
 *     sharedmem_pool *pool = sharedmem_pool_create(4, NULL);
 *     for (step = 0; step < 1000; step++)
 *         sharedmem_map(n, work, shared, .pool = pool);
 *     sharedmem_pool_destroy(pool);
 *
 * Workers see private memory, global variables too, as it was when the pool was created, and keep what they
 * change in theirs from map to map. So what work needs must lie in shared memory: context, where it is not
 * copied by .context_size, and all that it points to. A private .items or .results is copied by the map.
 *
 * np: how many; 0 is sharedmem_cpu_count(). A map's own .np may be less, not more.
 * error: filled on failure; NULL: a failure is uncaught.
 * A map in which a worker dies fails as any other; the pool's next map begins with workers forked anew, which
 * see memory as of then. So it does after the program has loaded a library (dlopen), whose functions the old
 * ones would not know. Workers end with the process that created them, whatever ends it. They sleep between
 * maps and cost nothing.
 * Owner: the caller. Any thread may use it, one at a time.
 * Returns NULL with errno as sharedmem_map().
 */
SHAREDMEM_API sharedmem_pool *sharedmem_pool_create_at(int32_t np, sharedmem_error *error, const char *where);
#define sharedmem_pool_create(np, error) sharedmem_pool_create_at((np), (error), SHAREDMEM_HERE)

/* Ends a pool's workers and frees it. NULL is fine. Not while a map uses it. Keeps errno. */
SHAREDMEM_API void sharedmem_pool_destroy(sharedmem_pool *pool);

/* Which worker of the map, or rank of the parallel call or of the job, this is: 0 to sharedmem_size()-1. */
SHAREDMEM_API int sharedmem_rank(void);

/* How many workers the map has, or ranks the parallel call or the job; 1 outside of all. */
SHAREDMEM_API int sharedmem_size(void);

/* ---- Background --------------------------------------------------------------------------------------- */

/* A call that runs beside the caller. */
typedef struct sharedmem_background sharedmem_background;

/* The arguments of a background call: the first two in order, the rest by name. 0 is always the default. */
typedef struct sharedmem_background_options {
    sharedmem_function *work; /* called once, with i 0 */
    void *context;            /* given to work; a process sees it as of the start */
    void *result;             /* result_size bytes, private or shared; filled by the wait; or NULL */
    size_t result_size;       /* bytes of the result; needed with .result */
    sharedmem_error *error;   /* filled where the start fails; NULL: that is uncaught */
    const char *where;        /* the call's place, for messages; the macro sets it */
    int32_t backend;          /* a sharedmem_backend; SERIAL: the start itself does it all */
    int32_t reserved;         /* 0 */
} sharedmem_background_options;

/*
 * Starts work beside the caller, in a forked process or a thread.
 *
 *     sharedmem_background *b = sharedmem_background_start(work, context, .result = &x, .result_size = sizeof x);
 *     ...
 *     sharedmem_background_wait(b, NULL);
 *
 * The result begins as what .result holds. The worker ends with the process that started it, whatever ends
 * that.
 * Owner: the caller, until sharedmem_background_wait(). Any thread may start, test, cancel and wait, one at
 *   a time.
 * Returns NULL with errno and .error as sharedmem_map().
 * Source: background of Python's sharedmem.
 */
SHAREDMEM_API sharedmem_background *
sharedmem_background_start_with(const sharedmem_background_options *options, size_t sizeof_options);
#define sharedmem_background_start(...)                                                                      \
    sharedmem_background_start_with(&(sharedmem_background_options){__VA_ARGS__, .where = SHAREDMEM_HERE},   \
                                    sizeof(sharedmem_background_options))

/*
 * Waits until the call has ended, fills its result, and frees it.
 *
 * background: NULL is fine, and returns 0.
 * error: filled on failure; NULL: a failure is uncaught.
 * Returns 0; SHAREDMEM_STOPPED where it was cancelled, its result then as it was; or -1 with errno ECANCELED:
 * work failed, or its worker died: kinds as those of a map; EPERM: another process has started it.
 */
SHAREDMEM_API int sharedmem_background_wait(sharedmem_background *background, sharedmem_error *error);

/*
 * Waits at most so many seconds for the end; 0 only looks. The call has to be waited for all the same.
 * Returns 1 where it has ended, else 0.
 */
SHAREDMEM_API int sharedmem_background_test(sharedmem_background *background, double seconds);

/*
 * Ends the call: a process at once. A thread cannot be ended: maps that it calls are stopped, its loops end,
 * and the call ends where work returns. It has to be waited for all the same. NULL is fine.
 */
SHAREDMEM_API void sharedmem_background_cancel(sharedmem_background *background);

/* ---- Over arrays -------------------------------------------------------------------------------------- */

/*
 * What scientists do with whole arrays, by NumPy's rules, in parallel: by as many processes as
 * sharedmem_cpu_count() says, and by the caller alone where an array is too small to be worth them.
 *
 * Arrays may lie in private or shared memory, and their elements must lie side by side, in C order, as those
 * of empty, full, copy and wrap do. What comes out goes to private or shared memory that the caller owns.
 * It has the same bits for any number of processes, and in debug mode.
 *
 * Order: complex numbers by their real parts, then by their imaginary ones. -0.0 and 0.0 are equal. NaN is the
 *   last; of complex numbers first those whose imaginary part alone is NaN, then those whose real part alone
 *   is.
 * Caller: any thread, in a worker or a rank too, by itself: the others of its team take no part. Blocks. The
 *   array must not change meanwhile.
 * Returns 0, or -1 with errno, and then what comes out is not known. All errors are uncaught:
 *   EINVAL  no array; not in C order: sharedmem_copy() it first; NULL for what comes out; or what the call
 *           itself says: kind USAGE
 *   ENOMEM  no memory to sort in: kind NO_MEMORY
 *   ECANCELED  sharedmem_stop() has ended it; this alone is only returned
 *   or as sharedmem_map_with(), where a process died or could not be started
 */

/*
 * Adds all elements of a.
 *
 * sum: of a bool or signed dtype an int64_t, of an unsigned one a uint64_t; these wrap. Of the others one
 *   element of a's dtype: they are added as doubles, halves to halves, so that errors stay small, and float32
 *   and complex64 are rounded once. An empty array has the sum 0.
 * Source: numpy.sum.
 */
SHAREDMEM_API int sharedmem_sum(sharedmem_array a, void *sum);

/*
 * Finds the smallest element of a.
 *
 * min: one element of a's dtype: NaN where any element is; a complex number with a NaN in it likewise. Of equal
 *   elements it is the first. An empty array has none: EINVAL.
 * Source: numpy.min.
 */
SHAREDMEM_API int sharedmem_min(sharedmem_array a, void *min);

/* The same with the largest element. Source: numpy.max. */
SHAREDMEM_API int sharedmem_max(sharedmem_array a, void *max);

/*
 * Sorts the elements of a, the smallest first; equal ones stay in their order.
 *
 * a: of one dimension (EINVAL), or a scalar. It needs as much memory again, and twice as much where
 *   several processes sort private memory.
 * Source: numpy.sort, kind "stable".
 */
SHAREDMEM_API int sharedmem_sort(sharedmem_array a);

/*
 * Puts into index in which order the elements of a are sorted: that of the smallest first. a stays as it is.
 *
 * a: as for sharedmem_sort(). It needs 32 bytes of memory for each element, 48 for complex128.
 * index: room for as many as a has elements; NULL is fine where it has none.
 * Source: numpy.argsort, kind "stable".
 */
SHAREDMEM_API int sharedmem_argsort(sharedmem_array a, int64_t *index);

typedef enum sharedmem_side { SHAREDMEM_LEFT = 0, SHAREDMEM_RIGHT } sharedmem_side;

/*
 * Finds where each value would be put into a sorted array.
 *
 * sorted: of one dimension, in the order of sharedmem_sort(), which is not checked.
 * values: of any shape, of the dtype of sorted (EINVAL).
 * side: SHAREDMEM_LEFT: before the elements that are equal to the value; SHAREDMEM_RIGHT: behind them.
 * index: room for as many as there are values, in C order; for each how many elements come before it.
 *   NULL is fine where there are none.
 * Source: numpy.searchsorted.
 */
SHAREDMEM_API int sharedmem_searchsorted(sharedmem_array sorted, sharedmem_array values, int32_t side,
                                         int64_t *index);

/* ---- Parallel ----------------------------------------------------------------------------------------- */

/* The arguments of a parallel call: the first three in order, the rest by name. 0 is always the default. */
typedef struct sharedmem_parallel_options {
    int64_t np;               /* ranks: 0 is sharedmem_cpu_count() */
    sharedmem_function *body; /* called once in each rank: i is the rank, result is NULL */
    void *context;            /* given to body; ranks see it as of the call */
    sharedmem_error *error;   /* filled on failure; NULL: a failure is uncaught */
    const char *where;        /* the call's place, for messages; the macro sets it */
    int32_t backend;          /* a sharedmem_backend; SERIAL: one rank, the caller */
    int32_t reserved;         /* 0 */
} sharedmem_parallel_options;

/*
 * Runs body in np ranks at once. Rank 0 is the caller, in its own process; the others are forked, as a map's
 * workers are, or threads. Inside, ranks may meet in barriers.
 *
 *     sharedmem_parallel(4, body, context);
 *
 * Caller: any thread; blocks until all ranks have left body. Ranks are bound to equal shares of the caller's
 *   cores, rank 0 until the call ends; threads that it starts in body stay bound. SHAREDMEM_BIND=none:
 *   nobody is. As many threads of OpenMP each has at most, rank 0 too until the call ends.
 * Failure: the first rank that fails or dies ends all others, at their next barrier, at the next chunk of a
 *   loop, or when rank 0 has left body; but for rank 0, which runs on until body returns: its barriers fail
 *   and its loops end meanwhile, without waiting. Ranks that all wait for each other fail too (kind DEADLOCK).
 * Returns 0, SHAREDMEM_STOPPED where sharedmem_stop() ended it early, or -1 with errno and .error, as
 *   sharedmem_map_with().
 * Source: parallel.Parallel of Python's sharedmem.
 */
SHAREDMEM_API int sharedmem_parallel_with(const sharedmem_parallel_options *options, size_t sizeof_options);
#define sharedmem_parallel(...)                                                                              \
    sharedmem_parallel_with(&(sharedmem_parallel_options){__VA_ARGS__, .where = SHAREDMEM_HERE},             \
                            sizeof(sharedmem_parallel_options))

/*
 * Waits until all ranks of the team have come to a barrier; what each wrote before it, all see after it.
 *
 * Caller: each rank of a parallel call, or of the job, in one thread of it. Alone it returns at once.
 * Returns 0, or -1 with errno
 *   ECANCELED  a rank failed, died, or has left body and will never come: sharedmem_parallel() tells which. A
 *              rank of a job ends then, and the launcher tells
 *   EPERM      in a map, whose items know nothing of each other: use sharedmem_parallel(). Uncaught
 */
SHAREDMEM_API int sharedmem_barrier_at(const char *where);
#define sharedmem_barrier() sharedmem_barrier_at(SHAREDMEM_HERE)

/*
 * The same in two halves: arrive says that this rank has come, and wait waits until all have. Between them the rank
 * may compute what the others do not need yet, instead of waiting:
 *
 *     border();                       // what the others read
 *     sharedmem_barrier_arrive();
 *     inside();                       // what nobody else reads
 *     sharedmem_barrier_wait();
 *
 * What a rank wrote before it arrived, all see after their waits. Between the two it makes no barrier, collective or
 * loop of this team, and no second arrive; those of other teams it may.
 *
 * Caller: as sharedmem_barrier(). arrive does not block. One rank may use the halves where another calls
 *   sharedmem_barrier().
 * Returns 0, or -1 with errno
 *   ECANCELED  of wait: as sharedmem_barrier()
 *   EPERM      arrive after arrive, or wait without it; in a map: uncaught
 */
SHAREDMEM_API int sharedmem_barrier_arrive_at(const char *where);
SHAREDMEM_API int sharedmem_barrier_wait_at(const char *where);
#define sharedmem_barrier_arrive() sharedmem_barrier_arrive_at(SHAREDMEM_HERE)
#define sharedmem_barrier_wait()   sharedmem_barrier_wait_at(SHAREDMEM_HERE)

/* ---- Ranks -------------------------------------------------------------------------------------------- */

/*
 * Under smrrun -n 4 ./prog the program runs four times, as ranks 0 to 3 of one job with one shared heap: what
 * one allocates all may use, at the same address. Nothing has to be called for that: rank and size are known
 * from the start, and the first call that needs the others or shared memory (all calls below but wtime, abort
 * and the parts; those of the sections shared memory, arrays, map, parallel and regions) joins the job, which
 * waits until all ranks have come to such a call. Alone the program is rank 0 of 1.
 *
 * srun -n 4 ./prog, mpiexec -n 4 ./prog (of MPICH or Open MPI) and flux do the same: those on one node are a job.
 * They see to deaths by themselves; but nobody pins them, orders what they print, or ends them all at once but the
 * launcher. SHAREDMEM_JOB=none is for programs that shall run each by itself.
 *
 * The team of a call is the one that the calling thread has entered (see Teams), else that of the map or parallel
 * call which it works for, else the job, else the calling process alone.
 */

/*
 * Joins the job now. May be left out. Where it fails that is an uncaught error.
 * Returns 0, or -1 with errno as sharedmem_malloc().
 * Source: MPI_Init.
 */
SHAREDMEM_API int sharedmem_init_at(const char *where);
#define sharedmem_init() sharedmem_init_at(SHAREDMEM_HERE)

/*
 * Waits for the other ranks, as a barrier does, where this one has joined; all ranks call it then. May be left
 * out: a rank that ends leaves.
 * Returns 0, or -1 with errno as sharedmem_barrier().
 * Source: MPI_Finalize.
 */
SHAREDMEM_API int sharedmem_finalize_at(const char *where);
#define sharedmem_finalize() sharedmem_finalize_at(SHAREDMEM_HERE)

/* Seconds since some moment, the same for all ranks; only differences mean something. Source: MPI_Wtime. */
SHAREDMEM_API double sharedmem_wtime(void);

/*
 * Ends the whole job, or the program where there is none, with exit status code (0 is taken as 1). What this
 * process printed is flushed; exit handlers are not run. In a worker of a map or parallel call that call
 * fails.
 * Source: MPI_Abort.
 */
SHAREDMEM_API void sharedmem_abort(int code)
#if defined(__GNUC__)
    __attribute__((__noreturn__))
#endif
    ;

/* A part of the items 0 to n-1: begin to end-1. */
typedef struct sharedmem_range {
    size_t begin;
    size_t end;
} sharedmem_range;

/*
 * The part'th of n_parts blocks of n items that follow each other: their sizes differ by one at most, the
 * larger ones first. Of a part out of range, or no parts, nothing: begin and end are n.
 */
SHAREDMEM_API sharedmem_range sharedmem_part(size_t n, int part, int n_parts);

/* This rank's part of n items: sharedmem_part(n, sharedmem_rank(), sharedmem_size()). */
SHAREDMEM_API sharedmem_range sharedmem_my_part(size_t n);

/*
 * Lays n ranks out as a grid of ndims dimensions: dims[i] above 0 stays, and each that is 0 is set, so that the
 * product of all is n. Those that are set are as near to each other as can be, the larger ones first: of 12 in 2
 * dimensions 4 and 3.
 *
 * dims: ndims of them, 1 or more.
 * Returns 0, or -1 with errno EINVAL, uncaught, where n is below 1, or no multiple of what is given, or dims is NULL
 * or has one below 0; then dims stay as they are.
 * Source: MPI_Dims_create.
 */
SHAREDMEM_API int sharedmem_dims_at(int n, int ndims, int *dims, const char *where);
#define sharedmem_dims(n, ndims, dims) sharedmem_dims_at((n), (ndims), (dims), SHAREDMEM_HERE)

/*
 * The seed of the i'th of many streams of random numbers, made of one seed for all. A stream for each item, not for
 * each rank, gives the same numbers for each item with any number of ranks or workers, and any schedule.
 *
 *     uint64_t state = sharedmem_seed(2024, item);    // of the program's own generator
 *
 * For one seed the result differs for each two i, and for one i for each two seeds. All its bits depend on all those
 * of both, so that streams of neighbours have nothing in common, whichever generator is begun with it. The numbers
 * are fixed: no later version of the library changes them. Not for secrets.
 *
 * Source: SplitMix64 ("Fast splittable pseudorandom number generators", OOPSLA 2014): with mix its last step, and g
 * its increment, mix(mix(seed + g) + (i + 1) * g).
 */
SHAREDMEM_API uint64_t sharedmem_seed(uint64_t seed, uint64_t i);

/* ---- Teams -------------------------------------------------------------------------------------------- */

/*
 * The ranks of a team may be split into smaller ones, which meet and share work among themselves:
 *
 *     sharedmem_team *row = sharedmem_team_split(sharedmem_rank() / n_columns, 0);
 *
 *     SHAREDMEM_TEAM (row) {
 *         sum = sharedmem_all_double(mine, SHAREDMEM_SUM);    // of this row
 *     }
 *     sharedmem_team_free(row);
 *
 * Within the block rank, size and my_part are those of the team, and so are barriers, collectives, loops, ordered
 * regions and further splits. A critical region stays one for the whole program, and so do mutexes and counters. A
 * map or parallel call within it works as elsewhere; its workers are not in the team, and may not enter it.
 *
 * Only the thread that entered the block is in the team; other threads of the rank, and OpenMP's, have the team that
 * they had. At any time one thread of a rank is in one team.
 *
 * Where a rank fails or dies, all teams of its job or parallel call end, whoever is in which. Messages number ranks
 * as the job or the call does.
 */
typedef struct sharedmem_team sharedmem_team;

/* The colour of a rank that is to be in none of the new teams. */
#define SHAREDMEM_NO_COLOUR (-1)

/*
 * Makes a team of all ranks that give the same colour.
 *
 * colour: 0 or more; SHAREDMEM_NO_COLOUR: NULL with errno 0 is returned, once all have called.
 * key: the ranks of the new team are by rising key, and by their old rank where keys are the same.
 * Caller: all ranks of the team, as for a barrier.
 * Owner: each rank owns what it gets, to be given back by sharedmem_team_free(). Nobody else can use it.
 * Returns the team, or NULL with errno
 *   EINVAL     no such colour: uncaught
 *   EPERM      in a map, or between the halves of a barrier: uncaught
 *   ENOMEM     no memory: in all ranks alike where the shared heap has none
 *   ECANCELED  the team has failed; a rank of a job, or a worker, ends instead
 * Source: MPI_Comm_split.
 */
SHAREDMEM_API sharedmem_team *sharedmem_team_split_at(int colour, int key, const char *where);
#define sharedmem_team_split(colour, key) sharedmem_team_split_at((colour), (key), SHAREDMEM_HERE)

/* What ranks may be near to each other by. */
typedef enum sharedmem_level {
    SHAREDMEM_BY_NUMA = 1, /* one NUMA node */
    SHAREDMEM_BY_L3,       /* one last-level cache; where there is none, one package */
    SHAREDMEM_BY_PACKAGE   /* one package, that is a socket */
} sharedmem_level;

/*
 * The same by where ranks run: a team of those whose first processor, of the ones that they are bound to, is of the
 * same NUMA node, cache or package. smrrun, and parallel calls, bind ranks to cores by their plan. Where ranks are
 * bound nowhere the system moves them as it likes, and all of them are one team.
 *
 * level: a sharedmem_level, the same in all ranks (EINVAL, uncaught). Otherwise as sharedmem_team_split().
 * Source: MPI_Comm_split_type.
 */
SHAREDMEM_API sharedmem_team *sharedmem_team_split_by_at(int32_t level, const char *where);
#define sharedmem_team_split_by(level) sharedmem_team_split_by_at((level), SHAREDMEM_HERE)

/*
 * The calling thread works for team from then on, until it leaves that, and then for what it did before. Not a
 * meeting: others may enter later, or never. Teams may be entered one in another, the same one up to 16 times.
 *
 * enter may stand within a loop of another team, but not in an ordered region. In front of leave the thread ends
 * its loops and regions of the team, and leaves teams that it has entered since (EPERM, uncaught). A half of a
 * barrier may stay open, and go on when the team is entered again.
 * Does not block. Returns 0, or -1 with errno
 *   EINVAL  team is NULL, as for ranks without a colour: not uncaught
 *   EPERM   the caller is not the rank that has got the team; it is in an ordered region: uncaught
 */
SHAREDMEM_API int sharedmem_team_enter_at(sharedmem_team *team, const char *where);
#define sharedmem_team_enter(team) sharedmem_team_enter_at((team), SHAREDMEM_HERE)
SHAREDMEM_API void sharedmem_team_leave(sharedmem_team *team);

/*
 * Gives this rank's team back. The ranks of a team do that in any order, without waiting for each other; its memory
 * is used again when all have. A rank that has given it back is gone for those that wait for it there, and passed
 * over in ordered regions.
 *
 * team: NULL does nothing; one that the caller is in is an uncaught usage error (EPERM), also from a map or parallel
 *   call within. In a parallel call it is given back before the call ends, by the rank that got it.
 * Does not block. Keeps errno.
 * Source: MPI_Comm_free.
 */
SHAREDMEM_API void sharedmem_team_free(sharedmem_team *team);

/* This rank in team, and team's size, without entering it; -1 and 0 of NULL. */
SHAREDMEM_API int sharedmem_team_rank(const sharedmem_team *team);
SHAREDMEM_API int sharedmem_team_size(const sharedmem_team *team);

#if defined(__GNUC__)
static inline sharedmem_team *sharedmem_team_open_(sharedmem_team *team, const char *where)
{
    return sharedmem_team_enter_at(team, where) == 0 ? team : NULL;
}

static inline void sharedmem_team_close_(sharedmem_team **entered)
{
    if (*entered == NULL)
        return;
    sharedmem_team_leave(*entered);
    *entered = NULL;
}

/*
 * As a block: break, continue, return, goto and exceptions of C++ leave the team. Where it cannot be entered, which
 * is so of NULL, the block is skipped.
 */
#define SHAREDMEM_TEAM(team)      SHAREDMEM_TEAM_(team, __COUNTER__)
#define SHAREDMEM_TEAM_(team, n)  SHAREDMEM_TEAM__(team, n)
#define SHAREDMEM_TEAM__(team, n)                                                                            \
    for (sharedmem_team * sharedmem_team_##n __attribute__((__cleanup__(sharedmem_team_close_))) =           \
             sharedmem_team_open_((team), SHAREDMEM_HERE);                                                   \
         sharedmem_team_##n != NULL; sharedmem_team_close_(&sharedmem_team_##n))
#endif

/* ---- Loops -------------------------------------------------------------------------------------------- */

/*
 * A loop deals items 0 to n-1 to the ranks of the team, each item to one of them:
 *
 *     SHAREDMEM_FOR (i, n, .schedule = SHAREDMEM_DYNAMIC, .chunk = 16) {
 *         row(i);
 *     }
 *     sharedmem_barrier();   // where what others did is needed
 *
 * All ranks make the same loops in the same order, with the same n, schedule and chunk, each in one thread.
 * There is no barrier at the end: a rank that finds no item any more goes on, into the next loop too. It
 * waits where it is more than 16 loops ahead of another, at times not before 31. With SHAREDMEM_STATIC the
 * same rank gets the same items each time, with so many ranks. Alone the caller gets all items. Loops of
 * one team do not nest: a loop inside is a plain for.
 *
 * SHAREDMEM_ORDERED inside follows the items of the loop; in front of it and behind it, it follows the ranks.
 *
 * break, return and goto out of the block end the loop for this rank only: the others go on with what is not
 * dealt yet, and what is left of this rank's chunk is done by nobody. continue goes on with the next item.
 */

/* The arguments of a loop: n in order, the rest by name. 0 is always the default. */
typedef struct sharedmem_loop_options {
    size_t n;          /* items 0 to n-1, at most 2^48; 0 does nothing */
    size_t chunk;      /* items dealt at a time, by schedule */
    int32_t schedule;  /* a sharedmem_schedule, by ranks in place of workers; guided is the default */
    int32_t reserved;  /* 0 */
    const char *where; /* the call's place, for messages; the macro sets it */
} sharedmem_loop_options;

/* A loop that a rank is in. It stays where it is, and the caller's, until the loop has ended. */
typedef struct sharedmem_loop {
    size_t next; /* the items in hand are next to end-1 */
    size_t end;
    uint64_t n; /* this and the rest are the library's */
    uint64_t chunk;
    uint64_t n_taken;
    uint64_t first_ticket;
    uint64_t origin;
    void *place;
    void *dealt;
    const char *where;
    int32_t schedule;
    int16_t is_open;
    int16_t is_over;
} sharedmem_loop;

/*
 * Begins a loop.
 *
 *     sharedmem_loop loop;
 *
 *     sharedmem_loop_begin(&loop, n, .schedule = SHAREDMEM_STATIC);
 *     while (sharedmem_loop_next(&loop, &i))
 *         row(i);
 *
 * Caller: each rank of a parallel call, or of the job. Blocks only where another rank is more than 16 loops
 *   behind.
 * Returns 0, or -1 with errno, and the loop then has no items:
 *   EINVAL     n is more than 2^48, no such schedule; or other ranks make another loop here: uncaught
 *   E2BIG      the options hold something that this version of the library does not know: uncaught
 *   EPERM      in a map, in another loop of the team, in an ordered region, or between the halves of a barrier:
 *              uncaught
 *   EOVERFLOW  the team's loops have had 2^63 items together: uncaught
 *   ECANCELED  the team has failed; a rank of a job, or a worker, ends instead
 */
SHAREDMEM_API int sharedmem_loop_begin_with(sharedmem_loop *loop, const sharedmem_loop_options *options,
                                            size_t sizeof_options);
#define sharedmem_loop_begin(loop, ...)                                                                      \
    sharedmem_loop_begin_with((loop), &(sharedmem_loop_options){__VA_ARGS__, .where = SHAREDMEM_HERE},       \
                              sizeof(sharedmem_loop_options))

/*
 * Takes the next item of this rank: *i. Returns false where there is none; the loop has then ended for this
 * rank. That is also so where the team has failed, with errno ECANCELED, in rank 0 of a parallel call; a rank
 * of a job, or a worker, ends instead. Does not block.
 */
SHAREDMEM_API bool sharedmem_loop_next(sharedmem_loop *loop, size_t *i);

/*
 * The same for a chunk: items *begin to *end-1, or what sharedmem_loop_next() has left of one. For an ordered
 * region a chunk is one item.
 */
SHAREDMEM_API bool sharedmem_loop_next_chunk(sharedmem_loop *loop, size_t *begin, size_t *end);

/* Ends a loop early, for this rank. Does nothing where it has ended. Keeps errno. */
SHAREDMEM_API void sharedmem_loop_end(sharedmem_loop *loop);

#if defined(__GNUC__)
/* As a block: the items of n that this rank gets, one after the other, as size_t i. See above. */
#define SHAREDMEM_FOR(i, ...)     SHAREDMEM_FOR_(i, __COUNTER__, __VA_ARGS__)
#define SHAREDMEM_FOR_(i, k, ...) SHAREDMEM_FOR__(i, k, __VA_ARGS__)
#define SHAREDMEM_FOR__(i, k, ...)                                                                           \
    for (sharedmem_loop sharedmem_loop_##k __attribute__((__cleanup__(sharedmem_loop_end))) = {0};           \
         !sharedmem_loop_##k.is_over && sharedmem_loop_begin(&sharedmem_loop_##k, __VA_ARGS__) == 0;         \
         sharedmem_loop_end(&sharedmem_loop_##k))                                                            \
        for (size_t i = 0; sharedmem_loop_##k.next < sharedmem_loop_##k.end                                  \
                               ? (i = sharedmem_loop_##k.next++, true)                                       \
                               : sharedmem_loop_next(&sharedmem_loop_##k, &i);)
#endif

/* ---- Collectives -------------------------------------------------------------------------------------- */

/*
 * Calls that all ranks of the team make, each in one thread and in the same order, and that wait for all of
 * them: each is a barrier too. Alone they return at once.
 * Where the team has failed meanwhile a rank of a job, or a worker, ends; rank 0 of a parallel call gets what
 * is said below, with errno ECANCELED. In a map they are uncaught usage errors (EPERM).
 */

/*
 * What elements are combined by. Integers wrap. A NaN makes MIN and MAX NaN, and -0.0 is less than 0.0. Of bool
 * SUM and MAX are OR, PROD and MIN are AND. Of complex numbers there are SUM and PROD.
 */
typedef enum sharedmem_op {
    SHAREDMEM_SUM = 1,
    SHAREDMEM_PROD,
    SHAREDMEM_MIN,
    SHAREDMEM_MAX,
    SHAREDMEM_AND, /* logical: what is not 0 is true, results are 1 and 0 */
    SHAREDMEM_OR,
    SHAREDMEM_XOR,
    SHAREDMEM_BAND, /* of bits, for integers and bool */
    SHAREDMEM_BOR,
    SHAREDMEM_BXOR,
    SHAREDMEM_MINLOC, /* elements are struct { T value; int64_t index; }, T as dtype says, 16 bytes */
    SHAREDMEM_MAXLOC  /* of values that are equal the smallest index; of several NaNs too */
} sharedmem_op;

/*
 * Combines one value of each rank, by rising rank: all get the same bits, and the same in each run with so
 * many ranks.
 *
 * op: a sharedmem_op but MINLOC and MAXLOC, the same in all ranks; what is none is an uncaught usage error
 *   (EINVAL).
 * Returns the result; NaN where the call failed.
 */
SHAREDMEM_API double sharedmem_all_double_at(double value, int32_t op, const char *where);
#define sharedmem_all_double(value, op) sharedmem_all_double_at((value), (op), SHAREDMEM_HERE)

/* The same for integers; sums and products wrap. Returns 0 where the call failed. */
SHAREDMEM_API int64_t sharedmem_all_int64_at(int64_t value, int32_t op, const char *where);
#define sharedmem_all_int64(value, op) sharedmem_all_int64_at((value), (op), SHAREDMEM_HERE)

/*
 * Combines the value from into the value into. Both are aligned to 64 bytes, but where they are users' own, or
 * follow others in an array. It makes no call for the team, and is not left by longjmp(3) or an exception of
 * C++.
 */
typedef void sharedmem_combine_function(void *into, const void *from, void *context);

/*
 * Combines one value of each rank by a function, by rising rank: all get the same bits.
 *
 *     sharedmem_all(&best, sizeof best, smaller, NULL);
 *
 * value: this rank's, of which the result takes the place; private or shared, in each rank memory of its own.
 * bytes: the same in all ranks; 0 makes the call a barrier, and value may be NULL.
 * combine: the same in all ranks. It is called once for each rank but the first, in some rank or in several.
 * context: given to combine, in a rank that calls it.
 * Returns 0, or -1 with errno
 *   EINVAL     combine is NULL, or value is: uncaught
 *   ENOMEM     no shared memory to pass the values through, or what sharedmem_malloc() says: in all ranks
 *              alike
 *   ECANCELED  the team has failed; the value may be changed
 */
SHAREDMEM_API int sharedmem_all_at(void *value, size_t bytes, sharedmem_combine_function *combine,
                                   void *context, const char *where);
#define sharedmem_all(value, bytes, combine, context)                                                        \
    sharedmem_all_at((value), (bytes), (combine), (context), SHAREDMEM_HERE)

/*
 * Copies bytes at data in rank root to data in all others. Root may change its data once it has returned.
 *
 * data: private or shared memory, in each rank as it likes; where all mean the same shared memory, nothing is
 *   copied. It may be NULL where bytes is 0, which makes the call a barrier.
 * bytes, root: the same in all ranks.
 * Returns 0, or -1 with errno
 *   EINVAL     root is no rank, or data is NULL: uncaught
 *   ENOMEM     no shared memory to pass the data through, or what sharedmem_malloc() says: in all ranks alike
 *   ECANCELED  the team has failed; data may be changed in part
 */
SHAREDMEM_API int sharedmem_bcast_at(void *data, size_t bytes, int root, const char *where);
#define sharedmem_bcast(data, bytes, root) sharedmem_bcast_at((data), (bytes), (root), SHAREDMEM_HERE)

/*
 * Allocates count elements of size bytes of shared memory, all zero, once for the whole team: all ranks get
 * the same address.
 *
 *     double (*u)[nx] = sharedmem_team_calloc(ny, sizeof *u);
 *
 * Of 32 MiB or more each rank touches the pages of its slice, sharedmem_my_part() of them, so that they lie on
 * its NUMA node; not with SHAREDMEM_MEM=none.
 * Owner: the team; one rank frees it, with sharedmem_free(), when no other needs it any more.
 * Returns NULL in all ranks alike, with errno, as sharedmem_calloc(); NULL also where the team has failed.
 */
SHAREDMEM_API void *sharedmem_team_calloc_at(size_t count, size_t size, const char *where);
#define sharedmem_team_calloc(count, size) sharedmem_team_calloc_at((count), (size), SHAREDMEM_HERE)

/*
 * Allocates one shared array for the whole team, as sharedmem_empty(): all ranks get the same value.
 *
 *     sharedmem_array u = sharedmem_team_empty(SHAREDMEM_FLOAT64, 2, (int64_t[]){ny, nx});
 *
 * dtype, ndim, shape: the same in all ranks. Where they are not, that is an uncaught usage error (EINVAL) in
 *   all of them, which names a rank that differs.
 * Owner: the team; one rank frees its data, with sharedmem_free(), when no other needs it any more.
 * Returns an array that is all zero in all ranks alike, with errno, as sharedmem_empty(); also where the team
 * has failed.
 */
SHAREDMEM_API sharedmem_array sharedmem_team_empty_at(int32_t dtype, int32_t ndim, const int64_t *shape,
                                                      const char *where);
#define sharedmem_team_empty(dtype, ndim, ...)                                                               \
    sharedmem_team_empty_at((dtype), (ndim), __VA_ARGS__, SHAREDMEM_HERE)

/*
 * The same with all elements set to one value, as sharedmem_full(). Each rank sets its part, that is
 * sharedmem_my_part() of all elements in C order, so that the pages of it are near to that rank. All are set
 * when the call returns.
 *
 * value: one element of dtype, the same bytes in all ranks.
 */
SHAREDMEM_API sharedmem_array sharedmem_team_full_at(int32_t dtype, int32_t ndim, const int64_t *shape,
                                                     const void *value, const char *where);
#define sharedmem_team_full(dtype, ndim, ...)                                                                \
    sharedmem_team_full_at((dtype), (ndim), __VA_ARGS__, SHAREDMEM_HERE)

/*
 * Combines count elements of each rank, element by element, by rising rank: the same bits in all ranks, and in
 * each run with so many ranks, in whatever memory they lie. What lies in shared memory is read and written where
 * it lies; large data are combined by all ranks, a slice each.
 *
 *     sharedmem_allreduce(mine, sum, n, SHAREDMEM_FLOAT64, SHAREDMEM_SUM);
 *     sharedmem_allreduce(u, u, n, SHAREDMEM_FLOAT64, SHAREDMEM_MAX);    // in place
 *
 * reduce gives the result to rank root, and allreduce to all ranks; scan gives each rank what ranks 0 to itself
 * make, exscan what the ranks before it make, and leaves rank 0's out as it is.
 *
 * in: this rank's elements, private or shared. Nobody reads them any more when the call has returned.
 * out: room for as many elements, or in, whose place the result then takes; else the two do not overlap, nor do
 *   they overlap other ranks'. Of allreduce all ranks may give the same shared memory, which is then written
 *   once. NULL is fine where there is no result, and both may be NULL where count is 0, which makes the call a
 *   barrier.
 * count, dtype, op, root: the same in all ranks. An element of MINLOC and MAXLOC has 16 bytes.
 * Returns 0, or -1 with errno
 *   EINVAL     no such dtype or op, or the op makes no sense for it; root is no rank; in or out is NULL; count
 *              is more than there can be: uncaught
 *   ENOMEM     no shared memory to pass the elements through, or what sharedmem_malloc() says: in all ranks
 *              alike
 *   ECANCELED  the team has failed; out may be changed in part
 */
SHAREDMEM_API int sharedmem_reduce_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op, int root,
                                      const char *where);
#define sharedmem_reduce(in, out, count, dtype, op, root)                                                    \
    sharedmem_reduce_at((in), (out), (count), (dtype), (op), (root), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_allreduce_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op,
                                         const char *where);
#define sharedmem_allreduce(in, out, count, dtype, op)                                                       \
    sharedmem_allreduce_at((in), (out), (count), (dtype), (op), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_scan_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op,
                                    const char *where);
#define sharedmem_scan(in, out, count, dtype, op)                                                            \
    sharedmem_scan_at((in), (out), (count), (dtype), (op), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_exscan_at(const void *in, void *out, size_t count, int32_t dtype, int32_t op,
                                      const char *where);
#define sharedmem_exscan(in, out, count, dtype, op)                                                          \
    sharedmem_exscan_at((in), (out), (count), (dtype), (op), SHAREDMEM_HERE)

/*
 * The same for elements of any size, combined by a function, as by sharedmem_all().
 *
 * bytes: of one element; 0 makes the call a barrier.
 * combine: the same in all ranks. It is called with one element of each at a time, in any rank.
 */
SHAREDMEM_API int sharedmem_reduce_by_at(const void *in, void *out, size_t count, size_t bytes,
                                         sharedmem_combine_function *combine, void *context, int root,
                                         const char *where);
#define sharedmem_reduce_by(in, out, count, bytes, combine, context, root)                                   \
    sharedmem_reduce_by_at((in), (out), (count), (bytes), (combine), (context), (root), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_allreduce_by_at(const void *in, void *out, size_t count, size_t bytes,
                                            sharedmem_combine_function *combine, void *context,
                                            const char *where);
#define sharedmem_allreduce_by(in, out, count, bytes, combine, context)                                      \
    sharedmem_allreduce_by_at((in), (out), (count), (bytes), (combine), (context), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_scan_by_at(const void *in, void *out, size_t count, size_t bytes,
                                       sharedmem_combine_function *combine, void *context, const char *where);
#define sharedmem_scan_by(in, out, count, bytes, combine, context)                                           \
    sharedmem_scan_by_at((in), (out), (count), (bytes), (combine), (context), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_exscan_by_at(const void *in, void *out, size_t count, size_t bytes,
                                         sharedmem_combine_function *combine, void *context,
                                         const char *where);
#define sharedmem_exscan_by(in, out, count, bytes, combine, context)                                         \
    sharedmem_exscan_by_at((in), (out), (count), (bytes), (combine), (context), SHAREDMEM_HERE)

/*
 * Brings together the parts of all ranks, one behind the other: gather in rank root, allgather in all ranks.
 *
 *     sharedmem_gather(&mine, all, sizeof mine, 0);
 *
 * in: this rank's part. It is not copied where it lies in its place in out, or in == out, which says so too.
 * out: memory for the parts of all ranks. Of gather, root's counts only, and others give NULL, but in ==
 *   out says of their parts too that they are in their place in it. Of allgather, all may give the same
 *   shared memory, or each its own.
 * bytes: of one rank's part. bytes, root: the same in all ranks, or it is an uncaught usage error in all.
 *   With 0 bytes the call is a barrier, and in and out may be NULL.
 * Memory may be private or shared, in each rank as it likes; more than 16 KiB that are shared are copied
 * once, straight to their place.
 * Owner: who gave it; each may use its memory again once its own call has returned.
 * Returns 0, or -1 with errno
 *   EINVAL     root is no rank, a pointer is NULL, or ranks give different bytes: uncaught
 *   ENOMEM     no shared memory to pass the data through, or what sharedmem_malloc() says: in all ranks alike
 *   ECANCELED  the team has failed; out may be written in part
 */
SHAREDMEM_API int sharedmem_gather_at(const void *in, void *out, size_t bytes, int root, const char *where);
#define sharedmem_gather(in, out, bytes, root)                                                               \
    sharedmem_gather_at((in), (out), (bytes), (root), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_allgather_at(const void *in, void *out, size_t bytes, const char *where);
#define sharedmem_allgather(in, out, bytes) sharedmem_allgather_at((in), (out), (bytes), SHAREDMEM_HERE)

/*
 * Deals out the parts that lie at in, in rank root, one behind the other: each rank gets its own.
 *
 * in: root's counts only, and others give NULL; but in == out says of their parts too that they go to
 *   their place in it.
 * out: memory for this rank's part. Its place in in, or in == out, which says so too: it stays there.
 * bytes, root, who owns what, and what it returns: as sharedmem_gather().
 */
SHAREDMEM_API int sharedmem_scatter_at(const void *in, void *out, size_t bytes, int root, const char *where);
#define sharedmem_scatter(in, out, bytes, root)                                                              \
    sharedmem_scatter_at((in), (out), (bytes), (root), SHAREDMEM_HERE)

/*
 * Each rank has a part for each, and gets one of each: part s of out in rank r is part r of in in rank s.
 *
 * in, out: as many parts as there are ranks, of bytes each; in == out: what a rank gets takes the place
 *   of what it gives. bytes, who owns what, and what it returns: as sharedmem_gather().
 */
SHAREDMEM_API int sharedmem_alltoall_at(const void *in, void *out, size_t bytes, const char *where);
#define sharedmem_alltoall(in, out, bytes) sharedmem_alltoall_at((in), (out), (bytes), SHAREDMEM_HERE)

/*
 * The same with parts that differ.
 *
 * bytes: of this rank's part; it may be 0, and the part NULL.
 * sizes: the bytes of each rank's part, one number a rank. Where one is not what that rank gives as
 *   bytes, that is an uncaught usage error (EINVAL) in all ranks, which says both.
 * offsets: where in the whole each rank's part begins, in bytes; NULL: behind the one before. Parts do
 *   not overlap, and what is between them stays as it is.
 * sizes, offsets: root's count only, and others give NULL, but of allgatherv, where all give the same
 *   sizes.
 * in == out: as above, in a rank that has sizes; in another it is an uncaught usage error.
 * All else as sharedmem_gather(), sharedmem_allgather() and sharedmem_scatter().
 */
SHAREDMEM_API int sharedmem_gatherv_at(const void *in, size_t bytes, void *out, const size_t *sizes,
                                       const size_t *offsets, int root, const char *where);
#define sharedmem_gatherv(in, bytes, out, sizes, offsets, root)                                              \
    sharedmem_gatherv_at((in), (bytes), (out), (sizes), (offsets), (root), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_allgatherv_at(const void *in, size_t bytes, void *out, const size_t *sizes,
                                          const size_t *offsets, const char *where);
#define sharedmem_allgatherv(in, bytes, out, sizes, offsets)                                                 \
    sharedmem_allgatherv_at((in), (bytes), (out), (sizes), (offsets), SHAREDMEM_HERE)
SHAREDMEM_API int sharedmem_scatterv_at(const void *in, const size_t *sizes, const size_t *offsets, void *out,
                                        size_t bytes, int root, const char *where);
#define sharedmem_scatterv(in, sizes, offsets, out, bytes, root)                                             \
    sharedmem_scatterv_at((in), (sizes), (offsets), (out), (bytes), (root), SHAREDMEM_HERE)
/* ---- Messages ----------------------------------------------------------------------------------------- */

/*
 * Between ranks of a job or parallel call that share memory a message is seldom needed: a plain store and a
 * sharedmem_barrier() tell as much. But who sends need not wait for all, and a program of MPI has its calls.
 *
 *     if (sharedmem_rank() == 0)
 *         sharedmem_send(u, n * sizeof *u, 1, 0);
 *     else
 *         sharedmem_recv(u, n * sizeof *u, 0, 0, NULL);
 *
 * A message has a source and a destination, both ranks of the team, a tag, and a length, which may be 0. Two
 * messages from one rank to another that both match a call are received in the order in which they were sent.
 *
 * Up to 64 KiB a message is copied, and the sender goes on: until there is no more room for what nobody has
 * received, that is 16 messages for each receiver (4 in a team of more than 64 ranks), and for all together 32 of
 * 49 bytes and more, and 8 of more than 4 KiB. Then it waits. Larger ones wait until they have been received;
 * from shared memory they are copied once. Ranks that wait in one of these calls make room for each other,
 * with the memory of the heap: so programs go on that send much before they receive.
 *
 * Any threads of a rank may make these calls at once. Of those of one thread the order holds. In a map they
 * are uncaught usage errors (EPERM). A program alone, or a team of one, may send to itself.
 *
 * Where a rank has ended that a call waits for, what it sent before is still received; then the team fails, with
 * "rank 2 is gone while rank 0 waits for a message (tag 5) at ring.c:40". In a failed team a rank of a job, or a
 * worker, ends; rank 0 of a parallel call gets errno ECANCELED.
 *
 * Errors of all: -1 with errno
 *   EINVAL     a rank, tag or data that cannot be: uncaught
 *   EPERM      in a map: uncaught
 *   ENOMEM     no shared memory for what is sent, or for what stands before what is wanted
 *   ECANCELED  the team has failed
 */

#define SHAREDMEM_ANY_SOURCE (-1) /* as a source: whoever sends */
#define SHAREDMEM_ANY_TAG    (-1)
#define SHAREDMEM_NOBODY     (-2) /* as a source or dest: nothing happens, and the call returns at once */

/* What was received, or is there to be. From nobody: source SHAREDMEM_NOBODY, tag SHAREDMEM_ANY_TAG, bytes 0. */
typedef struct sharedmem_status {
    int32_t source;
    int32_t tag;
    size_t bytes;
} sharedmem_status;

/*
 * Sends bytes at data to rank dest. When it returns data may be changed.
 *
 * data: private or shared memory; may be NULL where bytes is 0.
 * dest: a rank, or SHAREDMEM_NOBODY. To itself a rank sends up to 64 KiB; more is an uncaught error (EDEADLK),
 *   for it would wait for itself.
 * tag: 0 or more.
 * Returns 0, or -1 with errno as above.
 */
SHAREDMEM_API int sharedmem_send_at(const void *data, size_t bytes, int dest, int tag, const char *where);
#define sharedmem_send(data, bytes, dest, tag)                                                               \
    sharedmem_send_at((data), (bytes), (dest), (tag), SHAREDMEM_HERE)

/*
 * Waits for a message and receives it.
 *
 * data: room for bytes; may be NULL where bytes is 0. A shorter message leaves the rest as it was.
 * source: a rank, SHAREDMEM_ANY_SOURCE or SHAREDMEM_NOBODY.
 * tag: 0 or more, or SHAREDMEM_ANY_TAG.
 * status: gets the message's source, tag and length; may be NULL.
 * Returns 0, or -1 with errno as above, or
 *   EMSGSIZE   the message is longer than bytes: uncaught, with both lengths. Nothing was written, and the message
 *              is still there: a handler that returns may let another call receive it
 *   EDEADLK    a rank without other threads waits for a message from itself: uncaught
 */
SHAREDMEM_API int sharedmem_recv_at(void *data, size_t bytes, int source, int tag, sharedmem_status *status,
                                    const char *where);
#define sharedmem_recv(data, bytes, source, tag, status)                                                     \
    sharedmem_recv_at((data), (bytes), (source), (tag), (status), SHAREDMEM_HERE)

/*
 * Sends one message and receives another, both at once: ranks that exchange data, or pass them on in a ring, need
 * not think of who sends first. Arguments and errors are those of the two calls; out and in share no memory. It may
 * send any length to itself. Where what comes is too long, and a handler returns, the message out is sent still; but
 * not one of more than 64 KiB to itself, which nobody would receive. Where it receives another message in place of
 * that, and has no other threads, that is an uncaught error (EDEADLK).
 */
SHAREDMEM_API int sharedmem_sendrecv_at(const void *out, size_t out_bytes, int dest, int out_tag, void *in,
                                        size_t in_bytes, int source, int in_tag, sharedmem_status *status,
                                        const char *where);
#define sharedmem_sendrecv(out, out_bytes, dest, out_tag, in, in_bytes, source, in_tag, status)              \
    sharedmem_sendrecv_at((out), (out_bytes), (dest), (out_tag), (in), (in_bytes), (source), (in_tag),       \
                          (status), SHAREDMEM_HERE)

/*
 * Waits until a message can be received, and tells of it; it stays where it is. Unless another thread of the rank
 * takes it, the next sharedmem_recv() from status->source with status->tag gets it.
 * Arguments and errors are those of sharedmem_recv(), but that no message is too long.
 */
SHAREDMEM_API int sharedmem_probe_at(int source, int tag, sharedmem_status *status, const char *where);
#define sharedmem_probe(source, tag, status) sharedmem_probe_at((source), (tag), (status), SHAREDMEM_HERE)

/* The same without waiting: returns 1 where there is a message; 0 where not, with status as it was; or -1. */
SHAREDMEM_API int sharedmem_iprobe_at(int source, int tag, sharedmem_status *status, const char *where);
#define sharedmem_iprobe(source, tag, status) sharedmem_iprobe_at((source), (tag), (status), SHAREDMEM_HERE)

/* ---- Regions ------------------------------------------------------------------------------------------ */

/*
 * A region is a block of code with a rule on who may be in it when:
 *
 *     SHAREDMEM_CRITICAL { *sum += mine; }             // one at a time
 *     SHAREDMEM_CRITICAL_NAMED("log") { ... }          // one at a time of those with this name
 *     SHAREDMEM_ORDERED { printf("item %zu\n", i); }   // by rising item
 *
 * break, continue, return and goto out of it end it properly; break and continue leave the region only, not a
 * loop around it. longjmp does not end it. Where it cannot be entered, which is an uncaught usage error
 * (EDEADLK: this member is in it already; EPERM: an ordered region twice in one item), the block is skipped.
 * Each has calls for its begin and end under it, for other languages.
 */

/*
 * Critical: excludes every other member of the program: all workers, ranks and threads, whatever call they
 * work for. A member that dies in it leaves it free.
 *
 * name: up to 47 bytes (ENAMETOOLONG, uncaught); NULL is the one unnamed critical. There can be 255 names in
 *   a program (ENOSPC, uncaught).
 * Blocks while another member is in it; not fair. Returns 0, or -1 with errno.
 */
SHAREDMEM_API SHAREDMEM_DIRECT int sharedmem_critical_begin(const char *name, const char *where);
SHAREDMEM_API SHAREDMEM_DIRECT void sharedmem_critical_end(const char *name);

/*
 * Ordered: in a map or a loop, item i enters after every smaller item has left its ordered region or ended
 * without one; so an item may skip it. Elsewhere in a parallel call, or a job, ranks take turns: each round
 * goes from rank 0 up, and who has ended, or has gone on to a loop, is skipped.
 *
 * An item enters once at most, a rank as often as it likes. Alone it is entered at once.
 * Blocks until it is its turn. Returns 0, or -1 with errno
 *   EPERM      this item was in one already, this rank is in it, or its loop has given it no item: uncaught
 *   ECANCELED  the team has failed meanwhile
 */
SHAREDMEM_API int sharedmem_ordered_begin(const char *where);
SHAREDMEM_API void sharedmem_ordered_end(void);

/* What the block macros are made of. */
typedef struct sharedmem_region {
    const char *name; /* of a critical region */
    int32_t is_ordered;
    int32_t is_open;
} sharedmem_region;

SHAREDMEM_API sharedmem_region sharedmem_region_begin(int is_ordered, const char *name, const char *where);
SHAREDMEM_API void sharedmem_region_end(sharedmem_region *region);

#if defined(__GNUC__)
/* The same two for the block macros, in the program itself: what is constant there costs nothing. */
static inline sharedmem_region sharedmem_region_open_(int is_ordered, const char *name, const char *where)
{
    sharedmem_region region;

    region.name = name;
    region.is_ordered = is_ordered;
    if (is_ordered)
        region.is_open = sharedmem_ordered_begin(where) == 0;
    else
        region.is_open = sharedmem_critical_begin(name, where) == 0;
    return region;
}

static inline void sharedmem_region_close_(sharedmem_region *region)
{
    if (!region->is_open)
        return;
    region->is_open = 0;
    if (region->is_ordered)
        sharedmem_ordered_end();
    else
        sharedmem_critical_end(region->name);
}

#define SHAREDMEM_CRITICAL                     SHAREDMEM_REGION_(0, NULL, __COUNTER__)
#define SHAREDMEM_CRITICAL_NAMED(name)         SHAREDMEM_REGION_(0, (name), __COUNTER__)
#define SHAREDMEM_ORDERED                      SHAREDMEM_REGION_(1, NULL, __COUNTER__)
#define SHAREDMEM_REGION_(is_ordered, name, n) SHAREDMEM_REGION__(is_ordered, name, n)
#define SHAREDMEM_REGION__(is_ordered, name, n)                                                              \
    for (sharedmem_region sharedmem_region_##n __attribute__((__cleanup__(sharedmem_region_close_))) =       \
             sharedmem_region_open_(is_ordered, name, SHAREDMEM_HERE);                                       \
         sharedmem_region_##n.is_open; sharedmem_region_close_(&sharedmem_region_##n))
#endif

/* ---- Mutexes and counters ----------------------------------------------------------------------------- */

/*
 * Plain data of which all zero is a free mutex, and a counter at 0: nothing is created or destroyed. They
 * lie in shared memory, by themselves or inside of what they belong to, and work between all members of the
 * program: workers, ranks and threads, whatever call they work for. In private memory, of which each process
 * has a copy, they are uncaught usage errors (EINVAL).
 *
 *     struct total { sharedmem_mutex mutex; double sum; };
 *     struct total *total = sharedmem_new(struct total, 1);
 *
 *     SHAREDMEM_LOCKED (&total->mutex) { total->sum += mine; }
 *
 * Their memory is not freed while anybody uses them.
 */

/* A mutex: 8 bytes, aligned to 8, zeroed before its first use. What is in it is the library's. */
typedef struct sharedmem_mutex {
    uint64_t opaque[1];
} sharedmem_mutex;

/*
 * Locks mutex. Blocks while another member has it; not fair.
 *
 * Who dies with a mutex locked, by a signal, an exit, or as a thread that ends, or fails in it by an
 * uncaught error, may leave what it guards half changed. From then on locking it is an uncaught error
 * (EOWNERDEAD), and the mutex is not locked: nobody goes on with such data by mistake. Where the dead was a
 * rank or worker of the caller's team, that fails with the cause of the death instead.
 * sharedmem_mutex_lock_robust() is for those who can put the data right. Zeroing the mutex, where nobody uses
 * it, makes it new too.
 *
 * where: the call's place, for messages; the macro sets it. NULL is none.
 * Returns 0, and the caller has it; or -1 with errno, and has it not:
 *   EINVAL     mutex is NULL, not aligned, or not shared memory: uncaught
 *   EDEADLK    the caller has it already, or the caller of the map or parallel call that this is a worker of
 *              has it, and waits for its workers: uncaught
 *   EOWNERDEAD see above: uncaught
 *   ECANCELED  the team has failed by a death, or a deadlock; a rank of a job, or a worker, ends instead. Who
 *              works for no team has a deadlock as an uncaught error
 *   EAGAIN     the member table is full: uncaught
 */
SHAREDMEM_API SHAREDMEM_DIRECT int sharedmem_mutex_lock_at(sharedmem_mutex *mutex, const char *where);
#define sharedmem_mutex_lock(mutex) sharedmem_mutex_lock_at((mutex), SHAREDMEM_HERE)

/*
 * The same for who asks: where an owner died in it, the caller gets the mutex all the same, and *owner_died is
 * true. Its unlock says that what the mutex guards is whole again; where it cannot make it so, it fails.
 *
 * owner_died: set to true or false; not NULL (EINVAL, uncaught).
 */
SHAREDMEM_API int sharedmem_mutex_lock_robust_at(sharedmem_mutex *mutex, bool *owner_died, const char *where);
#define sharedmem_mutex_lock_robust(mutex, owner_died)                                                       \
    sharedmem_mutex_lock_robust_at((mutex), (owner_died), SHAREDMEM_HERE)

/* As sharedmem_mutex_lock(), without waiting: errno EBUSY, not uncaught, where another member has it. */
SHAREDMEM_API int sharedmem_mutex_trylock_at(sharedmem_mutex *mutex, const char *where);
#define sharedmem_mutex_trylock(mutex) sharedmem_mutex_trylock_at((mutex), SHAREDMEM_HERE)

/*
 * As sharedmem_mutex_lock(), but waits for so many seconds at most: then errno ETIMEDOUT, not uncaught. 0 or
 * less does not wait, INFINITY is for ever, NaN is an uncaught usage error (EINVAL).
 */
SHAREDMEM_API int sharedmem_mutex_timedlock_at(sharedmem_mutex *mutex, double seconds, const char *where);
#define sharedmem_mutex_timedlock(mutex, seconds)                                                            \
    sharedmem_mutex_timedlock_at((mutex), (seconds), SHAREDMEM_HERE)

/*
 * Unlocks mutex, in the thread that has locked it. In a copy of that which the program has forked meanwhile it
 * does nothing: the mutex is its parent's.
 * Returns 0, or -1 with errno: EPERM, the caller has not locked it; EINVAL as above: uncaught.
 */
SHAREDMEM_API SHAREDMEM_DIRECT int sharedmem_mutex_unlock_at(sharedmem_mutex *mutex, const char *where);
#define sharedmem_mutex_unlock(mutex) sharedmem_mutex_unlock_at((mutex), SHAREDMEM_HERE)

#if defined(__GNUC__)
static inline sharedmem_mutex *sharedmem_locked_open_(sharedmem_mutex *mutex, const char *where)
{
    return sharedmem_mutex_lock_at(mutex, where) == 0 ? mutex : NULL;
}

static inline void sharedmem_locked_close_(sharedmem_mutex **locked)
{
    if (*locked == NULL)
        return;
    sharedmem_mutex_unlock_at(*locked, NULL);
    *locked = NULL;
}

/*
 * As a block, which is left as those of regions are, see above: break, continue, return and goto unlock. Where
 * the mutex cannot be locked, the block is skipped.
 */
#define SHAREDMEM_LOCKED(mutex)      SHAREDMEM_LOCKED_(mutex, __COUNTER__)
#define SHAREDMEM_LOCKED_(mutex, n)  SHAREDMEM_LOCKED__(mutex, n)
#define SHAREDMEM_LOCKED__(mutex, n)                                                                         \
    for (sharedmem_mutex * sharedmem_locked_##n __attribute__((__cleanup__(sharedmem_locked_close_))) =      \
             sharedmem_locked_open_((mutex), SHAREDMEM_HERE);                                                \
         sharedmem_locked_##n != NULL; sharedmem_locked_close_(&sharedmem_locked_##n))
#endif

/* A counter: a number of 64 bits, 16 bytes, aligned to 8. What is in it is the library's. */
typedef struct sharedmem_counter {
    uint64_t opaque[2];
} sharedmem_counter;

/*
 * Adds amount, which may be negative, in one piece. Sums wrap. What a member wrote to shared memory before
 * it adds is seen by those who find the sum, by add, read or wait.
 *
 * Does not block. May be called in a signal handler.
 * Returns the value behind it: of n members that add 1, the one that gets n is the last. 0, with errno EINVAL,
 * where counter is none: uncaught.
 */
SHAREDMEM_API int64_t sharedmem_counter_add_at(sharedmem_counter *counter, int64_t amount, const char *where);
#define sharedmem_counter_add(counter, amount) sharedmem_counter_add_at((counter), (amount), SHAREDMEM_HERE)

/* Sets the value. What was added meanwhile is lost. Otherwise as add. Returns 0, or -1 with errno EINVAL. */
SHAREDMEM_API int sharedmem_counter_set_at(sharedmem_counter *counter, int64_t value, const char *where);
#define sharedmem_counter_set(counter, value) sharedmem_counter_set_at((counter), (value), SHAREDMEM_HERE)

/* Returns the value. Otherwise as add. */
SHAREDMEM_API int64_t sharedmem_counter_read_at(const sharedmem_counter *counter, const char *where);
#define sharedmem_counter_read(counter) sharedmem_counter_read_at((counter), SHAREDMEM_HERE)

/* How a counter has to be to a value. */
typedef enum sharedmem_relation {
    SHAREDMEM_EQ = 1, /* == */
    SHAREDMEM_NE,     /* != */
    SHAREDMEM_LT,     /* <  */
    SHAREDMEM_LE,     /* <= */
    SHAREDMEM_GT,     /* >  */
    SHAREDMEM_GE      /* >= */
} sharedmem_relation;

/*
 * Waits until the counter is so to value: sharedmem_counter_wait(c, SHAREDMEM_GE, n) until it is n or more.
 * A value that it had only for a moment may be missed.
 *
 * relation: a sharedmem_relation.
 * Blocks. Nobody is known to be the one who will change a counter: the wait goes on where a member dies, as
 * long as the caller's team goes on. smrrun's report tells who waits where. Items of a map may be done one
 * after the other, by one worker: an item must not wait for a later one.
 * Returns 0, or -1 with errno
 *   EINVAL     counter is NULL, not aligned, or not shared memory; no such relation: uncaught
 *   ECANCELED  the team has failed; a rank of a job, or a worker, ends instead
 *   EDEADLK    this process is alone, with one thread and no children, so that nobody will change it: uncaught.
 *              Who waits for what a signal handler of its own will add uses timedwait
 *   EAGAIN     the member table is full: uncaught
 */
SHAREDMEM_API int sharedmem_counter_wait_at(sharedmem_counter *counter, int32_t relation, int64_t value,
                                            const char *where);
#define sharedmem_counter_wait(counter, relation, value)                                                     \
    sharedmem_counter_wait_at((counter), (relation), (value), SHAREDMEM_HERE)

/*
 * The same for so many seconds at most: then errno ETIMEDOUT, not uncaught. 0 or less only looks, INFINITY
 * is for ever, NaN is an uncaught usage error (EINVAL).
 */
SHAREDMEM_API int sharedmem_counter_timedwait_at(sharedmem_counter *counter, int32_t relation, int64_t value,
                                                 double seconds, const char *where);
#define sharedmem_counter_timedwait(counter, relation, value, seconds)                                       \
    sharedmem_counter_timedwait_at((counter), (relation), (value), (seconds), SHAREDMEM_HERE)

/* ---- Debug mode --------------------------------------------------------------------------------------- */

/*
 * Switches debug mode on or off for this process: maps and background calls do all in the caller, in order,
 * parallel calls have one rank, and a debugger sees all. Results and errors are the same, but that a crash or
 * exit() ends the program. SHAREDMEM_DEBUG=1 switches it on at start.
 * Returns whether it was on.
 */
SHAREDMEM_API bool sharedmem_set_debug(bool on);

/*
 * Checking mode, SHAREDMEM_CHECK=1 in the environment of the program, or of smrrun, finds mistakes that else hang,
 * or give wrong numbers, and names both places. It is slow: each collective has one barrier more, and no lock is
 * taken in the short way. Ranks of one team are all checked, or none is.
 *
 *   errors of the team, EINVAL: ranks that are in different collectives (sharedmem_barrier() and finalize are
 *     some too), or in one with a different size, dtype, op or root
 *   uncaught usage errors: EDEADLK, a collective inside a critical or ordered region, or with a mutex locked,
 *     that the rank has taken as one of this team; EINVAL, a loop that differs from that of another rank, as
 *     without checking mode
 *   a warning, once for each: locks (critical regions and mutexes, but for those that are only tried) that are
 *     taken within each other in different orders, so that members who do that at once could wait for each
 *     other for ever. It is a warning since something else, as a barrier, may keep them from doing it at once
 *   a warning, at the end of a parallel call that has not failed, and as a rank of a job ends: messages that
 *     were sent to it by then and that it has not received
 */

#ifdef __cplusplus
}
#endif

#endif
