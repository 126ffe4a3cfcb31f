/*
 * doorbell.h: what a process that sleeps in poll(2) is woken by: its fd is readable from the first
 * doorbell_ring() on until doorbell_clear(). Forked children may ring it.
 */
#ifndef HOST_DOORBELL_H
#define HOST_DOORBELL_H

/* Returns the fd, or -1 with errno. The caller closes it. */
int doorbell_open(void);

/* Neither blocks nor fails; keeps errno. */
void doorbell_ring(int fd);
void doorbell_clear(int fd);

#endif
