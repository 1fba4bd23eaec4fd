/* Ternary weights, five per byte (src/ops/base3.ts): 64 bytes hold 16 outputs x 20 inputs. A byte indexes a table of
 * its first four codes as fields of two bits; its upper seven bits one of the fifth. With AVX-512 VBMI the tables are
 * in registers, and codes are unpacked there for up to eight rows of x; otherwise bytes are unpacked one by one: those
 * of a stretch once for all rows, into planes of 16 outputs x 4 inputs in 64 bytes. */
#include <pthread.h>

typedef struct {
  _Alignas(64) uint8_t four[256], fifth[128];
} base3_t;
static base3_t base3_made;
static pthread_once_t base3_once = PTHREAD_ONCE_INIT;
static void base3_make(void) {
  for (int v = 0; v < 256; v++) {
    const int last = v / 82 > 2 ? 2 : v / 82, r = v - 82 * last;
    base3_made.four[v] = (uint8_t)(r % 3 | r / 3 % 3 << 2 | r / 9 % 3 << 4 | r / 27 % 3 << 6);
    base3_made.fifth[v / 2] = (uint8_t)last;
  }
}
static const base3_t *base3_tables(void) {
  pthread_once(&base3_once, base3_make);
  return &base3_made;
}

enum { BASE3_K = 20, PLANE = 64, PLANES = 5 };

#if defined(VERIT_AVX512)
#define BASE3_TARGET __attribute__((target("avx512vbmi")))
typedef struct {
  __m512i a, b, c, d, e, f;
} lookup_t;
static inline __attribute__((always_inline)) BASE3_TARGET lookup_t lookup_load(void) {
  const base3_t *t = base3_tables();
  return (lookup_t){_mm512_load_si512(t->four),       _mm512_load_si512(t->four + 64),
                    _mm512_load_si512(t->four + 128), _mm512_load_si512(t->four + 192),
                    _mm512_load_si512(t->fifth),      _mm512_load_si512(t->fifth + 64)};
}
static inline __attribute__((always_inline)) BASE3_TARGET __m512i lookup_four(const lookup_t *t, __m512i v) {
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), _mm512_permutex2var_epi8(t->a, v, t->b),
                                _mm512_permutex2var_epi8(t->c, v, t->d));
}
static inline __attribute__((always_inline)) BASE3_TARGET __m512i lookup_fifth(const lookup_t *t, __m512i v) {
  return _mm512_permutex2var_epi8(t->e, _mm512_srli_epi16(v, 1), t->f);
}

/* one row of x by a block of 16 outputs: ten sums, so that no product waits for the one before */
static BASE3_TARGET v16i base3_row_vbmi(const int8_t *q, int64_t length, const uint8_t *t) {
  const lookup_t tables = lookup_load();
  const __m512i three = _mm512_set1_epi8(3);
  v16i s[2][PLANES];
  for (int b = 0; b < 2; b++)
    for (int p = 0; p < PLANES; p++) s[b][p] = i_zero();
  int64_t k = 0;
#define FIELD(w, p) _mm512_and_si512((p) ? _mm512_srli_epi16(w, 2 * (p)) : (w), three)
#define FOUR(b, w, p) s[b][p] = i_dot(s[b][p], FIELD(w, p), i_set4(q + k + BASE3_K * (b) + 4 * (p)))
  for (; k + 2 * BASE3_K <= length; k += 2 * BASE3_K, t += 128) {
    _mm_prefetch((const char *)t + STREAM_AHEAD, _MM_HINT_T0);
    _mm_prefetch((const char *)t + STREAM_AHEAD + 64, _MM_HINT_T0);
    const __m512i v0 = _mm512_loadu_si512(t), v1 = _mm512_loadu_si512(t + 64), w0 = lookup_four(&tables, v0),
                  w1 = lookup_four(&tables, v1);
    FOUR(0, w0, 0);
    FOUR(1, w1, 0);
    FOUR(0, w0, 1);
    FOUR(1, w1, 1);
    FOUR(0, w0, 2);
    FOUR(1, w1, 2);
    FOUR(0, w0, 3);
    FOUR(1, w1, 3);
    s[0][4] = i_dot(s[0][4], lookup_fifth(&tables, v0), i_set4(q + k + 16));
    s[1][4] = i_dot(s[1][4], lookup_fifth(&tables, v1), i_set4(q + k + BASE3_K + 16));
  }
  for (; k < length; k += BASE3_K, t += 64) { /* the rest ends after 4, 8, 12, 16 or 20 inputs */
    const __m512i v = _mm512_loadu_si512(t), w = lookup_four(&tables, v);
    FOUR(0, w, 0);
    if (k + 4 < length) FOUR(0, w, 1);
    if (k + 8 < length) FOUR(0, w, 2);
    if (k + 12 < length) FOUR(0, w, 3);
    if (k + 16 < length) s[0][4] = i_dot(s[0][4], lookup_fifth(&tables, v), i_set4(q + k + 16));
  }
#undef FOUR
  v16i sum = i_zero();
  for (int b = 0; b < 2; b++)
    for (int p = 0; p < PLANES; p++) sum = _mm512_add_epi32(sum, s[b][p]);
  return sum;
}

