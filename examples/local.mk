# What newcomers read first: they use the public header alone, as plain C11. Installed with the documentation.
example_programs = examples/halo examples/heat examples/hello examples/histogram examples/integrate examples/list examples/montecarlo examples/nbody examples/ring examples/sum examples/wordcount
example_cppflags = -I$(top_srcdir)/include
example_cflags = -std=c11 $(WARNING_CFLAGS) $(SANITIZER_CFLAGS)
# -no-install: the programs themselves can be run where they are built, without a wrapper script.
example_ldflags = $(AM_LDFLAGS) -no-install

noinst_PROGRAMS += $(example_programs)

examples_halo_SOURCES = examples/halo.c
examples_halo_CPPFLAGS = $(example_cppflags)
examples_halo_CFLAGS = $(example_cflags) -Wno-vla
examples_halo_LDFLAGS = $(example_ldflags)
examples_halo_LDADD = libsharedmem.la

examples_heat_SOURCES = examples/heat.c
examples_heat_CPPFLAGS = $(example_cppflags)
# Pointers to rows of a length known at run time are no arrays on the stack.
examples_heat_CFLAGS = $(example_cflags) -Wno-vla
examples_heat_LDFLAGS = $(example_ldflags)
examples_heat_LDADD = libsharedmem.la

examples_hello_SOURCES = examples/hello.c
examples_hello_CPPFLAGS = $(example_cppflags)
examples_hello_CFLAGS = $(example_cflags)
examples_hello_LDFLAGS = $(example_ldflags)
examples_hello_LDADD = libsharedmem.la

examples_histogram_SOURCES = examples/histogram.c
examples_histogram_CPPFLAGS = $(example_cppflags)
examples_histogram_CFLAGS = $(example_cflags)
examples_histogram_LDFLAGS = $(example_ldflags)
examples_histogram_LDADD = libsharedmem.la

examples_integrate_SOURCES = examples/integrate.c
examples_integrate_CPPFLAGS = $(example_cppflags)
examples_integrate_CFLAGS = $(example_cflags)
examples_integrate_LDFLAGS = $(example_ldflags)
examples_integrate_LDADD = libsharedmem.la

examples_list_SOURCES = examples/list.c
examples_list_CPPFLAGS = $(example_cppflags)
examples_list_CFLAGS = $(example_cflags)
examples_list_LDFLAGS = $(example_ldflags)
examples_list_LDADD = libsharedmem.la

examples_nbody_SOURCES = examples/nbody.c
examples_nbody_CPPFLAGS = $(example_cppflags)
examples_nbody_CFLAGS = $(example_cflags)
examples_nbody_LDFLAGS = $(example_ldflags)
examples_nbody_LDADD = libsharedmem.la -lm
examples_montecarlo_SOURCES = examples/montecarlo.c
examples_montecarlo_CPPFLAGS = $(example_cppflags)
examples_montecarlo_CFLAGS = $(example_cflags)
examples_montecarlo_LDFLAGS = $(example_ldflags)
examples_montecarlo_LDADD = libsharedmem.la -lm

examples_ring_SOURCES = examples/ring.c
examples_ring_CPPFLAGS = $(example_cppflags)
examples_ring_CFLAGS = $(example_cflags)
examples_ring_LDFLAGS = $(example_ldflags)
examples_ring_LDADD = libsharedmem.la

examples_sum_SOURCES = examples/sum.c
examples_sum_CPPFLAGS = $(example_cppflags)
examples_sum_CFLAGS = $(example_cflags)
examples_sum_LDFLAGS = $(example_ldflags)
examples_sum_LDADD = libsharedmem.la

examples_wordcount_SOURCES = examples/wordcount.c
examples_wordcount_CPPFLAGS = $(example_cppflags)
examples_wordcount_CFLAGS = $(example_cflags)
examples_wordcount_LDFLAGS = $(example_ldflags)
examples_wordcount_LDADD = libsharedmem.la

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	examples/halo.c \
	examples/heat.c \
	examples/hello.c \
	examples/histogram.c \
	examples/integrate.c \
	examples/list.c \
	examples/nbody.c \
	examples/montecarlo.c \
	examples/ring.c \
	examples/sum.c \
	examples/wordcount.c
