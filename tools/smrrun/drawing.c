#include "smrrun/drawing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without "smrrun: ". */
#define LINE_BYTES  (DRAWING_COLUMNS - 8 + 1)
#define CELL_BYTES  32
#define LABEL_BYTES 48

/* The ranks of fewer cores than these are rather written one by one. */
#define LEAST_RUN 3

/* A core as it is drawn. */
struct cell {
    char text[CELL_BYTES];
    int only_rank; /* the one rank that has all of it; -1: none, or several */
    int speed;
};

struct drawing {
    const struct topology *whole;
    bool *is_allowed; /* by os_index */
    const struct binding_plan *binding;
    struct cell *cells; /* of the line that is drawn, as many as n_cells */
    int n_cells;
    bool is_node_shown, is_l3_shown;
    bool has_free, has_forbidden, has_halves, has_speeds;
    void (*line)(const char *text, void *argument);
    void *argument;
};

/* Text of limited length. What does not fit is dropped, and told by is_full. */
struct text {
    char *begin;
    size_t size, used;
    bool is_full;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    size_t room = text->size - text->used;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text->begin + text->used, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        text->is_full = true;
    else
        text->used += (size_t)length;
    text->begin[text->used] = '\0';
}

/* ---- A core ---- */

/* Rows rise, and may have -1 at their ends. */
static bool has(const struct binding_plan *binding, int rank, int os_index)
{
    const int *row = binding->pus + (size_t)rank * (size_t)binding->width;
    int low = 0, high = binding->width;

    while (low < high) {
        int middle = (low + high) / 2;

        if (row[middle] == os_index)
            return true;
        if (row[middle] < 0 || row[middle] > os_index)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* The ranks that have this processing unit, as "0-3,8"; sets *only to the rank where it is one. */
static void write_ranks(const struct drawing *drawing, int os_index, char text[CELL_BYTES], int *only)
{
    const struct binding_plan *binding = drawing->binding;
    struct text ranks = {text, CELL_BYTES - 2, 0, false};
    int n = binding != NULL && binding->width > 0 ? binding->n_ranks : 0, n_found = 0;

    text[0] = '\0';
    for (int rank = 0, end; rank < n && !ranks.is_full; rank = end + 1) {
        for (end = rank; end < n && has(binding, end, os_index); end++)
            continue;
        if (end == rank)
            continue;
        n_found += end - rank;
        *only = rank;
        add(&ranks, end - rank > 1 ? "%s%d-%d" : "%s%d", ranks.used > 0 ? "," : "", rank, end - 1);
    }
    if (ranks.is_full)
        strcat(text, "+");
    if (n_found != 1)
        *only = -1;
}

/* One hardware thread of a core. */
static void write_unit(struct drawing *drawing, int os_index, char text[CELL_BYTES], int *only)
{
    *only = -1;
    if (!drawing->is_allowed[os_index]) {
        strcpy(text, "x");
        drawing->has_forbidden = true;
        return;
    }
    write_ranks(drawing, os_index, text, only);
    if (text[0] == '\0') {
        strcpy(text, ".");
        drawing->has_free = true;
    }
}

/* The core that begins with processing unit i. Returns where the next begins. */
static int draw_core(struct drawing *drawing, int i)
{
    const struct topology_pu *pus = drawing->whole->pus;
    struct cell *cell = &drawing->cells[drawing->n_cells++];
    char all[4 * CELL_BYTES] = "", unit[CELL_BYTES];
    struct text halves = {all, sizeof all, 0, false};
    int begin = i, only;
    bool is_equal = true;

    cell->speed = pus[i].speed;
    for (; i < drawing->whole->n_pus && pus[i].core == pus[begin].core; i++) {
        write_unit(drawing, pus[i].os_index, unit, &only);
        if (i == begin) {
            strcpy(cell->text, unit);
            cell->only_rank = only;
        }
        is_equal = is_equal && strcmp(unit, cell->text) == 0;
        add(&halves, i > begin ? "/%s" : "%s", unit);
    }
    if (is_equal)
        return i;
    drawing->has_halves = true;
    cell->only_rank = -1;
    snprintf(cell->text, sizeof cell->text, "%.*s%s", CELL_BYTES - 2, all,
             halves.used > CELL_BYTES - 2 ? "+" : "");
    return i;
}

/* ---- A line ---- */

/* How many cells from i on are equal to it. */
static int equal_run(const struct drawing *drawing, int i)
{
    int n = 1;

    while (i + n < drawing->n_cells && strcmp(drawing->cells[i].text, drawing->cells[i + n].text) == 0 &&
           drawing->cells[i].speed == drawing->cells[i + n].speed)
        n++;
    return n;
}

/* How many cells from i on are of one rank each, the next one's each time. */
static int rising_run(const struct drawing *drawing, int i)
{
    const struct cell *cells = drawing->cells;
    int n = 1;

    while (i + n < drawing->n_cells && cells[i].only_rank >= 0 &&
           cells[i + n].only_rank == cells[i].only_rank + n && cells[i + n].speed == cells[i].speed)
        n++;
    return n;
}

/* Writes what begins with cell i. Returns how many cells it stands for. */
static int write_cells(const struct drawing *drawing, int i, bool is_folded, struct text *text)
{
    int equal = is_folded ? equal_run(drawing, i) : 1, rising = is_folded ? rising_run(drawing, i) : 1;
    const char *cell = drawing->cells[i].text;

    if (equal >= LEAST_RUN) {
        add(text, "%s*%d", cell, equal);
        return equal;
    }
    if (rising >= LEAST_RUN) {
        add(text, "%s..%d", cell, drawing->cells[i].only_rank + rising - 1);
        return rising;
    }
    add(text, "%s", cell);
    return 1;
}

static char separator(const struct drawing *drawing, int i)
{
    return drawing->cells[i].speed != drawing->cells[i - 1].speed ? '|' : ' ';
}

static bool fits_plain(const struct drawing *drawing, size_t label)
{
    size_t length = label + 1;

    for (int i = 0; i < drawing->n_cells; i++)
        length += strlen(drawing->cells[i].text) + 1;
    return length < LINE_BYTES;
}

/* The cells behind their label, in several lines where they must be. */
static void write_line(const struct drawing *drawing, const char *label)
{
    char line[LINE_BYTES] = "", part[2 * CELL_BYTES];
    struct text text = {line, sizeof line, 0, false};
    bool is_folded = !fits_plain(drawing, strlen(label));

    add(&text, "%s[", label);
    for (int i = 0, n; i < drawing->n_cells; i += n) {
        struct text cells = {part, sizeof part, 0, false};
        size_t used = text.used;

        if (i > 0)
            add(&cells, "%c", separator(drawing, i));
        n = write_cells(drawing, i, is_folded, &cells);
        /* One more for the bracket at the end. */
        if (used + cells.used + 1 >= sizeof line) {
            drawing->line(line, drawing->argument);
            text.used = 0;
            add(&text, "%*s", (int)strlen(label), "");
        }
        add(&text, "%s", part);
    }
    add(&text, "]");
    drawing->line(line, drawing->argument);
}

static void write_label(const struct drawing *drawing, const struct topology_pu *pu, char label[LABEL_BYTES])
{
    struct text text = {label, LABEL_BYTES, 0, false};

    add(&text, "package %d", pu->package);
    if (drawing->is_node_shown)
        add(&text, ", node %d", drawing->whole->nodes != NULL ? drawing->whole->nodes[pu->numa] : pu->numa);
    if (drawing->is_l3_shown)
        add(&text, ", L3 %d", pu->l3);
    add(&text, ":");
}

/* ---- The machine ---- */

static bool is_one_line(const struct topology_pu *a, const struct topology_pu *b)
{
    return a->package == b->package && a->numa == b->numa && a->l3 == b->l3;
}

/* Draws the line that begins with processing unit i, its label as wide as width. Returns where the next begins. */
static int draw_line(struct drawing *drawing, int i, int width)
{
    const struct topology_pu *pus = drawing->whole->pus, *first = &pus[i];
    char label[LABEL_BYTES], padded[LABEL_BYTES + 1];

    drawing->n_cells = 0;
    while (i < drawing->whole->n_pus && is_one_line(first, &pus[i]))
        i = draw_core(drawing, i);
    write_label(drawing, first, label);
    snprintf(padded, sizeof padded, "%-*s ", width, label);
    if (width > 0)
        write_line(drawing, padded);
    return i;
}

static int label_width(const struct drawing *drawing)
{
    char label[LABEL_BYTES];
    int width = 0;

    for (int i = 0; i < drawing->whole->n_pus; i++) {
        write_label(drawing, &drawing->whole->pus[i], label);
        if ((int)strlen(label) > width)
            width = (int)strlen(label);
    }
    return width;
}

/* Looks at all cores before any is drawn, and says what their signs mean. */
static void write_heading(struct drawing *drawing)
{
    char line[LINE_BYTES] = "";
    struct text text = {line, sizeof line, 0, false};
    bool is_bound = drawing->binding != NULL && drawing->binding->width > 0;

    for (int i = 0; i < drawing->whole->n_pus; i++)
        drawing->has_speeds =
            drawing->has_speeds || drawing->whole->pus[i].speed != drawing->whole->pus[0].speed;
    for (int i = 0; i < drawing->whole->n_pus;)
        i = draw_line(drawing, i, 0);
    add(&text, is_bound ? "the ranks on each core" : "the cores; no rank is bound");
    if (drawing->has_free)
        add(&text, is_bound ? "; . is free" : "");
    if (drawing->has_forbidden)
        add(&text, "; x is not allowed here");
    if (drawing->has_halves)
        add(&text, "; / is between hardware threads");
    if (drawing->has_speeds)
        add(&text, "; | is between speeds");
    drawing->line(line, drawing->argument);
}

/* What may be used here, by os_index; NULL with ENOMEM. */
static bool *find_allowed(const struct topology *whole, const struct topology *allowed)
{
    int highest = 0;
    bool *is_allowed;

    for (int i = 0; i < whole->n_pus; i++)
        highest = whole->pus[i].os_index > highest ? whole->pus[i].os_index : highest;
    is_allowed = calloc((size_t)highest + 1, sizeof *is_allowed);
    for (int i = 0; i < allowed->n_pus && is_allowed != NULL; i++) {
        if (allowed->pus[i].os_index <= highest)
            is_allowed[allowed->pus[i].os_index] = true;
    }
    return is_allowed;
}

/* What is one for each package, or for each node, needs no number of its own. */
static void choose_labels(struct drawing *drawing)
{
    int n_packages = binding_count_objects(drawing->whole, BINDING_BY_PACKAGE);
    int n_nodes = binding_count_objects(drawing->whole, BINDING_BY_NUMA);
    int n_l3s = binding_count_objects(drawing->whole, BINDING_BY_L3);

    drawing->is_node_shown = n_nodes != 1 && n_nodes != n_packages;
    drawing->is_l3_shown = n_l3s != n_packages && !(drawing->is_node_shown && n_l3s == n_nodes);
}

int drawing_make(const struct topology *whole, const struct topology *allowed,
                 const struct binding_plan *binding, void (*line)(const char *text, void *argument),
                 void *argument)
{
    struct drawing drawing = {.whole = whole, .binding = binding, .line = line, .argument = argument};
    int width;

    drawing.is_allowed = find_allowed(whole, allowed);
    drawing.cells = calloc((size_t)whole->n_pus, sizeof *drawing.cells);
    if (drawing.cells == NULL || drawing.is_allowed == NULL) {
        free(drawing.cells);
        free(drawing.is_allowed);
        return -1;
    }
    choose_labels(&drawing);
    write_heading(&drawing);
    width = label_width(&drawing);
    for (int i = 0; i < whole->n_pus;)
        i = draw_line(&drawing, i, width);
    free(drawing.cells);
    free(drawing.is_allowed);
    return 0;
}
