/*
 * Rows of 14 bits, for heads of 6 and of 8 bits (src/ops/fine.ts): a row is rounded to whole numbers of at most 8191,
 * which are kept as 128 * high + low, two int8 of at most
 * 64. A group of 16 inputs times 16 codes is a whole number below 2^24, exact in f32.
 */
enum { FINE = 8191 };
static void quantizeFine_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(quantizeFine, K), k16 = round_up(k, 16), per = rows_per_chunk(k),
                end = at_most((chunk + 1) * per, ATTR(quantizeFine, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(quantizeFine, x) + r * k;
    int8_t *high = (int8_t *)OUTPUT(quantizeFine, q) + 2 * r * k16, *low = high + k16;
    float l[16];
    for (int j = 0; j < 16; j++) l[j] = -INFINITY;
    for (int64_t i = 0; i < k; i++) {
      const float m = fabsf(x[i]);
      l[i & 15] = l[i & 15] > m ? l[i & 15] : m;
    }
    const float m = f_hmax(f_load(l)), a = m > 1e-5f ? m : 1e-5f, s = (float)FINE / a;
    for (int64_t g = 0; g < k16 / 16; g++) {
      int32_t sum = 0;
      for (int64_t i = g * 16; i < g * 16 + 16; i++) {
        float y = i < k ? x[i] * s : 0.0f;
        y = y != y ? 0.0f : y > FINE ? FINE : y < -FINE ? -FINE : y;
        const int32_t v = (int32_t)((y + 12582912.0f) - 12582912.0f),
                      rest = ((v + 64) & 127) - 64; /* 1.5 * 2^23 rounds to nearest even */
        high[i] = (int8_t)((v - rest) / 128);
        low[i] = (int8_t)rest;
        sum += v;
      }
      ((int32_t *)OUTPUT(quantizeFine, sum))[r * (k16 / 16) + g] = sum;
    }
    ((float *)OUTPUT(quantizeFine, scale))[r] = a / (float)FINE;
  }
}

/* rows that one kernel takes */
#if defined(VERIT_AVX512)
enum { FINE_ROWS = 8 };
#else
enum { FINE_ROWS = 4 };
#endif

/* a few rows of 14 bits group by group, so that they are read in order and from one place: [groups][rows] of 16 upper
 * and 16 lower parts, and their sums */
typedef struct {
  const int8_t *q;
  const int32_t *sum;
  const float *scale;
  int64_t groups;
} fine_t;
static int64_t fineMatmul_scratch(const op_t *o) {
  return FINE_ROWS * (2 * ATTR(fineMatmulQ6_K, K) + ATTR(fineMatmulQ6_K, K) / 4);
}
static fine_t fine_rows(const op_t *o, int64_t r0, int64_t rows, char *scratch) {
  const int64_t k = ATTR(fineMatmulQ6_K, K), groups = k / 16;
  int8_t *q = (int8_t *)scratch;
  int32_t *sum = (int32_t *)(scratch + FINE_ROWS * 2 * k);
  for (int64_t r = 0; r < rows; r++) {
    const int8_t *high = (const int8_t *)INPUT(fineMatmulQ6_K, q) + 2 * (r0 + r) * k;
    for (int64_t g = 0; g < groups; g++) {
      memcpy(q + (g * rows + r) * 32, high + g * 16, 16);
      memcpy(q + (g * rows + r) * 32 + 16, high + k + g * 16, 16);
      sum[g * rows + r] = ((const int32_t *)INPUT(fineMatmulQ6_K, sum))[(r0 + r) * groups + g];
    }
  }
  return (fine_t){.q = q, .sum = sum, .scale = (const float *)INPUT(fineMatmulQ6_K, scale) + r0, .groups = groups};
}
/* four steps of four inputs */
INLINE v16i fine_dots(v16i acc, const v16i *c, const int8_t *q, const int bits) {
#pragma GCC unroll 4
  for (int s = 0; s < 4; s++)
    acc = bits == 6 ? i_dot(acc, c[s], i_set4(q + 4 * s)) : i_dot8(acc, c[s], i_set4(q + 4 * s));
  return acc;
}

/* acc += w * (128 * (c . high) + c . low - 2^(bits - 1) * sum), for a group of `rows` rows; codes are as much too large
 */
