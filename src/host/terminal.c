#include "host/terminal.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/env.h"

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
