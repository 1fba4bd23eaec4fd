/*
 * Products of int8 activations with block-quantised weights (src/ops/block-matmul.ts). A lane of a vector is one output, so that no sum is ever split. Few rows: codes go from memory through
 * registers into products. Many rows: a slice of one or two panels is taken apart once and multiplied by all rows.
 */
#include "blocks.h"

static void quantizeBlocks_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(quantizeBlocks, K), per = rows_per_chunk(k);
  const int64_t first = chunk * per * (k / 32), end = at_most((chunk + 1) * per, ATTR(quantizeBlocks, N)) * (k / 32);
  for (int64_t b = first; b < end; b++) {
    const float *x = (const float *)INPUT(quantizeBlocks, x) + 32 * b;
    const v16 x0 = f_load(x), x1 = f_load(x + 16);
    const float largest = f_hmax(f_max(f_abs(x1), f_max(f_abs(x0), f_zero()))), inverse = 127.0f / largest;
    const int known = inverse < INFINITY;
    const v16 s = f_set1(known ? inverse : 0.0f), low = f_set1(-127.0f), high = f_set1(127.0f);
    int8_t *q = (int8_t *)OUTPUT(quantizeBlocks, q) + 32 * b;
    for (int half = 0; half < 2; half++) {
      v16 y = f_mul(half ? x1 : x0, s);
      y = f_select(f_nan(y), f_zero(), y);
      f_store_i8(q + 16 * half, f_max(f_min(y, high), low));
      int32_t sum = 0;
      for (int i = 0; i < 16; i++) sum += q[16 * half + i];
      ((int32_t *)OUTPUT(quantizeBlocks, sum))[2 * b + half] = sum;
    }
    ((float *)OUTPUT(quantizeBlocks, scale))[b] = known ? largest / 127.0f : 0.0f;
  }
}

/* activations, and which of their rows are multiplied: pair p reads row p / share and writes row p of y; the pairs are 0, 1, ... where there is no list */
typedef struct {
  const int8_t *q;
  const float *scale;
  const int32_t *sum, *pairs;
  int64_t share, k, outputs;
  float *y;
  atomic_int *error;
} block_rows;

INLINE int64_t pair_of(const block_rows *x, int64_t i) { return x->pairs ? x->pairs[i] : i; }

/* 32 inputs of `tile` rows side by side: int8 q[tile][32], int32 start[2][tile], float a[tile], float s[2][tile] */
enum { PREPARED = 32 + 8 + 4 + 8 };
#define PREPARED_START(tile) (32 * (tile))
#define PREPARED_SCALE(tile) (40 * (tile))
#define PREPARED_SUM(tile) (44 * (tile))

/*
 * Inputs k0 .. k1-1 of `rows` rows from the first on, and zeros for the rest of the tile. Kernels rely on codes of -127 .. 127, and results on sums that are those of
 * the codes; others are an error.
 */
static void prepare(const block_rows *x, int type, int64_t first, int rows, int tile, int64_t k0, int64_t k1, char *to) {
  const int offset = code_offset(type), whole = block_sizes[type].group == 32;
  const int64_t blocks = (k1 - k0) / 32;
  int bad = 0;
  for (int r = 0; r < tile; r++) {
    if (r >= rows) {
      for (int64_t b = 0; b < blocks; b++) {
        char *p = to + b * PREPARED * tile;
        memset(p + 32 * r, 0, 32);
        for (int g = 0; g < 2; g++) {
          ((int32_t *)(p + PREPARED_START(tile)))[g * tile + r] = 0;
          ((float *)(p + PREPARED_SUM(tile)))[g * tile + r] = 0;
        }
        ((float *)(p + PREPARED_SCALE(tile)))[r] = 0;
      }
      continue;
    }
    const int64_t row = pair_of(x, first + r) / x->share;
    const int8_t *q = x->q + row * x->k + k0;
    const float *scale = x->scale + (row * x->k + k0) / 32;
    const int32_t *sum = x->sum + (row * x->k + k0) / 16;
    for (int64_t i = 0; i < k1 - k0; i++) bad |= q[i] == -128;
    for (int64_t b = 0; b < blocks; b++, q += 32) {
      char *p = to + b * PREPARED * tile;
      memcpy(p + 32 * r, q, 32);
      int32_t t[2] = {0, 0};
      for (int i = 0; i < 16; i++) t[0] += q[i];
      for (int i = 16; i < 32; i++) t[1] += q[i];
      bad |= (t[0] != sum[2 * b]) | (t[1] != sum[2 * b + 1]);
      if (whole) t[0] += t[1];
      for (int g = 0; g < 2; g++) {
        ((int32_t *)(p + PREPARED_START(tile)))[g * tile + r] = -offset * t[g];
        ((float *)(p + PREPARED_SUM(tile)))[g * tile + r] = (float)t[g] * scale[b];
      }
      ((float *)(p + PREPARED_SCALE(tile)))[r] = scale[b];
    }
  }
  if (bad) atomic_store(x->error, 1);
}

