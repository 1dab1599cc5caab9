/* Differences of the windows of one channel from their nearest neighbours, on an x86-64 processor.

`timesad.nearest` computes the same with torch's operations. Here the candidates are compared and sorted out a panel at a
time, in a core's first cache, so neither their windows nor any distances are stored. */

#include "vectors.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

struct search {
    const float *values, *new_values; /* of the candidates, and of the windows that are compared with them */
    const long *starts, *new_starts;  /* first rows of the candidates, and of the windows */
    const long *zone_begin, *zone_end; /* (zone, window): the candidates with these numbers are left out */
    long n_values, n_new_values, n_candidates, n_windows, n_zones, time, n_neighbors, chunk;
    float *squares, *differences; /* (zone, window, time) each: means over the neighbours outside of the zone */
    void (*work)(const struct search *, long begin, long end, float *panel, float *best, long *found);
    atomic_long next;
    atomic_int out_of_memory;
};

/* Replace the last of n distances, the smallest first, by a smaller one in its place. */
static inline void insert(float *distances, long *numbers, long n, float distance, long number) {
    if (!(distance < distances[n - 1])) return;
    long i = n - 1;
    for (; i > 0 && distance < distances[i - 1]; i--) distances[i] = distances[i - 1], numbers[i] = numbers[i - 1];
    distances[i] = distance, numbers[i] = number;
}

/* Whether a zone leaves all candidates [c, beyond) out; `place` is zone * n_windows + window. */
static inline int leaves_out(const struct search *s, long place, long c, long beyond) {
    return s->zone_begin[place] <= c && beyond <= s->zone_end[place];
}

/* Begin with the first candidates that are not left out: what remains where all distances are infinite or NaN. */
static inline void start_with_any(const struct search *s, long place, float *distances, long *numbers) {
    long i = 0;
    for (long c = 0; c < s->n_candidates && i < s->n_neighbors; c++)
        if (!leaves_out(s, place, c, c + 1)) numbers[i++] = c;
    for (; i < s->n_neighbors; i++) numbers[i] = 0;
    for (i = 0; i < s->n_neighbors; i++) distances[i] = INFINITY;
}

#define TEMPLATE "nearest_lanes.h"
#include "widths.h"

/* Write the means of (x - m)² and x - m over the neighbours m of a window x; `place` is zone * n_windows + window. */
static void average(const struct search *s, const float *x, long place, const long *found) {
    const float share = 1.0f / (float)s->n_neighbors;
    float *squares = s->squares + place * s->time, *differences = s->differences + place * s->time;
    for (long t = 0; t < s->time; t++) squares[t] = differences[t] = 0;
    for (long i = 0; i < s->n_neighbors; i++) {
        const float *m = s->values + s->starts[found[i]];
        for (long t = 0; t < s->time; t++) {
            const float difference = x[t] - m[t];
            squares[t] += difference * difference, differences[t] += difference;
        }
    }
    for (long t = 0; t < s->time; t++) squares[t] *= share, differences[t] *= share;
}

/* The work of each thread: take the next windows until none is left. */
static void take_windows(void *data) {
    struct search *s = data;
    void *panel = NULL;
    const long size = s->chunk * s->n_zones * s->n_neighbors;
    float *best = malloc(size * sizeof(float));
    long *found = malloc(size * sizeof(long));
    if (!best || !found || posix_memalign(&panel, 64, 2 * WIDEST * s->time * sizeof(float)))
        atomic_store(&s->out_of_memory, 1);
    else
        for (long begin; (begin = atomic_fetch_add(&s->next, s->chunk)) < s->n_windows;) {
            const long end = begin + s->chunk < s->n_windows ? begin + s->chunk : s->n_windows;
            s->work(s, begin, end, panel, best, found);
            const long *neighbors = found;
            for (long i = begin; i < end; i++)
                for (long z = 0; z < s->n_zones; z++, neighbors += s->n_neighbors)
                    average(s, s->new_values + s->new_starts[i], z * s->n_windows + i, neighbors);
        }
    free(panel), free(best), free(found);
}

