#include "config.h"

#include "host/symbols_read.h"

#include <dlfcn.h>

void *(*symbols_dlopen)(const char *name, int flags) = dlopen;

#ifdef HAVE_DWFL

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECTS_MAX 16

/* Of what is mapped and of the file: headers, and with them the build id where the linker made one. */
#define COMPARED_BYTES 4096

struct module {
    uint64_t start;
    Dwfl_Module *module; /* NULL: this file is of no use */
};

static struct {
    struct module all[OBJECTS_MAX];
    int n;
} modules;

/* ---- libdw ---- */

#define FOR_ALL_CALLS(DO)                                                                                    \
    DO(dwarf_attr_integrate)                                                                                 \
    DO(dwarf_diename)                                                                                        \
    DO(dwarf_filesrc)                                                                                        \
    DO(dwarf_formstring)                                                                                     \
    DO(dwarf_formudata)                                                                                      \
    DO(dwarf_getscopes)                                                                                      \
    DO(dwarf_getscopes_die)                                                                                  \
    DO(dwarf_getsrc_die)                                                                                     \
    DO(dwarf_getsrcfiles)                                                                                    \
    DO(dwarf_haspc)                                                                                          \
    DO(dwarf_lineno)                                                                                         \
    DO(dwarf_linesrc)                                                                                        \
    DO(dwarf_tag)                                                                                            \
    DO(dwfl_begin)                                                                                           \
    DO(dwfl_module_addrdie)                                                                                  \
    DO(dwfl_module_addrinfo)                                                                                 \
    DO(dwfl_module_getdwarf)                                                                                 \
    DO(dwfl_module_nextcu)                                                                                   \
    DO(dwfl_report_begin)                                                                                    \
    DO(dwfl_report_elf)                                                                                      \
    DO(dwfl_report_end)

#define DECLARE(call) __typeof__(call) *call;

static struct {
    FOR_ALL_CALLS(DECLARE)
    char *(*demangle)(const char *name, char *buffer, size_t *size,
                      int *status); /* NULL: not found, or not yet */
} dw;

static bool find_call(void *library, const char *name, void *call)
{
    void *found = dlsym(library, name);

    memcpy(call, &found, sizeof found);
    return found != NULL;
}

#define FIND(call) &&find_call(library, #call, &dw.call)

/* Returns whether all is there. */
static bool load(void)
{
    void *library = symbols_dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        return false;
    find_call(RTLD_DEFAULT, "__cxa_demangle", &dw.demangle);
    return true FOR_ALL_CALLS(FIND);
}

/* ---- Files ---- */

/* In place of elfutils' own, which would ask debuginfod. */
static int find_no_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, char **path,
                       Elf **elf)
{
    (void)module, (void)user, (void)name, (void)base, (void)path, (void)elf;
    return -1;
}

static int find_no_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                             const char *path, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)user, (void)name, (void)base, (void)path, (void)link, (void)crc, (void)found;
    return -1;
}

/* Whether the file is a program or a shared library, and the one that image is of. */
static bool is_object(int fd, const void *image)
{
    union {
        ElfW(Ehdr) header;
        char bytes[COMPARED_BYTES];
    } begin;

    return pread(fd, &begin, sizeof begin, 0) == (ssize_t)sizeof begin &&
           memcmp(begin.header.e_ident, ELFMAG, SELFMAG) == 0 &&
           (begin.header.e_type == ET_EXEC || begin.header.e_type == ET_DYN) &&
           (image == NULL || memcmp(&begin, image, sizeof begin) == 0);
}

/* Opens what the object's path is now, if it still is what is mapped. -1: it is not. */
static int open_object(const struct symbols_object *object)
{
    /* What is no file must not block. */
    int fd = open(object->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat stat;

    if (fd < 0)
        return -1;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && is_object(fd, object->image))
        return fd;
    close(fd);
    return -1;
}

static Dwfl_Module *read_file(uint64_t start, int fd)
{
    static const Dwfl_Callbacks callbacks = {.find_elf = find_no_elf, .find_debuginfo = find_no_debuginfo};
    Dwfl *dwfl = dw.dwfl_begin(&callbacks);
    Dwfl_Module *module;

    if (dwfl == NULL)
        return NULL;
    dw.dwfl_report_begin(dwfl);
    module = dw.dwfl_report_elf(dwfl, "object", "object", fd, start, false);
    return dw.dwfl_report_end(dwfl, NULL, NULL) == 0 ? module : NULL;
}

