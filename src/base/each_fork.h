/*
 * each_fork.h: what every forked worker runs, from its fork to its end, lies in one piece of the library's text.
 *
 * A process begins with none of the pages of its programs' and libraries' text mapped. The kernel maps 16 of
 * them around the first one touched, by a fault of several microseconds: apart, these few functions cost a
 * worker six such faults, a third of what it costs more than a bare fork.
 */
#ifndef BASE_EACH_FORK_H
#define BASE_EACH_FORK_H

/* Compilers put hot functions beside each other. */
#define EACH_FORK __attribute__((__hot__))

#endif
