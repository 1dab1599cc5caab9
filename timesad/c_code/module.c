/* The module `timesad.c_code._code`: its functions, the vectors of the processor, and threads.

The threads are torch's: they spin for a while after their own work, and a second set of threads would compete with them. */

#include "vectors.h"

#include <dlfcn.h>

/* GNU OpenMP's entry point for a parallel region, from the library that torch loaded; NULL if it loaded another one. */
static void (*parallel)(void (*)(void *), void *, unsigned n_threads, unsigned flags);

static int has_narrow(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static int has_wide(void) {
    return has_narrow() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

int check_lanes_and_threads(int lanes, int n_threads) {
    if (!(lanes == 16 && has_wide()) && !(lanes == 8 && has_narrow()))
        PyErr_Format(PyExc_ValueError, "lanes is %d, which this processor does not support; see lanes()", lanes);
    else if (n_threads < 1)
        PyErr_Format(PyExc_ValueError, "n_threads is %d, but must be at least 1", n_threads);
    else return 1;
    return 0;
}

void run_in_threads(void (*work)(void *), void *data, int n_threads) {
    Py_BEGIN_ALLOW_THREADS;
    if (parallel && n_threads > 1) parallel(work, data, n_threads, 0);
    else work(data);
    Py_END_ALLOW_THREADS;
}

/* Floats in a vector, for each vector width that the processor and this code support; the widest first. */
static PyObject *lanes(PyObject *module, PyObject *nothing) {
    return has_wide() ? Py_BuildValue("[ii]", 16, 8) : has_narrow() ? Py_BuildValue("[i]", 8) : PyList_New(0);
}

static PyObject *has_threads(PyObject *module, PyObject *nothing) { return PyBool_FromLong(parallel != NULL); }

static PyMethodDef methods[] = {
    {"forward", maps_forward, METH_VARARGS, NULL},
    {"backward", maps_backward, METH_VARARGS, NULL},
    {"nearest", nearest, METH_VARARGS, NULL},
    {"lanes", lanes, METH_NOARGS, NULL},
    {"has_threads", has_threads, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_code", .m_size = 0, .m_methods = methods};

/* `timesad.c_code` imports torch first, so its OpenMP library is loaded. */
PyMODINIT_FUNC PyInit__code(void) {
    *(void **)&parallel = dlsym(RTLD_DEFAULT, "GOMP_parallel");
    return PyModule_Create(&definition);
}
