/* Rows of int8 activations for products with block-quantised weights (src/ops/block-matmul.ts): quantising, checking,
 * and layout for kernels. */
#include "blocks.h"

/* blocks that are rounded at a time, so that divisions and sums go through vectors */
enum { ROUNDED_BLOCKS = 16 };

static void round_blocks(const float *x, int64_t blocks, int8_t *q, float *scale, int32_t *sum) {
  const v16 low = f_set1(-127.0f), high = f_set1(127.0f), endless = f_set1(INFINITY);
  const int8_t ones[4] = {1, 1, 1, 1};
  float largest[ROUNDED_BLOCKS] = {0}, factor[ROUNDED_BLOCKS];
  int8_t codes[32 * ROUNDED_BLOCKS] = {0};
  int32_t quads[8 * ROUNDED_BLOCKS];
  for (int64_t b = 0; b < blocks; b++)
    largest[b] = f_hmax(f_max(f_abs(f_load(x + 32 * b + 16)), f_max(f_abs(f_load(x + 32 * b)), f_zero())));
  const v16 a = f_load(largest), inverse = f_div(high, a);
  const m16 known = f_gt(endless, inverse);
  f_store(factor, f_select(known, inverse, f_zero()));
  f_store_n(scale, f_select(known, f_div(a, high), f_zero()), (int)blocks);
  for (int64_t b = 0; b < blocks; b++)
    for (int half = 0; half < 2; half++) {
      v16 y = f_mul(f_load(x + 32 * b + 16 * half), f_set1(factor[b]));
      y = f_select(f_nan(y), f_zero(), y);
      f_store_i8(codes + 32 * b + 16 * half, f_max(f_min(y, high), low));
    }
  memcpy(q, codes, 32 * (size_t)blocks);
  for (int64_t i = 0; i < 32 * blocks; i += 64)
    i_store(quads + i / 4, i_dot(i_zero(), i_set4(ones), i_load(codes + i)));
  for (int64_t g = 0; g < 2 * blocks; g++) {
    const int32_t *t = quads + 4 * g;
    sum[g] = t[0] + t[1] + t[2] + t[3];
  }
}

static void quantizeBlocks_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(quantizeBlocks, K), per = rows_per_chunk(k);
  const int64_t first = chunk * per * (k / 32), end = at_most((chunk + 1) * per, ATTR(quantizeBlocks, N)) * (k / 32);
  for (int64_t b = first; b < end; b += ROUNDED_BLOCKS)
    round_blocks((const float *)INPUT(quantizeBlocks, x) + 32 * b, at_most(end - b, ROUNDED_BLOCKS),
                 (int8_t *)OUTPUT(quantizeBlocks, q) + 32 * b, (float *)OUTPUT(quantizeBlocks, scale) + b,
                 (int32_t *)OUTPUT(quantizeBlocks, sum) + 2 * b);
}

/*
 * activations, and which of their rows are multiplied: pair p reads row p / share and writes row p of y; the pairs are
 * 0, 1, ... where there is no list
 */
typedef struct {
  const int8_t *q;
  const float *scale;
  const int32_t *sum, *pairs;
  int64_t share, k, outputs;
  float *y;
  int check;
  atomic_int *error;
} block_rows;

INLINE int64_t pair_of(const block_rows *x, int64_t i) { return x->pairs ? x->pairs[i] : i; }

/* inputs that are worked on at a time, and rows that they are multiplied by */
enum { SLICE = 512, SLICE_BLOCKS = SLICE / 32, SLICE_ROWS = 192 };

/*
 * A slice of the inputs of `tile` rows: for each row and block int32 start[2][tile][block] (WORD_SUMS: two int16),
 * float a[tile][block], float s[2][tile][block]: where the sums of the groups start, the scale, and what minimums are
 * multiplied by; then int8 q[block][tile][32], for wide kernels int16.
 */
enum { PREPARED_ARRAYS = 5, PREPARED = 64 * PREPARED_ARRAYS + SLICE * WIDEST_CODE }; /* PREPARED: bytes of a row */
#define PREPARED_AT(tile, array, r) (64 * ((array) * (tile) + (r)))
#define PREPARED_START(tile, g, r) PREPARED_AT(tile, g, r)
#define PREPARED_SCALE(tile, r) PREPARED_AT(tile, 2, r)
#define PREPARED_SUM(tile, g, r) PREPARED_AT(tile, 3 + (g), r)
#define PREPARED_CODES(tile) PREPARED_AT(tile, PREPARED_ARRAYS, 0)
INLINE v16i prepared_start(const char *x, const int tile, const int g, const int r) {
  return i_set1(*(const int32_t *)(x + PREPARED_START(tile, g, r)));
}
INLINE v16 prepared_scale(const char *x, const int tile, const int r) {
  return f_set1(*(const float *)(x + PREPARED_SCALE(tile, r)));
}
INLINE v16 prepared_sum(const char *x, const int tile, const int g, const int r) {
  return f_set1(*(const float *)(x + PREPARED_SUM(tile, g, r)));
}

/* whether a slice of a row has codes of -127 .. 127, on which kernels rely, and sums that are those of its codes */
static int slice_ok(const int8_t *q, const int32_t *sum, int64_t n) {
  int8_t ones[4] = {1, 1, 1, 1};
  int32_t quads[SLICE / 4];
  int wrong = 0;
  for (int64_t i = 0; i < n; i++) wrong |= q[i] == -128;
  for (int64_t i = 0; i < n; i += 64) {
    int8_t half[64] = {0};
    if (n - i < 64) memcpy(half, q + i, 32);
    i_store(quads + i / 4, i_dot(i_zero(), i_set4(ones), i_load(n - i < 64 ? half : q + i)));
  }
  for (int64_t g = 0; g < n / 16; g++) {
    const int32_t *t = quads + 4 * g;
    wrong |= t[0] + t[1] + t[2] + t[3] != sum[g];
  }
  return !wrong;
}

