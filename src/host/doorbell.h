/*
 * doorbell.h: what a process that sleeps in poll(2) is woken by: its fd is readable from the first
 * doorbell_ring() on until doorbell_clear(). Forked children may ring it, whatever the program did to its
 * files in them: a bell that was closed there, or whose number is another file by now, is not rung.
 */
#ifndef HOST_DOORBELL_H
#define HOST_DOORBELL_H

#include <sys/types.h>

struct doorbell {
    int fd;      /* to poll; -1: there is no bell */
    int ring_fd; /* the other end of the pipe */
    dev_t device;
    ino_t inode;
};

/* Nothing to ring, nothing to close. */
#define DOORBELL_NONE ((struct doorbell){.fd = -1, .ring_fd = -1})

/* Returns 0, or -1 with errno; the bell is then DOORBELL_NONE. */
int doorbell_open(struct doorbell *bell);

/* Neither blocks nor fails; keeps errno. */
void doorbell_ring(const struct doorbell *bell);
void doorbell_clear(const struct doorbell *bell);

void doorbell_close(struct doorbell *bell);

#endif
