/* pc.h: what a program counter of this process belongs to, as the dynamic linker knows it. */
#ifndef HOST_PC_H
#define HOST_PC_H

#include <stdint.h>

struct pc_place {
    const char *function, *object; /* NULL: unknown */
    uint64_t offset;               /* from the function's beginning */
    uint64_t address;              /* as the object's file has it */
    const void *base;
    const char *path; /* of the object's file */
};

/* Any thread may call it; not for signal handlers. All zero where no object of this process has pc. */
struct pc_place pc_place(uint64_t pc);

#endif
