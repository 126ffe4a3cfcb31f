/*
 * caller.h: which place in the program called the library, written down so that another process of the job can
 * read it, though it may have its objects at other addresses.
 */
#ifndef HOST_CALLER_H
#define HOST_CALLER_H

#include <stddef.h>
#include <stdint.h>

/* Plain bytes, for shared memory. All zero: unknown. */
struct caller_shared {
    char object[24];  /* the last bytes of its file's name */
    uint64_t address; /* as the file has it, within the call; 0: unknown */
};

/*
 * Notes the innermost call on this thread's stack that is not in the library. It takes microseconds, and the
 * first one loads the unwinder. Keeps errno. Not for signal handlers.
 */
void caller_note(struct caller_shared *caller);

/*
 * Writes "heat.c:40", or "heat+0x1240" where there is no debug info or this process does not have the object,
 * or "an unknown place". Returns text. Blocks for some milliseconds as symbols_find() does.
 */
const char *caller_format(const struct caller_shared *caller, char *text, size_t size);

#endif
