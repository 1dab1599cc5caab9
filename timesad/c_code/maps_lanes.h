/* Attention and discrepancy of one map, written for vectors of LANES floats.

Included once per vector width; see vectors.h. ROWS rows of a map are computed at a time: the most for which the
accumulators of `chunk` fit in registers. Rows of a map have `padded` entries and rows of features `wide`, both whole
vectors. Entries beyond `time` have share 0. */

INLINE vec *L(at)(const float *p) { return (vec *)p; }
INLINE vec L(all)(float x) { return x - (vec){0}; }

/* Elementwise maximum; `b` where `a` or `b` is NaN. */
INLINE vec L(max)(vec a, vec b) {
#if LANES == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#endif
}

#if LANES == 16
#define HALVES(x) PERMUTED(ivec, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define QUARTERS(x) PERMUTED(ivec, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define PAIRS(x) PERMUTED(ivec, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define FOLD(x, join) x = join(x, HALVES(x)), x = join(x, QUARTERS(x)), x = join(x, PAIRS(x))
#else
#define QUARTERS(x) PERMUTED(ivec, x, 4, 5, 6, 7, 0, 1, 2, 3)
#define PAIRS(x) PERMUTED(ivec, x, 2, 3, 0, 1, 6, 7, 4, 5)
#define FOLD(x, join) x = join(x, QUARTERS(x)), x = join(x, PAIRS(x))
#endif

INLINE vec L(add)(vec a, vec b) { return a + b; }

INLINE float L(sum)(vec x) {
    FOLD(x, L(add));
    return x[0] + x[1];
}

INLINE float L(largest)(vec x) {
    FOLD(x, L(max));
    return x[0] > x[1] ? x[0] : x[1];
}

/* 2^max(x, -100): the shares stay normal numbers, and operations on denormal ones are slow. The polynomial of Cephes'
   exp2f, on [-1/2, 1/2]. */
INLINE vec L(exp2)(vec x) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: the low bits of the sum are x, rounded */
    x = L(max)(L(all)(-100.0f), x);
    vec shifted = x + rounder, f = x - (shifted - rounder);
    vec p = f * 1.535336188319500e-4f + 1.339887440266574e-3f;
    p = p * f + 9.618437357674640e-3f;
    p = p * f + 5.550332471162809e-2f;
    p = p * f + 2.402264791363012e-1f;
    p = p * f + 6.931472028550421e-1f;
    p = p * f + 1.0f;
    return (vec)((ivec)p + ((ivec)shifted << 23));
}

/* Natural logarithm of a normal number above 0. The polynomial of Cephes' logf, on [sqrt(1/2), sqrt(2)]. */
INLINE vec L(log)(vec x) {
    const int32_t root_half = 0x3f3504f3; /* as a float's bits */
    ivec bits = (ivec)x - root_half;
    vec exponent = __builtin_convertvector(bits >> 23, vec);
    vec f = (vec)((bits & 0x007fffff) + root_half) - 1.0f, ff = f * f;
    vec p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    vec rest = p * (ff * f) - exponent * 2.12194440e-4f - ff * 0.5f; /* log(2) in two parts, the larger one exact */
    return f + rest + exponent * 0.693359375f;
}

/* out[r][c] = sum over n of a[r][i] b[i][c], for ROWS rows and `count` vectors of columns. */
INLINE void L(chunk)(const float *a, long a_step, const float *b, float *out, long step, long n, int count) {
    vec total[ROWS][3];
    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int c = 0; c < count; c++) total[r][c] = (vec){0};
    for (long i = 0; i < n; i++) {
        vec row[3];
        UNROLL for (int c = 0; c < count; c++) row[c] = *L(at)(b + i * step + c * LANES);
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int c = 0; c < count; c++) total[r][c] += a[r * a_step + i] * row[c];
    }
    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int c = 0; c < count; c++) *L(at)(out + r * step + c * LANES) = total[r][c];
}

/* (ROWS, n) times (n, step) -> (ROWS, step); a row of `a` is `a_step` long. */
INLINE void L(product)(const float *a, long a_step, const float *b, float *out, long step, long n) {
    long c = 0;
    for (; c + 3 * LANES <= step; c += 3 * LANES) L(chunk)(a, a_step, b + c, out + c, step, n, 3);
    if (c + 2 * LANES == step) L(chunk)(a, a_step, b + c, out + c, step, n, 2);
    if (c + LANES == step) L(chunk)(a, a_step, b + c, out + c, step, n, 1);
}

