/*
 * pool.h: workers that stay: forked once, they sleep until a map gives them a call (worker_parked in worker.h).
 * The public calls are in sharedmem.h.
 *
 * A call is a crew, and what follows it, in shared memory; each worker that takes part copies it. A worker says
 * on its own line which call it has done; the one that finds all others done rings the doorbell.
 */
#ifndef RUN_POOL_H
#define RUN_POOL_H

#include "host/doorbell.h"
#include "sharedmem.h"

/* How many workers it has. */
int32_t pool_size(const sharedmem_pool *pool);

/*
 * A map is to use the pool: it is nobody else's until pool_end_call(). Workers are forked anew where one is gone,
 * or a library was loaded since.
 * Returns 0, or -1 with errno and error: EBUSY, EPERM, or as crew_start().
 */
int pool_begin_call(sharedmem_pool *pool, sharedmem_error *error);
void pool_end_call(sharedmem_pool *pool);

/* What workers wake the master with. */
const struct doorbell *pool_doorbell(const sharedmem_pool *pool);

#endif
