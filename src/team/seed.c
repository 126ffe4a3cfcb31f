/* sharedmem_seed(): SplitMix64's last step, a function of all 64 bits onto themselves, twice. */
#include "sharedmem.h"

/* The increment: 2^64 divided by the golden ratio, odd. */
#define STEP 0x9e3779b97f4a7c15u

static uint64_t mix(uint64_t bits)
{
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

/*
 * The seed is mixed by itself first: else stream i + 1 of one seed would be stream i of the seed that is one STEP
 * above it.
 */
uint64_t sharedmem_seed(uint64_t seed, uint64_t i)
{
    return mix(mix(seed + STEP) + (i + 1) * STEP);
}