/* Add to out, (n, wide), the transpose of (ROWS, n) times (ROWS, wide). */
INLINE void L(add_transposed_product)(const float *a, long a_step, const float *b, float *out, long n, long wide) {
    for (long c = 0; c < wide; c += LANES) {
        vec row[ROWS];
        UNROLL for (int r = 0; r < ROWS; r++) row[r] = *L(at)(b + r * wide + c);
        for (long i = 0; i < n; i++) {
            vec total = *L(at)(out + i * wide + c);
            UNROLL for (int r = 0; r < ROWS; r++) total += a[r * a_step + i] * row[r];
            *L(at)(out + i * wide + c) = total;
        }
    }
}

/* (rows, columns) -> (all, step), times `factor`, with zeros around it. */
INLINE void L(spread)(const float *in, long in_step, float *out, long step, long rows, long columns, long all,
                      float factor) {
    for (long r = 0; r < all; r++) {
        long n = r < rows ? columns : 0, c = 0;
        for (; c + LANES <= n; c += LANES) *L(at)(out + r * step + c) = *L(at)(in + r * in_step + c) * factor;
        for (; c < n; c++) out[r * step + c] = in[r * in_step + c] * factor;
        for (; c < step; c++) out[r * step + c] = 0;
    }
}

/* (rows, columns) -> (columns, step), with zeros beyond the rows. */
INLINE void L(turn)(const float *in, long in_step, float *out, long step, long rows, long columns) {
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < columns; c++) out[c * step + r] = in[r * in_step + c];
    for (long c = 0; c < columns; c++)
        for (long r = rows; r < step; r++) out[c * step + r] = 0;
}

/* Added to the last vector of a row of logits: 0, and -1e30 beyond `time`, which gives those entries share 0. */
INLINE vec L(beyond)(long time, long padded) {
    vec x;
    for (int l = 0; l < LANES; l++) x[l] = padded - LANES + l < time ? 0.0f : -1e30f;
    return x;
}

/* Logits to the base 2 -> S, in place, for ROWS rows. All rows pass one stage before the next, so the processor overlaps
   their chains of operations. */
INLINE void L(softmax)(float *s, vec beyond, long padded) {
    float peak[ROWS], share[ROWS];
    for (int r = 0; r < ROWS; r++) {
        float *row = s + r * padded;
        *L(at)(row + padded - LANES) += beyond;
        vec top = *L(at)(row);
        for (long j = LANES; j < padded; j += LANES) top = L(max)(*L(at)(row + j), top);
        peak[r] = L(largest)(top);
    }
    for (int r = 0; r < ROWS; r++) {
        vec total = {0};
        for (float *x = s + r * padded; x < s + (r + 1) * padded; x += LANES)
            total += *L(at)(x) = L(exp2)(*L(at)(x) - peak[r]);
        share[r] = 1.0f / L(sum)(total);
    }
    for (int r = 0; r < ROWS; r++)
        for (float *x = s + r * padded; x < s + (r + 1) * padded; x += LANES) *L(at)(x) *= share[r];
}

/* Columns [begin, end), in whole vectors. Outside them P of these rows is at most 2^-40 of its diagonal and counts as 0. */
struct L(band) { long begin, end; };
INLINE struct L(band) L(band_of)(const float *precision, long first, long rows, long time) {
    float least = precision[0];
    for (long r = 1; r < rows; r++) least = precision[r] < least ? precision[r] : least;
    float reach = sqrtf(40.0f / (LOG2_E * least));
    long far = reach < (float)time ? (long)reach : time;
    long begin = first - far, end = first + rows + far;
    return (struct L(band)){(begin > 0 ? begin : 0) / LANES * LANES, PADDED(end < time ? end : time)};
}

/* P of `rows` rows from row i on, within their band. */
INLINE void L(prior)(float *p, long i, long rows, const float *precision, vec count, vec beyond, struct L(band) band,
                     long padded) {
    for (long r = 0; r < rows; r++) {
        float *row = p + r * padded;
        const float slope = -LOG2_E * precision[r];
        vec total = {0};
        for (long j = band.begin; j < band.end; j += LANES) {
            vec apart = count + (float)(j - i - r), logit = apart * apart * slope;
            if (j + LANES == padded) logit += beyond;
            total += *L(at)(row + j) = L(exp2)(logit);
        }
        const float share = 1.0f / L(sum)(total);
        for (long j = band.begin; j < band.end; j += LANES) *L(at)(row + j) *= share;
    }
}