enum { BLOCK_AHEAD = 4096 }; /* bytes of codes that are asked for early */

#if STREAM_ROWS > 0
/* sum[r] += codes of steps first .. first + steps - 1 . rows of 32 inputs each */
INLINE void stream_dots(v16i *sum, const int type, const uint8_t *codes, const int8_t *q, const int first, const int steps, const int rows) {
#if defined(WORD_SUMS)
  if (code_steps(type) > 1) {
#pragma GCC unroll 4
    for (int s0 = first; s0 < first + steps; s0 += code_steps(type)) {
      v16p part[STREAM_ROWS];
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) part[r] = p_zero();
#pragma GCC unroll 8
      for (int s = s0; s < s0 + code_steps(type); s++) {
        const v16i c = block_codes(type, codes, s);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) part[r] = p_dot4(part[r], c, q + 32 * r + 4 * s);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) sum[r] = p_add(sum[r], part[r]);
    }
    return;
  }
#endif
#pragma GCC unroll 8
  for (int s = first; s < first + steps; s++) {
    const v16i c = block_codes(type, codes, s);
#if defined(WORD_SUMS)
    const v16i magnitudes = i_abs8(c);
#endif
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#if defined(WORD_SUMS)
      sum[r] = i_dot_signed(sum[r], c, magnitudes, q + 32 * r + 4 * s);
#else
      sum[r] = i_dot4(sum[r], c, q + 32 * r + 4 * s);
#endif
    }
  }
}

