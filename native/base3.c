/*
 * Ternary weights with five to a byte (src/ops/base3.ts): 64 bytes hold 16 outputs x 20 inputs. A byte indexes a table of its first four codes as fields of two bits;
 * its upper seven bits one of the fifth. With AVX-512 VBMI the tables lie in registers, elsewhere a row of bytes is unpacked one by one. For several rows of x
 * the codes of a stretch are unpacked once, into planes of 16 outputs x 4 inputs in 64 bytes.
 */
typedef struct { _Alignas(64) uint8_t four[256], fifth[128]; } base3_t;
static const base3_t *base3_tables(void) {
  static base3_t t;
  static _Atomic int ready;
  /* whoever comes first and second write the same */
  if (!atomic_load_explicit(&ready, memory_order_acquire)) {
    for (int v = 0; v < 256; v++) {
      const int last = v / 82 > 2 ? 2 : v / 82, r = v - 82 * last;
      t.four[v] = (uint8_t)(r % 3 | r / 3 % 3 << 2 | r / 9 % 3 << 4 | r / 27 % 3 << 6);
      t.fifth[v / 2] = (uint8_t)last;
    }
    atomic_store_explicit(&ready, 1, memory_order_release);
  }
  return &t;
}

enum { BASE3_K = 20, PLANE = 64, PLANES = 5 };

#if defined(VERIT_AVX512)
#define BASE3_TARGET __attribute__((target("avx512vbmi")))
typedef struct { __m512i a, b, c, d, e, f; } lookup_t;
static inline __attribute__((always_inline)) BASE3_TARGET lookup_t lookup_load(void) {
  const base3_t *t = base3_tables();
  return (lookup_t){_mm512_load_si512(t->four), _mm512_load_si512(t->four + 64), _mm512_load_si512(t->four + 128), _mm512_load_si512(t->four + 192), _mm512_load_si512(t->fifth), _mm512_load_si512(t->fifth + 64)};
}
static inline __attribute__((always_inline)) BASE3_TARGET __m512i lookup_four(const lookup_t *t, __m512i v) {
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), _mm512_permutex2var_epi8(t->a, v, t->b), _mm512_permutex2var_epi8(t->c, v, t->d));
}
static inline __attribute__((always_inline)) BASE3_TARGET __m512i lookup_fifth(const lookup_t *t, __m512i v) { return _mm512_permutex2var_epi8(t->e, _mm512_srli_epi16(v, 1), t->f); }

/* one row of x by two blocks of 16 outputs: five sums each, so that no product waits for the one before */
static BASE3_TARGET void base3_row_vbmi(const int8_t *q, int64_t k16, const uint8_t *t0, const uint8_t *t1, v16i *out) {
  const lookup_t tables = lookup_load();
  const __m512i three = _mm512_set1_epi8(3);
  __m512i s[2][PLANES];
  for (int b = 0; b < 2; b++)
    for (int p = 0; p < PLANES; p++) s[b][p] = _mm512_setzero_si512();
  int64_t k = 0;
#define FIELD(w, p) _mm512_and_si512((p) ? _mm512_srli_epi16(w, 2 * (p)) : (w), three)
#define STEP(p) { \
    const __m512i x = i_set4(q + k + 4 * (p)); \
    s[0][p] = _mm512_dpbusd_epi32(s[0][p], FIELD(w0, p), x); \
    s[1][p] = _mm512_dpbusd_epi32(s[1][p], FIELD(w1, p), x); \
  }
  for (; k + BASE3_K <= k16; k += BASE3_K, t0 += 64, t1 += 64) {
    _mm_prefetch((const char *)t0 + 2048, _MM_HINT_T0);
    _mm_prefetch((const char *)t1 + 2048, _MM_HINT_T0);
    const __m512i v0 = _mm512_loadu_si512(t0), v1 = _mm512_loadu_si512(t1), w0 = lookup_four(&tables, v0), w1 = lookup_four(&tables, v1);
    STEP(0) STEP(1) STEP(2) STEP(3)
    const __m512i x = i_set4(q + k + 16);
    s[0][4] = _mm512_dpbusd_epi32(s[0][4], lookup_fifth(&tables, v0), x);
    s[1][4] = _mm512_dpbusd_epi32(s[1][4], lookup_fifth(&tables, v1), x);
  }
  if (k < k16) { /* what is left is 4, 8, 12 or 16 inputs */
    const __m512i w0 = lookup_four(&tables, _mm512_loadu_si512(t0)), w1 = lookup_four(&tables, _mm512_loadu_si512(t1));
    STEP(0)
    if (k + 4 < k16) STEP(1)
    if (k + 8 < k16) STEP(2)
    if (k + 12 < k16) STEP(3)
  }
#undef STEP
  for (int b = 0; b < 2; b++)
    out[b] = _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(s[b][0], s[b][1]), _mm512_add_epi32(s[b][2], s[b][3])), s[b][4]);
}

static BASE3_TARGET void base3_planes_vbmi(const uint8_t *t, int64_t k16, uint8_t *planes) {
  const lookup_t tables = lookup_load();
  const __m512i three = _mm512_set1_epi8(3);
  for (int64_t k = 0; k < k16; k += BASE3_K, t += 64) {
    const __m512i v = _mm512_loadu_si512(t), w = lookup_four(&tables, v);
    const __m512i plane[PLANES] = {FIELD(w, 0), FIELD(w, 1), FIELD(w, 2), FIELD(w, 3), lookup_fifth(&tables, v)};
    for (int p = 0; p < PLANES && k + 4 * p < k16; p++, planes += PLANE) _mm512_storeu_si512(planes, plane[p]);
  }
#undef FIELD
}
static int has_vbmi(void) { return __builtin_cpu_supports("avx512vbmi"); }
#endif

