/*
 * Matrices kept in panels of 32 columns, f32, f16 or bf16 (widened exactly): making them, reading rows out of them, and
 * the product of very few rows with them, which is bound by reading the panels: each is read once, several side by side
 * so that the chains of rule R1 hide one another's latency.
 */
enum { PANEL = 32 };

/* what `half` says of a matrix: its element type */
enum { WHOLE, HALF, BRAIN_HALF };

static int64_t halfPanels_chunks(const op_t *o) { return (ATTR(halfPanels, Nc) + PANEL - 1) / PANEL; }
static void halfPanels_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t n = ATTR(halfPanels, Nc), kk = ATTR(halfPanels, K), j0 = chunk * PANEL, nj = at_most(n - j0, PANEL);
  const uint16_t *w = (const uint16_t *)INPUT(halfPanels, w) + j0 * kk;
  uint16_t *p = (uint16_t *)OUTPUT(halfPanels, p) + j0 * kk;
  const uint16_t exponent = ATTR(halfPanels, half) == BRAIN_HALF ? 0x7f80 : 0x7c00;
  unsigned bad = 0;
  for (int64_t k0 = 0; k0 < kk; k0 += 32) {
    const int64_t nk = at_most(kk - k0, 32);
    uint16_t t[32][PANEL] = {{0}};
    for (int64_t j = 0; j < nj; j++)
      for (int64_t k = 0; k < nk; k++) {
        const uint16_t h = w[j * kk + k0 + k];
        bad |= (h & exponent) == exponent;
        t[k][j] = h;
      }
    memcpy(p + k0 * PANEL, t, (size_t)nk * sizeof t[0]);
  }
  if (bad) atomic_store(o->error, 1);
}

static void panelRows_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = INPUT(panelRows, ids);
  const int64_t c = ATTR(panelRows, C), v = ATTR(panelRows, V), per = rows_per_chunk(c),
                end = at_most((chunk + 1) * per, ATTR(panelRows, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    const int64_t at = id / PANEL * c * PANEL + id % PANEL;
    float *y = (float *)OUTPUT(panelRows, y) + r * c;
    if (ATTR(panelRows, half) == BRAIN_HALF)
      for (int64_t k = 0; k < c; k++) y[k] = bf16_1(((const uint16_t *)INPUT(panelRows, p))[at + k * PANEL]);
    else if (ATTR(panelRows, half))
      for (int64_t k = 0; k < c; k++) y[k] = half_1(((const uint16_t *)INPUT(panelRows, p))[at + k * PANEL]);
    else
      for (int64_t k = 0; k < c; k++) y[k] = ((const float *)INPUT(panelRows, p))[at + k * PANEL];
  }
}

INLINE v16 load_as(const char *p, const int half) {
  if (half == WHOLE) return f_load((const float *)p);
  return half == HALF ? f_load_half((const uint16_t *)p) : f_load_bf16((const uint16_t *)p);
}

/* k rows of a panel of f16 or bf16, widened */
static void widen_panel(const uint16_t *b, int half, int64_t nk, float *p) {
  if (half == HALF)
    for (int64_t i = 0; i < nk * PANEL; i += 16) f_store(p + i, f_load_half(b + i));
  else
    for (int64_t i = 0; i < nk * PANEL; i += 16) f_store(p + i, f_load_bf16(b + i));
}

/* panels that are read side by side: with two vectors each, half of the registers at one row */
#if TILE_ROWS >= 12
enum { ABREAST = 8 };
#else
enum { ABREAST = 2 };
#endif

/* rows x (panels * 32) outputs over all of k; the last panel `last` columns wide */
INLINE void few_body(const float *a, int64_t kk, const char *b, const int half, float *c, int64_t n, const int rows,
                     const int panels, int64_t last) {
  v16 acc[2][ABREAST][2];
  const int64_t element = half ? 2 : 4, panel = kk * PANEL * element;
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int p = 0; p < panels; p++) acc[r][p][0] = acc[r][p][1] = f_zero();
  for (int64_t k = 0; k < kk; k++, b += PANEL * element) {
#pragma GCC unroll 8
    for (int p = 0; p < panels; p++) {
      const char *x = b + p * panel;
      const v16 lo = load_as(x, half), hi = load_as(x + 16 * element, half);
#pragma GCC unroll 2
      for (int r = 0; r < rows; r++) {
        const v16 v = f_set1(a[r * kk + k]);
        acc[r][p][0] = f_fma(v, lo, acc[r][p][0]);
        acc[r][p][1] = f_fma(v, hi, acc[r][p][1]);
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int p = 0; p < panels; p++) {
      const int64_t width = p == panels - 1 ? last : PANEL;
      float *y = c + r * n + p * PANEL;
      f_store_n(y, acc[r][p][0], (int)at_most(width, 16));
      if (width > 16) f_store_n(y + 16, acc[r][p][1], (int)width - 16);
    }
}
#define FEW(R, P)                                                                                                     \
  static void few_##R##_##P(const float *a, int64_t kk, const char *b, int half, float *c, int64_t n, int64_t last) { \
    if (half == HALF)                                                                                                 \
      few_body(a, kk, b, HALF, c, n, R, P, last);                                                                     \
    else if (half)                                                                                                    \
      few_body(a, kk, b, BRAIN_HALF, c, n, R, P, last);                                                               \
    else                                                                                                              \
      few_body(a, kk, b, WHOLE, c, n, R, P, last);                                                                    \
  }
FEW(1, 1)
FEW(1, ABREAST)
FEW(2, 1)
#if TILE_ROWS >= 12
FEW(2, 4)
#define few_2_many few_2_4
#define few_1_many few_1_ABREAST
enum { ABREAST_2 = 4 };
#else
#define few_1_many few_1_ABREAST
#define few_2_many few_2_1
enum { ABREAST_2 = 1 };
#endif

/* one or two rows by panels p0 .. p1-1 */
static void few_rows(const float *a, int64_t rows, int64_t kk, const void *b, int half, float *c, int64_t n, int64_t p0,
                     int64_t p1) {
  const int64_t many = rows == 1 ? ABREAST : ABREAST_2, bytes = kk * PANEL * (half ? 2 : 4);
  for (int64_t p = p0; p < p1;) {
    const int full = p1 - p >= many;
    const int64_t step = full ? many : 1, last = at_most(n - (p + step - 1) * PANEL, PANEL);
    const char *from = (const char *)b + p * bytes;
    float *to = c + p * PANEL;
    if (rows == 1)
      (full ? few_1_many : few_1_1)(a, kk, from, half, to, n, last);
    else
      (full ? few_2_many : few_2_1)(a, kk, from, half, to, n, last);
    p += step;
  }
}