/* 16 outputs of `rows` rows, prepared from the first input to the last */
INLINE void stream_body(const int type, const int rows, const uint8_t *panel, const char *x, int64_t k, float *y) {
  const block_size size = block_sizes[type];
  const int tail_size = tail_bytes(type), groups = 32 / size.group;
  const uint8_t *codes = panel, *tail = panel + code_bytes(type, k);
  v16 acc[STREAM_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) acc[r] = f_zero();
  for (int64_t left = k / size.block; left > 0; left--, tail += tail_size) {
    const uint8_t *scales = tail, *halves = tail + tail_size - 32 * size.halves;
    for (int line = 0; line < tail_size; line += 64) __builtin_prefetch(tail + BLOCK_AHEAD / 4 + line);
    for (int b = 0; b < size.block / 32; b++, codes += 64 * size.bits, scales += 16 * groups * size.scale_bytes, x += PREPARED * rows) {
#pragma GCC unroll 8
      for (int line = 0; line < size.bits; line++) __builtin_prefetch(codes + BLOCK_AHEAD + 64 * line);
      const factors_t f = block_factors(type, halves, scales);
      const int32_t *start = (const int32_t *)(x + PREPARED_START(rows));
      const float *a = (const float *)(x + PREPARED_SCALE(rows)), *s = (const float *)(x + PREPARED_SUM(rows));
      v16i sum[STREAM_ROWS];
      v16 t[STREAM_ROWS];
#pragma GCC unroll 2
      for (int g = 0; g < groups; g++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) sum[r] = code_offset(type) ? i_set1(start[g * rows + r]) : i_zero();
        stream_dots(sum, type, codes, (const int8_t *)x, g * 4, 8 / groups, rows);
        if (groups == 2)
#pragma GCC unroll 8
          for (int r = 0; r < rows; r++) t[r] = g ? f_fma(i_to_f(sum[r]), f.w[1], t[r]) : f_mul(i_to_f(sum[r]), f.w[0]);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const v16 whole = groups == 2 ? t[r] : i_to_f(sum[r]);
        acc[r] = f_fma(whole, f_mul(f.w[groups == 2 ? 2 : 0], f_set1(a[r])), acc[r]);
#pragma GCC unroll 2
        for (int g = 0; g < addend_count(type); g++) acc[r] = f_fma(f.b[g], f_set1(s[g * rows + r]), acc[r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) f_store(y + 16 * r, acc[r]);
}

typedef void stream_kernel(const uint8_t *panel, const char *x, int64_t k, float *y);
#define STREAM_OF(name, R) \
  static void stream_##name##_##R(const uint8_t *panel, const char *x, int64_t k, float *y) { stream_body(BLOCK_##name, R, panel, x, k, y); }
#if STREAM_ROWS >= 8
enum { STREAM_SIZES = 4 };
#define STREAM_ALL(name) STREAM_OF(name, 1) STREAM_OF(name, 2) STREAM_OF(name, 4) STREAM_OF(name, 8)
#define STREAM_LIST(name) {stream_##name##_1, stream_##name##_2, stream_##name##_4, stream_##name##_8},
#else
enum { STREAM_SIZES = 2 };
#define STREAM_ALL(name) STREAM_OF(name, 1) STREAM_OF(name, 2)
#define STREAM_LIST(name) {stream_##name##_1, stream_##name##_2},
#endif
#define X(name, ...) STREAM_ALL(name)
BLOCK_FORMATS(X)
#undef X
#define X(name, ...) STREAM_LIST(name)
static stream_kernel *const stream_kernels[BLOCK_COUNT][STREAM_SIZES] = {BLOCK_FORMATS(X)};
#undef X

/* at most STREAM_ROWS pairs by panels p0 .. p1-1 */
static void stream_rows(const block_rows *x, int type, int64_t first, int rows, const uint8_t *w, int64_t p0, int64_t p1, char *scratch) {
  int size = 0;
  while (1 << size < rows) size++;
  prepare(x, type, first, rows, 1 << size, 0, x->k, scratch);
  for (int64_t p = p0; p < p1; p++) {
    float y[STREAM_ROWS * 16];
    stream_kernels[type][size](w + p * panel_bytes(type, x->k), scratch, x->k, y);
    for (int r = 0; r < rows; r++)
      f_store_n(x->y + pair_of(x, first + r) * x->outputs + 16 * p, f_load(y + 16 * r), (int)at_most(x->outputs - 16 * p, 16));
  }
}

#endif

/* inputs that are taken apart at a time, and rows that they are multiplied by */
enum { SLICE = 512, SLICE_ROWS = 192 };

/* of a block of 32: codes [8][panels][64], factors [.][panels][16], addends [.][panels][16] */
INLINE int apart_bytes(const int type, const int panels) { return 64 * panels * (8 + factor_count(type) + addend_count(type)); }

/* takes the blocks of inputs k0 .. k1-1 of a panel apart, as panel v of `panels` */
INLINE void apart_body(const int type, const uint8_t *panel, int64_t k, int64_t k0, int64_t k1, int v, int panels, char *to) {
  const block_size size = block_sizes[type];
  const int tail_size = tail_bytes(type), groups = 32 / size.group;
  const uint8_t *codes = panel + code_bytes(type, k0), *tail = panel + code_bytes(type, k) + k0 / size.block * tail_size;
  for (int64_t left = (k1 - k0) / size.block; left > 0; left--, tail += tail_size) {
    const uint8_t *scales = tail, *halves = tail + tail_size - 32 * size.halves;
    for (int line = 0; line < tail_size; line += 64) __builtin_prefetch(tail + BLOCK_AHEAD / 4 + line);
    for (int b = 0; b < size.block / 32; b++, codes += 64 * size.bits, scales += 16 * groups * size.scale_bytes, to += apart_bytes(type, panels)) {
#pragma GCC unroll 8
      for (int line = 0; line < size.bits; line++) __builtin_prefetch(codes + BLOCK_AHEAD + 64 * line);
      char *at = to + 64 * v;
#pragma GCC unroll 8
      for (int s = 0; s < 8; s++, at += 64 * panels) i_store(at, block_codes(type, codes, s));
      const factors_t f = block_factors(type, halves, scales);
#pragma GCC unroll 3
      for (int i = 0; i < factor_count(type); i++, at += 64 * panels) f_store((float *)at, f.w[i]);
#pragma GCC unroll 2
      for (int i = 0; i < addend_count(type); i++, at += 64 * panels) f_store((float *)at, f.b[i]);
    }
  }
}
typedef void apart_kernel(const uint8_t *panel, int64_t k, int64_t k0, int64_t k1, int v, int panels, char *to);
#define X(name, ...) \
  static void apart_##name(const uint8_t *panel, int64_t k, int64_t k0, int64_t k1, int v, int panels, char *to) { \
    apart_body(BLOCK_##name, panel, k, k0, k1, v, panels, to); \
  }
BLOCK_FORMATS(X)
#undef X
#define X(name, ...) apart_##name,
static apart_kernel *const apart_kernels[BLOCK_COUNT] = {BLOCK_FORMATS(X)};
#undef X

/* sum += codes of steps first .. first + steps - 1 . rows of 32 inputs each */
INLINE void block_tile_dots(v16i (*sum)[PANELS_ABREAST], const int type, const char *codes, const int8_t *q, const int first, const int steps, const int rows, const int panels) {
  (void)type;
#if defined(WORD_SUMS)
  if (code_steps(type) > 1) {
#pragma GCC unroll 4
    for (int s0 = first; s0 < first + steps; s0 += code_steps(type)) {
      v16p part[TILE_ROWS];
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++) part[r] = p_zero();
#pragma GCC unroll 8
      for (int s = s0; s < s0 + code_steps(type); s++) {
        const v16i c = i_load(codes + 64 * s);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) part[r] = p_dot4(part[r], c, q + 32 * r + 4 * s);
      }
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++) sum[r][0] = p_add(sum[r][0], part[r]);
    }
    return;
  }
#endif
#pragma GCC unroll 8
  for (int s = first; s < first + steps; s++) {
    v16i c[PANELS_ABREAST];
#pragma GCC unroll 2
    for (int v = 0; v < panels; v++) c[v] = i_load(codes + 64 * (s * panels + v));
#if defined(WORD_SUMS)
    const v16i magnitudes = i_abs8(c[0]);
#endif
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#if defined(WORD_SUMS)
      sum[r][0] = i_dot_signed(sum[r][0], c[0], magnitudes, q + 32 * r + 4 * s);
#else
      const v16i x = i_set4(q + 32 * r + 4 * s);
#pragma GCC unroll 2
      for (int v = 0; v < panels; v++) sum[r][v] = i_dot(sum[r][v], c[v], x);
#endif
    }
  }
}

