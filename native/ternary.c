/*
 * BitLinear (b1.58): activations to int8 by row, weights to -1, 0, 1 by matrix, their product exact in int32 (rule R3).
 * The packed weights hold 16 outputs x 16 inputs in 64 bytes, two bits each: a 16-lane vector of bytes shifted by 0, 2,
 * 4, 6 is four groups of four inputs for 16 outputs.
 */
static void quantizeRows_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(quantizeRows, K), k16 = round_up(k, 16), per = rows_per_chunk(k),
                end = at_most((chunk + 1) * per, ATTR(quantizeRows, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(quantizeRows, x) + r * k;
    int8_t *q = (int8_t *)OUTPUT(quantizeRows, q) + r * k16;
    v16 l = f_set1(-INFINITY);
    int64_t i = 0;
    for (; i + 16 <= k; i += 16) l = f_max(l, f_abs(f_load(x + i)));
    if (i < k) {
      float t[16], u[16];
      f_store(t, l);
      f_store(u, f_abs(f_load_n(x + i, (int)(k - i))));
      for (int64_t j = 0; i + j < k; j++) t[j] = t[j] > u[j] ? t[j] : u[j];
      l = f_load(t);
    }
    const float m = f_hmax(l), a = m > 1e-5f ? m : 1e-5f, s = 127.0f / a;
    for (i = 0; i < k; i += 16) {
      v16 y = f_mul(f_load_n(x + i, (int)at_most(k - i, 16)), f_set1(s));
      y = f_select(f_nan(y), f_zero(), y);
      f_store_i8(q + i, f_max(f_min(y, f_set1(127.0f)), f_set1(-128.0f)));
    }
    int32_t sum = 0;
    for (i = 0; i < k16; i++) sum += q[i]; /* a separate function, so that the compiler vectorises it */
    ((float *)OUTPUT(quantizeRows, scale))[r] = a / 127.0f;
    ((int32_t *)OUTPUT(quantizeRows, sum))[r] = sum;
  }
}

static void dequantizeRows_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(dequantizeRows, K), k16 = round_up(k, 16), per = rows_per_chunk(k),
                end = at_most((chunk + 1) * per, ATTR(dequantizeRows, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int8_t *q = (const int8_t *)INPUT(dequantizeRows, q) + r * k16;
    const v16 s = f_set1(((const float *)INPUT(dequantizeRows, scale))[r]);
    for (int64_t i = 0; i < k; i += 16)
      f_store_n((float *)OUTPUT(dequantizeRows, xhat) + r * k + i, f_mul(i8_to_f(q + i), s), (int)at_most(k - i, 16));
  }
}

static int64_t block16_chunks(const op_t *o) { return (ROWS(o) + 15) / 16; }