/* The object's module; the first time it is opened. NULL: there is no room for more. */
static struct module *module_of(const struct symbols_object *object)
{
    struct module *module = modules.all;
    int fd;

    for (; module < modules.all + modules.n; module++) {
        if (module->start == object->start)
            return module;
    }
    if (modules.n == OBJECTS_MAX)
        return NULL;
    modules.n++;
    *module = (struct module){.start = object->start};
    fd = open_object(object);
    if (fd >= 0)
        module->module = read_file(object->start, fd);
    return module;
}

/* ---- Names of functions and files ---- */

/* Of a program of C++ it is there; else, where another's names are to be read, it is loaded at the first. */
static void find_demangle(void)
{
    static bool is_tried;
    void *library;

    if (dw.demangle != NULL || is_tried)
        return;
    is_tried = true;
    library = symbols_dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        find_call(library, "__cxa_demangle", &dw.demangle);
}

/* A name of C++ in readable form. */
static void set_mangled(struct symbols_place *place, const char *name)
{
    int status = -1;
    char *readable;

    find_demangle();
    readable = dw.demangle != NULL ? dw.demangle(name, NULL, NULL, &status) : NULL;

    snprintf(place->function, sizeof place->function, "%s", readable != NULL ? readable : name);
    free(readable);
}

static void set_function(struct symbols_place *place, const char *name)
{
    if (strncmp(name, "_Z", 2) == 0)
        set_mangled(place, name);
    else
        snprintf(place->function, sizeof place->function, "%s", name);
}

static const char *string_of(Dwarf_Die *die, unsigned int name)
{
    Dwarf_Attribute attribute;

    return dw.dwarf_formstring(dw.dwarf_attr_integrate(die, name, &attribute));
}

/* The symbol's name only where it is C++'s: those of Fortran have underscores all around. */
static void set_function_of(struct symbols_place *place, Dwarf_Die *die)
{
    const char *linkage = string_of(die, DW_AT_linkage_name);
    const char *name = linkage != NULL && strncmp(linkage, "_Z", 2) == 0 ? linkage : dw.dwarf_diename(die);

    if (name != NULL)
        set_function(place, name);
}

/* libdw puts the folder in front that the compiler ran in. */
static const char *without_folder(const char *path, const char *folder)
{
    size_t length = folder != NULL ? strlen(folder) : 0;

    if (length == 0 || strncmp(path, folder, length) != 0)
        return path;
    if (folder[length - 1] != '/' && path[length] != '/')
        return path;
    path += length;
    return path + strspn(path, "/");
}

static void set_file(struct symbols_place *place, Dwarf_Die *cu, const char *path, int line)
{
    size_t length;

    if (path == NULL || line <= 0)
        return;
    path = without_folder(path, string_of(cu, DW_AT_comp_dir));
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    length = strlen(path);
    if (length >= sizeof place->file) {
        const char *tail = path + length - sizeof place->file + 1, *slash = strchr(tail, '/');

        path = slash != NULL ? slash + 1 : tail;
    }
    snprintf(place->file, sizeof place->file, "%s", path);
    place->line = line;
}

/* ---- Debug info ---- */

/*
 * The unit that pc is in. The table that tells it is left out by some compilers, clang is one; and where only
 * some of the program's parts have it, the answer may be one of those. Then all units are looked at.
 */
static Dwarf_Die *unit_of(Dwfl_Module *module, Dwarf_Addr pc, Dwarf_Addr *bias)
{
    Dwarf_Die *cu = dw.dwfl_module_addrdie(module, pc, bias);

    if (cu != NULL && dw.dwarf_haspc(cu, pc - *bias) == 1)
        return cu;
    cu = NULL;
    do
        cu = dw.dwfl_module_nextcu(module, cu, bias);
    while (cu != NULL && dw.dwarf_haspc(cu, pc - *bias) != 1);
    return cu;
}

static void set_line(struct symbols_place *place, Dwarf_Die *cu, Dwarf_Addr pc)
{
    Dwarf_Line *line = dw.dwarf_getsrc_die(cu, pc);
    int number = 0;

    if (line != NULL && dw.dwarf_lineno(line, &number) == 0)
        set_file(place, cu, dw.dwarf_linesrc(line, NULL, NULL), number);
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned int name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;

    return dw.dwarf_formudata(dw.dwarf_attr_integrate(die, name, &attribute), &number) == 0 ? number : 0;
}