/* how rows are prepared for a kernel */
typedef struct {
  int starts, offset, one_start, sums, one_sum, wide;
} row_layout;
INLINE row_layout layout_of(int type, int multiplied, int wide) {
  return (row_layout){.starts = has_starts(type, multiplied),
                      .offset = block_offset(type, multiplied),
                      .one_start = block_groups(type, multiplied) == 1,
                      .sums = block_sizes[type].minimums,
                      .one_sum = block_sizes[type].group == 32,
                      .wide = wide};
}

/* row r of a tile; `blocks` is a constant where a slice is whole, so that the compiler takes many blocks at a time */
INLINE void prepare_row(const row_layout l, const int8_t *q, const float *scale, const int32_t *sum, int tile, int r,
                        const int64_t blocks, char *to) {
  int32_t *restrict start0 = (int32_t *)(to + PREPARED_START(tile, 0, r));
  int32_t *restrict start1 = (int32_t *)(to + PREPARED_START(tile, 1, r));
  float *restrict s0 = (float *)(to + PREPARED_SUM(tile, 0, r));
  float *restrict s1 = (float *)(to + PREPARED_SUM(tile, 1, r));
  char *codes = to + PREPARED_CODES(tile);
  memcpy(to + PREPARED_SCALE(tile, r), scale, 4 * (size_t)blocks);
#if defined(WORD_SUMS)
  if (l.wide)
    for (int64_t b = 0; b < blocks; b++) widen_codes(codes + 64 * (b * tile + r), q + 32 * b);
  else
#endif
    for (int64_t b = 0; b < blocks; b++) memcpy(codes + 32 * (b * tile + r), q + 32 * b, 32);
  if (!l.starts && !l.sums) return;
  uint32_t t[2][SLICE_BLOCKS], both[SLICE_BLOCKS];
  for (int64_t b = 0; b < blocks; b++) {
    t[0][b] = (uint32_t)sum[2 * b];
    t[1][b] = (uint32_t)sum[2 * b + 1];
    both[b] = t[0][b] + t[1][b];
  }
#if defined(WORD_SUMS)
  for (int64_t b = 0; b < blocks && l.starts; b++)
    word_starts(q + 32 * b, l.offset, l.one_start, start0 + b, start1 + b);
#else
  const uint32_t *first_start = l.one_start ? both : t[0], by = (uint32_t)-l.offset;
  for (int64_t b = 0; b < blocks && l.starts; b++) start0[b] = (int32_t)(first_start[b] * by);
  for (int64_t b = 0; b < blocks && l.starts && !l.one_start; b++) start1[b] = (int32_t)(t[1][b] * by);
#endif
  const uint32_t *first_sum = l.one_sum ? both : t[0];
  for (int64_t b = 0; b < blocks && l.sums; b++) s0[b] = (float)(int32_t)first_sum[b] * scale[b];
  for (int64_t b = 0; b < blocks && l.sums && !l.one_sum; b++) s1[b] = (float)(int32_t)t[1][b] * scale[b];
}

/*
 * inputs k0 .. k1-1 of `rows` rows from the first on, and zeros for the rest of the tile. One of the chunks that read a
 * row checks it.
 */
static void prepare(const block_rows *x, row_layout l, int64_t first, int rows, int tile, int64_t k0, int64_t k1,
                    char *to) {
  static const int8_t no_codes[SLICE];
  static const float no_scale[SLICE_BLOCKS];
  static const int32_t no_sum[2 * SLICE_BLOCKS];
  for (int r = 0; r < tile; r++) {
    const int64_t row = r < rows ? pair_of(x, first + r) / x->share : 0, blocks = (k1 - k0) / 32;
    const int8_t *q = r < rows ? x->q + row * x->k + k0 : no_codes;
    const float *scale = r < rows ? x->scale + (row * x->k + k0) / 32 : no_scale;
    const int32_t *sum = r < rows ? x->sum + (row * x->k + k0) / 16 : no_sum;
    if (x->check && !slice_ok(q, sum, k1 - k0)) atomic_store(x->error, 1);
    if (blocks == SLICE_BLOCKS)
      prepare_row(l, q, scale, sum, tile, r, SLICE_BLOCKS, to);
    else
      prepare_row(l, q, scale, sum, tile, r, blocks, to);
  }
}

/* asks for what `prepare` will read */
INLINE void fetch_rows(const block_rows *x, int64_t first, int rows, int64_t k0, int64_t k1) {
  for (int r = 0; r < rows; r++) {
    const int64_t row = pair_of(x, first + r) / x->share;
    for (int64_t k = k0; k < k1; k += 64) __builtin_prefetch(x->q + row * x->k + k);
    __builtin_prefetch(x->scale + (row * x->k + k0) / 32);
    for (int64_t k = k0; k < k1; k += 256) __builtin_prefetch(x->sum + (row * x->k + k) / 16);
  }
}

/* 16 outputs of a pair, or as many as there are */
INLINE v16 load_outputs(const float *y, int64_t left) { return left >= 16 ? f_load(y) : f_load_n(y, (int)left); }
INLINE void store_outputs(float *y, v16 v, int64_t left) {
  if (left >= 16)
    f_store(y, v);
  else
    f_store_n(y, v, (int)left);
}