/* several rows of x by a block of 16 outputs: unpacked once for all of them, and enough sums that no product waits for
 * the one before */
static inline __attribute__((always_inline)) BASE3_TARGET void base3_several(const int8_t *q, int64_t k16,
                                                                             int64_t length, const uint8_t *t,
                                                                             v16i *out, const int rows,
                                                                             const int sums) {
  const lookup_t tables = lookup_load();
  const __m512i three = _mm512_set1_epi8(3);
  v16i s[8][PLANES];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 5
    for (int p = 0; p < sums; p++) s[r][p] = i_zero();
#define EACH_ROW(p, codes)                                                    \
  {                                                                           \
    const __m512i c = codes;                                                  \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) s[r][(p) % sums] = \
        i_dot(s[r][(p) % sums], c, i_set4(q + r * k16 + k + 4 * (p)));        \
  }
  for (int64_t k = 0; k < length; k += BASE3_K, t += 64) {
    _mm_prefetch((const char *)t + STREAM_AHEAD, _MM_HINT_T0);
    const __m512i v = _mm512_loadu_si512(t), w = lookup_four(&tables, v);
    const int64_t left = length - k;
    EACH_ROW(0, FIELD(w, 0))
    if (left > 4) EACH_ROW(1, FIELD(w, 1))
    if (left > 8) EACH_ROW(2, FIELD(w, 2))
    if (left > 12) EACH_ROW(3, FIELD(w, 3))
    if (left > 16) EACH_ROW(4, lookup_fifth(&tables, v))
  }
#undef EACH_ROW
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    out[r] = s[r][0];
#pragma GCC unroll 4
    for (int p = 1; p < sums; p++) out[r] = _mm512_add_epi32(out[r], s[r][p]);
  }
}
#define SEVERAL(R, SUMS)                                                                                               \
  static BASE3_TARGET void base3_rows_##R(const int8_t *q, int64_t k16, int64_t length, const uint8_t *t, v16i *out) { \
    base3_several(q, k16, length, t, out, R, SUMS);                                                                    \
  }
SEVERAL(2, 5)
SEVERAL(3, 5)
SEVERAL(4, 4)
SEVERAL(5, 3)
SEVERAL(6, 3)
SEVERAL(7, 2)
SEVERAL(8, 2)
static void (*const BASE3_ROWS[])(const int8_t *q, int64_t k16, int64_t length, const uint8_t *t, v16i *out) = {
    NULL, NULL, base3_rows_2, base3_rows_3, base3_rows_4, base3_rows_5, base3_rows_6, base3_rows_7, base3_rows_8};

#undef FIELD
#endif

/* the codes of 16 outputs, 4 inputs after the other, one to a byte */
static void base3_planes(const uint8_t *t, int64_t k16, uint8_t *planes) {
  const base3_t *tables = base3_tables();
  for (int64_t k = 0; k < k16; k += BASE3_K, t += 64)
    for (int p = 0; p < PLANES && k + 4 * p < k16; p++, planes += PLANE)
      for (int i = 0; i < 64; i++) planes[i] = p == 4 ? tables->fifth[t[i] >> 1] : tables->four[t[i]] >> 2 * p & 3;
}

/* a stretch of k whose planes of two blocks stay in the first-level cache; whole vectors of base3 */
enum { STRETCH = 640 };

/* rows x (blocks * 16) outputs over a stretch of k; sums go on from `sums` unless it is the first, and back there
 * unless it is the last */
