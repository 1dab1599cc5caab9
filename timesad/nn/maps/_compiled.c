/* S, P and D of a window's heads on a processor, a few rows of one map at a time, and the gradient of the same.

Sources of the numbers: `timesad.nn.maps.operations`, which does the same by torch's operations, and whose words are used here. A map
is one head of one window. Its rows are made in a core's first cache, reduced, and overwritten by the next ones. Threads are
those of torch: a second set of threads would compete with them, which go on spinning for a while after their own work. */

#define Py_LIMITED_API 0x030a0000
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 8")
#define LOG2_E 1.44269504088896341f

struct task {
    long batch, time, heads, feature;
    float scale, floor;
    const float *qkv, *precision;               /* (batch, time, 3, head, feature), (batch, head, time) */
    float *mixed, *discrepancy;                 /* (batch, time, head, feature), (batch, head, time) */
    const float *from_mixed, *from_discrepancy; /* gradients on mixed and discrepancy */
    float to_series, to_prior;                  /* the share of D's gradient that S and P feel */
    float *on_qkv, *on_precision;               /* gradients, of the shapes of qkv and precision */
    void (*work)(const struct task *, long map, float *scratch);
    atomic_long next_map;
    atomic_int out_of_memory;
};

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16
#define ROWS 8
#define TARGET __attribute__((target("avx512f,avx512dq,fma")))
#include "_lanes.h"

#define LANES 8
#define ROWS 4
#define TARGET __attribute__((target("avx2,fma")))
#include "_lanes.h"
#endif

#define LANES 4
#define ROWS 4
#define TARGET
#include "_lanes.h"

/* Vectors of so many floats that this processor has; the widest first. */
static int has_lanes(int lanes) {
#if defined(__x86_64__)
    if (lanes == 16) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    if (lanes == 8) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return lanes == 4;
}

/* OpenMP's entry for a parallel region, of the library that torch has loaded; NULL where there is none such. */
typedef void (*parallel_region)(void (*)(void *), void *, unsigned n_threads, unsigned flags);
static parallel_region torch_threads(void) { return (parallel_region)dlsym(RTLD_DEFAULT, "GOMP_parallel"); }

/* What every thread does: take the next map until there is none. */
static void take_maps(void *data) {
    struct task *t = data;
    const size_t widest = 16;
    const size_t padded = t->time + widest, wide = t->feature + widest;
    const size_t n_floats = (2 * t->feature + 3 * 8) * padded + (3 * t->time + 3 * 8) * wide;
    float *scratch = NULL;
    if (posix_memalign((void **)&scratch, 64, n_floats * sizeof(float))) {
        atomic_store(&t->out_of_memory, 1);
        return;
    }
    for (long map; (map = atomic_fetch_add(&t->next_map, 1)) < t->batch * t->heads;) t->work(t, map, scratch);
    free(scratch);
}

static PyObject *run(struct task *t, unsigned n_threads) {
    t->scale = 1.0f / sqrtf((float)t->feature);
    atomic_store(&t->next_map, 0);
    atomic_store(&t->out_of_memory, 0);
    parallel_region parallel = torch_threads();
    Py_BEGIN_ALLOW_THREADS;
    if (parallel && n_threads > 1) parallel(take_maps, t, n_threads, 0);
    else take_maps(t);
    Py_END_ALLOW_THREADS;
    /* A thread without memory leaves its maps to the others; with none left to take them, they were not done. */
    if (atomic_load(&t->out_of_memory) && atomic_load(&t->next_map) < t->batch * t->heads) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *forward(PyObject *module, PyObject *args) {
    struct task t = {0};
    int lanes;
    unsigned n_threads;
    unsigned long long qkv, precision, mixed, discrepancy;
    if (!PyArg_ParseTuple(args, "iIllllfKKKK", &lanes, &n_threads, &t.batch, &t.time, &t.heads, &t.feature, &t.floor,
                          &qkv, &precision, &mixed, &discrepancy))
        return NULL;
    t.qkv = (float *)(uintptr_t)qkv, t.precision = (float *)(uintptr_t)precision;
    t.mixed = (float *)(uintptr_t)mixed, t.discrepancy = (float *)(uintptr_t)discrepancy;
    t.work = forward_4;
#if defined(__x86_64__)
    t.work = lanes == 16 ? forward_16 : lanes == 8 ? forward_8 : forward_4;
#endif
    return run(&t, n_threads);
}

static PyObject *backward(PyObject *module, PyObject *args) {
    struct task t = {0};
    int lanes;
    unsigned n_threads;
    unsigned long long qkv, precision, from_mixed, from_discrepancy, on_qkv, on_precision;
    if (!PyArg_ParseTuple(args, "iIllllfKKKKffKK", &lanes, &n_threads, &t.batch, &t.time, &t.heads, &t.feature,
                          &t.floor, &qkv, &precision, &from_mixed, &from_discrepancy, &t.to_series, &t.to_prior,
                          &on_qkv, &on_precision))
        return NULL;
    t.qkv = (float *)(uintptr_t)qkv, t.precision = (float *)(uintptr_t)precision;
    t.from_mixed = (float *)(uintptr_t)from_mixed, t.from_discrepancy = (float *)(uintptr_t)from_discrepancy;
    t.on_qkv = (float *)(uintptr_t)on_qkv, t.on_precision = (float *)(uintptr_t)on_precision;
    t.work = backward_4;
#if defined(__x86_64__)
    t.work = lanes == 16 ? backward_16 : lanes == 8 ? backward_8 : backward_4;
#endif
    return run(&t, n_threads);
}

static PyObject *lanes(PyObject *module, PyObject *nothing) {
    PyObject *all = PyList_New(0);
    for (int n = 16; all && n >= 4; n /= 2) {
        PyObject *one = has_lanes(n) ? PyLong_FromLong(n) : NULL;
        if (one && PyList_Append(all, one)) Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}

static PyObject *has_threads(PyObject *module, PyObject *nothing) { return PyBool_FromLong(torch_threads() != NULL); }

static PyMethodDef methods[] = {
    {"forward", forward, METH_VARARGS, NULL},
    {"backward", backward, METH_VARARGS, NULL},
    {"lanes", lanes, METH_NOARGS, NULL},
    {"has_threads", has_threads, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModule_Create(&definition); }
