/* layerNorm and rmsNorm with their gradients. Row ops cut by rows; parameter gradients are chains over rows, cut by
 * blocks of columns. */
enum { COLUMNS = 64 };

static void layerNorm_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *g = INPUT(layerNorm, g), *b = INPUT(layerNorm, b), eps = FLOAT(layerNorm, eps);
  const int64_t c = ATTR(layerNorm, C), per = rows_per_chunk(c), end = at_most((chunk + 1) * per, ATTR(layerNorm, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(layerNorm, x) + r * c;
    float *y = (float *)OUTPUT(layerNorm, y) + r * c, *stats = (float *)OUTPUT(layerNorm, stats) + r * 2;
    const float mean = r2_sum(x, c) / (float)c;
    const v16 mv = f_set1(mean);
    v16 l = f_zero();
    int64_t i = 0;
    for (; i + 16 <= c; i += 16) {
      v16 d = f_sub(f_load(x + i), mv);
      l = f_fma(d, d, l);
    }
    if (i < c) {
      float d[16] = {0};
      for (int64_t j = i; j < c; j++) d[j - i] = x[j] - mean;
      l = f_fma(f_load(d), f_load(d), l);
    }
    const float var = f_hsum(l) / (float)c, rstd = 1.0f / sqrtf(var + eps);
    stats[0] = mean;
    stats[1] = rstd;
    const v16 rv = f_set1(rstd);
    for (i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      v16 h = f_mul(f_sub(f_load_n(x + i, n), mv), rv), gv = f_load_n(g + i, n);
      f_store_n(y + i, b ? f_fma(h, gv, f_load_n(b + i, n)) : f_mul(h, gv), n);
    }
  }
}

static void rmsNorm_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *g = INPUT(rmsNorm, g), eps = FLOAT(rmsNorm, eps);
  const int64_t heads = ATTR(rmsNorm, H), c = ATTR(rmsNorm, C) / heads, per = rows_per_chunk(c * heads),
                end = at_most((chunk + 1) * per, ATTR(rmsNorm, N)) * heads;
  for (int64_t r = chunk * per * heads; r < end; r++) {
    const float *x = (const float *)INPUT(rmsNorm, x) + r * c;
    float *y = (float *)OUTPUT(rmsNorm, y) + r * c;
    const float s = 1.0f / sqrtf(r2_dot(x, x, c) / (float)c + eps);
    ((float *)OUTPUT(rmsNorm, stats))[r] = s;
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      f_store_n(y + i, f_mul(f_mul(f_load_n(x + i, n), f_set1(s)), f_load_n(g + i, n)), n);
    }
  }
}

/* dx = rstd * fma(-xhat, c, h - a); a = 0 is left out for rmsNorm. centred: subtract the mean. */
INLINE void norm_grad(const op_t *o, int64_t chunk, const int centred) {
  const float *g = INPUT(rmsNormGrad, g);
  const int64_t heads = centred ? 1 : ATTR(rmsNormGrad, H), c = ATTR(rmsNormGrad, C) / heads,
                per = rows_per_chunk(c * heads), end = at_most((chunk + 1) * per, ATTR(rmsNormGrad, N)) * heads;
  for (int64_t r = chunk * per * heads; r < end; r++) {
    const float *x = (const float *)INPUT(rmsNormGrad, x) + r * c, *dy = (const float *)INPUT(rmsNormGrad, dy) + r * c;
    const float *stats = (const float *)INPUT(rmsNormGrad, stats) + r * (centred ? 2 : 1);
    float *dx = (float *)OUTPUT(rmsNormGrad, dx) + r * c;
    const v16 mean = f_set1(centred ? stats[0] : 0.0f), rstd = f_set1(stats[centred]);
#define XHAT(n) f_mul(centred ? f_sub(f_load_n(x + i, n), mean) : f_load_n(x + i, n), rstd)
    v16 la = f_zero(), lc = f_zero();
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      v16 h = f_mul(f_load_n(dy + i, n), f_load_n(g + i, n));
      if (centred) la = f_add(la, h);
      lc = f_fma(h, XHAT(n), lc);
    }
    const v16 a = f_set1(centred ? f_hsum(la) / (float)c : 0.0f), cc = f_set1(f_hsum(lc) / (float)c);
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      v16 h = f_mul(f_load_n(dy + i, n), f_load_n(g + i, n));
      f_store_n(dx + i, f_mul(rstd, f_fma(f_neg(XHAT(n)), cc, centred ? f_sub(h, a) : h)), n);
    }
#undef XHAT
  }
}
static void layerNormGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  norm_grad(o, chunk, 1);
}
static void rmsNormGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  norm_grad(o, chunk, 0);
}

static int64_t block_chunks(const op_t *o) { return (WIDTH(o) + COLUMNS - 1) / COLUMNS; }
static int64_t rmsNormParamGrad_chunks(const op_t *o) {
  return (ATTR(rmsNormParamGrad, C) / ATTR(rmsNormParamGrad, H) + COLUMNS - 1) / COLUMNS;
}
INLINE void norm_parameter_grad(const op_t *o, int64_t chunk, const int centred) {
  const int64_t heads = centred ? 1 : ATTR(rmsNormParamGrad, H), rows = ATTR(rmsNormParamGrad, N) * heads,
                c = ATTR(rmsNormParamGrad, C) / heads, c0 = chunk * COLUMNS, c1 = at_most(c0 + COLUMNS, c);
  const float *x = INPUT(rmsNormParamGrad, x), *stats = INPUT(rmsNormParamGrad, stats),
              *dy = INPUT(rmsNormParamGrad, dy);
  float *db = centred && ATTR(layerNormParamGrad, hasBias) ? OUTPUT(layerNormParamGrad, db) : NULL;
  v16 g[COLUMNS / 16], b[COLUMNS / 16];
  for (int v = 0; v < COLUMNS / 16; v++) g[v] = b[v] = f_zero();
  for (int64_t r = 0; r < rows; r++) {
    const v16 mean = f_set1(centred ? stats[r * 2] : 0.0f), rstd = f_set1(centred ? stats[r * 2 + 1] : stats[r]);
    for (int64_t i = c0; i < c1; i += 16) {
      const int n = (int)at_most(c1 - i, 16);
      const int64_t v = (i - c0) / 16;
      v16 d = f_load_n(dy + r * c + i, n), xv = f_load_n(x + r * c + i, n);
      g[v] = f_fma(d, f_mul(centred ? f_sub(xv, mean) : xv, rstd), g[v]);
      b[v] = f_add(b[v], d);
    }
  }
  for (int64_t i = c0; i < c1; i += 16) {
    const int n = (int)at_most(c1 - i, 16);
    f_store_n((float *)OUTPUT(rmsNormParamGrad, dg) + i, g[(i - c0) / 16], n);
    if (db) f_store_n(db + i, b[(i - c0) / 16], n);
  }
}
static void layerNormParamGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  norm_parameter_grad(o, chunk, 1);
}
static void rmsNormParamGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  norm_parameter_grad(o, chunk, 0);
}
