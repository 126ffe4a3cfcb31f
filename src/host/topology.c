#include "config.h"

#include "host/topology.h"

#include <dlfcn.h>
#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"
#include "base/slow.h"
#include "host/speeds.h"

/*
 * What is used of hwloc, by the names there behind hwloc_. It is loaded at the first need, which ranks do not
 * have: linked normally it would be loaded at the start of each, with what it needs itself.
 */
#if HWLOC_API_VERSION >= 0x00020400
#define KIND_FUNCTIONS(each) each(cpukinds_get_by_cpuset) each(cpukinds_get_info)
#else
#define KIND_FUNCTIONS(each)
#endif
#define FUNCTIONS(each)                                                                                      \
    each(bitmap_alloc) each(bitmap_free) each(bitmap_isset) each(bitmap_set) each(bitmap_weight)             \
        each(get_api_version) each(get_nbobjs_by_depth) each(get_obj_by_depth) each(get_type_depth) each(set_area_membind)         \
            each(topology_destroy) each(topology_get_topology_nodeset) each(topology_init)                   \
                each(topology_is_thissystem) each(topology_load) each(topology_set_all_types_filter)         \
                    each(topology_set_components) each(topology_set_flags) each(topology_set_synthetic)      \
                        each(topology_set_type_filter) each(topology_set_xml) KIND_FUNCTIONS(each)

/* Where they are, each of the type that hwloc's header declares. */
static struct functions {
#define MEMBER(name) __typeof__(hwloc_##name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} hwloc;

static const struct {
    const char *name;
    size_t offset; /* in hwloc */
} functions[] = {
#define ROW(name) {"hwloc_" #name, offsetof(struct functions, name)},
    FUNCTIONS(ROW)
#undef ROW
};

/* Where a topology comes from: this machine where both are NULL. */
struct origin {
    const char *synthetic;
    const char *xml_path;
};

/* What is told apart, by the ids that each processing unit has. */
enum domain { DOMAIN_CORE, DOMAIN_L3, DOMAIN_NUMA, DOMAIN_PACKAGE, N_DOMAINS };

/* ---- hwloc itself ---- */

static bool find_functions(void *library)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(library, functions[i].name);

        if (function == NULL)
            return false;
        memcpy((char *)&hwloc + functions[i].offset, &function, sizeof function);
    }
    return true;
}

/*
 * Loads hwloc, and never unloads it. Its names stay out of the program, which may use another one. Under the
 * slow lock, or in a test.
 */
static int load_hwloc(sharedmem_error *error)
{
    static bool is_loaded;
    void *library;

    if (is_loaded)
        return 0;
    library = dlopen(HWLOC_SONAME, RTLD_LAZY | RTLD_LOCAL);
    is_loaded = library != NULL && find_functions(library);
    if (is_loaded)
        return 0;
    return error_set(error, SHAREDMEM_ERROR_SYSTEM, ELIBACC, "hwloc cannot be loaded: %s", dlerror());
}

static int count_objects(hwloc_topology_t tree, hwloc_obj_type_t type)
{
    return (int)hwloc.get_nbobjs_by_depth(tree, hwloc.get_type_depth(tree, type));
}

/* The one of this type behind object; the first where that is NULL. */
static hwloc_obj_t next_object(hwloc_topology_t tree, hwloc_obj_type_t type, hwloc_obj_t object)
{
    if (object != NULL)
        return object->next_cousin;
    return hwloc.get_obj_by_depth(tree, hwloc.get_type_depth(tree, type), 0);
}

/* ---- Its topology ---- */

/*
 * Devices are of no use here, and x86 asks each processor by running on it: about a millisecond, and the
 * thread's binding changes meanwhile. A name that this hwloc does not know is refused, which is as good.
 */
