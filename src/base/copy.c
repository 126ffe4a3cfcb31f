#include "base/copy.h"

#include <string.h>

/* What every processor that we know has registers for, wherever it lies. */
typedef long long vector __attribute__((vector_size(16)));
struct block {
    vector vectors[4];
} __attribute__((packed, aligned(1), may_alias));

/*
 * The compiler must not see in the loop what is to be avoided, and call memcpy() for it: hence the barrier,
 * which is none for the processor.
 */
void copy_far(void *to, const void *from, size_t bytes)
{
    size_t at = 0;

    for (; at + sizeof(struct block) <= bytes; at += sizeof(struct block)) {
        const struct block *source = (const void *)((const char *)from + at);
        struct block *place = (void *)((char *)to + at);
        vector first = source->vectors[0], second = source->vectors[1];
        vector third = source->vectors[2], fourth = source->vectors[3];

        place->vectors[0] = first;
        place->vectors[1] = second;
        place->vectors[2] = third;
        place->vectors[3] = fourth;
        __asm__ __volatile__("" : : : "memory");
    }
    if (at < bytes)
        memcpy((char *)to + at, (const char *)from + at, bytes - at);
}
