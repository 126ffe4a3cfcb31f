# The library: each floor uses only those above it in this list.
library_sources = \
	src/base/bits.h \
	src/base/copy.c src/base/copy.h \
	src/base/checking.c src/base/checking.h \
	src/base/debug.c src/base/debug.h \
	src/base/each_fork.h \
	src/base/env.c src/base/env.h \
	src/base/error.c src/base/error.h \
	src/base/fault.c src/base/fault.h \
	src/base/flush.c src/base/flush.h \
	src/base/log.c src/base/log.h \
	src/base/options.c src/base/options.h \
	src/base/parse.c src/base/parse.h \
	src/base/slow.c src/base/slow.h \
	src/base/text.c src/base/text.h \
	src/base/thread_room.c src/base/thread_room.h \
	src/base/version.c \
	src/host/affinity.c src/host/affinity.h \
	src/host/binding.c src/host/binding.h src/host/binding_layout.c src/host/binding_layout.h src/host/binding_plan.c \
	src/host/binding_speeds.c src/host/binding_speeds.h \
	src/host/cgroup.c src/host/cgroup.h \
	src/host/clock.c src/host/clock.h \
	src/host/cpu_count.c src/host/cpu_count.h \
	src/host/crash.c src/host/crash.h src/host/crash_text.c \
	src/host/crash_objects.c src/host/crash_objects.h \
	src/host/descendants.c src/host/descendants.h \
	src/host/domain.c src/host/domain.h \
	src/host/doorbell.c src/host/doorbell.h \
	src/host/fds.c src/host/fds.h \
	src/host/futex.c src/host/futex.h \
	src/host/kernel_file.c src/host/kernel_file.h \
	src/host/limits.c src/host/limits.h src/host/limits_memory.c src/host/limits_processes.c \
	src/host/limits_room.c \
	src/host/modules.c src/host/modules.h \
	src/host/openmp.c src/host/openmp.h \
	src/host/caller.c src/host/caller.h src/host/pc.c src/host/pc.h \
	src/host/pages.c src/host/pages.h src/host/pages_huge.c \
	src/host/peer_memory.c src/host/peer_memory.h \
	src/host/process.c src/host/process.h src/host/process_end.c src/host/process_look.c src/host/process_twin.c \
	src/host/rendezvous.c src/host/rendezvous.h \
	src/host/symbols.c src/host/symbols.h src/host/symbols_read.c src/host/symbols_read.h \
	src/host/terminal.c src/host/terminal.h \
	src/host/speeds.c src/host/speeds.h \
	src/host/topology.c src/host/topology.h \
	src/memory/allocate.c \
	src/memory/array.c src/memory/array.h \
	src/memory/array_copy.c src/memory/array_copy.h \
	src/memory/array_iterate.c \
	src/memory/array_shape.c src/memory/array_shape.h \
	src/memory/array_view.c \
	src/memory/attach.c src/memory/attach.h \
	src/memory/budget.c src/memory/budget.h \
	src/memory/claim.c src/memory/claim.h \
	src/memory/block_find.c src/memory/block_find.h src/memory/blocks.c src/memory/blocks.h \
	src/memory/cache.c src/memory/cache.h src/memory/cache_check.c \
	src/memory/foreign.c src/memory/foreign.h src/memory/foreign_meet.c \
	src/memory/guard.c src/memory/guard.h \
	src/memory/heap.c src/memory/heap.h src/memory/heap_check.c src/memory/heap_layout.h src/memory/heap_lock.h \
	src/memory/lock.c src/memory/lock.h \
	src/memory/member.c src/memory/member.h \
	src/memory/memory.c src/memory/memory.h \
	src/memory/populate.c src/memory/populate.h \
	src/memory/placed.c src/memory/placed.h \
	src/memory/recover.c src/memory/recover.h \
	src/memory/runs.c src/memory/runs.h \
	src/memory/segment.c src/memory/segment.h \
	src/memory/spans.c src/memory/spans.h \
	src/memory/undo.c src/memory/undo.h \
	src/memory/wait.c src/memory/wait.h \
	src/team/announce.c src/team/announce.h \
	src/team/barrier.c src/team/barrier.h \
	src/team/bcast.c \
	src/team/collective.c src/team/collective.h src/team/collective_move.c \
	src/team/check.c src/team/check.h \
	src/team/counter.c \
	src/team/dims.c \
	src/team/critical.c src/team/critical.h \
	src/team/exchange.c src/team/exchange.h \
	src/team/held.c src/team/held.h \
	src/team/deadlock.c src/team/deadlock.h \
	src/team/job.c src/team/job.h \
	src/team/lock_order.c src/team/lock_order.h \
	src/team/loop.c src/team/loop.h \
	src/team/move.c src/team/move.h src/team/moving.c src/team/moving.h \
	src/team/mailbox.c src/team/mailbox.h src/team/mailbox_take.c \
	src/team/message.c src/team/message.h src/team/message_wait.c \
	src/team/mutex.c \
	src/team/op.c src/team/op.h \
	src/team/ordered.c src/team/ordered.h \
	src/team/part.c \
	src/team/printed.c src/team/printed.h \
	src/team/reduce.c \
	src/team/reduction.c src/team/reduction.h src/team/reduction_large.c \
	src/team/regions.c src/team/regions.h \
	src/team/schedule.c src/team/schedule.h \
	src/team/seed.c \
	src/team/shortage.c src/team/shortage.h \
	src/team/slice.c src/team/slice.h \
	src/team/stream.c src/team/stream.h \
	src/team/split.c \
	src/team/subteam.c src/team/subteam.h \
	src/team/supervise.c src/team/supervise.h \
	src/team/sync.c src/team/sync.h \
	src/team/team.c src/team/team.h \
	src/team/team_array.c \
	src/team/windows.c src/team/windows.h \
	src/run/array_fill.c \
	src/run/background.c \
	src/run/calls.c src/run/calls.h \
	src/run/crew.c src/run/crew.h src/run/crew_errors.c src/run/crew_errors.h src/run/crew_worker.c \
	src/run/escape.c src/run/escape.h \
	src/run/feed.c src/run/feed.h \
	src/run/map.c src/run/map_mend.c src/run/map_serial.c src/run/map_shared.h src/run/map_team.c \
	src/run/map_worker.c \
	src/run/numeric.c src/run/numeric.h src/run/numeric_sort.c \
	src/run/parallel.c \
	src/run/place.c src/run/place_plan.c src/run/place_plan.h \
	src/run/placement.c src/run/placement.h \
	src/run/pool.c src/run/pool.h \
	src/run/progress.c src/run/progress.h src/run/progress_render.c \
	src/run/results.c src/run/results.h \
	src/run/solo.c src/run/solo.h \
	src/run/spmd.c \
	src/run/stop.c src/run/stop.h \
	src/run/worker.h src/run/worker_forked.c src/run/worker_threads.c