/* acc[rows][panels][16] goes on over some blocks. The sums of the rows are in registers, acc in memory. */
INLINE void block_tile_body(const int type, const int rows, const int panels, const char *w, const char *x, int64_t blocks, float *acc) {
  const int groups = 32 / block_sizes[type].group;
  for (; blocks > 0; blocks--, w += apart_bytes(type, panels), x += PREPARED * rows) {
    const float *f = (const float *)(w + 512 * panels), *addends = f + 16 * panels * factor_count(type);
    const int32_t *start = (const int32_t *)(x + PREPARED_START(rows));
    const float *a = (const float *)(x + PREPARED_SCALE(rows)), *s = (const float *)(x + PREPARED_SUM(rows));
    v16i sum[TILE_ROWS][PANELS_ABREAST];
    float t[TILE_ROWS * PANELS_ABREAST * 16];
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++) {
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < panels; v++) sum[r][v] = i_set1(start[g * rows + r]);
      block_tile_dots(sum, type, w, (const int8_t *)x, 4 * g, 8 / groups, rows, panels);
      if (groups == 2 && g == 0)
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
          for (int v = 0; v < panels; v++) f_store(t + 16 * (r * panels + v), f_mul(i_to_f(sum[r][v]), f_load(f + 16 * v)));
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const v16 scale = f_set1(a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < panels; v++) {
        float *to = acc + 16 * (r * panels + v);
        v16 whole = i_to_f(sum[r][v]);
        if (groups == 2) whole = f_fma(whole, f_load(f + 16 * (panels + v)), f_load(t + 16 * (r * panels + v)));
        v16 y = f_fma(whole, f_mul(f_load(f + 16 * (groups == 2 ? 2 * panels + v : v)), scale), f_load(to));
#pragma GCC unroll 2
        for (int g = 0; g < addend_count(type); g++) y = f_fma(f_load(addends + 16 * (g * panels + v)), f_set1(s[g * rows + r]), y);
        f_store(to, y);
      }
    }
  }
}

