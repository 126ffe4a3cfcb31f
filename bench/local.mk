# The benchmarks: each answers one question side by side with its peers. Built and run by make bench only.
bench_programs = bench/map bench/workers bench/loop bench/critical bench/ordered bench/barrier \
	bench/collective bench/message bench/launch bench/numeric bench/heap bench/place
bench_shared = bench/bench.c bench/bench.h bench/gang.c bench/gang.h bench/gate.h bench/spin.h
# Bound at their start, as the library is: else each child of a floor that forks looks up _exit() once more,
# which takes it an eighth longer.
bench_ldflags = $(AM_LDFLAGS) -no-install -pthread -Wl,-z,now

EXTRA_PROGRAMS = $(bench_programs) bench/openmp bench/rank
CLEANFILES += $(EXTRA_PROGRAMS) $(bench_mpi) bench/boost

bench_map_SOURCES = bench/map.c $(bench_shared)
bench_map_LDFLAGS = $(bench_ldflags)
bench_map_LDADD = libsharedmem.la

bench_workers_SOURCES = bench/workers.c $(bench_shared)
bench_workers_LDFLAGS = $(bench_ldflags)
bench_workers_LDADD = libsharedmem.la

bench_loop_SOURCES = bench/loop.c $(bench_shared)
bench_loop_LDFLAGS = $(bench_ldflags)
bench_loop_LDADD = libsharedmem.la

bench_critical_SOURCES = bench/critical.c $(bench_shared)
bench_critical_LDFLAGS = $(bench_ldflags)
bench_critical_LDADD = libsharedmem.la

bench_ordered_SOURCES = bench/ordered.c $(bench_shared)
bench_ordered_LDFLAGS = $(bench_ldflags)
bench_ordered_LDADD = libsharedmem.la

bench_barrier_SOURCES = bench/barrier.c bench/job.c bench/job.h $(bench_shared)
bench_barrier_LDFLAGS = $(bench_ldflags)
bench_barrier_LDADD = libsharedmem.la

bench_numeric_SOURCES = bench/numeric.c $(bench_shared)
bench_numeric_LDFLAGS = $(bench_ldflags)
bench_numeric_LDADD = libsharedmem.la

bench_heap_SOURCES = bench/heap.c $(bench_shared)
bench_heap_LDFLAGS = $(bench_ldflags)
bench_heap_LDADD = libsharedmem.la

bench_place_SOURCES = bench/place.c $(bench_shared)
bench_place_LDFLAGS = $(bench_ldflags)
bench_place_LDADD = libsharedmem.la

# These three start jobs of smrrun, whose ranks run bench/rank.
bench_collective_SOURCES = bench/collective.c bench/job.c bench/job.h bench/bench.c bench/bench.h bench/spin.h
bench_collective_LDFLAGS = $(bench_ldflags)
bench_collective_LDADD = libsharedmem.la

bench_message_SOURCES = bench/message.c bench/job.c bench/job.h bench/bench.c bench/bench.h bench/spin.h
bench_message_LDFLAGS = $(bench_ldflags)
bench_message_LDADD = libsharedmem.la

bench_launch_SOURCES = bench/launch.c bench/job.c bench/job.h bench/bench.c bench/bench.h bench/spin.h
bench_launch_LDFLAGS = $(bench_ldflags)
bench_launch_LDADD = libsharedmem.la

bench_rank_SOURCES = bench/rank.c bench/spin.h
bench_rank_LDFLAGS = $(bench_ldflags)
bench_rank_LDADD = libsharedmem.la

# OpenMP's side, where the compiler has it; the others run it and do without where it is not there.
bench_openmp_SOURCES = bench/openmp.c bench/gate.h bench/spin.h
bench_openmp_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
bench_openmp_LDADD =

# MPI's side, where it is installed. configure and the library know nothing of it: it is looked for here, by
# the names of Debian; others can be given, make bench MPICC_MPICH=/opt/mpich/bin/mpicc MPIEXEC_MPICH=...
MPICC_MPICH = mpicc.mpich
MPIEXEC_MPICH = mpiexec.hydra
MPICC_OPENMPI = mpicc.openmpi
MPIEXEC_OPENMPI = mpirun.openmpi
bench_mpi = bench/mpi-mpich bench/mpi-openmpi
EXTRA_DIST += bench/mpi.c

# Without compiler and launcher there is nothing, and the tables say "not here".
bench/mpi-mpich: bench/mpi.c
	@if command -v $(MPICC_MPICH) >/dev/null && command -v $(MPIEXEC_MPICH) >/dev/null; then \
	$(MKDIR_P) bench && $(MPICC_MPICH) -std=gnu11 $(CFLAGS) -o $@ $(srcdir)/bench/mpi.c; fi
bench/mpi-openmpi: bench/mpi.c
	@if command -v $(MPICC_OPENMPI) >/dev/null && command -v $(MPIEXEC_OPENMPI) >/dev/null; then \
	$(MKDIR_P) bench && $(MPICC_OPENMPI) -std=gnu11 $(CFLAGS) -o $@ $(srcdir)/bench/mpi.c; fi

# Boost.Interprocess's side, where its headers are. Nothing else is C++ and compiled here, or needs Boost.
EXTRA_DIST += bench/boost.cc
bench/boost: bench/boost.cc bench/spin.h
	@if test -n '$(SHAREDMEM_CXX)' && echo '#include <boost/interprocess/managed_shared_memory.hpp>' | \
	$(SHAREDMEM_CXX) -E -x c++ - >/dev/null 2>&1; then \
	$(MKDIR_P) bench && $(SHAREDMEM_CXX) -std=c++17 $(CXXFLAGS) -o $@ $(srcdir)/bench/boost.cc -pthread -lrt; fi

# make bench BENCH_FLAGS='-r 31 critical' passes that to each program: 31 rounds, tables with this word.
BENCH_FLAGS =
bench_peers = smrrun bench/rank $(bench_mpi) bench/boost
if HAVE_OPENMP
bench_peers += bench/openmp
endif
.PHONY: bench
bench: $(bench_programs) $(bench_peers)
	@MPIEXEC_MPICH='$(MPIEXEC_MPICH)' MPIEXEC_OPENMPI='$(MPIEXEC_OPENMPI)'; \
	export MPIEXEC_MPICH MPIEXEC_OPENMPI; \
	for program in $(bench_programs); do ./$$program $(BENCH_FLAGS) || exit 1; echo; done