INLINE vec L(counted)(void) {
    vec x;
    for (int l = 0; l < LANES; l++) x[l] = l;
    return x;
}

/* Sum of S log((S + floor) / floor) over the columns [begin, end), where P is 0. */
INLINE vec L(apart)(const float *s, long begin, long end, float floor) {
    const float inverse = 1.0f / floor;
    vec total = {0};
    for (long j = begin; j < end; j += LANES) {
        vec x = *L(at)(s + j);
        total += x * L(log)(x * inverse + 1.0f);
    }
    return total;
}

/* Offsets and lengths of one map's rows in the tensors. */
struct L(layout) {
    long time, feature, padded, wide;
    long step, mixed_step; /* floats from one row to the next, in qkv and in mixed */
    long begin, mixed_begin; /* offsets of its first row, in qkv and in mixed */
    const float *query, *key, *value;
};

INLINE struct L(layout) L(layout_of)(const struct task *t, long map) {
    struct L(layout) m = {.time = t->time, .feature = t->feature};
    const long window = map / t->heads, head = map % t->heads;
    m.padded = PADDED(m.time), m.wide = PADDED(m.feature);
    m.mixed_step = t->heads * m.feature, m.step = 3 * m.mixed_step;
    m.begin = window * m.time * m.step + head * m.feature;
    m.mixed_begin = window * m.time * m.mixed_step + head * m.feature;
    m.query = t->qkv + m.begin, m.key = m.query + m.mixed_step, m.value = m.key + m.mixed_step;
    return m;
}

TARGET static void L(forward)(const struct task *t, long map, float *work) {
    const struct L(layout) m = L(layout_of)(t, map);
    const float *precision = t->discrepancy ? t->precision + map * m.time : NULL;
    float *keys = work, *values = keys + m.feature * m.padded, *q = values + m.time * m.wide;
    float *s = q + ROWS * m.wide, *p = s + ROWS * m.padded, *mixed = p + ROWS * m.padded;
    const vec beyond = L(beyond)(m.time, m.padded), count = L(counted)();
    L(turn)(m.key, m.step, keys, m.padded, m.time, m.feature);
    L(spread)(m.value, m.step, values, m.wide, m.time, m.feature, m.time, 1.0f);
    for (long i = 0; i < m.time; i += ROWS) {
        const long rows = m.time - i < ROWS ? m.time - i : ROWS;
        L(spread)(m.query + i * m.step, m.step, q, m.wide, rows, m.feature, ROWS, t->scale * LOG2_E);
        L(product)(q, m.wide, keys, s, m.padded, m.feature);
        L(softmax)(s, beyond, m.padded);
        L(product)(s, m.padded, values, mixed, m.wide, m.time);
        for (long r = 0; r < rows; r++)
            memcpy(t->mixed + m.mixed_begin + (i + r) * m.mixed_step, mixed + r * m.wide, m.feature * sizeof(float));
        if (!t->discrepancy) continue;
        struct L(band) band = L(band_of)(precision + i, i, rows, m.time);
        L(prior)(p, i, rows, precision + i, count, beyond, band, m.padded);
        for (long r = 0; r < rows; r++) {
            const float *series = s + r * m.padded, *prior = p + r * m.padded;
            vec total = L(apart)(series, 0, band.begin, t->floor) + L(apart)(series, band.end, m.padded, t->floor);
            for (long j = band.begin; j < band.end; j += LANES) {
                vec x = *L(at)(series + j), y = *L(at)(prior + j);
                total += (x - y) * L(log)((x + t->floor) / (y + t->floor));
            }
            t->discrepancy[map * m.time + i + r] = L(sum)(total);
        }
    }
}

/* Write S times its gradient over the columns [begin, end), where P is 0; return the sum. */
INLINE vec L(pull_apart)(const float *s, float *on, long begin, long end, float floor, float on_series) {
    const float inverse = 1.0f / floor;
    vec total = {0};
    for (long j = begin; j < end; j += LANES) {
        vec x = *L(at)(s + j), quotient = x * inverse + 1.0f;
        total += *L(at)(on + j) = (*L(at)(on + j) + on_series * (L(log)(quotient) - 1.0f / quotient)) * x;
    }
    return total;
}