/* the codes of 16 outputs, 4 inputs after the other, one to a byte */
static void base3_planes(const uint8_t *t, int64_t k16, uint8_t *planes) {
#if defined(VERIT_AVX512)
  if (has_vbmi()) {
    base3_planes_vbmi(t, k16, planes);
    return;
  }
#endif
  const base3_t *tables = base3_tables();
  for (int64_t k = 0; k < k16; k += BASE3_K, t += 64)
    for (int p = 0; p < PLANES && k + 4 * p < k16; p++, planes += PLANE)
      for (int i = 0; i < 64; i++) planes[i] = p == 4 ? tables->fifth[t[i] >> 1] : tables->four[t[i]] >> 2 * p & 3;
}

/* rows x (blocks * 16) outputs from planes */
INLINE void planes_body(const ternary_t *x, const int rows, const int blocks, int last) {
  v16i acc[TILE_ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) acc[r][b] = i_zero();
  const int64_t k16 = x->k16;
  const int8_t *q[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) q[g] = x->q + 3 * g * k16;
  const uint8_t *t0 = x->t, *t1 = t0 + (blocks > 1 ? k16 / 4 * PLANE : 0);
  for (int64_t k = 0; k < k16; k += 4, t0 += PLANE, t1 += PLANE) {
    const v16i c0 = i_load(t0), c1 = i_load(t1);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const v16i v = i_set4(q[r / 3] + (r % 3) * k16);
      acc[r][0] = i_dot(acc[r][0], c0, v);
      if (blocks > 1) acc[r][1] = i_dot(acc[r][1], c1, v);
    }
#pragma GCC unroll 4
    for (int g = 0; g < (rows + 2) / 3; g++) q[g] += 4;
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) ternary_store(x, r, b, acc[r][b], b == blocks - 1 ? last : 16);
}
#define PLANES_OF(R) \
  static void planes_##R##_2(const ternary_t *x, int last) { planes_body(x, R, 2, last); } \
  static void planes_##R##_1(const ternary_t *x, int last) { planes_body(x, R, 1, last); }
PLANES_OF(1)
PLANES_OF(4)
#if TILE_ROWS >= 12
PLANES_OF(12)
#endif

/* rows r0 .. r1-1 by one or two blocks whose planes are made */
static void planes_rows(ternary_t x, int64_t r0, int64_t r1, int two, int last) {
  for (int64_t r = r0, step; r < r1; r += step) {
#if TILE_ROWS >= 12
    if (r1 - r >= 12) {
      (two ? planes_12_2 : planes_12_1)(&x, last);
      step = 12;
    } else
#endif
    {
      step = r1 - r >= 4 ? 4 : 1;
      (step == 4 ? two ? planes_4_2 : planes_4_1 : two ? planes_1_2 : planes_1_1)(&x, last);
    }
    x.q += step * x.k16;
    x.y += step * x.ldy;
    x.scale += step;
    x.sum += step;
  }
}

static int64_t ternaryMatmulBase3_scratch(const op_t *o) { return 2 * round_up(o->a[2], 16) / 4 * PLANE; }
static void ternaryMatmulBase3_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t outputs = o->a[1], k16 = round_up(o->a[2], 16), bytes = (o->a[2] + BASE3_K - 1) / BASE3_K * 64, blocks = (outputs + 15) / 16, per = ternary_groups(o), groups = (blocks + per - 1) / per;
  const int64_t r0 = chunk / groups * TERNARY_ROWS, r1 = at_most(r0 + TERNARY_ROWS, o->a[0]);
  const int64_t b0 = chunk % groups * per, b1 = at_most(b0 + per, blocks);
  for (int64_t b = b0; b < b1; b += 2) {
    const int two = b + 1 < b1, last = (int)at_most(outputs - (b + two) * 16, 16);
    const uint8_t *t = (const uint8_t *)o->in[3] + b * bytes;
    const ternary_t x = {.q = (const int8_t *)o->in[0] + r0 * k16, .t = (const uint8_t *)scratch, .k16 = k16, .ldy = outputs, .y = (float *)o->out[0] + r0 * outputs + b * 16,
                         .scale = (const float *)o->in[1] + r0, .sum = (const int32_t *)o->in[2] + r0, .m = *(const float *)o->in[4]};
#if defined(VERIT_AVX512)
    if (r1 - r0 <= 2 && has_vbmi()) {
      for (int64_t r = 0; r < r1 - r0; r++) {
        v16i acc[2];
        ternary_t row = x;
        row.y += r * outputs;
        row.scale += r;
        row.sum += r;
        base3_row_vbmi(x.q + r * k16, k16, t, two ? t + bytes : t, acc);
        for (int i = 0; i <= two; i++) ternary_store(&row, 0, i, acc[i], i == two ? last : 16);
      }
      continue;
    }
#endif
    base3_planes(t, k16, (uint8_t *)scratch);
    if (two) base3_planes(t + bytes, k16, (uint8_t *)scratch + k16 / 4 * PLANE);
    planes_rows(x, 0, r1 - r0, two, last);
  }
}
