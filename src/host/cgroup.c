#include "host/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/kernel_file.h"

/* The fields of a line of mountinfo that are looked at, in its buffer. */
struct mount {
    char *root;  /* what of the hierarchy is mounted, "/" for all */
    char *point; /* where */
    char *type;
    char *options; /* of the file system: in version 1 it names its controllers */
};

/* Whether item is in a list like "rw,cpu,cpuacct". */
static bool list_has(const char *list, const char *item)
{
    size_t length = strlen(item);

    while (true) {
        size_t next = strcspn(list, ",");

        if (next == length && strncmp(list, item, length) == 0)
            return true;
        if (list[next] == '\0')
            return false;
        list += next + 1;
    }
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Decodes the kernel's \040 for a blank, \011, \012 and \134, in place. */
static void decode_escapes(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0';) {
        if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 0:30 /root /mount/point rw,noatime shared:1 - type source options"; line is cut up. */
static bool parse_mount(char *line, struct mount *mount)
{
    char *separator = strstr(line, " - ");
    char *rest;

    if (separator == NULL)
        return false;
    *separator = '\0';
    for (int i = 0; i < 3; i++)
        strtok_r(i == 0 ? line : NULL, " ", &rest);
    mount->root = strtok_r(NULL, " ", &rest);
    mount->point = strtok_r(NULL, " ", &rest);
    mount->type = strtok_r(separator + 3, " \n", &rest);
    strtok_r(NULL, " \n", &rest);
    mount->options = strtok_r(NULL, " \n", &rest);
    if (mount->root == NULL || mount->point == NULL || mount->options == NULL)
        return false;
    decode_escapes(mount->root);
    decode_escapes(mount->point);
    return true;
}

static bool mount_has(const struct mount *mount, const char *controller)
{
    if (controller == NULL)
        return strcmp(mount->type, "cgroup2") == 0;
    return strcmp(mount->type, "cgroup") == 0 && list_has(mount->options, controller);
}

/* A file of this machine that is read once, where that was asked for. */
struct kept {
    const char *path;
    char *text;
    size_t length;
};

static struct kept kept[] = {{.path = "/proc/self/cgroup"}, {.path = "/proc/self/mountinfo"}};
static bool is_keeping;

void cgroup_keep(void)
{
    is_keeping = true;
}

/* Reads it whole, where that has not been done. Returns whether it is there. */
static bool keep(struct kept *file)
{
    size_t room = 0;
    FILE *from;

    if (file->text != NULL)
        return true;
    from = fopen(file->path, "re");
    if (from == NULL)
        return false;
    /* No file of the kernel has a 0 in it: all is one "line". */
    file->length = getdelim(&file->text, &room, '\0', from) > 0 ? strlen(file->text) : 0;
    fclose(from);
    return file->length > 0;
}

static FILE *open_kept(const char *path)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (strcmp(path, kept[i].path) == 0 && keep(&kept[i]))
            return fmemopen(kept[i].text, kept[i].length, "r");
    }
    return NULL;
}

static FILE *open_below(const char *root, const char *path)
{
    char full[PATH_MAX];

    if (is_keeping && *root == '\0')
        return open_kept(path);
    if (snprintf(full, sizeof full, "%s%s", root, path) >= PATH_MAX)
        return NULL;
    return fopen(full, "re");
}

/* The path in a line like "4:cpu,cpuacct:/path", or "0::/path" of version 2; NULL where of another. */
static const char *membership_path(char *line, const char *controller)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

    if (path == NULL)
        return NULL;
    controllers++;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (controller == NULL)
        return *controllers == '\0' ? path : NULL;
    return list_has(controllers, controller) ? path : NULL;
}

/* Reads the path of this process in the hierarchy of controller, as the kernel tells it. */
static bool read_membership(const char *root, const char *controller, char path[PATH_MAX])
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    const char *found = NULL;
    char *line = NULL;
    size_t size = 0;
    bool fits = false;

    if (file == NULL)
        return false;
    while (found == NULL && getline(&line, &size, file) > 0)
        found = membership_path(line, controller);
    if (found != NULL)
        fits = snprintf(path, PATH_MAX, "%s", found) < PATH_MAX;
    free(line);
    fclose(file);
    return fits;
}

/*
 * The part of a path that lies below what is mounted, or NULL where none of it does: /proc/self/cgroup may
 * name groups outside of the container, also as "/../x", and then only the mount's own top is ours.
 */
static const char *path_below(const char *path, const char *mount_root)
{
    size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);

    if (strstr(path, "/..") != NULL || strncmp(path, mount_root, length) != 0)
        return NULL;
    path += length;
    if (strcmp(path, "/") == 0)
        return "";
    return *path == '/' || *path == '\0' ? path : NULL;
}

static bool set_path(struct cgroup *cgroup, const char *root, const char *point, const char *below)
{
    int top = snprintf(cgroup->path, sizeof cgroup->path, "%s%s", root, point);

    if (top >= PATH_MAX)
        return false;
    cgroup->top = (size_t)top;
    return snprintf(cgroup->path + top, sizeof cgroup->path - cgroup->top, "%s", below) < PATH_MAX - top;
}

/* Looks for the mount that shows path; one that does not show it is better than none. */
static bool find_mount(FILE *mounts, const char *root, const char *controller, const char *path,
                       struct cgroup *cgroup)
{
    char *line = NULL;
    size_t size = 0;
    bool found = false, shows_path = false;

    while (!shows_path && getline(&line, &size, mounts) > 0) {
        struct mount mount;
        const char *below;

        if (!parse_mount(line, &mount) || !mount_has(&mount, controller))
            continue;
        below = path_below(path, mount.root);
        shows_path = below != NULL;
        if (shows_path || !found)
            found = set_path(cgroup, root, mount.point, shows_path ? below : "");
    }
    free(line);
    return found;
}

bool cgroup_find(const char *root, const char *controller, struct cgroup *cgroup)
{
    char path[PATH_MAX];
    FILE *mounts;
    bool found;

    if (!read_membership(root, controller, path))
        return false;
    mounts = open_below(root, "/proc/self/mountinfo");
    if (mounts == NULL)
        return false;
    found = find_mount(mounts, root, controller, path, cgroup);
    fclose(mounts);
    return found;
}

bool cgroup_up(struct cgroup *cgroup)
{
    size_t length = strlen(cgroup->path);

    if (length <= cgroup->top)
        return false;
    while (length > cgroup->top && cgroup->path[length] != '/')
        length--;
    cgroup->path[length] = '\0';
    return true;
}

bool cgroup_file(const struct cgroup *cgroup, const char *name, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/%s", cgroup->path, name) < PATH_MAX;
}

uint64_t cgroup_number(const struct cgroup *cgroup, const char *name, uint64_t otherwise)
{
    char path[PATH_MAX];
    uint64_t number;

    if (!cgroup_file(cgroup, name, path) || kernel_file_number(path, &number) != 0)
        return otherwise;
    return number;
}
