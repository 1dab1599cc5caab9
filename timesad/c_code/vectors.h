/* What the C files share: vectors of 8 and 16 floats, and threads.

A header whose name ends in `_lanes.h` is included once per vector width by widths.h, which defines LANES, ROWS and
TARGET. There, L(name) is the name with the number of lanes at its end, and `vec` a vector of so many floats. GCC 9 and
clang 12 compile this, and later versions. */

#if !defined(__x86_64__)
#error "this code needs x86-64; on other processors the package is built without it and uses torch's operations"
#endif

#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <immintrin.h>
#include <stdint.h>

#ifdef __clang__ /* unrolls these loops unasked; asked to, clang 13 to 16 take almost twice the time with 8 lanes */
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define WIDEST 16 /* LANES, at most */
#define MOST_ROWS 8 /* ROWS, at most */

#define JOIN_(name, lanes) name##_##lanes
#define JOIN(name, lanes) JOIN_(name, lanes)
#define L(name) JOIN(name, LANES)
#define INLINE TARGET static inline __attribute__((always_inline))
#define vec L(vec)
#define ivec L(ivec)

typedef float vec_16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float vec_8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t ivec_16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ivec_8 __attribute__((vector_size(32), aligned(4), may_alias));

/* Raise an exception and return 0 unless the processor has vectors of so many floats and there is a thread. */
int check_lanes_and_threads(int lanes, int n_threads);

/* Run `work` in so many threads at once, without the global lock. */
void run_in_threads(void (*work)(void *), void *data, int n_threads);

/* An address that Python passes as a number. */
#define POINTER(address) ((void *)(uintptr_t)(address))

PyObject *maps_forward(PyObject *module, PyObject *args);
PyObject *maps_backward(PyObject *module, PyObject *args);
PyObject *nearest(PyObject *module, PyObject *args);