/* the row sums of |w|, kept in the start of the block of t that this chunk fills in the last phase */
static void ternarize_sums(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(ternarize, K), k16 = round_up(k, 16);
  for (int64_t r = chunk * 16; r < at_most(chunk * 16 + 16, ATTR(ternarize, O)); r++) {
    const float *w = (const float *)INPUT(ternarize, w) + r * k;
    v16 l = f_zero();
    for (int64_t i = 0; i < k; i += 16) l = f_add(l, f_abs(f_load_n(w + i, (int)at_most(k - i, 16))));
    const float sum = f_hsum(l);
    memcpy((uint8_t *)OUTPUT(ternarize, t) + chunk * k16 * 4 + (r - chunk * 16) * 4, &sum, 4);
  }
}
static void ternarize_scale(const op_t *o, int64_t chunk, char *scratch) {
  (void)chunk;
  (void)scratch;
  const int64_t rows = ATTR(ternarize, O), k16 = round_up(ATTR(ternarize, K), 16);
  v16 l = f_zero();
  for (int64_t b = 0; b * 16 < rows; b++) {
    float s[16] = {0};
    memcpy(s, (const uint8_t *)OUTPUT(ternarize, t) + b * k16 * 4, 4 * (size_t)at_most(rows - b * 16, 16));
    l = f_add(l, f_load(s));
  }
  const float mean = f_hsum(l) / (float)(rows * ATTR(ternarize, K));
  *(float *)OUTPUT(ternarize, m) = mean > 1e-5f ? mean : 1e-5f;
}
static void ternarize_codes(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t rows = ATTR(ternarize, O), k = ATTR(ternarize, K), k16 = round_up(k, 16);
  const v16 inverse = f_set1(1.0f / *(const float *)OUTPUT(ternarize, m));
  uint8_t *t = (uint8_t *)OUTPUT(ternarize, t) + chunk * k16 * 4;
  for (int64_t k0 = 0; k0 < k16; k0 += 16, t += 64)
    for (int j = 0; j < 16; j++) {
      const int64_t r = chunk * 16 + j;
      uint8_t *byte = t + j * 4;
      if (r >= rows) {
        memset(byte, 0x55, 4);
        continue;
      }
      int8_t c[16];
      v16 y = f_mul(f_load_n((const float *)INPUT(ternarize, w) + r * k + k0, (int)at_most(k - k0, 16)), inverse);
      y = f_select(f_nan(y), f_zero(), y);
      f_store_i8(c, f_max(f_min(y, f_set1(1.0f)), f_set1(-1.0f)));
      for (int b = 0; b < 4; b++)
        byte[b] = (uint8_t)((c[b] + 1) | (c[4 + b] + 1) << 2 | (c[8 + b] + 1) << 4 | (c[12 + b] + 1) << 6);
    }
}

static void unternarize_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(unternarize, K), k16 = round_up(k, 16);
  const uint8_t *t = (const uint8_t *)INPUT(unternarize, t) + chunk * k16 * 4;
  const float m = *(const float *)INPUT(unternarize, m), value[4] = {-m, 0.0f, m, m};
  for (int64_t r = chunk * 16; r < at_most(chunk * 16 + 16, ATTR(unternarize, O)); r++) {
    float *w = (float *)OUTPUT(unternarize, what) + r * k;
    const uint8_t *lane = t + (r - chunk * 16) * 4;
    for (int64_t k0 = 0; k0 < k; k0 += 16)
      for (int64_t i = 0; i < at_most(k - k0, 16); i++) w[k0 + i] = value[lane[k0 * 4 + (i & 3)] >> (i >> 2) * 2 & 3];
  }
}

typedef struct {
  const int8_t *q;
  const uint8_t *t;
  int64_t k16, ldy;
  float *y;
  const float *scale;
  const int32_t *sum;
  float m;
} ternary_t;

/* the sums of row r and block b, scaled, `n` lanes of them */
INLINE void ternary_store(const ternary_t *x, int r, int b, v16i acc, int n) {
  f_store_n(x->y + r * x->ldy + b * 16, f_mul(i_to_f_minus(acc, x->sum[r]), f_set1(x->m * x->scale[r])), n);
}

enum { STREAM_AHEAD = 4096 }; /* bytes of weights that are asked for early */

