/*
 * A head of 8-bit weights (ggml's Q8_0), src/ops/fine-q8-0.ts: codes plus 128 in blocks of 16 outputs x 16 inputs, 256
 * bytes: vectors of inputs 0-3 | 4-7 | 8-11 | 12-15. Rows of x: fine.c; the factor of 32 weights counts for both of
 * their groups.
 */
#include "rowwords.h"

/* 16 outputs of `rows` rows */
INLINE void q8_0_body(const fine_t *x, weights_t w, const int rows, int last) {
  const uint16_t *d = w.d;
  v16 acc[FINE_ROWS], factor = f_zero();
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) acc[r] = f_zero();
  for (int64_t g = 0; g < x->groups; g++, w.codes += 256) {
    if (g % 2 == 0) {
      factor = f_load_half(d);
      d += 16;
    }
    for (int line = 0; line < 256; line += 64) __builtin_prefetch(w.codes + FINE_AHEAD + line);
    const v16i c[4] = {i_load(w.codes), i_load(w.codes + 64), i_load(w.codes + 128), i_load(w.codes + 192)};
    fine_group(acc, factor, c, x->q + g * rows * 32, x->sum + g * rows, 8, rows);
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) f_store_n(w.y + r * w.ldy, f_mul(acc[r], f_set1(x->scale[r])), last);
}
FINE_KERNELS(q8_0)

static weights_t q8_0_block(const op_t *o, int64_t b) {
  return (weights_t){.codes = (const uint8_t *)INPUT(fineMatmulQ8_0, codes) + b * ATTR(fineMatmulQ8_0, K) * 16,
                     .d = (const uint16_t *)INPUT(fineMatmulQ8_0, d) + b * (ATTR(fineMatmulQ8_0, K) / 2)};
}
static void fineMatmulQ8_0_run(const op_t *o, int64_t chunk, char *scratch) {
  fine_matmul(o, chunk, scratch, q8_0_kernels, q8_0_block);
}

static void fineRowsQ8_0_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = INPUT(fineRowsQ8_0, ids);
  const int64_t v = ATTR(fineRowsQ8_0, O), k = ATTR(fineRowsQ8_0, K), per = rows_per_chunk(k),
                end = at_most((chunk + 1) * per, ATTR(fineRowsQ8_0, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    const int64_t b = id / 16, j = id % 16;
    const uint8_t *codes = (const uint8_t *)INPUT(fineRowsQ8_0, codes) + b * k * 16 + j * 4;
    const uint16_t *d = (const uint16_t *)INPUT(fineRowsQ8_0, d) + b * (k / 2) + j;
    float *y = (float *)OUTPUT(fineRowsQ8_0, y) + r * k;
    for (int64_t i = 0; i < k; i++) y[i] = half_1(d[i / 32 * 16]) * (float)((int)codes[i / 4 * 64 + i % 4] - 128);
  }
}

/* a block of ggml's Q8_0 (block_q8_0): factor, 32 signed codes */
enum { Q8_BLOCK = 34 };
static void fineRepackQ8_0_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t k = ATTR(fineRepackQ8_0, K), blocks = k / 32;
  const row_set rows = panel_rows(INPUT(fineRepackQ8_0, raw), chunk, ATTR(fineRepackQ8_0, O), blocks * Q8_BLOCK);
  uint8_t *codes = (uint8_t *)OUTPUT(fineRepackQ8_0, codes) + chunk * k * 16;
  uint16_t *d = (uint16_t *)OUTPUT(fineRepackQ8_0, d) + chunk * (k / 2);
  int bad = 0;
  for (int64_t b = 0; b < blocks; b++) {
    v16i w[8];
    read_words(&rows, b * Q8_BLOCK + 2, 8, w);
#pragma GCC unroll 8
    for (int s = 0; s < 8; s++) i_store(codes + (b * 8 + s) * 64, i_flip8(w[s])); /* plus 128, modulo 256 */
    bad |= put_halves(&rows, b * Q8_BLOCK, (uint8_t *)(d + b * 16));
  }
  clear_rows(codes, k * 16, &rows, 4);
  clear_rows(d, k, &rows, 2);
  if (bad) atomic_store(o->error, 1);
}
