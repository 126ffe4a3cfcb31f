/* Finding a program: the search through PATH, and what cannot be run, in a folder made for it. */
#include "smrrun/program.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define NOBODY          65534

static char folder[64]; /* made in the current one, where programs surely may be run */
static char absolute[PATH_MAX];
static char path[PATH_MAX], message[1024];

/* ---- Files ---- */

static const char *inside(const char *name)
{
    static char text[PATH_MAX];

    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void make_file(const char *name, mode_t mode, const void *content, size_t length)
{
    FILE *file = fopen(inside(name), "w");

    if (file == NULL || fwrite(content, 1, length, file) != length || fclose(file) != 0 ||
        chmod(inside(name), mode) != 0)
        test_ok(false, "%s is made", name);
}

static void make_text(const char *name, mode_t mode, const char *content)
{
    make_file(name, mode, content, strlen(content));
}

/* Our own program's file, changed: of another type, for another machine, with another interpreter. */
static void make_elf(const char *name, unsigned type, unsigned machine, const char *interpreter)
{
    char bytes[4096];
    FILE *file = fopen("/proc/self/exe", "r");
    size_t length = fread(bytes, 1, sizeof bytes, file);
    Elf64_Ehdr header;
    Elf64_Phdr segment = {.p_type = PT_INTERP, .p_offset = 2048, .p_filesz = strlen(interpreter) + 1};

    fclose(file);
    memcpy(&header, bytes, sizeof header);
    header.e_type = (Elf64_Half)type;
    if (machine != EM_NONE)
        header.e_machine = (Elf64_Half)machine;
    header.e_phnum = interpreter[0] != '\0' ? 1 : 0;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + header.e_phoff, &segment, sizeof segment);
    snprintf(bytes + 2048, 256, "%s", interpreter);
    make_file(name, 0755, bytes, length);
}

static void make_long_script(void)
{
    char text[400] = "#!/";

    memset(text + 3, 'x', 300);
    make_text("long-interpreter", 0755, text);
}

static void make_files(void)
{
    static const char *const folders[] = {"sub", "one", "two", "two/tool"};

    for (size_t i = 0; i < COUNT_OF(folders); i++)
        mkdir(inside(folders[i]), 0755);
    make_text("script", 0755, "#!/bin/sh\nexit 0\n");
    make_text("blanks", 0755, "#! \t/bin/sh -e\nexit 0\n");
    make_text("one-line", 0755, "#!/bin/sh");
    make_text("by-env", 0755, "#!/usr/bin/env no-such-program\n");
    make_text("in-sub", 0755, "#!sub/interpreter\n");
    make_text("sub/interpreter", 0755, "#!/bin/sh\n");
    make_text("sub/tool", 0755, "#!/bin/sh\n");
    make_text("not-executable", 0644, "#!/bin/sh\n");
    make_text("for-some", getuid() == 0 ? 0100 : 0011, "#!/bin/sh\n");
    make_text("not-readable", 0111, "#!/bin/sh\n");
    make_text("no-interpreter", 0755, "#!/no/such/program -x\n");
    make_text("folder-interpreter", 0755, "#!/usr\n");
    make_text("text-interpreter", 0755, "#!not-executable\n");
    make_text("windows", 0755, "#!/bin/sh\r\nexit 0\r\n");
    make_text("nothing-named", 0755, "#!  \nexit 0\n");
    make_text("nothing-named-windows", 0755, "#!\r\n");
    make_text("no-format", 0755, "exit 0\n");
    make_text("empty", 0755, "");
    make_file("bytes", 0755, "\1\2\0\3", 4);
    make_text("one/tool", 0644, "#!/bin/sh\n");
    make_text("one/broken", 0755, "#!/no/such/program\n");
    make_text("sub/broken", 0755, "#!/bin/sh\n");
    make_long_script();
    make_elf("elf", ET_EXEC, EM_NONE, "/bin/sh");
    make_elf("elf-static", ET_DYN, EM_NONE, "");
    make_elf("elf-object", ET_REL, EM_NONE, "");
    make_elf("elf-core", ET_CORE, EM_NONE, "");
    make_elf("elf-other", ET_EXEC, EM_S390, "/bin/sh");
    make_elf("elf-no-linker", ET_EXEC, EM_NONE, "/lib/ld-no-such.so.1");
    test_int(0, mkfifo(inside("pipe"), 0755), "a pipe is made");
    test_int(0, symlink("script", inside("link")), "a link");
    test_int(0, symlink("nothing", inside("dangling")), "one to nothing");
    test_int(0, symlink("loop", inside("loop")), "one to itself");
}

static void remove_folder(const char *name)
{
    DIR *entries = opendir(name);

    for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        char inner[PATH_MAX];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", name, entry->d_name);
        if (unlink(inner) != 0)
            remove_folder(inner);
    }
    if (entries != NULL)
        closedir(entries);
    rmdir(name);
}

