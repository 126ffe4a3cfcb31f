#include "smrrun/program.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/env.h"
#include "base/text.h"

enum { FOUND = 0, BAD_FOLDER = 125, CANNOT_RUN = 126, NOT_FOUND = 127 };

/* As many bytes of a script as the kernel looks at for its interpreter. */
#define HEAD_BYTES 256

/* How names stand in messages: cut, so that what helps is left. */
#define NAME "%.200s"

/* What is looked for, and where. */
struct search {
    const char *name;
    int folder_fd; /* wdir's; AT_FDCWD: the current one */
    const char *path;
    char *message;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct search *search, int status,
                                                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(search->message, search->size, format, arguments);
    va_end(arguments);
    text_one_line(search->message);
    return status;
}

/* ---- Whether a file may be executed ---- */

static bool is_on_noexec(const struct search *search, const char *path)
{
    struct statvfs file_system;
    int fd = openat(search->folder_fd, path, O_PATH | O_CLOEXEC);
    bool is_noexec = fd >= 0 && fstatvfs(fd, &file_system) == 0 && (file_system.f_flag & ST_NOEXEC) != 0;

    if (fd >= 0)
        close(fd);
    return is_noexec;
}

static const char is_a_folder[] = "is a folder", not_executable[] = "is not executable";

/* Why the file path cannot be executed, by its kind and permissions; NULL: it can. */
static const char *refusal_of(const struct search *search, const char *path)
{
    struct stat status;

    if (fstatat(search->folder_fd, path, &status, 0) != 0)
        return strerror(errno);
    if (S_ISDIR(status.st_mode))
        return is_a_folder;
    if (!S_ISREG(status.st_mode))
        return "is no plain file";
    if (faccessat(search->folder_fd, path, X_OK, AT_EACCESS) == 0)
        return NULL;
    if (is_on_noexec(search, path))
        return "is on a file system that is mounted noexec; copy it to another";
    return (status.st_mode & 0111) != 0 ? "may not be executed by this user" : not_executable;
}

/* ---- What is in it ---- */

/*
 * Whether the kernel was told of formats of its own (of other machines, of Java, ...): then only executing
 * tells what can be.
 */
static bool has_own_formats(void)
{
    DIR *formats = opendir("/proc/sys/fs/binfmt_misc");
    bool has_any = false;

    if (formats == NULL)
        return false;
    for (const struct dirent *entry; !has_any && (entry = readdir(formats)) != NULL;)
        has_any = entry->d_name[0] != '.' && strcmp(entry->d_name, "register") != 0 &&
                  strcmp(entry->d_name, "status") != 0;
    closedir(formats);
    return has_any;
}

/* Checks the interpreter that is named in the file. */
static int check_interpreter(const struct search *search, const char *interpreter)
{
    size_t length = strlen(interpreter);
    const char *refusal = refusal_of(search, interpreter);

    if (refusal == NULL)
        return FOUND;
    if (length > 0 && interpreter[length - 1] == '\r')
        return refuse(search, CANNOT_RUN,
                      NAME ": has lines that end as on Windows, so its interpreter is not found; as in: "
                           "sed -i 's/\\r$//' " NAME,
                      search->path, search->path);
    return refuse(search, CANNOT_RUN, NAME ": its interpreter " NAME " cannot be run: %s", search->path,
                  interpreter, refusal);
}

/* head: the file's beginning, length bytes, then 0. */
static int check_script(const struct search *search, char *head, size_t length)
{
    char *interpreter = head + 2;

    head[strcspn(head, "\n")] = '\0';
    interpreter += strspn(interpreter, " \t");
    if (*interpreter == '\0' || *interpreter == '\r')
        return refuse(search, CANNOT_RUN, NAME ": its #! line names no interpreter; as in: #!/bin/sh",
                      search->path);
    /* A name that the kernel would cut. */
    if (length == HEAD_BYTES && interpreter + strcspn(interpreter, " \t") == head + length)
        return refuse(search, CANNOT_RUN, NAME ": its #! line is longer than the system reads, %d bytes",
                      search->path, HEAD_BYTES);
    interpreter[strcspn(interpreter, " \t")] = '\0';
    return check_interpreter(search, interpreter);
}

