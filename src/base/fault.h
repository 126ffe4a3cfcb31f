/*
 * fault.h: places where a test can kill the process, between any two stores of a change to shared memory.
 *
 * In the library that users get they are nothing. In a build with SHAREDMEM_FAULT_INJECTION each pass through
 * one counts down, and the pass that reaches zero is the process's last: SIGKILL, as an OOM kill would do it.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef SHAREDMEM_FAULT_INJECTION

/* Dies at the steps-th FAULT_POINT from now on in this process; 0: never. */
void fault_arm(unsigned long steps);

/* How many steps are left of fault_arm(): non-zero means that it did not come to it. */
unsigned long fault_left(void);

void fault_point(void);
#define FAULT_POINT() fault_point()

#else
#define FAULT_POINT() ((void)0)
#endif

#endif