INLINE void fine_group(v16 *acc, v16 w, const v16i *c, const int8_t *q, const int32_t *sum, const int bits,
                       const int rows) {
#if defined(VERIT_AVX512)
  /* step by step for all rows, so that no product waits for the one before; the second half goes on from the first */
  v16i a[FINE_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) a[r] = i_zero();
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; s++)
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) a[r] = i_dot(a[r], c[s], i_set4(q + r * 32 + half * 16 + 4 * s));
    if (half == 0)
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const v16i x = _mm512_set1_epi32(sum[r]);
        a[r] = bits == 6 ? _mm512_slli_epi32(_mm512_sub_epi32(_mm512_slli_epi32(a[r], 2), x), 5)
                         : _mm512_slli_epi32(_mm512_sub_epi32(a[r], x), 7);
      }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) acc[r] = f_fma(w, _mm512_cvtepi32_ps(a[r]), acc[r]);
#else
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++, q += 32) {
    const int32_t x = (int32_t)((uint32_t)sum[r] << (bits - 1));
#if defined(VERIT_AVX2) && !defined(VERIT_AVX2VNNI)
    if (bits == 6) { /* two pairs of products add up to 2 * 2 * 63 * 128 = 32256 at most */
      v16i all = i_zero();
#pragma GCC unroll 2
      for (int s = 0; s < 4; s += 2) {
        all = p_add_128(all, p_dot(p_dot(p_zero(), c[s], i_set4(q + 4 * s)), c[s + 1], i_set4(q + 4 * s + 4)));
        all = p_add(all, p_dot(p_dot(p_zero(), c[s], i_set4(q + 16 + 4 * s)), c[s + 1], i_set4(q + 20 + 4 * s)));
      }
      acc[r] = f_fma(w, i_to_f_minus(all, x), acc[r]);
      continue;
    }
#endif
    acc[r] = f_fma(w, i_join(fine_dots(i_zero(), c, q, bits), fine_dots(i_zero(), c, q + 16, bits), x), acc[r]);
  }
#endif
}

/* rows of a head: their width is K, the third attribute */
static int64_t fineRows_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(fineRowsQ6_K, K));
  return (ATTR(fineRowsQ6_K, N) + per - 1) / per;
}

/* weights of a block of 16 outputs, and where its results go: codes, and what they are multiplied by (s: only those of
 * 6 bits) */
typedef struct {
  const uint8_t *codes;
  const int8_t *s;
  const void *d;
  float *y;
  int64_t ldy;
} weights_t;
typedef void fine_kernel(const fine_t *x, weights_t w, int last);

/* name_kernels[rows]: name_body for so many rows */
#define FINE_OF(name, R) \
  static void name##_##R(const fine_t *x, weights_t w, int last) { name##_body(x, w, R, last); }
/* clang-format off */
#if defined(VERIT_AVX512)
#define FINE_KERNELS(name)                                            \
  FINE_OF(name, 1) FINE_OF(name, 2) FINE_OF(name, 3) FINE_OF(name, 4) \
  FINE_OF(name, 5) FINE_OF(name, 6) FINE_OF(name, 7) FINE_OF(name, 8) \
  static fine_kernel *const name##_kernels[] = {                      \
    NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8};
#else
#define FINE_KERNELS(name)                                            \
  FINE_OF(name, 1) FINE_OF(name, 2) FINE_OF(name, 3) FINE_OF(name, 4) \
  static fine_kernel *const name##_kernels[] = {NULL, name##_1, name##_2, name##_3, name##_4};
#endif
/* clang-format on */

enum {
  FINE_CHUNK = 64,   /* blocks of 16 outputs */
  FINE_AHEAD = 4096, /* bytes that are asked for early */
};
static int64_t fineMatmul_chunks(const op_t *o) {
  return (ATTR(fineMatmulQ6_K, O) + 16 * FINE_CHUNK - 1) / (16 * FINE_CHUNK) * (ATTR(fineMatmulQ6_K, N) > 0);
}
INLINE void fine_matmul(const op_t *o, int64_t chunk, char *scratch, fine_kernel *const *kernels,
                        weights_t (*block)(const op_t *o, int64_t b)) {
  const int64_t n = ATTR(fineMatmulQ6_K, N), outputs = ATTR(fineMatmulQ6_K, O),
                b1 = at_most((chunk + 1) * FINE_CHUNK, (outputs + 15) / 16);
  for (int64_t r = 0, rows; r < n; r += rows) {
    rows = at_most(n - r, FINE_ROWS);
    const fine_t x = fine_rows(o, r, rows, scratch);
    for (int64_t b = chunk * FINE_CHUNK; b < b1; b++) {
      weights_t w = block(o, b);
      w.y = (float *)OUTPUT(fineMatmulQ6_K, y) + r * outputs + b * 16;
      w.ldy = outputs;
      kernels[rows](&x, w, (int)at_most(outputs - b * 16, 16));
    }
  }
}
