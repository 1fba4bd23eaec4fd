/*
 * A head of 6-bit weights (ggml's Q6_K), src/ops/fine-q6-k.ts: codes in blocks of 16 outputs x 16 inputs, 192 bytes: two vectors of low nibbles (inputs 0-3 | 4-7,
 * 8-11 | 12-15), one of the upper two bits. Rows of x: fine.c.
 */
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
  return (weights_t){.codes = (const uint8_t *)INPUT(fineMatmulQ6_K, codes) + b * groups * 192, .s = (const int8_t *)INPUT(fineMatmulQ6_K, s) + b * groups * 16, .d = (const float *)INPUT(fineMatmulQ6_K, d) + b * groups};
}
static void fineMatmulQ6_K_run(const op_t *o, int64_t chunk, char *scratch) { fine_matmul(o, chunk, scratch, q6_k_kernels, q6_k_block); }

static void fineRowsQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = INPUT(fineRowsQ6_K, ids);
  const int64_t v = ATTR(fineRowsQ6_K, O), k = ATTR(fineRowsQ6_K, K), per = rows_per_chunk(k), end = at_most((chunk + 1) * per, ATTR(fineRowsQ6_K, N));
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
      const int step = (int)(i % 16 / 4), code = (block[step / 2 * 64] >> step % 2 * 4 & 15) | (block[128] >> 2 * step & 3) << 4;
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
  const uint32_t h = (w[0] >> 4 & upper) | (w[1] >> 4 & upper) << 2 | (w[2] >> 4 & upper) << 4 | (w[3] >> 4 & upper) << 6;
  memcpy(block, &l0, 4);
  memcpy(block + 64, &l1, 4);
  memcpy(block + 128, &h, 4);
}

/* a block of ggml's Q6_K (block_q6_K): low nibbles, upper bits, scales, factor */
enum { Q6_LOW = 128, Q6_HIGH = 64, Q6_BLOCK = 210 };
static void fineRepackQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t rows = ATTR(fineRepackQ6_K, O), k = ATTR(fineRepackQ6_K, K), groups = k / 16;
  uint8_t *codes = (uint8_t *)OUTPUT(fineRepackQ6_K, codes) + chunk * groups * 192;
  int8_t *s = (int8_t *)OUTPUT(fineRepackQ6_K, s) + chunk * k;
  float *d = (float *)OUTPUT(fineRepackQ6_K, d) + chunk * groups;
  memset(codes, 0, (size_t)groups * 192);
  memset(s, 0, (size_t)k);
  memset(d, 0, 4 * (size_t)groups);
  unsigned bad = 0;
  for (int64_t j = 0; j < 16 && chunk * 16 + j < rows; j++)
    for (int64_t b = 0; b < k / 256; b++) {
      const uint8_t *raw = (const uint8_t *)INPUT(fineRepackQ6_K, raw) + ((chunk * 16 + j) * (k / 256) + b) * Q6_BLOCK, *high = raw + Q6_LOW, *scales = high + Q6_HIGH;
      uint8_t c[256];
      for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
          const uint8_t x = raw[h * 64 + l], y = raw[h * 64 + 32 + l], z = high[h * 32 + l];
          c[h * 128 + l] = (uint8_t)((x & 15) | (z & 3) << 4);
          c[h * 128 + 32 + l] = (uint8_t)((y & 15) | (z >> 2 & 3) << 4);
          c[h * 128 + 64 + l] = (uint8_t)(x >> 4 | (z >> 4 & 3) << 4);
          c[h * 128 + 96 + l] = (uint8_t)(y >> 4 | z >> 6 << 4);
        }
      for (int g = 0; g < 16; g++) {
        put_six(c + g * 16, codes + (b * 16 + g) * 192 + j * 4);
        s[(b * 16 + g) * 16 + j] = (int8_t)scales[g];
      }
      const uint16_t factor = (uint16_t)(scales[16] | scales[17] << 8);
      bad |= (factor & 0x7c00) == 0x7c00;
      d[b * 16 + j] = half_1(factor);
    }
  if (bad) atomic_store(o->error, 1);
}
