#include "host/pc.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

struct pc_place pc_place(uint64_t pc)
{
    struct pc_place place = {0};
    struct link_map *map;
    const char *slash;
    Dl_info info;

    if (dladdr1((const void *)(uintptr_t)pc, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return place;
    slash = strrchr(info.dli_fname, '/');
    place.object = slash != NULL ? slash + 1 : info.dli_fname;
    place.address = pc - map->l_addr;
    place.base = info.dli_fbase;
    /* The linker knows the program by how it was called. This is its file, even when that has moved. */
    place.path = map->l_name[0] != '\0' ? map->l_name : "/proc/self/exe";
    place.function = info.dli_sname;
    if (place.function != NULL)
        place.offset = pc - (uintptr_t)info.dli_saddr;
    return place;
}
