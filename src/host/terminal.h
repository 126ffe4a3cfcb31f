/* terminal.h: the terminal that a program talks to, by one of its descriptors. */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

/* What is taken for its width where nobody says. */
#define TERMINAL_COLUMNS 80

/* Whether fd is one. */
bool terminal_is(int fd);

/* Its width: of its window, else by COLUMNS, else TERMINAL_COLUMNS. */
int terminal_columns(int fd);

/*
 * Whether what is written to fd now, a line of less than 4 KiB, would go out at once: not to a terminal that
 * is stopped by Ctrl-S, nor to one from the background, nor to a pipe that is full; to a file always. It is a
 * moment's answer: who stops the terminal just between this and the write stops the writer, too.
 */
bool terminal_takes(int fd);

/*
 * ---- A terminal that is lent to another process group ----
 *
 * What types and signals come to is the terminal's foreground group. A launcher that lends it to one of its children
 * takes it back when that has ended, with the modes that it had, whatever ended it. All that lends and takes back
 * has SIGTTOU blocked or ignored.
 */
struct terminal {
    int fd;               /* closed on exec; -1: there is none */
    pid_t group;          /* who lends it: the caller's own */
    struct termios modes; /* as they were */
};

/*
 * Opens the terminal of this session. Where this process's group is in the background it stops, as who reads from it
 * there: until the shell brings it to the foreground.
 * Returns 0, or -1 with errno: ENXIO there is none, or EIO no shell brings this group to the foreground.
 */
int terminal_open(struct terminal *terminal);

/* Makes group the one in the foreground. Async-signal-safe. Returns whether it is. */
bool terminal_lend(const struct terminal *terminal, pid_t group);

/* Whether it is lent to group, or to one that has ended meanwhile. */
bool terminal_is_lent(const struct terminal *terminal, pid_t group);

/* The group in the foreground; -1: that cannot be told. */
pid_t terminal_group(const struct terminal *terminal);

/* Makes the group that lent it the one in the foreground, with the modes that it had. Async-signal-safe. */
void terminal_take_back(const struct terminal *terminal);

/* Its modes of now, and others instead. */
bool terminal_modes(const struct terminal *terminal, struct termios *modes);
void terminal_set_modes(const struct terminal *terminal, const struct termios *modes);

#endif