typedef struct {
  ternary_t x;
  int64_t k;     /* length of the stretch */
  int32_t *sums; /* [rows][32] */
  int first, last;
} stretch_t;
INLINE void planes_body(const stretch_t *z, const int rows, const int blocks, int width) {
  const ternary_t *x = &z->x;
  v16i acc[TILE_ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) acc[r][b] = z->first ? i_zero() : i_load(z->sums + r * 32 + b * 16);
  const int64_t k16 = x->k16;
  const int8_t *q[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) q[g] = x->q + 3 * g * k16;
  const uint8_t *t0 = x->t, *t1 = t0 + STRETCH / 4 * PLANE;
  for (int64_t k = 0; k < z->k; k += 4, t0 += PLANE, t1 += PLANE) {
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
    for (int b = 0; b < blocks; b++) {
      if (z->last)
        ternary_store(x, r, b, acc[r][b], b == blocks - 1 ? width : 16);
      else
        i_store(z->sums + r * 32 + b * 16, acc[r][b]);
    }
}
#define PLANES_OF(R)                                                                         \
  static void planes_##R##_2(const stretch_t *z, int width) { planes_body(z, R, 2, width); } \
  static void planes_##R##_1(const stretch_t *z, int width) { planes_body(z, R, 1, width); }
PLANES_OF(1)
PLANES_OF(4)
#if TILE_ROWS >= 12
PLANES_OF(12)
#endif

/* `rows` rows by one or two blocks of codes at t, `bytes` apart */
static void base3_rows(ternary_t x, int64_t length, int64_t rows, const uint8_t *t, int64_t bytes, int two, int width,
                       char *scratch) {
  uint8_t *planes = (uint8_t *)scratch;
  int32_t *sums = (int32_t *)(scratch + 2 * STRETCH / 4 * PLANE);
  for (int64_t k = 0; k < length; k += STRETCH, t += STRETCH / BASE3_K * 64) {
    stretch_t z = {
        .x = x, .k = at_most(length - k, STRETCH), .sums = sums, .first = k == 0, .last = k + STRETCH >= length};
    base3_planes(t, z.k, planes);
    if (two) base3_planes(t + bytes, z.k, planes + STRETCH / 4 * PLANE);
    z.x.t = planes;
    z.x.q += k;
    for (int64_t r = 0, step; r < rows; r += step) {
#if TILE_ROWS >= 12
      if (rows - r >= 12) {
        (two ? planes_12_2 : planes_12_1)(&z, width);
        step = 12;
      } else
#endif
      {
        step = rows - r >= 4 ? 4 : 1;
        (step == 4 ? two ? planes_4_2 : planes_4_1 : two ? planes_1_2 : planes_1_1)(&z, width);
      }
      z.x.q += step * x.k16;
      z.x.y += step * x.ldy;
      z.x.scale += step;
      z.x.sum += step;
      z.sums += step * 32;
    }
  }
}

static int64_t ternaryMatmulBase3_scratch(const op_t *o) {
  (void)o;
  return 2 * STRETCH / 4 * PLANE + 4 * 32 * TERNARY_ROWS;
}
static void ternaryMatmulBase3_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t outputs = ATTR(ternaryMatmulBase3, O), k16 = round_up(ATTR(ternaryMatmulBase3, K), 16),
                bytes = (ATTR(ternaryMatmulBase3, K) + BASE3_K - 1) / BASE3_K * 64, blocks = (outputs + 15) / 16,
                per = ternary_groups(o), groups = (blocks + per - 1) / per;
  const int64_t r0 = chunk / groups * TERNARY_ROWS, r1 = at_most(r0 + TERNARY_ROWS, ATTR(ternaryMatmulBase3, N));
  const int64_t b0 = chunk % groups * per, b1 = at_most(b0 + per, blocks);
  const int64_t length = at_most(k16, bytes / 64 * BASE3_K); /* where both q and t go on; q is zero beyond K */
  for (int64_t b = b0; b < b1; b += 2) {
    const int two = b + 1 < b1, width = (int)at_most(outputs - (b + two) * 16, 16);
    const uint8_t *t = (const uint8_t *)INPUT(ternaryMatmulBase3, t) + b * bytes;
    const ternary_t x = {.q = (const int8_t *)INPUT(ternaryMatmulBase3, q) + r0 * k16,
                         .k16 = k16,
                         .ldy = outputs,
                         .y = (float *)OUTPUT(ternaryMatmulBase3, y) + r0 * outputs + b * 16,
                         .scale = (const float *)INPUT(ternaryMatmulBase3, scale) + r0,
                         .sum = (const int32_t *)INPUT(ternaryMatmulBase3, sum) + r0,
                         .m = *(const float *)INPUT(ternaryMatmulBase3, m)};
#if defined(VERIT_AVX512)
    if (cpu_has_vbmi()) {
      for (int i = 0; i <= two; i++)
        for (int64_t r = 0, step; r < r1 - r0; r += step) {
          const int64_t left = r1 - r0 - r;
          const int8_t *q = x.q + r * k16;
          v16i sums[8];
          step = at_most(left, 8);
          if (step == 1)
            sums[0] = base3_row_vbmi(q, length, t + i * bytes);
          else
            BASE3_ROWS[step](q, k16, length, t + i * bytes, sums);
          for (int64_t j = 0; j < step; j++) ternary_store(&x, (int)(r + j), i, sums[j], i == two ? width : 16);
        }
      continue;
    }
#endif
    base3_rows(x, length, r1 - r0, t, bytes, two, width, scratch);
  }
}
