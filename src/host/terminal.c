#include "host/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/env.h"
#include "host/fds.h"

#define COLUMNS_MAX 10000

bool terminal_is(int fd)
{
    int saved_errno = errno;
    bool is = isatty(fd) != 0;

    errno = saved_errno;
    return is;
}

int terminal_columns(int fd)
{
    int saved_errno = errno;
    struct winsize window;
    long columns = TERMINAL_COLUMNS;

    if (ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        columns = window.ws_col;
    else
        /* Shells keep it for themselves; where it is malformed, that is not worth a word. */
        env_int(ENV_COLUMNS, 1, COLUMNS_MAX, &columns);
    errno = saved_errno;
    return (int)columns;
}

/* It would be written over what the user types; and with stty tostop, SIGTTOU would stop the program. */
static bool is_in_background(int fd)
{
    pid_t group = tcgetpgrp(fd);

    return group > 0 && group != getpgrp();
}

bool terminal_takes(int fd)
{
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    int saved_errno = errno;
    bool takes = !is_in_background(fd) && poll(&asked, 1, 0) == 1 && (asked.revents & POLLOUT) != 0;

    errno = saved_errno;
    return takes;
}

/* ---- Lending ---- */

/* A stop comes at once, where it comes at all: not in a group that no shell minds, nor with SIGTTIN ignored. */
#define STOPS_MAX 3

/* Whether this group is in the foreground, now or after the stops that a shell answers by fg. */
static bool comes_to_foreground(const struct terminal *terminal)
{
    for (int stops = 0; tcgetpgrp(terminal->fd) != terminal->group; stops++) {
        if (stops == STOPS_MAX || raise(SIGTTIN) != 0)
            return false;
    }
    return true;
}

int terminal_open(struct terminal *terminal)
{
    *terminal = (struct terminal){.group = getpgrp()};
    terminal->fd = fds_above_stdio(open("/dev/tty", O_RDWR | O_CLOEXEC));
    if (terminal->fd < 0)
        return -1;
    if (comes_to_foreground(terminal) && terminal_modes(terminal, &terminal->modes))
        return 0;
    close(terminal->fd);
    terminal->fd = -1;
    errno = EIO;
    return -1;
}

bool terminal_lend(const struct terminal *terminal, pid_t group)
{
    return tcsetpgrp(terminal->fd, group) == 0;
}

pid_t terminal_group(const struct terminal *terminal)
{
    return tcgetpgrp(terminal->fd);
}

bool terminal_is_lent(const struct terminal *terminal, pid_t group)
{
    pid_t now = terminal_group(terminal);

    return now > 1 && now != terminal->group && (now == group || (kill(-now, 0) != 0 && errno == ESRCH));
}

void terminal_take_back(const struct terminal *terminal)
{
    terminal_lend(terminal, terminal->group);
    terminal_set_modes(terminal, &terminal->modes);
}

bool terminal_modes(const struct terminal *terminal, struct termios *modes)
{
    return tcgetattr(terminal->fd, modes) == 0;
}

/* Not after what is being printed: a terminal that is stopped by Ctrl-S prints nothing. */
void terminal_set_modes(const struct terminal *terminal, const struct termios *modes)
{
    tcsetattr(terminal->fd, TCSANOW, modes);
}
