#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "sharedmem.h"

static void log_to_stderr(const char *message)
{
    char line[1100];

    snprintf(line, sizeof line, "sharedmem: %s\n", message);
    log_write(line);
}

static _Atomic(sharedmem_log_handler *) handler = log_to_stderr;

sharedmem_log_handler *sharedmem_set_log(sharedmem_log_handler *new_handler)
{
    return atomic_exchange(&handler, new_handler);
}

void log_warn(const char *format, ...)
{
    sharedmem_log_handler *to = atomic_load(&handler);
    int saved_errno = errno;
    char message[1024];
    va_list arguments;

    if (to == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    text_one_line(message);
    to(message);
    errno = saved_errno;
}

void log_write(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t written = write(STDERR_FILENO, text, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        left -= (size_t)written;
    }
}