/* rows x (blocks * 16) outputs; the last block `last` lanes wide */
INLINE void ternary_body(const ternary_t *x, const int rows, const int blocks, int last) {
  v16i acc[TILE_ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) acc[r][b] = i_zero();
  const int64_t k16 = x->k16;
  const int8_t *q[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) q[g] = x->q + 3 * g * k16;
  const uint8_t *t0 = x->t, *t1 = t0 + (blocks > 1 ? k16 * 4 : 0);
  for (int64_t k = 0, end; k < k16; k = end) {
    v16p part[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
      for (int b = 0; b < blocks; b++) part[r][b] = p_zero();
    end = at_most(k16, k + PART_INPUTS);
    for (int64_t i = k; i < end; i += 16, t0 += 64, t1 += 64) {
      __builtin_prefetch(t0 + STREAM_AHEAD);
      if (blocks > 1) __builtin_prefetch(t1 + STREAM_AHEAD);
#define STEP(s)                                                                            \
  {                                                                                        \
    const v16i c0 = i_codes(i_load(t0), s), c1 = blocks > 1 ? i_codes(i_load(t1), s) : c0; \
    _Pragma("GCC unroll 12") for (int r = 0; r < rows; r++) {                              \
      const v16i v = i_set4(q[r / 3] + (r % 3) * k16 + 4 * (s));                           \
      part[r][0] = p_dot(part[r][0], c0, v);                                               \
      if (blocks > 1) part[r][blocks - 1] = p_dot(part[r][blocks - 1], c1, v);             \
    }                                                                                      \
  }
      STEP(0);
      STEP(1);
      STEP(2);
      STEP(3);
#undef STEP
#pragma GCC unroll 4
      for (int g = 0; g < (rows + 2) / 3; g++) q[g] += 16;
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
      for (int b = 0; b < blocks; b++) acc[r][b] = p_add(acc[r][b], part[r][b]);
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) ternary_store(x, r, b, acc[r][b], b == blocks - 1 ? last : 16);
}
#define TERNARY(R)                                                                           \
  static void ternary_##R##_2(const ternary_t *x, int last) { ternary_body(x, R, 2, last); } \
  static void ternary_##R##_1(const ternary_t *x, int last) { ternary_body(x, R, 1, last); }
TERNARY(2)
TERNARY(3)
TERNARY(4)
#if TILE_ROWS >= 12 || defined(VERIT_AVX2VNNI)
TERNARY(6)
#endif
#if TILE_ROWS >= 12
TERNARY(8)
TERNARY(12)
#endif

/* one row of x by a block of 16 outputs: several sums, so that no product waits for the one before */
static void ternary_1_1(const ternary_t *x, int last) {
  const int8_t *q = x->q;
  const uint8_t *t = x->t;
#if defined(VERIT_AVX2) && !defined(VERIT_AVX2VNNI)
  /* codes of steps 1 and 3 stay where they lie, as four times their value, which saves shifts; their sums are as large
   * as four of the others */
  const __m256i low = _mm256_set1_epi8(3), high = _mm256_set1_epi8(12);
  v16i once = i_zero(), fourfold = i_zero();
  for (int64_t k = 0, end; k < x->k16; k = end) {
    v16p a = p_zero(), b = p_zero(), c = p_zero();
    end = at_most(x->k16, k + PART_INPUTS);
    for (int64_t i = k; i < end; i += 16, t += 64) {
      __builtin_prefetch(t + STREAM_AHEAD);
      const v16i w = i_load(t), h = {_mm256_srli_epi16(w.a, 4), _mm256_srli_epi16(w.b, 4)};
      a = p_dot(a, (v16i){_mm256_and_si256(w.a, low), _mm256_and_si256(w.b, low)}, i_set4(q + i));
      b = p_dot(b, (v16i){_mm256_and_si256(w.a, high), _mm256_and_si256(w.b, high)}, i_set4(q + i + 4));
      a = p_dot(a, (v16i){_mm256_and_si256(h.a, low), _mm256_and_si256(h.b, low)}, i_set4(q + i + 8));
      c = p_dot(c, (v16i){_mm256_and_si256(h.a, high), _mm256_and_si256(h.b, high)}, i_set4(q + i + 12));
    }
    once = p_add(once, a);
    fourfold = p_add(p_add(fourfold, b), c);
  }
  once = i_add(once, (v16i){_mm256_srai_epi32(fourfold.a, 2), _mm256_srai_epi32(fourfold.b, 2)});
  ternary_store(x, 0, 0, once, last);
#else
  v16i s0 = i_zero(), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t k = 0; k < x->k16; k += 16, t += 64) {
    __builtin_prefetch(t + STREAM_AHEAD);
    const v16i w = i_load(t);
    s0 = i_dot(s0, i_codes(w, 0), i_set4(q + k));
    s1 = i_dot(s1, i_codes(w, 1), i_set4(q + k + 4));
    s2 = i_dot(s2, i_codes(w, 2), i_set4(q + k + 8));
    s3 = i_dot(s3, i_codes(w, 3), i_set4(q + k + 12));
  }
  ternary_store(x, 0, 0, i_add(i_add(s0, s1), i_add(s2, s3)), last);
#endif
}

/* as many of `left` rows as one kernel takes, for one block, and for two where that pays */
typedef struct {
  int rows;
  void (*one)(const ternary_t *, int), (*two)(const ternary_t *, int);
} ternary_rows_t;
static ternary_rows_t ternary_rows(int64_t left) {
  static const ternary_rows_t known[] = {
#define KNOWN(R) {R, ternary_##R##_1, R <= TERNARY_PAIRS ? ternary_##R##_2 : NULL}
#if TILE_ROWS >= 12
    KNOWN(12),
    KNOWN(8),
#endif
#if TILE_ROWS >= 12 || defined(VERIT_AVX2VNNI)
    KNOWN(6),
#endif
    KNOWN(4),
    KNOWN(3),
    KNOWN(2),
    {1, ternary_1_1, NULL}
  };
#undef KNOWN
  int i = 0;
  while (known[i].rows > left) i++;
  return known[i];
}

enum { TERNARY_ROWS = 192 };
static int64_t ternary_groups(const op_t *o) { /* blocks of 16 outputs in a chunk: about 2 Mop or more, but eight chunks
                                                  a thread where there are so many */
  const int64_t blocks = (ATTR(ternaryMatmul, O) + 15) / 16, rows = at_most(ATTR(ternaryMatmul, N), TERNARY_ROWS),
                even = round_up((blocks + 8 * o->threads - 1) / (8 * o->threads), 2);
  const int64_t enough = round_up(1000000 / at_least(rows * ATTR(ternaryMatmul, K) * 16, 1), 2);
  return at_most(at_least(at_most(enough, even), 2), at_least(blocks, 1));
}
static int64_t ternaryMatmul_chunks(const op_t *o) {
  const int64_t blocks = (ATTR(ternaryMatmul, O) + 15) / 16, per = ternary_groups(o);
  return (ATTR(ternaryMatmul, N) + TERNARY_ROWS - 1) / TERNARY_ROWS * ((blocks + per - 1) / per);
}
static void ternaryMatmul_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t outputs = ATTR(ternaryMatmul, O), k16 = round_up(ATTR(ternaryMatmul, K), 16),
                blocks = (outputs + 15) / 16, per = ternary_groups(o), groups = (blocks + per - 1) / per;
  const int64_t r0 = chunk / groups * TERNARY_ROWS, r1 = at_most(r0 + TERNARY_ROWS, ATTR(ternaryMatmul, N));
  const int64_t b0 = chunk % groups * per, b1 = at_most(b0 + per, blocks);
  for (int64_t b = b0; b < b1; b += 2) {
    const int two = b + 1 < b1, last = (int)at_most(outputs - (b + two) * 16, 16);
    for (int64_t r = r0, step; r < r1; r += step) {
      ternary_t x = {.q = (const int8_t *)INPUT(ternaryMatmul, q) + r * k16,
                     .t = (const uint8_t *)INPUT(ternaryMatmul, t) + b * k16 * 4,
                     .k16 = k16,
                     .ldy = outputs,
                     .y = (float *)OUTPUT(ternaryMatmul, y) + r * outputs + b * 16,
                     .scale = (const float *)INPUT(ternaryMatmul, scale) + r,
                     .sum = (const int32_t *)INPUT(ternaryMatmul, sum) + r,
                     .m = *(const float *)INPUT(ternaryMatmul, m)};
      const ternary_rows_t kernel = ternary_rows(r1 - r);
      step = kernel.rows;
      if (two && kernel.two)
        kernel.two(&x, last);
      else {
        kernel.one(&x, two ? 16 : last);
        if (two) {
          x.t += k16 * 4;
          x.y += 16;
          kernel.one(&x, last);
        }
      }
    }
  }
}
