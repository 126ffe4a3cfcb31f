#include "host/rendezvous.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/fds.h"
#include "host/process.h"

/* How the system names what pages_create() makes. */
#define MEMORY_LINK "/memfd:sharedmem"

/* No process has more above it, but where they make a ring, as pid namespaces may pretend. */
#define MAX_ANCESTORS 1000

static socklen_t fill_address(struct sockaddr_un *address, const char *name)
{
    size_t length = strlen(name);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* A path that begins with a zero byte is an abstract name. */
    if (length > sizeof address->sun_path - 1)
        length = sizeof address->sun_path - 1;
    memcpy(address->sun_path + 1, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static int open_socket(void)
{
    return fds_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int close_failed(int fd)
{
    int saved_errno = errno;

    if (fd >= 0)
        close(fd);
    errno = saved_errno;
    return -1;
}

int rendezvous_take(const char *name)
{
    struct sockaddr_un address;
    socklen_t length = fill_address(&address, name);
    int fd = open_socket();

    /* Nobody is ever let in: whom the system keeps waiting has been told all that it wants to know. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, length) != 0 || listen(fd, SOMAXCONN) != 0)
        return close_failed(fd);
    return fd;
}

/* Whom the socket is connected to. 0 would be a process that is not to be seen from here. */
static pid_t peer_of(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        return -1;
    if (peer.uid == geteuid() && peer.pid > 0)
        return peer.pid;
    errno = EPERM;
    return -1;
}

pid_t rendezvous_owner(const char *name)
{
    struct sockaddr_un address;
    socklen_t length = fill_address(&address, name);
    int fd = open_socket();
    pid_t pid;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, length) != 0) {
        close_failed(fd);
        return errno == ECONNREFUSED ? 0 : -1;
    }
    pid = peer_of(fd);
    close_failed(fd);
    return pid;
}

static bool is_memory(int folder, const char *name)
{
    char target[64];
    ssize_t length = readlinkat(folder, name, target, sizeof target - 1);

    if (length < 0)
        return false;
    target[length] = '\0';
    return strncmp(target, MEMORY_LINK, strlen(MEMORY_LINK)) == 0;
}

int rendezvous_open_memory(pid_t pid, int n)
{
    char path[32];
    const struct dirent *entry;
    DIR *folder;
    int fd = -1;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    if (folder == NULL)
        return -1;
    errno = 0;
    while (fd < 0 && (entry = readdir(folder)) != NULL) {
        if (is_memory(dirfd(folder), entry->d_name) && n-- == 0)
            fd = fds_above_stdio(openat(dirfd(folder), entry->d_name, O_RDWR | O_CLOEXEC | O_NOCTTY));
        if (fd < 0)
            errno = ENOENT;
    }
    if (fd < 0 && errno == 0)
        errno = ENOENT;
    n = errno;
    closedir(folder);
    errno = n;
    return fd;
}

static bool is_called(pid_t pid, const char *name)
{
    char path[32], command[32];
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, command, sizeof command - 1);
    close(fd);
    command[length > 0 ? length - 1 : 0] = '\0';
    return command[0] != '\0' && strncmp(command, name, 15) == 0;
}

pid_t rendezvous_ancestor(const char *name)
{
    struct process_look look;
    pid_t pid = getppid();

    for (int i = 0; pid > 1 && i < MAX_ANCESTORS; i++) {
        if (is_called(pid, name))
            return pid;
        if (process_look(pid, &look) != 1)
            break;
        pid = look.parent;
    }
    return 0;
}
