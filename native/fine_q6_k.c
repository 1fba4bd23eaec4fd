/*
 * A head of 6-bit weights (ggml's Q6_K), src/ops/fine-q6-k.ts: codes in blocks of 16 outputs x 16 inputs, 192 bytes:
 * two vectors of low nibbles (inputs 0-3 | 4-7, 8-11 | 12-15), one of the upper two bits. Rows of x: fine.c.
 */
#include "rowwords.h"

/* 16 outputs of `rows` rows */
INLINE void q6_k_body(const fine_t *x, weights_t w, const int rows, int last) {
  const float *d = w.d;
  v16 acc[FINE_ROWS], factor = f_zero();
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) acc[r] = f_zero();
  for (int64_t g = 0; g < x->groups; g++, w.codes += 192, w.s += 16) {
    if (g % 16 == 0) {
      factor = f_load(d);
      d += 16;
    }
    for (int line = 0; line < 192; line += 64) __builtin_prefetch(w.codes + FINE_AHEAD + line);
    __builtin_prefetch(w.s + FINE_AHEAD / 8);
    const v16i l0 = i_load(w.codes), l1 = i_load(w.codes + 64), h = i_load(w.codes + 128);
    const v16i c[4] = {i_six(l0, h, 0), i_six(l0, h, 1), i_six(l1, h, 2), i_six(l1, h, 3)};
    fine_group(acc, f_mul(factor, i8_to_f(w.s)), c, x->q + g * rows * 32, x->sum + g * rows, 6, rows);
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) f_store_n(w.y + r * w.ldy, f_mul(acc[r], f_set1(x->scale[r])), last);
}
FINE_KERNELS(q6_k)

static weights_t q6_k_block(const op_t *o, int64_t b) {
  const int64_t groups = ATTR(fineMatmulQ6_K, K) / 16;
  return (weights_t){.codes = (const uint8_t *)INPUT(fineMatmulQ6_K, codes) + b * groups * 192,
                     .s = (const int8_t *)INPUT(fineMatmulQ6_K, s) + b * groups * 16,
                     .d = (const float *)INPUT(fineMatmulQ6_K, d) + b * groups};
}
static void fineMatmulQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  fine_matmul(o, chunk, scratch, q6_k_kernels, q6_k_block);
}

static void fineRowsQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = INPUT(fineRowsQ6_K, ids);
  const int64_t v = ATTR(fineRowsQ6_K, O), k = ATTR(fineRowsQ6_K, K), per = rows_per_chunk(k),
                end = at_most((chunk + 1) * per, ATTR(fineRowsQ6_K, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    const int64_t b = id / 16, j = id % 16;
    const uint8_t *codes = (const uint8_t *)INPUT(fineRowsQ6_K, codes) + b * (k / 16) * 192;
    const int8_t *s = (const int8_t *)INPUT(fineRowsQ6_K, s) + b * k + j;
    const float *d = (const float *)INPUT(fineRowsQ6_K, d) + b * (k / 16) + j;
    float *y = (float *)OUTPUT(fineRowsQ6_K, y) + r * k;
    for (int64_t i = 0; i < k; i++) {
      const uint8_t *block = codes + i / 16 * 192 + j * 4 + i % 4;
      const int step = (int)(i % 16 / 4),
                code = (block[step / 2 * 64] >> step % 2 * 4 & 15) | (block[128] >> 2 * step & 3) << 4;
      y[i] = d[i / 256 * 16] * (float)s[i / 16 * 16] * (float)(code - 32);
    }
  }
}

/* 16 codes of one output into its place in a block */
INLINE void put_six(const uint8_t *c, uint8_t *block) {
  uint32_t w[4];
  memcpy(w, c, 16);
  const uint32_t nibbles = 0x0f0f0f0fu, upper = 0x03030303u;
  const uint32_t l0 = (w[0] & nibbles) | (w[1] & nibbles) << 4, l1 = (w[2] & nibbles) | (w[3] & nibbles) << 4;
  const uint32_t h =
      (w[0] >> 4 & upper) | (w[1] >> 4 & upper) << 2 | (w[2] >> 4 & upper) << 4 | (w[3] >> 4 & upper) << 6;
  memcpy(block, &l0, 4);
  memcpy(block + 64, &l1, 4);
  memcpy(block + 128, &h, 4);
}

/*
 * A block of ggml's Q6_K (block_q6_K): low nibbles, upper bits, scales, factor. Quarter q of a half of 128 weights,
 * which is two groups, is nibble q / 2 of 32 of its 64 bytes.
 */
enum { Q6_LOW = 128, Q6_HIGH = 64, Q6_SCALES = 16, Q6_BLOCK = 210 };
static void fineRepackQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(fineRepackQ6_K, K), groups = k / 16, blocks = k / 256;
  const row_set rows = panel_rows(INPUT(fineRepackQ6_K, raw), chunk, ATTR(fineRepackQ6_K, O), blocks * Q6_BLOCK);
  uint8_t *codes = (uint8_t *)OUTPUT(fineRepackQ6_K, codes) + chunk * groups * 192, *c = codes;
  uint8_t *s = (uint8_t *)OUTPUT(fineRepackQ6_K, s) + chunk * k;
  float *d = (float *)OUTPUT(fineRepackQ6_K, d) + chunk * groups;
  int bad = 0;
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t at = b * Q6_BLOCK, scales = at + Q6_LOW + Q6_HIGH;
    for (int h = 0; h < 2; h++) {
      v16i low[16], high[8];
      read_words(&rows, at + 64 * h, 16, low);
      read_words(&rows, at + Q6_LOW + 32 * h, 8, high);
#pragma GCC unroll 8
      for (int g = 0; g < 8; g++, c += 192) {
        const int quarter = g / 2, half = g % 2;
        put_nibbles(low + quarter % 2 * 8 + half * 4, 2, quarter / 2 * 4, c);
        put_two_bits(high + half * 4, 1, 2 * quarter, c + 128);
      }
    }
    v16i w[4];
    read_words(&rows, scales, 4, w);
    for (int i = 0; i < 4; i++) put_bytes(w[i], s + b * 256 + 64 * i, 16);
    uint16_t factors[16];
    bad |= put_halves(&rows, scales + Q6_SCALES, (uint8_t *)factors);
    for (int j = 0; j < 16; j++) d[b * 16 + j] = half_1(factors[j]);
  }
  clear_rows(codes, groups * 192, &rows, 4);
  clear_rows(s, k, &rows, 1);
  clear_rows(d, 4 * groups, &rows, 4);
  if (bad) atomic_store(o->error, 1);
}