/* ---- By path ---- */

static const char *const good[] = {"./script",     "./blanks",      "./one-line", "./by-env",
                                   "./in-sub",     "sub/tool",      "./link",     "./elf",
                                   "./elf-static", "sub/../script", "/bin/sh"};

static const struct {
    const char *name;
    int status;
    const char *part;
} bad[] = {
    {"", 127, "the program's name is empty; as in: smrrun -n 4 ./prog"},
    {"./nothing", 127, "./nothing: not found in "},
    {"./dangling", 127, "./dangling: not found in "},
    {"./script/x", 127, "./script/x: not found in "},
    {"/no/such/program", 127, "/no/such/program: not found; check the path"},
    {"./loop", 126, "./loop: Too many levels of symbolic links"},
    {"./sub", 126, "./sub: is a folder; give a program in it, as in: smrrun ./sub/prog"},
    {"sub/", 126, "sub/: is a folder"},
    {"/", 126, "/: is a folder"},
    {"./pipe", 126, "./pipe: is no plain file"},
    {"/dev/null", 126, "/dev/null: is no plain file"},
    {"./not-executable", 126, "./not-executable: is not executable; as in: chmod +x ./not-executable"},
    {"./no-interpreter", 126,
     "./no-interpreter: its interpreter /no/such/program cannot be run: No such file or directory"},
    {"./folder-interpreter", 126, "its interpreter /usr cannot be run: is a folder"},
    {"./text-interpreter", 126, "its interpreter not-executable cannot be run: is not executable"},
    {"./windows", 126, "./windows: has lines that end as on Windows"},
    {"./windows", 126, "as in: sed -i 's/\\r$//' ./windows"},
    {"./nothing-named", 126, "its #! line names no interpreter; as in: #!/bin/sh"},
    {"./nothing-named-windows", 126, "its #! line names no interpreter"},
    {"./long-interpreter", 126, "its #! line is longer than the system reads, 256 bytes"},
    {"./no-format", 126, "./no-format: has no #! line and is no program; as in: smrrun sh ./no-format"},
    {"./empty", 126, "./empty: is empty"},
    {"./elf-object", 126,
     "./elf-object: is compiled but not linked to a program; as in: cc ./elf-object -o prog"},
    {"./elf-core", 126, "./elf-core: is "},
    {"./elf-no-linker", 126, "its interpreter /lib/ld-no-such.so.1 cannot be run: No such file or directory"},
};

/* What is refused unless the kernel knows formats of its own. */
static const struct {
    const char *name;
    const char *part;
} foreign[] = {
    {"./bytes", "./bytes: is no program that this system can run"},
    {"./elf-other", "./elf-other: is a program for another kind of machine; compile it here"},
};

static int find(const char *name, const char *wdir)
{
    memset(path, 'x', sizeof path);
    memset(message, 'x', sizeof message - 1);
    return program_find(name, wdir, path, message, sizeof message);
}

static void test_good(const char *wdir)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        test_int(0, find(good[i], wdir), "%s can be run", good[i]);
        test_str(good[i], path, "by this path");
        test_str("", message, "without a message");
    }
}

static void test_bad(const char *wdir)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        test_int(bad[i].status, find(bad[i].name, wdir), "\"%s\" is refused", bad[i].name);
        test_has(bad[i].part, message, "and it says why");
        test_ok(strchr(message, '\n') == NULL, "in one line");
    }
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        int status = find(foreign[i].name, wdir);

        if (status == 0)
            test_skip("the kernel may know what %s is", foreign[i].name);
        else
            test_has(foreign[i].part, message, "%s is refused", foreign[i].name);
    }
}

static void test_long_names(void)
{
    char name[PATH_MAX + 10];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    test_int(127, find(name, folder), "a name that fits no path");
    test_has("not found in PATH", message, "is not found");
    name[1] = '/';
    test_int(127, find(name, folder), "a path that is too long");
    test_has("xxx...: not found; the path is too long", message, "and it says so");
    name[300] = '\0';
    test_int(127, find(name, folder), "a name that is too long");
    test_int(127, program_find("./a\nb", folder, path, message, 12), "with little room for it");
    test_str("./a b: not ", message, "the message is cut");
}

/* Root may execute what anybody may. */
static void test_permissions(void)
{
    if (geteuid() == 0 &&
        (seteuid(NOBODY) != 0 || faccessat(AT_FDCWD, inside("script"), X_OK, AT_EACCESS) != 0))
        test_skip("the folder is not seen by others");
    else {
        test_int(126, find("./for-some", folder), "a file that only others may execute");
        test_has("./for-some: may not be executed by this user", message, "is refused");
        test_int(0, find("./not-readable", folder), "one that may not be read is not judged");
    }
    if (getuid() == 0)
        test_int(0, seteuid(0), "root again");
}

