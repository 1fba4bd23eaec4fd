/* layerNorm and rmsNorm with their gradients. Row ops cut by rows; parameter gradients are chains over rows, cut by blocks of columns. */
enum { COLUMNS = 64 };

static void layerNorm_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *g = o->in[1], *b = o->in[2], eps = op_float(o, 3);
  const int64_t c = o->a[1], per = rows_per_chunk(c), end = at_most((chunk + 1) * per, o->a[0]);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)o->in[0] + r * c;
    float *y = (float *)o->out[0] + r * c, *stats = (float *)o->out[1] + r * 2;
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
  const float *g = o->in[1], eps = op_float(o, 2);
  const int64_t c = o->a[1], per = rows_per_chunk(c), end = at_most((chunk + 1) * per, o->a[0]);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)o->in[0] + r * c;
    float *y = (float *)o->out[0] + r * c;
    const float s = 1.0f / sqrtf(r2_dot(x, x, c) / (float)c + eps);
    ((float *)o->out[1])[r] = s;
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      f_store_n(y + i, f_mul(f_mul(f_load_n(x + i, n), f_set1(s)), f_load_n(g + i, n)), n);
    }
  }
}

/* dx = rstd * fma(-xhat, c, h - a); a = 0 is left out for rmsNorm. centred: subtract the mean. */
INLINE void norm_grad(const op_t *o, int64_t chunk, const int centred) {
  const float *g = o->in[1];
  const int64_t c = o->a[1], per = rows_per_chunk(c), end = at_most((chunk + 1) * per, o->a[0]);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)o->in[0] + r * c, *dy = (const float *)o->in[3] + r * c;
    const float *stats = (const float *)o->in[2] + r * (centred ? 2 : 1);
    float *dx = (float *)o->out[0] + r * c;
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
static void layerNormGrad_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; norm_grad(o, chunk, 1); }
static void rmsNormGrad_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; norm_grad(o, chunk, 0); }

static int64_t block_chunks(const op_t *o) { return (o->a[1] + COLUMNS - 1) / COLUMNS; }
INLINE void norm_parameter_grad(const op_t *o, int64_t chunk, const int centred) {
  const int64_t rows = o->a[0], c = o->a[1], c0 = chunk * COLUMNS, c1 = at_most(c0 + COLUMNS, c);
  const float *x = o->in[0], *stats = o->in[1], *dy = o->in[2];
  float *db = centred ? o->out[1] : NULL;
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
    f_store_n((float *)o->out[0] + i, g[(i - c0) / 16], n);
    if (db) f_store_n(db + i, b[(i - c0) / 16], n);
  }
}
static void layerNormParamGrad_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; norm_parameter_grad(o, chunk, 1); }
static void rmsNormParamGrad_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; norm_parameter_grad(o, chunk, 0); }