/* The interpreter of a program (the dynamic linker), "" where it has none. */
static void read_elf_interpreter(int fd, const Elf64_Ehdr *header, char *interpreter, size_t size)
{
    interpreter[0] = '\0';
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        ssize_t length;

        if (pread(fd, &segment, sizeof segment, (off_t)(header->e_phoff + i * sizeof segment)) !=
            (ssize_t)sizeof segment)
            return;
        if (segment.p_type != PT_INTERP || segment.p_filesz >= size)
            continue;
        length = pread(fd, interpreter, segment.p_filesz, (off_t)segment.p_offset);
        interpreter[length > 0 ? length : 0] = '\0';
        return;
    }
}

/* Whether the program is for another kind of machine than ours is. */
static bool is_foreign(const Elf64_Ehdr *header)
{
    Elf64_Ehdr own;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool is_own_known = fd >= 0 && read(fd, &own, sizeof own) == (ssize_t)sizeof own;

    if (fd >= 0)
        close(fd);
    return is_own_known &&
           (header->e_machine != own.e_machine || header->e_ident[EI_DATA] != own.e_ident[EI_DATA]);
}

/* What has 32 bits is left to the kernel, which may run it. */
static int check_elf(const struct search *search, int fd, const char *head, size_t length)
{
    Elf64_Ehdr header;
    char interpreter[PATH_MAX];
    bool is_foreign_to_us;

    if (length < sizeof header || head[EI_CLASS] != ELFCLASS64)
        return FOUND;
    memcpy(&header, head, sizeof header);
    is_foreign_to_us = is_foreign(&header);
    if (is_foreign_to_us && has_own_formats())
        return FOUND;
    if (is_foreign_to_us)
        return refuse(search, CANNOT_RUN, NAME ": is a program for another kind of machine; compile it here",
                      search->path);
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return refuse(search, CANNOT_RUN,
                      NAME ": is compiled but not linked to a program; as in: cc " NAME " -o prog",
                      search->path, search->path);
    read_elf_interpreter(fd, &header, interpreter, sizeof interpreter);
    return interpreter[0] != '\0' ? check_interpreter(search, interpreter) : FOUND;
}

/* A file that may be executed: whether the system knows how to. */
static int check_format(const struct search *search)
{
    char head[HEAD_BYTES + 1] = "";
    int fd = openat(search->folder_fd, search->path, O_RDONLY | O_CLOEXEC), status = FOUND;
    ssize_t length;

    if (fd < 0)
        return FOUND;
    length = pread(fd, head, HEAD_BYTES, 0);
    if (length == 0)
        status = refuse(search, CANNOT_RUN, NAME ": is empty", search->path);
    else if (length > 3 && memcmp(head, ELFMAG, SELFMAG) == 0)
        status = check_elf(search, fd, head, (size_t)length);
    else if (length > 1 && memcmp(head, "#!", 2) == 0)
        status = check_script(search, head, (size_t)length);
    else if (length > 0 && memchr(head, '\0', (size_t)length) == NULL)
        status = refuse(search, CANNOT_RUN, NAME ": has no #! line and is no program; as in: smrrun sh " NAME,
                        search->path, search->path);
    else if (length > 0 && !has_own_formats())
        status = refuse(search, CANNOT_RUN, NAME ": is no program that this system can run", search->path);
    close(fd);
    return status;
}

/* ---- The search ---- */

static bool is_there(const struct search *search, const char *path)
{
    struct stat status;

    return fstatat(search->folder_fd, path, &status, 0) == 0 && !S_ISDIR(status.st_mode);
}

/* Whether the failure of fstatat() says that there is nothing, rather than that it cannot be seen. */
static bool means_missing(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG;
}

/* Judges search->path. is_final: it is an executable file, so that the search ends here. */
static int judge(const struct search *search, bool *is_final)
{
    const char *refusal;
    struct stat status;

    *is_final = false;
    if (fstatat(search->folder_fd, search->path, &status, 0) != 0 && means_missing(errno))
        return NOT_FOUND;
    refusal = refusal_of(search, search->path);
    if (refusal == NULL) {
        *is_final = true;
        return check_format(search);
    }
    if (refusal == is_a_folder)
        return refuse(search, CANNOT_RUN, NAME ": %s; give a program in it, as in: smrrun " NAME "/prog",
                      search->path, refusal, search->path);
    if (refusal == not_executable)
        return refuse(search, CANNOT_RUN, NAME ": %s; as in: chmod +x " NAME, search->path, refusal,
                      search->path);
    return refuse(search, CANNOT_RUN, NAME ": %s", search->path, refusal);
}

