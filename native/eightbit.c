/*
 * A head of 8-bit weights (ggml's Q8_0), src/ops/eight-bit.ts: codes plus 128 in blocks of 16 outputs x 16 inputs, 256 bytes: vectors of inputs 0-3 | 4-7 | 8-11 | 12-15. x has 14 bits in two
 * int8 (sixbit.c), so a group of 16 is an integer below 2^24, exact in f32; the factor of 32 weights counts for both of their groups.
 */
INLINE void eight_body(const int8_t *q, int64_t k, const int32_t *sum, const float *scale, const uint8_t *codes, const uint16_t *d, float *y, int64_t ldy, const int rows, int last) {
  v16 acc[4], w = f_zero();
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) acc[r] = f_zero();
  for (int64_t g = 0; g < k / 16; g++, codes += 256) {
    if (g % 2 == 0) {
      w = f_load_half(d);
      d += 16;
    }
    const v16i c0 = i_load(codes), c1 = i_load(codes + 64), c2 = i_load(codes + 128), c3 = i_load(codes + 192);
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
      const int8_t *high = q + 2 * r * k + g * 16, *low = high + k;
      const v16i a = i_dot8(i_dot8(i_dot8(i_dot8(i_zero(), c0, i_set4(high)), c1, i_set4(high + 4)), c2, i_set4(high + 8)), c3, i_set4(high + 12));
      const v16i b = i_dot8(i_dot8(i_dot8(i_dot8(i_zero(), c0, i_set4(low)), c1, i_set4(low + 4)), c2, i_set4(low + 8)), c3, i_set4(low + 12));
      acc[r] = f_fma(w, i_join(a, b, (int32_t)(128u * (uint32_t)sum[r * (k / 16) + g])), acc[r]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++) f_store_n(y + r * ldy, f_mul(acc[r], f_set1(scale[r])), last);
}
#define EIGHT(R) \
  static void eight_##R(const int8_t *q, int64_t k, const int32_t *sum, const float *scale, const uint8_t *codes, const uint16_t *d, float *y, int64_t ldy, int last) { \
    eight_body(q, k, sum, scale, codes, d, y, ldy, R, last); \
  }
EIGHT(1)
EIGHT(2)
EIGHT(3)
EIGHT(4)
static void (*const EIGHT_ROWS[])(const int8_t *, int64_t, const int32_t *, const float *, const uint8_t *, const uint16_t *, float *, int64_t, int) = {NULL, eight_1, eight_2, eight_3, eight_4};

enum { EIGHT_BLOCKS = 64 }; /* blocks of 16 outputs in a chunk */
static int64_t eightBitMatmul_chunks(const op_t *o) { return (o->a[1] + 16 * EIGHT_BLOCKS - 1) / (16 * EIGHT_BLOCKS) * (o->a[0] > 0); }
static void eightBitMatmul_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t n = o->a[0], outputs = o->a[1], k = o->a[2], groups = k / 16, b1 = at_most((chunk + 1) * EIGHT_BLOCKS, (outputs + 15) / 16);
  for (int64_t b = chunk * EIGHT_BLOCKS; b < b1; b++)
    for (int64_t r = 0, step; r < n; r += step) {
      step = at_most(n - r, 4);
      EIGHT_ROWS[step]((const int8_t *)o->in[0] + 2 * r * k, k, (const int32_t *)o->in[2] + r * groups, (const float *)o->in[1] + r, (const uint8_t *)o->in[3] + b * groups * 256,
                                      (const uint16_t *)o->in[4] + b * groups * 8, (float *)o->out[0] + r * outputs + b * 16, outputs, (int)at_most(outputs - b * 16, 16));
    }
}

static void eightBitRows_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = o->in[2];
  const int64_t v = o->a[1], k = o->a[2], per = rows_per_chunk(k), end = at_most((chunk + 1) * per, o->a[0]);
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    const int64_t b = id / 16, j = id % 16;
    const uint8_t *codes = (const uint8_t *)o->in[0] + b * k * 16 + j * 4;
    const uint16_t *d = (const uint16_t *)o->in[1] + b * (k / 2) + j;
    float *y = (float *)o->out[0] + r * k;
    for (int64_t i = 0; i < k; i++) y[i] = half_1(d[i / 32 * 16]) * (float)((int)codes[i / 4 * 64 + i % 4] - 128);
  }
}

/* a block of ggml's Q8_0 (block_q8_0): factor, 32 signed codes */
enum { Q8_BLOCK = 34 };
static void repackEightBit_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t rows = o->a[0], k = o->a[1];
  uint8_t *codes = (uint8_t *)o->out[0] + chunk * k * 16;
  uint16_t *d = (uint16_t *)o->out[1] + chunk * (k / 2);
  memset(codes, 0, (size_t)k * 16);
  memset(d, 0, (size_t)k);
  unsigned bad = 0;
  for (int64_t j = 0; j < 16 && chunk * 16 + j < rows; j++)
    for (int64_t b = 0; b < k / 32; b++) {
      const uint8_t *raw = (const uint8_t *)o->in[0] + ((chunk * 16 + j) * (k / 32) + b) * Q8_BLOCK;
      const uint16_t factor = (uint16_t)(raw[0] | raw[1] << 8);
      bad |= (factor & 0x7c00) == 0x7c00;
      d[b * 16 + j] = factor;
      for (int i = 0; i < 32; i += 4) {
        uint32_t w;
        memcpy(&w, raw + 2 + i, 4);
        w ^= 0x80808080u; /* plus 128, modulo 256 */
        memcpy(codes + (b * 8 + i / 4) * 64 + j * 4, &w, 4);
      }
    }
  if (bad) atomic_store(o->error, 1);
}
