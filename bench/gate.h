/*
 * gate.h: the stop-watch of a gang. It starts when the last member has come and stops when the last one
 * leaves, so that starting members is not measured with what they do.
 */
#ifndef BENCH_GATE_H
#define BENCH_GATE_H

#include <stdatomic.h>

#include "spin.h"

/* In memory that all members share; zero before. */
struct gate {
    _Alignas(64) _Atomic uint32_t arrived;
    _Alignas(64) _Atomic uint64_t opened_ns;
    _Atomic uint64_t left_ns;
};

/* Waits until np members have come, or the gate is open already. */
static inline void gate_enter(struct gate *gate, int np)
{
    uint64_t closed = 0;
    unsigned steps = 0;

    /*
     * release, and acquire below: what was written before the gate is seen after it. An open gate keeps
     * its time.
     */
    if (atomic_fetch_add_explicit(&gate->arrived, 1, memory_order_acq_rel) + 1 == (uint32_t)np)
        atomic_compare_exchange_strong_explicit(&gate->opened_ns, &closed, spin_now_ns(),
                                                memory_order_release, memory_order_relaxed);
    while (atomic_load_explicit(&gate->opened_ns, memory_order_acquire) == 0)
        spin_step(&steps);
}

/* Opens it before anybody has come: the start of the members is measured too. */
static inline void gate_open(struct gate *gate)
{
    atomic_store_explicit(&gate->opened_ns, spin_now_ns(), memory_order_release);
}

static inline void gate_leave(struct gate *gate)
{
    uint64_t now = spin_now_ns();
    uint64_t last = atomic_load_explicit(&gate->left_ns, memory_order_relaxed);

    /* relaxed: it is read when all members have ended, which orders more than this could. */
    while (last < now && !atomic_compare_exchange_weak_explicit(&gate->left_ns, &last, now,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

/* From its opening to the last leave; 0 where nobody left. Read by who has seen all members end. */
static inline uint64_t gate_ns(struct gate *gate)
{
    uint64_t opened = atomic_load_explicit(&gate->opened_ns, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&gate->left_ns, memory_order_relaxed);

    return left > opened ? left - opened : 0;
}

#endif