/* ---- By name ---- */

static const struct {
    const char *search; /* PATH; %s: the folder, absolute */
    const char *name;
    int status;
    const char *path; /* %s: the same; or a part of the message */
} searches[] = {
    {"%s/sub", "tool", 0, "%s/sub/tool"},
    {"/no/such:%s/script:%s/sub", "tool", 0, "%s/sub/tool"},
    {"sub", "tool", 0, "sub/tool"},
    {"", "script", 0, "./script"},
    {":%s/sub", "script", 0, "./script"},
    {"%s/sub:", "script", 0, "./script"},
    {"/no/such::%s/sub", "script", 0, "./script"},
    {"%s/sub:%s", "tool", 0, "%s/sub/tool"},
    /* What cannot be executed is passed over, and told of where nothing else is found. */
    {"%s/one:%s/two:%s/sub", "tool", 0, "%s/sub/tool"},
    {"one", "tool", 126, "one/tool: is not executable; as in: chmod +x one/tool"},
    {"two:/no/such", "tool", 126, "two/tool: is a folder"},
    /* The first that can be executed is the one. */
    {"one:sub", "broken", 126, "one/broken: its interpreter /no/such/program cannot be run"},
    {"sub:one", "broken", 0, "sub/broken"},
    {"%s/sub", "script", 127, "script: not found; for a program in this folder type ./script"},
    {"%s/sub", "nothing", 127, "nothing: not found in PATH; give its path, as in: smrrun ./prog"},
    {"%s/one", "sub", 127, "sub: not found in PATH"},
    {NULL, "sh", 0, "/bin/sh"},
    {NULL, "tool", 127, "tool: not found in PATH"},
};

/* Replaces each %s of text by the folder. */
static const char *expand(const char *text, char *result)
{
    char *end = result;

    for (; *text != '\0'; text++) {
        if (strncmp(text, "%s", 2) == 0) {
            end = stpcpy(end, absolute);
            text++;
        } else {
            *end++ = *text;
        }
    }
    *end = '\0';
    return result;
}

static void test_searches(void)
{
    static char text[4 * PATH_MAX];
    const char *kept = getenv("PATH");
    char *kept_copy = strdup(kept != NULL ? kept : "");

    for (size_t i = 0; i < COUNT_OF(searches); i++) {
        const char *search = searches[i].search;

        if (search != NULL)
            setenv("PATH", expand(search, text), 1);
        else
            unsetenv("PATH");
        test_int(searches[i].status, find(searches[i].name, folder), "%s in %s", searches[i].name,
                 search != NULL ? search : "(no PATH)");
        if (searches[i].status == 0)
            test_str(expand(searches[i].path, text), path, "its path");
        else
            test_has(searches[i].path, message, "its message");
    }
    setenv("PATH", kept_copy, 1);
    free(kept_copy);
}

/* ---- Folders ---- */

static void test_folders(void)
{
    char expected[PATH_MAX + 64];

    test_int(125, find("/bin/sh", "/no/such/folder"), "a folder that is not there");
    test_str("-w /no/such/folder: No such file or directory; give a folder to run in", message, "is refused");
    test_int(125, find("/bin/sh", inside("script")), "a file for a folder");
    test_has(": Not a directory; give a folder to run in", message, "is refused");
    test_int(127, find("./script", inside("sub")), "a path counts from the folder");
    snprintf(expected, sizeof expected, "./script: not found in %s/sub; check the path", folder);
    test_str(expected, message, "which the message names");
    test_int(127, find("./nothing", NULL), "or from the current one");
    test_has("./nothing: not found in /", message, "which the message names too");
    setenv("PBS_O_WORKDIR", absolute, 1);
    test_int(127, find("./script", NULL), "in a job that began elsewhere");
    test_str("./script: not found here, but where the job was submitted; as in: cd $PBS_O_WORKDIR", message,
             "the message says where to go");
    unsetenv("PBS_O_WORKDIR");
}

static void test_current_folder(void)
{
    test_int(0, chdir(folder), "in the folder itself");
    test_good(NULL);
    test_bad(NULL);
    test_int(0, chdir(".."), "and out of it");
}

int main(void)
{
    int n_fds;

    test_begin(20);
    snprintf(folder, sizeof folder, "smrrun-program-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0 || realpath(folder, absolute) == NULL)
        test_skip_all("no folder can be made here");
    make_files();
    n_fds = test_fds();
    test_good(folder);
    test_bad(folder);
    test_current_folder();
    test_long_names();
    test_permissions();
    test_searches();
    test_folders();
    test_int(n_fds, test_fds(), "no file is left open");
    remove_folder(folder);
    return test_end();
}
