/* Nearest candidates of some windows of one channel, written for vectors of LANES floats.

Included once per vector width; see vectors.h. ROWS windows are compared at a time with a panel of 2 LANES candidates: the
most for which the sums fit in registers. The sums add one row of a window after the other, whatever the vector width. */

#define PANEL (2 * LANES)

/* Eight rows of eight floats, as columns: out[t][j] = rows[j][t]; `out` has a row every PANEL floats. */
INLINE void L(transpose)(const float *const *rows, long t, float *out) {
    __m256 a[8], b[8];
    UNROLL for (int j = 0; j < 8; j++) a[j] = _mm256_loadu_ps(rows[j] + t);
    UNROLL for (int j = 0; j < 8; j += 2) {
        b[j] = _mm256_unpacklo_ps(a[j], a[j + 1]);
        b[j + 1] = _mm256_unpackhi_ps(a[j], a[j + 1]);
    }
    UNROLL for (int j = 0; j < 8; j += 4) {
        a[j] = _mm256_shuffle_ps(b[j], b[j + 2], 0x44);
        a[j + 1] = _mm256_shuffle_ps(b[j], b[j + 2], 0xee);
        a[j + 2] = _mm256_shuffle_ps(b[j + 1], b[j + 3], 0x44);
        a[j + 3] = _mm256_shuffle_ps(b[j + 1], b[j + 3], 0xee);
    }
    UNROLL for (int j = 0; j < 4; j++) {
        _mm256_storeu_ps(out + j * PANEL, _mm256_permute2f128_ps(a[j], a[j + 4], 0x20));
        _mm256_storeu_ps(out + (j + 4) * PANEL, _mm256_permute2f128_ps(a[j], a[j + 4], 0x31));
    }
}

/* Candidates c, c + 1, … as a panel, (time, PANEL), and half of their squared lengths, which are infinite beyond the last. */
INLINE void L(pack)(const struct search *s, long c, float *panel, float *half_lengths) {
    const float *candidates[PANEL];
    for (long j = 0; j < PANEL; j++) candidates[j] = s->values + s->starts[c + j < s->n_candidates ? c + j : c];
    const long whole = s->time / 8 * 8;
    for (long j = 0; j < PANEL; j += 8)
        for (long t = 0; t < whole; t += 8) L(transpose)(candidates + j, t, panel + t * PANEL + j);
    for (long t = whole; t < s->time; t++)
        for (long j = 0; j < PANEL; j++) panel[t * PANEL + j] = candidates[j][t];
    for (long i = 0; i < PANEL; i += LANES) {
        vec squares = {0};
        for (long t = 0; t < s->time; t++) {
            vec x = *(vec *)(panel + t * PANEL + i);
            squares += x * x;
        }
        *(vec *)(half_lengths + i) = squares * 0.5f;
    }
    for (long j = 0; j < PANEL; j++)
        if (c + j >= s->n_candidates) half_lengths[j] = INFINITY;
}

/* |m|² / 2 - x · m of ROWS windows x and a panel's candidates m, (ROWS, PANEL): half of |x - m|², but for |x|². */
INLINE void L(compare)(const float *const *x, const float *panel, const float *half_lengths, long time, float *out) {
    vec total[ROWS][2];
    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int i = 0; i < 2; i++) total[r][i] = *(vec *)(half_lengths + i * LANES);
    for (long t = 0; t < time; t++) {
        vec row[2];
        UNROLL for (int i = 0; i < 2; i++) row[i] = *(vec *)(panel + t * PANEL + i * LANES);
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int i = 0; i < 2; i++) total[r][i] -= x[r][t] * row[i];
    }
    UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int i = 0; i < 2; i++) *(vec *)(out + r * PANEL + i * LANES) = total[r][i];
}

/* A bit for each entry that is below the limit; none where it is NaN. */
INLINE unsigned L(below)(const float *entries, float limit) {
    vec limits = limit - (vec){0};
#if LANES == 16
    return _mm512_cmp_ps_mask((__m512) * (vec *)entries, (__m512)limits, _CMP_LT_OQ);
#else
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256) * (vec *)entries, (__m256)limits, _CMP_LT_OQ));
#endif
}

/* Put a panel's candidates c, c + 1, … into the lists of a window's neighbours, one list for each zone, if they are nearer
than the last there; `compared` has the window's row of `compare`. */
INLINE void L(keep)(const struct search *s, long window, long c, const float *compared, float *best, long *found) {
    const long n = s->n_neighbors;
    float limit = best[n - 1];
    for (long z = 1; z < s->n_zones; z++) limit = best[(z + 1) * n - 1] > limit ? best[(z + 1) * n - 1] : limit;
    for (long j = 0; j < PANEL; j += LANES)
        for (unsigned bits = L(below)(compared + j, limit); bits; bits &= bits - 1) {
            const long k = j + __builtin_ctz(bits);
            for (long z = 0; z < s->n_zones; z++)
                if (!leaves_out(s, z * s->n_windows + window, c + k, c + k + 1))
                    insert(best + z * n, found + z * n, n, compared[k], c + k);
        }
}

/* Find the neighbours of the windows [begin, end), n_zones lists a window; `panel` has room for a panel. */
TARGET static void L(search)(const struct search *s, long begin, long end, float *panel, float *best, long *found) {
    float half_lengths[PANEL], compared[ROWS * PANEL];
    const long lists = s->n_zones * s->n_neighbors; /* of a window */
    for (long i = begin; i < end; i++)
        for (long z = 0; z < s->n_zones; z++) {
            const long list = (i - begin) * lists + z * s->n_neighbors;
            start_with_any(s, z * s->n_windows + i, best + list, found + list);
        }
    for (long c = 0; c < s->n_candidates; c += PANEL) {
        const long beyond = c + PANEL < s->n_candidates ? c + PANEL : s->n_candidates;
        int is_packed = 0;
        for (long i = begin; i < end; i += ROWS) {
            const long rows = end - i < ROWS ? end - i : ROWS;
            const float *x[ROWS];
            int is_wanted = 0;
            for (long r = 0; r < ROWS; r++) {
                const long window = i + (r < rows ? r : 0);
                x[r] = s->new_values + s->new_starts[window];
                for (long z = 0; z < s->n_zones; z++) is_wanted |= !leaves_out(s, z * s->n_windows + window, c, beyond);
            }
            if (!is_wanted) continue;
            if (!is_packed) L(pack)(s, c, panel, half_lengths), is_packed = 1;
            L(compare)(x, panel, half_lengths, s->time, compared);
            for (long r = 0; r < rows; r++) {
                const long list = (i + r - begin) * lists;
                L(keep)(s, i + r, c, compared + r * PANEL, best + list, found + list);
            }
        }
    }
}

#undef PANEL