/* Whether every window lies in its values. */
static int starts_fit(const long *starts, long n, long n_values, long time) {
    for (long i = 0; i < n; i++)
        if (starts[i] < 0 || starts[i] > n_values - time) return 0;
    return 1;
}

/* Raise an exception and return 0 where a wrong argument would read or write memory of others, or end the process. */
static int check(const struct search *s, int lanes, int n_threads) {
    long bytes;
    if (!check_lanes_and_threads(lanes, n_threads)) return 0;
    if (!s->values || !s->starts || !s->new_values || !s->new_starts || !s->zone_begin || !s->zone_end || !s->squares ||
        !s->differences)
        PyErr_SetString(PyExc_ValueError, "an address is 0");
    else if (s->time < 1 || s->n_windows < 1 || s->n_values < s->time || s->n_new_values < s->time ||
             __builtin_mul_overflow(s->time, 2 * WIDEST * sizeof(float), &bytes) ||
             s->n_zones < 1 || __builtin_mul_overflow(s->n_windows, s->n_zones, &bytes) ||
             __builtin_mul_overflow(bytes, s->time, &bytes) || __builtin_mul_overflow(bytes, sizeof(float), &bytes))
        PyErr_Format(PyExc_ValueError,
                     "time is %ld, n_windows is %ld and n_zones is %ld, but all must be at least 1, no series may be "
                     "shorter than a window (%ld and %ld rows), and their product must fit in memory",
                     s->time, s->n_windows, s->n_zones, s->n_values, s->n_new_values);
    else if (s->n_neighbors < 1 || s->n_neighbors > s->n_candidates ||
             __builtin_mul_overflow(s->n_windows + MOST_ROWS, s->n_neighbors, &bytes) ||
             __builtin_mul_overflow(bytes, s->n_zones, &bytes) || __builtin_mul_overflow(bytes, sizeof(long), &bytes))
        PyErr_Format(PyExc_ValueError, "n_neighbors is %ld, but must be in [1, n_candidates], which is %ld",
                     s->n_neighbors, s->n_candidates);
    else if (!starts_fit(s->starts, s->n_candidates, s->n_values, s->time) ||
             !starts_fit(s->new_starts, s->n_windows, s->n_new_values, s->time))
        PyErr_SetString(PyExc_ValueError, "a window begins before its series or ends after it");
    else return 1;
    return 0;
}

PyObject *nearest(PyObject *module, PyObject *args) {
    struct search s = {0};
    int lanes, n_threads;
    unsigned long long values, starts, new_values, new_starts, zone_begin, zone_end, squares, differences;
    if (!PyArg_ParseTuple(args, "iilllllllKKKKKKKK", &lanes, &n_threads, &s.time, &s.n_neighbors, &s.n_values,
                          &s.n_candidates, &s.n_new_values, &s.n_windows, &s.n_zones, &values, &starts, &new_values,
                          &new_starts, &zone_begin, &zone_end, &squares, &differences))
        return NULL;
    s.values = POINTER(values), s.starts = POINTER(starts);
    s.new_values = POINTER(new_values), s.new_starts = POINTER(new_starts);
    s.zone_begin = POINTER(zone_begin), s.zone_end = POINTER(zone_end);
    s.squares = POINTER(squares), s.differences = POINTER(differences);
    if (!check(&s, lanes, n_threads)) return NULL;
    /* A thread packs all panels for its windows: as few chunks as threads. */
    s.chunk = ((s.n_windows - 1) / n_threads / MOST_ROWS + 1) * MOST_ROWS;
    s.work = lanes == 16 ? search_16 : search_8;
    run_in_threads(take_windows, &s, n_threads);
    if (atomic_load(&s.out_of_memory) && atomic_load(&s.next) < s.n_windows) return PyErr_NoMemory();
    Py_RETURN_NONE;
}
