/* The public calls about a rank's share, and the clock that all ranks have in common. */
#include "host/clock.h"
#include "sharedmem.h"

double sharedmem_wtime(void)
{
    return (double)clock_monotonic_ns() * 1e-9;
}

sharedmem_range sharedmem_part(size_t n, int part, int n_parts)
{
    size_t index = (size_t)part, size, n_larger;

    if (part < 0 || part >= n_parts)
        return (sharedmem_range){n, n};
    size = n / (size_t)n_parts;
    n_larger = n % (size_t)n_parts;
    if (index < n_larger)
        return (sharedmem_range){index * (size + 1), (index + 1) * (size + 1)};
    return (sharedmem_range){index * size + n_larger, (index + 1) * size + n_larger};
}

sharedmem_range sharedmem_my_part(size_t n)
{
    return sharedmem_part(n, sharedmem_rank(), sharedmem_size());
}