# On its own, for it is what exceptions pass by: a function that cleans up when one does would end in itself.
noinst_LTLIBRARIES += src/libunwind.la
src_libunwind_la_SOURCES = src/base/unwind.c
src_libunwind_la_CFLAGS = -std=gnu11 -fvisibility=hidden $(WARNING_CFLAGS) -fno-exceptions -fasynchronous-unwind-tables

# All of it once, for the shared library and for the unit tests, which see the internal names too.
noinst_LTLIBRARIES += src/libinternal.la
src_libinternal_la_SOURCES = $(library_sources)
# -fexceptions: exceptions of C++ pass through calls, whose guards see to it.
src_libinternal_la_CFLAGS = $(AM_CFLAGS) -fexceptions $(HWLOC_CFLAGS) -pthread
src_libinternal_la_LIBADD = src/libunwind.la

lib_LTLIBRARIES += libsharedmem.la
libsharedmem_la_SOURCES =
libsharedmem_la_LIBADD = src/libinternal.la
# -z now: bound lazily, each forked worker would look up each function once more.
# -z nodelete: threads that end, forks and the end of a rank call it, also when who has loaded it has let it go.
libsharedmem_la_LDFLAGS = $(AM_LDFLAGS) -pthread -Wl,-z,now -Wl,-z,nodelete -version-info 0:0:0
EXTRA_DIST += src/libsharedmem.map
if HAVE_VERSION_SCRIPT
libsharedmem_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/src/libsharedmem.map
libsharedmem_la_DEPENDENCIES = src/libinternal.la src/libsharedmem.map
endif
