# What newcomers read first: they use the public header alone, as plain C11. Installed with the documentation.
example_programs = examples/sum examples/wordcount
example_cppflags = -I$(top_srcdir)/include
example_cflags = -std=c11 $(WARNING_CFLAGS) $(SANITIZER_CFLAGS)
# -no-install: the programs themselves can be run where they are built, without a wrapper script.
example_ldflags = $(AM_LDFLAGS) -no-install

noinst_PROGRAMS += $(example_programs)

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
dist_examples_DATA = examples/sum.c examples/wordcount.c