/* A relative path that is not there. Jobs of Torque begin in the home folder, which many forget. */
static int refuse_missing_path(const struct search *search, const char *wdir)
{
    const char *submitted = env_text(ENV_PBS_O_WORKDIR);
    char here[PATH_MAX], there[PATH_MAX];

    if (search->name[0] == '/')
        return refuse(search, NOT_FOUND, NAME ": not found; check the path", search->name);
    if (submitted != NULL && wdir == NULL &&
        (size_t)snprintf(there, sizeof there, "%s/%s", submitted, search->name) < sizeof there &&
        is_there(search, there))
        return refuse(search, NOT_FOUND,
                      NAME ": not found here, but where the job was submitted; as in: cd $PBS_O_WORKDIR",
                      search->name);
    if (wdir == NULL)
        wdir = getcwd(here, sizeof here) != NULL ? here : ".";
    return refuse(search, NOT_FOUND, NAME ": not found in " NAME "; check the path", search->name, wdir);
}

static int find_path(struct search *search, const char *wdir, char path[PATH_MAX])
{
    bool is_final;
    int status;

    if (strlen(search->name) >= PATH_MAX)
        return refuse(search, NOT_FOUND, "%.60s...: not found; the path is too long", search->name);
    search->path = strcpy(path, search->name);
    status = judge(search, &is_final);
    return status == NOT_FOUND ? refuse_missing_path(search, wdir) : status;
}

static int refuse_missing_name(const struct search *search)
{
    if (is_there(search, search->name))
        return refuse(search, NOT_FOUND, NAME ": not found; for a program in this folder type ./" NAME,
                      search->name, search->name);
    return refuse(search, NOT_FOUND, NAME ": not found in PATH; give its path, as in: smrrun ./prog",
                  search->name);
}

/* Makes the path of name in the first folder of the list; an empty one is this. Returns whether it fits. */
static bool make_path(char path[PATH_MAX], const char *list, const char *name)
{
    int length = (int)strcspn(list, ":");

    return snprintf(path, PATH_MAX, "%.*s/%s", length > 0 ? length : 1, length > 0 ? list : ".", name) <
           PATH_MAX;
}

/* Goes through PATH. What cannot be run is passed over, and told of if there is no other. */
static int find_name(struct search *search, char path[PATH_MAX])
{
    const char *list = env_text(ENV_PATH);
    int answer = NOT_FOUND;

    if (list == NULL)
        list = "/bin:/usr/bin";
    search->path = path;
    for (;; list++) {
        bool is_final = false;
        int status = make_path(path, list, search->name) ? judge(search, &is_final) : NOT_FOUND;

        if (status == FOUND || is_final)
            return status;
        if (status == CANNOT_RUN)
            answer = CANNOT_RUN;
        list += strcspn(list, ":");
        if (*list == '\0')
            return answer == NOT_FOUND ? refuse_missing_name(search) : answer;
    }
}

/* Opens wdir to look from there. */
static int enter(struct search *search, const char *wdir)
{
    search->folder_fd = open(wdir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (search->folder_fd >= 0 && faccessat(search->folder_fd, ".", X_OK, AT_EACCESS) == 0)
        return FOUND;
    return refuse(search, BAD_FOLDER, "-w " NAME ": %s; give a folder to run in", wdir, strerror(errno));
}

int program_find(const char *name, const char *wdir, char path[PATH_MAX], char *message, size_t size)
{
    struct search search = {.name = name, .folder_fd = AT_FDCWD, .message = message, .size = size};
    int status = FOUND;

    path[0] = '\0';
    if (name[0] == '\0')
        return refuse(&search, NOT_FOUND, "the program's name is empty; as in: smrrun -n 4 ./prog");
    if (wdir != NULL)
        status = enter(&search, wdir);
    if (status == FOUND)
        status = strchr(name, '/') != NULL ? find_path(&search, wdir, path) : find_name(&search, path);
    if (search.folder_fd >= 0)
        close(search.folder_fd);
    if (status == FOUND)
        message[0] = '\0';
    return status;
}