/* kernels for formats that differ in what kernels see of them; others are like one of these */
#if defined(WORD_SUMS)
#define TILE_KINDS(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q6_K) X(Q3_K) X(Q2_K)
#define SAME_STEPS(a, b) (code_steps(a) == code_steps(b))
#else
#define TILE_KINDS(X) X(Q4_0) X(Q4_1) X(Q6_K) X(Q2_K)
#define SAME_STEPS(a, b) 1
#endif
typedef void block_tile_kernel(const char *w, const char *x, int64_t blocks, float *acc);
#if PANELS_ABREAST > 1
#define TILE_OF(name, R) \
  static void block_tile_##name##_##R##_1(const char *w, const char *x, int64_t blocks, float *acc) { block_tile_body(BLOCK_##name, R, 1, w, x, blocks, acc); } \
  static void block_tile_##name##_##R##_2(const char *w, const char *x, int64_t blocks, float *acc) { block_tile_body(BLOCK_##name, R, 2, w, x, blocks, acc); }
#define TILE_ENTRY(name, R) {R, {block_tile_##name##_##R##_1, block_tile_##name##_##R##_2}},
#else
#define TILE_OF(name, R) \
  static void block_tile_##name##_##R##_1(const char *w, const char *x, int64_t blocks, float *acc) { block_tile_body(BLOCK_##name, R, 1, w, x, blocks, acc); }
#define TILE_ENTRY(name, R) {R, {block_tile_##name##_##R##_1}},
#endif
typedef struct { int rows; block_tile_kernel *run[PANELS_ABREAST]; } block_tile;
typedef struct { int like; block_tile tiles[4]; } block_tiles; /* the rest are zeros */
#define X(name) TILES_OF(name)
#define TILES_OF(name) TILES(name, TILE_OF)
TILE_KINDS(X)
#undef X
#define X(name) {BLOCK_##name, {TILES(name, TILE_ENTRY)}},
static const block_tiles block_tile_kinds[] = {TILE_KINDS(X)};
#undef X

static const block_tile *block_tiles_for(int type) {
  const block_tiles *t = block_tile_kinds;
  while (block_sizes[t->like].group != block_sizes[type].group || addend_count(t->like) != addend_count(type) || !SAME_STEPS(t->like, type)) t++;
  return t->tiles;
}

/* the smallest tile for the rows that are left, or the largest */
static const block_tile *block_tile_for(const block_tile *tiles, int64_t left) {
  while (tiles->rows < left && tiles[1].rows) tiles++;
  return tiles;
}