/* Where the function was called that this is an inlined copy of. */
static void set_call(struct symbols_place *place, Dwarf_Die *cu, Dwarf_Die *inlined)
{
    Dwarf_Word file = number_of(inlined, DW_AT_call_file), line = number_of(inlined, DW_AT_call_line);
    Dwarf_Files *files;
    size_t n;

    *place = (struct symbols_place){.line = 0};
    if (dw.dwarf_getsrcfiles(cu, &files, &n) == 0 && file < n && line <= INT32_MAX)
        set_file(place, cu, dw.dwarf_filesrc(files, (size_t)file, NULL, NULL), (int)line);
}

/*
 * Whether the place is a call of the function by itself, at its head: so gcc tells of one that it split in
 * two parts.
 */
static bool is_split(const struct symbols_place *place, Dwarf_Die *function)
{
    return place[0].line > 0 && (Dwarf_Word)place[0].line == number_of(function, DW_AT_decl_line) &&
           strcmp(place[0].function, place[-1].function) == 0;
}

/*
 * Makes room at the end. Least is lost behind the innermost: deep in a C++ library no function is the user's.
 */
static int drop_second(struct symbols_place *places)
{
    memmove(&places[1], &places[2], (SYMBOLS_DEPTH - 2) * sizeof *places);
    return SYMBOLS_DEPTH - 1;
}

/* Goes outward through what encloses pc, up to the function that has code of its own. */
static int set_functions(Dwarf_Die *cu, Dwarf_Die *scopes, int n_scopes, struct symbols_place *places)
{
    int n = 0;

    for (int i = 0; i < n_scopes; i++) {
        int tag = dw.dwarf_tag(&scopes[i]);

        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        set_function_of(&places[n], &scopes[i]);
        if (n == 0 || !is_split(&places[n], &scopes[i]))
            n++;
        if (tag == DW_TAG_subprogram)
            break;
        if (n == SYMBOLS_DEPTH)
            n = drop_second(places);
        set_call(&places[n], cu, &scopes[i]);
    }
    return n;
}

/* Two steps: what dwarf_getscopes() finds around an inlined function is where its source stands. */
static int set_places(Dwarf_Die *cu, Dwarf_Addr pc, struct symbols_place *places)
{
    Dwarf_Die *at, *scopes = NULL;
    int n, n_scopes = 0;

    set_line(&places[0], cu, pc);
    if (dw.dwarf_getscopes(cu, pc, &at) > 0)
        n_scopes = dw.dwarf_getscopes_die(&at[0], &scopes);
    n = set_functions(cu, scopes, n_scopes, places);
    return n > 0 ? n : places[0].line > 0;
}

static int find_in_dwarf(Dwfl_Module *module, uint64_t pc, struct symbols_place *places)
{
    Dwarf_Addr bias;
    Dwarf *dwarf = dw.dwfl_module_getdwarf(module, &bias);
    Dwarf_Die *cu;

    if (dwarf == NULL)
        return 0;
    cu = unit_of(module, pc, &bias);
    return cu != NULL ? set_places(cu, pc - bias, places) : 0;
}

/* What the symbol table says; of a last place that has no name the name too. */
static int find_symbol(Dwfl_Module *module, uint64_t pc, struct symbols_place *places, int n)
{
    struct symbols_place *last = &places[n > 0 ? n - 1 : 0];
    const char *name;
    GElf_Off offset;
    GElf_Sym symbol;

    name = dw.dwfl_module_addrinfo(module, pc, &offset, &symbol, NULL, NULL, NULL);
    if (name == NULL || (symbol.st_size != 0 && offset >= symbol.st_size))
        return n;
    last->offset = offset;
    if (last->function[0] == '\0')
        set_function(last, name);
    return n > 0 ? n : 1;
}

static int find(const struct symbols_question *question, struct symbols_place *places)
{
    struct module *module = module_of(&question->object);
    int n;

    if (module == NULL || module->module == NULL)
        return 0;
    n = find_in_dwarf(module->module, question->pc, places);
    return find_symbol(module->module, question->pc, places, n);
}

void symbols_read(const struct symbols_question *questions, int n, struct symbols_answer *answers)
{
    if (!load())
        return;
    for (int i = 0; i < n; i++) {
        if (i > 0 && questions[i].pc == questions[i - 1].pc)
            answers[i] = answers[i - 1];
        else if (questions[i].object.path != NULL)
            answers[i].n = find(&questions[i], answers[i].places);
    }
}

#else

void symbols_read(const struct symbols_question *questions, int n, struct symbols_answer *answers)
{
    (void)questions, (void)n, (void)answers;
}

#endif