static void drop_components(hwloc_topology_t tree)
{
    static const char *const names[] = {"x86", "pci", "gl", "opencl", "cuda", "nvml", "rsmi", "levelzero"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        hwloc.topology_set_components(tree, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, names[i]);
}

#if HWLOC_API_VERSION >= 0x00020800
/* Kinds of processors take three files of each to read: only where it is known that they differ, or in a file. */
static bool wants_kinds(const struct origin *origin)
{
    return origin->xml_path != NULL || (origin->synthetic == NULL && speeds_differ(""));
}

static unsigned long flags_for(const struct origin *origin)
{
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS;

    return wants_kinds(origin) ? flags : flags | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
}
#else
static unsigned long flags_for(const struct origin *origin)
{
    (void)origin;
    return 0;
}
#endif

static void keep_what_is_used(hwloc_topology_t tree, const struct origin *origin)
{
    hwloc.topology_set_all_types_filter(tree, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc.topology_set_type_filter(tree, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc.topology_set_type_filter(tree, HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc.topology_set_type_filter(tree, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    /* Groups carry the NUMA nodes inside a package: without them each node has all the machine's cpus. */
    hwloc.topology_set_type_filter(tree, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    hwloc.topology_set_flags(tree, flags_for(origin));
}

static int set_origin(hwloc_topology_t tree, const struct origin *origin)
{
    if (origin->synthetic != NULL)
        return hwloc.topology_set_synthetic(tree, origin->synthetic);
    if (origin->xml_path != NULL)
        return hwloc.topology_set_xml(tree, origin->xml_path);
    return 0;
}

/* hwloc leaves errno as it happens to be after some of its failures. */
static int hwloc_failed(sharedmem_error *error, const char *what)
{
    if (errno == 0)
        errno = EINVAL;
    return error_system(error, "hwloc cannot %s", what);
}

static int load_tree(hwloc_topology_t *tree, const struct origin *origin, sharedmem_error *error)
{
    int saved_errno;

    errno = 0;
    if (hwloc.topology_init(tree) != 0)
        return hwloc_failed(error, "start");
    drop_components(*tree);
    keep_what_is_used(*tree, origin);
    errno = 0;
    if (set_origin(*tree, origin) == 0 && hwloc.topology_load(*tree) == 0)
        return 0;
    saved_errno = errno;
    hwloc.topology_destroy(*tree);
    errno = saved_errno;
    return hwloc_failed(error, origin->xml_path != NULL ? "read the machine in the file that was given"
                               : origin->synthetic != NULL
                                   ? "make a machine of the description that was given"
                                   : "read the topology of the machine");
}

static hwloc_obj_t ancestor(hwloc_obj_t object, hwloc_obj_type_t type)
{
    while (object != NULL && object->type != type)
        object = object->parent;
    return object;
}

/* The smallest node that has the PU: one without processors of its own may cover the whole machine. */
static hwloc_obj_t nearest_node(hwloc_topology_t tree, hwloc_obj_t pu)
{
    hwloc_obj_t node = NULL, nearest = NULL;

    while ((node = next_object(tree, HWLOC_OBJ_NUMANODE, node)) != NULL) {
        if (!hwloc.bitmap_isset(node->cpuset, pu->os_index))
            continue;
        if (nearest == NULL || hwloc.bitmap_weight(node->cpuset) < hwloc.bitmap_weight(nearest->cpuset))
            nearest = node;
    }
    return nearest;
}

/* The objects that pu lies in; NULL where the machine shows none: then there is only one of it. */
static void find_domains(hwloc_topology_t tree, hwloc_obj_t pu, hwloc_obj_t found[N_DOMAINS])
{
    found[DOMAIN_CORE] = ancestor(pu, HWLOC_OBJ_CORE);
    found[DOMAIN_L3] = ancestor(pu, HWLOC_OBJ_L3CACHE);
    found[DOMAIN_NUMA] = nearest_node(tree, pu);
    found[DOMAIN_PACKAGE] = ancestor(pu, HWLOC_OBJ_PACKAGE);
    if (found[DOMAIN_CORE] == NULL)
        found[DOMAIN_CORE] = pu;
    if (found[DOMAIN_L3] == NULL)
        found[DOMAIN_L3] = found[DOMAIN_PACKAGE];
}

/* The kind of pu's core, from the slowest on; 0 where nobody knows an order. */
static int speed_of(hwloc_topology_t tree, hwloc_obj_t pu)
{
#if HWLOC_API_VERSION >= 0x00020400
    int efficiency = -1, kind = hwloc.cpukinds_get_by_cpuset(tree, pu->cpuset, 0);

    if (kind < 0 || hwloc.cpukinds_get_info(tree, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) != 0)
        return 0;
    return efficiency >= 0 ? efficiency : 0;
#else
    (void)tree, (void)pu;
    return 0;
#endif
}

/* Numbers objects from 0 in the order in which they are first seen; n is how many were. */
static int number_of(hwloc_obj_t object, hwloc_obj_t *seen, int *n)
{
    /* Nearly always the one seen last, so from the end. */
    for (int i = *n - 1; i >= 0; i--) {
        if (seen[i] == object)
            return i;
    }
    seen[*n] = object;
    return (*n)++;
}

static bool is_allowed(unsigned os_index, const cpu_set_t *allowed, size_t allowed_bytes)
{
    return allowed == NULL || (os_index < 8 * allowed_bytes && CPU_ISSET_S(os_index, allowed_bytes, allowed));
}

/* Fills topology, whose pus has room for all of tree. seen is N_DOMAINS rows of room for as many objects. */
static void fill(struct topology *topology, hwloc_topology_t tree, hwloc_obj_t *seen, int room,
                 const cpu_set_t *allowed, size_t allowed_bytes)
{
    int n_seen[N_DOMAINS] = {0};
    hwloc_obj_t pu = NULL;

    while ((pu = next_object(tree, HWLOC_OBJ_PU, pu)) != NULL) {
        hwloc_obj_t domains[N_DOMAINS];
        int id[N_DOMAINS];

        if (!is_allowed(pu->os_index, allowed, allowed_bytes))
            continue;
        find_domains(tree, pu, domains);
        for (int i = 0; i < N_DOMAINS; i++)
            id[i] = number_of(domains[i], seen + i * room, &n_seen[i]);
        topology->pus[topology->n_pus++] = (struct topology_pu){.os_index = (int)pu->os_index,
                                                                .core = id[DOMAIN_CORE],
                                                                .l3 = id[DOMAIN_L3],
                                                                .numa = id[DOMAIN_NUMA],
                                                                .package = id[DOMAIN_PACKAGE],
                                                                .speed = speed_of(tree, pu)};
    }
    topology->n_cores = n_seen[DOMAIN_CORE];
    topology->n_nodes = n_seen[DOMAIN_NUMA];
    for (int i = 0; i < topology->n_nodes; i++) {
        hwloc_obj_t node = seen[DOMAIN_NUMA * room + i];

        topology->nodes[i] = node != NULL ? (int)node->os_index : 0;
    }
}

static struct topology *copy_tree(hwloc_topology_t tree, const cpu_set_t *allowed, size_t allowed_bytes)
{
    int room = count_objects(tree, HWLOC_OBJ_PU);
    struct topology *topology = calloc(1, sizeof *topology);
    struct topology_pu *pus = calloc((size_t)room, sizeof *pus);
    int *nodes = calloc((size_t)room, sizeof *nodes);
    hwloc_obj_t *seen = calloc((size_t)room * N_DOMAINS, sizeof(hwloc_obj_t));

    if (topology == NULL || pus == NULL || nodes == NULL || seen == NULL) {
        free(seen);
        free(nodes);
        free(pus);
        free(topology);
        return NULL;
    }
    topology->pus = pus;
    topology->nodes = nodes;
    topology->is_this_machine = hwloc.topology_is_thissystem(tree);
    /* The mask is of this machine and says nothing of another. */
    if (!topology->is_this_machine)
        allowed = NULL;
    fill(topology, tree, seen, room, allowed, allowed_bytes);
    free(seen);
    return topology;
}

/*
 * hwloc loads plug-ins from where the environment says, without asking who runs the program: with raised
 * privileges it is not used at all.
 */
static int load_both(hwloc_topology_t *tree, const struct origin *origin, sharedmem_error *error)
{
    if (env_is_untrusted())
        return error_set(error, SHAREDMEM_ERROR_SYSTEM, EPERM,
                         "hwloc is not used in a program with raised privileges");
    return load_hwloc(error) == 0 ? load_tree(tree, origin, error) : -1;
}

static struct topology *load(const struct origin *origin, const cpu_set_t *allowed, size_t allowed_bytes,
                             sharedmem_error *error)
{
    struct topology *topology;
    hwloc_topology_t tree;

    if (load_both(&tree, origin, error) != 0)
        return NULL;
    topology = copy_tree(tree, allowed, allowed_bytes);
    if (topology == NULL)
        error_system(error, "cannot keep the topology of the machine");
    hwloc.topology_destroy(tree);
    if (topology != NULL && topology->n_pus == 0) {
        error_set(error, SHAREDMEM_ERROR_SYSTEM, ENODEV, "none of the allowed processors is in this machine");
        topology_destroy(topology);
        return NULL;
    }
    return topology;
}

static const char *given(enum env_variable variable)
{
    const char *text = env_text(variable);

    return text != NULL && text[0] != '\0' ? text : NULL;
}

/*
 * Another machine by hwloc's own variables, or this one. hwloc would do the same by itself, but take this machine,
 * without a word, for a file that is not there.
 */
static struct origin usual_origin(void)
{
    struct origin origin = {.xml_path = given(ENV_HWLOC_XMLFILE)};

    if (origin.xml_path == NULL)
        origin.synthetic = given(ENV_HWLOC_SYNTHETIC);
    return origin;
}

/* hwloc has locks of its own, which no fork may meet taken. */
struct topology *topology_load(const cpu_set_t *allowed, size_t allowed_bytes, sharedmem_error *error)
{
    struct origin origin = usual_origin();
    struct topology *topology;

    slow_lock();
    topology = load(&origin, allowed, allowed_bytes, error);
    slow_unlock();
    return topology;
}

void topology_version(char *text, size_t size)
{
    sharedmem_error error;
    unsigned version = 0;

    slow_lock();
    if (!env_is_untrusted() && load_hwloc(&error) == 0)
        version = hwloc.get_api_version();
    slow_unlock();
    /* Two digits each of a hexadecimal number. */
    if (version != 0)
        snprintf(text, size, "hwloc interface %u.%u", version >> 16, version >> 8 & 0xff);
    else
        snprintf(text, size, "no hwloc");
}

struct topology *topology_load_synthetic(const char *description, sharedmem_error *error)
{
    return load(&(struct origin){.synthetic = description}, NULL, 0, error);
}

struct topology *topology_load_xml(const char *path, sharedmem_error *error)
{
    return load(&(struct origin){.xml_path = path}, NULL, 0, error);
}

/* ---- Memory ---- */

/* What is said about an area, in hwloc's words. */
static hwloc_membind_policy_t policy_of(const struct topology_area *area)
{
    switch (area->source) {
    case TOPOLOGY_AS_USUAL:
        return HWLOC_MEMBIND_DEFAULT;
    case TOPOLOGY_FIRST_TOUCH:
        return HWLOC_MEMBIND_FIRSTTOUCH;
    case TOPOLOGY_NODES:
        break;
    }
    return area->n_nodes > 1 ? HWLOC_MEMBIND_INTERLEAVE : HWLOC_MEMBIND_BIND;
}

static int say(hwloc_topology_t tree, const struct topology_area *area, hwloc_membind_policy_t policy,
               hwloc_const_bitmap_t nodes)
{
    return hwloc.set_area_membind(tree, area->begin, area->bytes, nodes, policy, HWLOC_MEMBIND_BYNODESET);
}

/*
 * The kernel does nothing where this process has said the same of the area before, though another one may
 * have said something else since: so the opposite is said first.
 */
static int place_area(hwloc_topology_t tree, const struct topology_area *area)
{
    hwloc_const_bitmap_t all = hwloc.topology_get_topology_nodeset(tree);
    hwloc_membind_policy_t policy = policy_of(area);
    hwloc_bitmap_t nodes;
    int status;

    say(tree, area, policy == HWLOC_MEMBIND_DEFAULT ? HWLOC_MEMBIND_FIRSTTOUCH : HWLOC_MEMBIND_DEFAULT, all);
    if (area->source != TOPOLOGY_NODES)
        return say(tree, area, policy, all);
    nodes = hwloc.bitmap_alloc();
    for (int i = 0; i < area->n_nodes && nodes != NULL; i++)
        hwloc.bitmap_set(nodes, (unsigned)area->nodes[i]);
    status = nodes != NULL ? say(tree, area, policy, nodes) : -1;
    hwloc.bitmap_free(nodes);
    return status;
}

/* Under the slow lock. */
static int place_all(const struct topology_area *areas, int n, sharedmem_error *error)
{
    static hwloc_topology_t tree;

    if (tree == NULL && load_both(&tree, &(struct origin){.synthetic = NULL}, error) != 0) {
        tree = NULL;
        return -1;
    }
    for (int i = 0; i < n; i++) {
        errno = 0;
        if (place_area(tree, &areas[i]) != 0) {
            if (errno == 0)
                errno = ENOSYS;
            return error_system(error, "the system does not let this process choose where memory lies");
        }
    }
    return 0;
}

int topology_place(const struct topology_area *areas, int n, sharedmem_error *error)
{
    int status;

    slow_lock();
    status = place_all(areas, n, error);
    slow_unlock();
    return status;
}

void topology_destroy(struct topology *topology)
{
    int saved_errno = errno;

    if (topology != NULL) {
        free(topology->nodes);
        free(topology->pus);
    }
    free(topology);
    errno = saved_errno;
}