/* pairs first .. end-1, at most SLICE_ROWS, by panels p0 .. p1-1; y holds the accumulators between slices */
static void block_tile_rows(const block_rows *x, int type, int64_t first, int64_t end, const uint8_t *w, int64_t p0, int64_t p1, char *scratch) {
  const block_tile *tiles = block_tiles_for(type);
  const int64_t size = panel_bytes(type, x->k);
  char *apart = scratch, *prepared = apart + SLICE / 32 * apart_bytes(type, PANELS_ABREAST);
  for (int64_t k0 = 0; k0 < x->k; k0 += SLICE) {
    const int64_t k1 = at_most(k0 + SLICE, x->k), blocks = (k1 - k0) / 32;
    char *to = prepared;
    for (int64_t r = first; r < end;) {
      const block_tile *t = block_tile_for(tiles, end - r);
      prepare(x, type, r, (int)at_most(end - r, t->rows), t->rows, k0, k1, to);
      to += blocks * PREPARED * t->rows;
      r += t->rows;
    }
    for (int64_t p = p0, panels; p < p1; p += panels) {
      panels = at_most(p1 - p, PANELS_ABREAST);
      for (int v = 0; v < panels; v++) apart_kernels[type](w + (p + v) * size, x->k, k0, k1, v, (int)panels, apart);
      const char *from = prepared;
      for (int64_t r = first; r < end;) {
        const block_tile *t = block_tile_for(tiles, end - r);
        const int rows = (int)at_most(end - r, t->rows);
        float acc[TILE_ROWS * PANELS_ABREAST * 16];
        for (int i = 0; i < t->rows; i++)
          for (int v = 0; v < panels; v++) {
            float *y = x->y + pair_of(x, i < rows ? r + i : r) * x->outputs + 16 * (p + v);
            f_store(acc + 16 * (i * panels + v), k0 && i < rows ? f_load_n(y, (int)at_most(x->outputs - 16 * (p + v), 16)) : f_zero());
          }
        t->run[panels - 1](apart, from, blocks, acc);
        for (int i = 0; i < rows; i++)
          for (int v = 0; v < panels; v++)
            f_store_n(x->y + pair_of(x, r + i) * x->outputs + 16 * (p + v), f_load(acc + 16 * (i * panels + v)), (int)at_most(x->outputs - 16 * (p + v), 16));
        from += blocks * PREPARED * t->rows;
        r += t->rows;
      }
    }
  }
}

static void multiply_rows(const block_rows *x, int type, int64_t first, int64_t end, const uint8_t *w, int64_t p0, int64_t p1, char *scratch) {
#if STREAM_ROWS > 0
  if (end - first <= STREAM_ROWS) {
    stream_rows(x, type, first, (int)(end - first), w, p0, p1, scratch);
    return;
  }
#endif
  block_tile_rows(x, type, first, end, w, p0, p1, scratch);
}

static int64_t block_scratch(int type, int64_t k, int64_t rows) {
  return rows <= STREAM_ROWS ? k / 32 * PREPARED * STREAM_ROWS
                          : SLICE / 32 * (apart_bytes(type, PANELS_ABREAST) + PREPARED * (SLICE_ROWS + TILE_ROWS));
}

/* panels in a chunk, of `total` that are cut for `times` groups of rows: enough to pay for preparing rows, and eight chunks a thread where there are so many */
static int64_t panels_per_chunk(int64_t total, int64_t times, int64_t rows, int threads) {
  const int64_t even = (total * times + 8 * threads - 1) / (8 * threads), least = rows <= STREAM_ROWS ? 2 : 8;
  return at_least(at_most(round_up(at_least(even, least), PANELS_ABREAST), round_up((total + threads - 1) / threads, PANELS_ABREAST)), 1);
}

/* the ops of all formats have the same attributes and operands */
static int64_t matmul_per_chunk(const op_t *o) {
  const int64_t rows = ATTR(matmulQ4_0, N), blocks = (rows + SLICE_ROWS - 1) / SLICE_ROWS;
  return panels_per_chunk((ATTR(matmulQ4_0, O) + 15) / 16, at_least(blocks, 1), at_most(rows, SLICE_ROWS), o->threads);
}
static int64_t blockMatmul_chunks(const op_t *o) {
  const int64_t panels = (ATTR(matmulQ4_0, O) + 15) / 16, per = matmul_per_chunk(o);
  return (ATTR(matmulQ4_0, N) + SLICE_ROWS - 1) / SLICE_ROWS * ((panels + per - 1) / per);
}
static void block_matmul(const op_t *o, int type, int64_t chunk, char *scratch) {
  const int64_t panels = (ATTR(matmulQ4_0, O) + 15) / 16, per = matmul_per_chunk(o), groups = (panels + per - 1) / per;
  const int64_t first = chunk / groups * SLICE_ROWS, p0 = chunk % groups * per;
  const block_rows x = {.q = INPUT(matmulQ4_0, q), .scale = INPUT(matmulQ4_0, scale), .sum = INPUT(matmulQ4_0, sum), .share = 1, .k = ATTR(matmulQ4_0, K),
                        .outputs = ATTR(matmulQ4_0, O), .y = OUTPUT(matmulQ4_0, y), .error = o->error};
  multiply_rows(&x, type, first, at_most(first + SLICE_ROWS, ATTR(matmulQ4_0, N)), INPUT(matmulQ4_0, w), p0, at_most(p0 + per, panels), scratch);
}

