/* Includes TEMPLATE once for vectors of 16 floats and once for vectors of 8; see vectors.h. */

#define LANES 16
#define ROWS 8
#define TARGET __attribute__((target("avx512f,avx512dq,fma")))
#include TEMPLATE
#undef LANES
#undef ROWS
#undef TARGET

#define LANES 8
#define ROWS 4
#define TARGET __attribute__((target("avx2,fma")))
#include TEMPLATE
#undef LANES
#undef ROWS
#undef TARGET