TARGET static void L(backward)(const struct task *t, long map, float *work) {
    const struct L(layout) m = L(layout_of)(t, map);
    const float *from_mixed = t->from_mixed + m.mixed_begin;
    const float *precision = t->precision + map * m.time;
    float *keys = work, *values = keys + m.feature * m.padded, *k = values + m.feature * m.padded;
    float *on_key = k + m.time * m.wide, *on_value = on_key + m.time * m.wide;
    float *q = on_value + m.time * m.wide, *from = q + ROWS * m.wide, *on_query = from + ROWS * m.wide;
    float *s = on_query + ROWS * m.wide, *on = s + ROWS * m.padded, *p = on + ROWS * m.padded;
    float *to_query = t->on_qkv + m.begin;
    const vec beyond = L(beyond)(m.time, m.padded), count = L(counted)();
    L(turn)(m.key, m.step, keys, m.padded, m.time, m.feature);
    L(turn)(m.value, m.step, values, m.padded, m.time, m.feature);
    L(spread)(m.key, m.step, k, m.wide, m.time, m.feature, m.time, 1.0f);
    memset(on_key, 0, 2 * m.time * m.wide * sizeof(float));
    for (long i = 0; i < m.time; i += ROWS) {
        const long rows = m.time - i < ROWS ? m.time - i : ROWS;
        L(spread)(m.query + i * m.step, m.step, q, m.wide, rows, m.feature, ROWS, t->scale * LOG2_E);
        L(spread)(from_mixed + i * m.mixed_step, m.mixed_step, from, m.wide, rows, m.feature, ROWS, 1.0f);
        L(product)(q, m.wide, keys, s, m.padded, m.feature);
        L(product)(from, m.wide, values, on, m.padded, m.feature);
        struct L(band) band = L(band_of)(precision + i, i, rows, m.time);
        L(prior)(p, i, rows, precision + i, count, beyond, band, m.padded);
        L(softmax)(s, beyond, m.padded);
        for (long r = 0; r < rows; r++) {
            const float from_row = t->from_discrepancy[map * m.time + i + r];
            const float on_series = from_row * t->to_series, on_prior = from_row * t->to_prior;
            float *series = s + r * m.padded, *prior = p + r * m.padded, *logits = on + r * m.padded;
            vec total = L(pull_apart)(series, logits, 0, band.begin, t->floor, on_series) +
                        L(pull_apart)(series, logits, band.end, m.padded, t->floor, on_series);
            vec tilt = {0}, pull = {0}, mean = {0};
            for (long j = band.begin; j < band.end; j += LANES) {
                vec x = *L(at)(series + j), y = *L(at)(prior + j), apart = count + (float)(j - i - r);
                vec quotient = (x + t->floor) / (y + t->floor), ratio = L(log)(quotient);
                vec pulled = (quotient + ratio) * y, square = apart * apart;
                tilt += pulled * square, pull += pulled, mean += y * square;
                total += *L(at)(logits + j) = (*L(at)(logits + j) + on_series * (ratio - 1.0f / quotient)) * x;
            }
            t->on_precision[map * m.time + i + r] = on_prior * (L(sum)(tilt) - L(sum)(pull) * L(sum)(mean));
            const float all = L(sum)(total);
            for (long j = 0; j < m.padded; j += LANES) *L(at)(logits + j) -= all * *L(at)(series + j);
        }
        memset(s + rows * m.padded, 0, (ROWS - rows) * m.padded * sizeof(float));
        memset(on + rows * m.padded, 0, (ROWS - rows) * m.padded * sizeof(float));
        L(product)(on, m.padded, k, on_query, m.wide, m.time);
        L(add_transposed_product)(on, m.padded, q, on_key, m.time, m.wide);
        L(add_transposed_product)(s, m.padded, from, on_value, m.time, m.wide);
        for (long r = 0; r < rows; r++)
            for (long f = 0; f < m.feature; f++) to_query[(i + r) * m.step + f] = on_query[r * m.wide + f] * t->scale;
    }
    for (long j = 0; j < m.time; j++) {
        float *to_key = to_query + j * m.step + m.mixed_step;
        for (long f = 0; f < m.feature; f++) to_key[f] = on_key[j * m.wide + f] / LOG2_E; /* q includes the factor LOG2_E */
        memcpy(to_key + m.mixed_step, on_value + j * m.wide, m.feature * sizeof(float));
    }
}

#undef HALVES
#undef QUARTERS
#undef PAIRS
#undef FOLD
