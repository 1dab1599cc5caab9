/* S, P and D of the heads of windows, and their gradients, on an x86-64 processor.

Formulas and names are those of `timesad.nn.maps.operations`, which computes the same with torch's operations. A map is one
head of one window. A few of its rows are computed in a core's first cache, reduced, and overwritten by the next rows. */

#include "vectors.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_E 1.44269504088896341f
#define PADDED(n) (((n) + LANES - 1) / LANES * LANES)

/* The entries of a vector in the order of the indices; `type` has as many integers. */
#if defined(__clang__) || __GNUC__ >= 12
#define PERMUTED(type, x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define PERMUTED(type, x, ...) __builtin_shuffle(x, (type){__VA_ARGS__})
#endif

struct task {
    long batch, time, heads, feature;
    float scale, floor;
    const float *qkv, *precision;               /* (batch, time, 3, head, feature), (batch, head, time) */
    float *mixed, *discrepancy;                 /* (batch, time, head, feature); (batch, head, time), or NULL for mixed alone */
    const float *from_mixed, *from_discrepancy; /* gradients with respect to mixed and discrepancy */
    float to_series, to_prior;                  /* factors of D's gradient with respect to S and P */
    float *on_qkv, *on_precision;               /* gradients with respect to qkv and precision, same shapes */
    void (*work)(const struct task *, long map, float *scratch);
    atomic_long next_map;
    atomic_int out_of_memory;
};

#define TEMPLATE "maps_lanes.h"
#include "widths.h"

/* The work of each thread: take the next map until none is left. */
static void take_maps(void *data) {
    struct task *t = data;
    const size_t padded = t->time + WIDEST, wide = t->feature + WIDEST; /* `sizes_fit` bounds their product */
    const size_t n_floats = (2 * t->feature + 3 * MOST_ROWS) * padded + (3 * t->time + 3 * MOST_ROWS) * wide;
    void *scratch = NULL;
    if (posix_memalign(&scratch, 64, n_floats * sizeof(float))) {
        atomic_store(&t->out_of_memory, 1);
        return;
    }
    for (long map; (map = atomic_fetch_add(&t->next_map, 1)) < t->batch * t->heads;) t->work(t, map, scratch);
    free(scratch);
}

/* Whether the sizes are positive, and the tensors and a thread's memory have a number of bytes that a long can hold. */
static int sizes_fit(const struct task *t) {
    const long sizes[] = {t->batch, t->time, t->heads, t->feature};
    long bytes = 3 * sizeof(float), padded, wide;
    for (int i = 0; i < 4; i++)
        if (sizes[i] < 1 || __builtin_mul_overflow(bytes, sizes[i], &bytes)) return 0;
    /* `take_maps` asks for at most 5 * padded * wide floats. */
    return !__builtin_add_overflow(t->time, WIDEST, &padded) && !__builtin_add_overflow(t->feature, WIDEST, &wide) &&
           !__builtin_mul_overflow(padded, wide, &bytes) && !__builtin_mul_overflow(bytes, 5 * sizeof(float), &bytes);
}

/* Raise an exception and return 0 where a wrong argument would read or write memory of others, or end the process. */
static int check(const struct task *t, int lanes, int n_threads, int missing) {
    if (!check_lanes_and_threads(lanes, n_threads)) return 0;
    if (!sizes_fit(t))
        PyErr_Format(PyExc_ValueError,
                     "the sizes (%ld, %ld, %ld, %ld) of batch, time, head and feature must be at least 1, and their "
                     "product must fit in memory",
                     t->batch, t->time, t->heads, t->feature);
    else if (missing)
        PyErr_SetString(PyExc_ValueError, "an address is 0");
    else return 1;
    return 0;
}

static PyObject *run(struct task *t, int n_threads) {
    t->scale = 1.0f / sqrtf((float)t->feature);
    run_in_threads(take_maps, t, n_threads);
    /* A thread that cannot allocate leaves its maps to the others. Maps are left only if every thread failed. */
    if (atomic_load(&t->out_of_memory) && atomic_load(&t->next_map) < t->batch * t->heads) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* Without the addresses of precision and discrepancy, both 0, `mixed` alone is written. */
PyObject *maps_forward(PyObject *module, PyObject *args) {
    struct task t = {0};
    int lanes, n_threads;
    unsigned long long qkv, precision, mixed, discrepancy;
    if (!PyArg_ParseTuple(args, "iillllfKKKK", &lanes, &n_threads, &t.batch, &t.time, &t.heads, &t.feature, &t.floor,
                          &qkv, &precision, &mixed, &discrepancy))
        return NULL;
    if (!check(&t, lanes, n_threads, !qkv || !mixed || !precision != !discrepancy)) return NULL;
    t.qkv = POINTER(qkv), t.precision = POINTER(precision);
    t.mixed = POINTER(mixed), t.discrepancy = POINTER(discrepancy);
    t.work = lanes == 16 ? forward_16 : forward_8;
    return run(&t, n_threads);
}

PyObject *maps_backward(PyObject *module, PyObject *args) {
    struct task t = {0};
    int lanes, n_threads;
    unsigned long long qkv, precision, from_mixed, from_discrepancy, on_qkv, on_precision;
    if (!PyArg_ParseTuple(args, "iillllfKKKKffKK", &lanes, &n_threads, &t.batch, &t.time, &t.heads, &t.feature,
                          &t.floor, &qkv, &precision, &from_mixed, &from_discrepancy, &t.to_series, &t.to_prior,
                          &on_qkv, &on_precision))
        return NULL;
    const int missing = !qkv || !precision || !from_mixed || !from_discrepancy || !on_qkv || !on_precision;
    if (!check(&t, lanes, n_threads, missing)) return NULL;
    t.qkv = POINTER(qkv), t.precision = POINTER(precision);
    t.from_mixed = POINTER(from_mixed), t.from_discrepancy = POINTER(from_discrepancy);
    t.on_qkv = POINTER(on_qkv), t.on_precision = POINTER(on_precision);
    t.work = lanes == 16 ? backward_16 : backward_8;
    return run(&t, n_threads);
}
