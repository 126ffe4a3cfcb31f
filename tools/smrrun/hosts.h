/*
 * hosts.h: lists of hosts, as batch systems and MPI's launchers have them, and what of them is this host.
 *
 * A name with or without its domain is this host's where the other has it or not; localhost always is.
 */
#ifndef SMRRUN_HOSTS_H
#define SMRRUN_HOSTS_H

#include <stdbool.h>

/* What a list says. */
struct hosts {
    int n_hosts;     /* how many different ones */
    int n_slots;     /* on all of them, at most HOSTS_MAX_SLOTS */
    int n_here;      /* on this host; 0: it is not named */
    bool has_counts; /* slots were counted: a host was named twice, or with a number */
};

#define HOSTS_MAX_SLOTS (1 << 20)

/* Whether name is that of the host called hostname. */
bool hosts_is_here(const char *name, const char *hostname);

/*
 * Whether a list of Slurm's, "login,node[1-3,07-12]", names the host called hostname, with or without its domain. A
 * number in brackets has as many digits as the first of its range at least.
 */
bool hosts_is_in_ranges(const char *list, const char *hostname);

/* Reads a list: "a:4,b", "localhost". Returns 0, or an errno: ENOMEM. */
int hosts_read_list(struct hosts *hosts, const char *list, const char *hostname);

/*
 * Reads a file with a host a line: "a", "a:4", "a 4", "a slots=4"; # begins a comment. Never waits for what the path
 * names. Returns 0, or an errno: EINVAL, it is no plain file or larger than 16 MiB; ENOMEM; or as open(2).
 */
int hosts_read_file(struct hosts *hosts, const char *path, const char *hostname);

#endif
