/*
 * options.h: the command line of smrrun. One table in options.c says each option once: its spellings, what
 * value it takes, and its line of help; parser and help are made of it.
 */
#ifndef SMRRUN_OPTIONS_H
#define SMRRUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/binding.h"
#include "smrrun/wrap.h"

#define OPTIONS_MAX_RANKS 4096

/* One of the programs, with : between them; its ranks follow those of the one before. */
struct options_program {
    char **argv;      /* the program and its arguments, NULL at the end; part of the command line */
    int n_ranks;      /* where there are several; else as options.n_ranks */
    const char *wdir; /* NULL: stay here; not looked at yet */
    int exports[2];   /* it has the first program's exports, and these: from, to before */
};

struct options {
    int n_ranks;   /* of all programs; 0: not given */
    int n_threads; /* 0: not given */
    enum binding_policy bind;
    bool is_bind_given;
    enum binding_map map;
    int per_object;   /* ppr: ranks on each object of map; 0: not given */
    int cores;        /* of each rank's share, PE=; 0: not given */
    bool use_smt;     /* each hardware thread counts as a core */
    const char *cpus; /* a list of those to use, or of those not to; NULL: not given */
    const char *exclude;
    bool report_bindings;
    bool dry_run;
    bool keep_going;
    bool label;
    bool timestamps;
    int stdin_rank;       /* who has the standard input; -1: nobody */
    const char *files[2]; /* where stdout and stderr go, patterns of files.h; NULL: to the launcher's */
    bool stats;
    bool quiet;
    bool verbose;
    uint64_t timeout_ns; /* 0: none */
    uint64_t grace_ns;   /* from SIGTERM to SIGKILL; 0: at once */
    uint64_t heap_bytes; /* 0: not given */
    const char *mem;     /* where memory lies, as SHAREDMEM_MEM has it; NULL: not given */
    const char *wdir;    /* of the program that is read; see programs */
    int n_per_node;      /* ranks on each host, as others say it; 0: not given */
    const char *hosts;   /* where to run, as others say it: a list, or a file with one; NULL: not given */
    const char *hosts_file;
    char **exports; /* "VAR=VALUE" of -x in the order given, as many as n_exports; options_free() */
    int n_exports;
    struct wrap *wraps; /* of --wrap in the order given, as many as n_wraps; options_free() */
    int n_wraps;
    int gdb_rank;  /* who runs under a debugger that has the terminal; -1: nobody */
    bool selftest; /* report what is here, and run a small job of smrrun itself */
    struct options_program *programs; /* in the order given, as many as n_programs; options_free() */
    int n_programs;
    char *preset; /* the words of SHAREDMEM_OPTS, which values above may lie in */
};

enum options_answer {
    OPTIONS_RUN,  /* options are filled: run */
    OPTIONS_DONE, /* help or version was asked for, and printed to stdout: exit 0 */
    OPTIONS_BAD   /* message says what is wrong and what to type instead: exit 125 */
};

/*
 * Reads the command line, NULL at its end. Options end at the first word that is none, which is the program,
 * or at --. Long options may be cut as long as they are unique, and take their value as --name=value or as
 * the next word; with one dash, as MPI's launchers have them, only whole: -np 4. Letters may share a word:
 * -lvn4. The last of several counts, but -x and --wrap add. Behind a : follow options of the next program, which count for it
 * alone: -n, -x and -w. The words of SHAREDMEM_OPTS come before all of them.
 * argv: a : becomes NULL.
 * message: gets one line without a newline and without "smrrun: ", cut to size; "" where all is well.
 */
enum options_answer options_parse(struct options *options, int argc, char **argv, char *message, size_t size);

/* Frees what options_parse() allocated. Any outcome of it is fine. */
void options_free(struct options *options);

#endif
