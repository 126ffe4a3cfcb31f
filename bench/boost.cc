/*
 * boost QUESTION MEMBERS OPERATIONS WORK: the side of Boost.Interprocess, forked processes with a heap in
 * managed shared memory. Prints the nanoseconds of one operation. bench/heap runs it; it has the same loops.
 */
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sched.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/interprocess/managed_shared_memory.hpp>

#include "spin.h"

using boost::interprocess::managed_shared_memory;

namespace
{

constexpr std::size_t heap_bytes = std::size_t{256} << 20;
constexpr unsigned n_live = 1024;

/* gate.h for C++, in the managed memory itself. */
struct gate {
    std::atomic<int> arrived{0};
    std::atomic<std::uint64_t> opened_ns{0};
    std::atomic<std::uint64_t> left_ns{0};

    void enter(int np)
    {
        unsigned steps = 0;

        if (arrived.fetch_add(1) + 1 == np)
            opened_ns.store(spin_now_ns());
        while (opened_ns.load() == 0)
            spin_step(&steps);
    }

    void leave()
    {
        std::uint64_t now = spin_now_ns(), last = left_ns.load();

        while (last < now && !left_ns.compare_exchange_weak(last, now))
            ;
    }
};

struct question {
    managed_shared_memory &memory;
    int rank;
    std::uint64_t ops; /* of this member */
};

/* A block that is freed at once. */
void ask_hot(const question &q)
{
    for (std::uint64_t i = q.ops; i > 0; i--)
        q.memory.deallocate(q.memory.allocate(64));
}

std::size_t mixed_bytes(std::uint64_t random)
{
    std::size_t least = std::size_t{16} << (random >> 32) % 8;

    return least + (random >> 40) % least + 1;
}

/* One block of many is freed, and another is taken in its place. */
void ask_mixed(const question &q)
{
    unsigned char *blocks[n_live] = {};
    std::uint64_t state = static_cast<std::uint64_t>(q.rank) + 1;

    for (std::uint64_t i = q.ops; i > 0; i--) {
        std::uint64_t random = spin_random(&state);
        unsigned char *&block = blocks[random % n_live];

        if (block != nullptr)
            q.memory.deallocate(block);
        block = static_cast<unsigned char *>(q.memory.allocate(mixed_bytes(random)));
        *block = 1;
    }
    for (unsigned char *block : blocks)
        if (block != nullptr)
            q.memory.deallocate(block);
}

const struct {
    const char *name;
    void (*ask)(const question &);
} questions[] = {{"hot", ask_hot}, {"mixed", ask_mixed}};

/* On the rank-th processor of those that this process may use, as gang.c does it. */
void place(int rank)
{
    cpu_set_t cpus, mine;
    int cpu = 0;

    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return;
    rank %= CPU_COUNT(&cpus);
    for (; !CPU_ISSET(cpu, &cpus) || rank-- > 0; cpu++)
        ;
    CPU_ZERO(&mine);
    CPU_SET(cpu, &mine);
    sched_setaffinity(0, sizeof mine, &mine);
}

/* Runs np processes, and waits for them. Returns whether all went well. */
bool run(void (*ask)(const question &), managed_shared_memory &memory, gate &gate, int np, std::uint64_t ops)
{
    bool good = true;
    int status;

    for (int rank = 0; rank < np; rank++) {
        if (fork() != 0)
            continue;
        place(rank);
        gate.enter(np);
        ask({memory, rank, ops / static_cast<std::uint64_t>(np)});
        gate.leave();
        _exit(EXIT_SUCCESS);
    }
    while (wait(&status) > 0)
        good = good && status == 0;
    return good;
}

int answer(void (*ask)(const question &), int np, std::uint64_t ops)
{
    const std::string name = "sharedmem-bench-" + std::to_string(getpid());
    /* Its name is needed for its making only: the children have it mapped. */
    managed_shared_memory memory(boost::interprocess::create_only, name.c_str(), heap_bytes);
    gate *common = memory.construct<gate>(boost::interprocess::anonymous_instance)();

    boost::interprocess::shared_memory_object::remove(name.c_str());
    if (!run(ask, memory, *common, np, ops) || !memory.check_sanity())
        return EXIT_FAILURE;
    std::printf("%.17g\n",
                static_cast<double>(common->left_ns - common->opened_ns) / static_cast<double>(ops));
    return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char **argv)
{
    for (const auto &question : questions)
        if (argc == 5 && std::strcmp(argv[1], question.name) == 0 && std::atoi(argv[2]) > 0)
            return answer(question.ask, std::atoi(argv[2]), std::strtoull(argv[3], nullptr, 10));
    std::fprintf(stderr, "usage: boost QUESTION MEMBERS OPERATIONS WORK\n");
    return 2;
}
