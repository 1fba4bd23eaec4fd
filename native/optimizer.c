/* Gradient norm, clipping and AdamW over the flat parameter buffers. */
enum { SQUARES = 4096, SQUARE_RUNS = 8 };

static int64_t squareSum_chunks(const op_t *o) {
  return (ATTR(squareSum, P) + SQUARES * SQUARE_RUNS - 1) / (SQUARES * SQUARE_RUNS);
}
static void squareSum_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  for (int64_t s = chunk * SQUARE_RUNS; s < (chunk + 1) * SQUARE_RUNS && s * SQUARES < ATTR(squareSum, P); s++) {
    const float *x = (const float *)INPUT(squareSum, x) + s * SQUARES;
    ((float *)OUTPUT(squareSum, s))[s] = r2_dot(x, x, at_most(ATTR(squareSum, P) - s * SQUARES, SQUARES));
  }
}

static void clipFactor_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)chunk;
  (void)scratch;
  const float norm = sqrtf(r2_sum(INPUT(clipFactor, s), ATTR(clipFactor, S))), limit = FLOAT(clipFactor, maxNorm);
  float *f = OUTPUT(clipFactor, f);
  f[0] = norm;
  f[1] = limit > 0.0f && norm > limit ? limit / (norm + 1e-6f) : 1.0f;
}

static int64_t adamw_chunks(const op_t *o) { return (ATTR(adamw, P) + RUN - 1) / RUN; }
static void adamw_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *g = INPUT(adamw, g), *h = INPUT(adamw, hyper);
  float *w = OUTPUT(adamw, w), *m = OUTPUT(adamw, m), *s = OUTPUT(adamw, v);
  const v16 clip = f_set1(((const float *)INPUT(adamw, f))[1]), b1 = f_set1(h[0]), b2 = f_set1(h[1]),
            c1 = f_set1(1.0f - h[0]), c2 = f_set1(1.0f - h[1]);
  const v16 decay = f_set1(h[2]), step = f_set1(h[3]), root = f_set1(h[4]), eps = f_set1(h[5]);
  const int64_t end = at_most((chunk + 1) * RUN, ATTR(adamw, P));
  for (int64_t i = chunk * RUN; i < end; i += 16) {
    const int n = (int)at_most(end - i, 16);
    v16 gv = f_mul(f_load_n(g + i, n), clip), wv = f_load_n(w + i, n);
    v16 mv = f_fma(b1, f_load_n(m + i, n), f_mul(c1, gv)), vv = f_fma(b2, f_load_n(s + i, n), f_mul(c2, f_mul(gv, gv)));
    f_store_n(m + i, mv, n);
    f_store_n(s + i, vv, n);
    if (i + n <= ATTR(adamw, decayed))
      wv = f_mul(wv, decay);
    else if (i < ATTR(adamw, decayed)) {
      float part[16];
      f_store(part, wv);
      for (int64_t j = i; j < ATTR(adamw, decayed); j++) part[j - i] = part[j - i] * h[2];
      wv = f_load(part);
    }
    v16 denominator = f_add(f_mul(f_sqrt(vv), root), eps);
    f_store_n(w + i, f_sub(wv, f_mul(step, f_div(mv, denominator))), n);
  }
}