/* choices, and how many different experts they can name */
static int64_t expert_pairs(const op_t *o) { return ATTR(expertMatmulQ4_0, N) * ATTR(expertMatmulQ4_0, k); }
static int64_t expert_slots(const op_t *o) { return at_most(expert_pairs(o), ATTR(expertMatmulQ4_0, E)); }
static int64_t expert_per_chunk(const op_t *o) {
  const int64_t slots = at_least(expert_slots(o), 1);
  return panels_per_chunk((ATTR(expertMatmulQ4_0, O) + 15) / 16, slots, expert_pairs(o) / slots, o->threads);
}
static int64_t expertMatmul_chunks(const op_t *o) {
  const int64_t per = expert_per_chunk(o);
  return expert_slots(o) * (((ATTR(expertMatmulQ4_0, O) + 15) / 16 + per - 1) / per);
}
static int64_t expert_scratch(const op_t *o, int type) {
  const int64_t k = ATTR(expertMatmulQ4_0, K), rows = at_least(block_scratch(type, k, 1), block_scratch(type, k, STREAM_ROWS + 1));
  return round_up(rows, 64) + round_up(4 * expert_pairs(o), 64) + ATTR(expertMatmulQ4_0, E);
}
/* all choices of the expert that is the slot-th to be named, by some panels of its matrix */
static void expert_matmul(const op_t *o, int type, int64_t chunk, char *scratch) {
  const int64_t k = ATTR(expertMatmulQ4_0, K), panels = (ATTR(expertMatmulQ4_0, O) + 15) / 16, per = expert_per_chunk(o), groups = (panels + per - 1) / per;
  const int64_t count = expert_pairs(o), experts = ATTR(expertMatmulQ4_0, E), slot = chunk / groups, p0 = chunk % groups * per;
  const int64_t room = round_up(at_least(block_scratch(type, k, 1), block_scratch(type, k, STREAM_ROWS + 1)), 64);
  const int32_t *named = INPUT(expertMatmulQ4_0, experts);
  int32_t *pairs = (int32_t *)(scratch + room);
  char *seen = scratch + room + round_up(4 * count, 64);
  memset(seen, 0, (size_t)experts);
  int64_t found = 0, expert = -1, n = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t id = named[i];
    if (!known_id(o, id, experts)) return;
    if (expert < 0 && !seen[id]) {
      seen[id] = 1;
      if (found++ == slot) expert = id;
    }
    if (id == expert) pairs[n++] = (int32_t)i;
  }
  const block_rows x = {.q = INPUT(expertMatmulQ4_0, q), .scale = INPUT(expertMatmulQ4_0, scale), .sum = INPUT(expertMatmulQ4_0, sum), .pairs = pairs,
                        .share = ATTR(expertMatmulQ4_0, U) == 1 ? ATTR(expertMatmulQ4_0, k) : 1, .k = k, .outputs = ATTR(expertMatmulQ4_0, O),
                        .y = OUTPUT(expertMatmulQ4_0, y), .error = o->error};
  const uint8_t *w = (const uint8_t *)INPUT(expertMatmulQ4_0, w) + at_least(expert, 0) * panels * panel_bytes(type, k);
  for (int64_t first = 0; first < n; first += SLICE_ROWS) multiply_rows(&x, type, first, at_most(first + SLICE_ROWS, n), w, p0, at_most(p0 + per, panels), scratch);
}

#define X(name, ...) \
  static int64_t matmul##name##_scratch(const op_t *o) { return block_scratch(BLOCK_##name, ATTR(matmulQ4_0, K), at_most(ATTR(matmulQ4_0, N), SLICE_ROWS)); } \
  static void matmul##name##_run(const op_t *o, int64_t chunk, char *scratch) { block_matmul(o, BLOCK_##name, chunk, scratch); } \
  static int64_t expertMatmul##name##_scratch(const op_t *o) { return expert_scratch(o, BLOCK_##name); } \
  static void expertMatmul##name##_run(const op_t *o, int64_t chunk, char *scratch) { expert_matmul(o, BLOCK_##name, chunk, scratch); }
BLOCK_FORMATS(X)
#undef X
