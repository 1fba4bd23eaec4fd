/* Gradient norm, clipping and AdamW over the flat parameter buffers. */
enum { SQUARES = 4096, SQUARE_RUNS = 8 };

static int64_t squareSum_chunks(const op_t *o) { return (o->a[0] + SQUARES * SQUARE_RUNS - 1) / (SQUARES * SQUARE_RUNS); }
static void squareSum_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  for (int64_t s = chunk * SQUARE_RUNS; s < (chunk + 1) * SQUARE_RUNS && s * SQUARES < o->a[0]; s++) {
    const float *x = (const float *)o->in[0] + s * SQUARES;
    ((float *)o->out[0])[s] = r2_dot(x, x, at_most(o->a[0] - s * SQUARES, SQUARES));
  }
}

static void clipFactor_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)chunk; (void)scratch;
  const float norm = sqrtf(r2_sum(o->in[0], o->a[0])), limit = op_float(o, 1);
  float *f = o->out[0];
  f[0] = norm;
  f[1] = limit > 0.0f && norm > limit ? limit / (norm + 1e-6f) : 1.0f;
}

static int64_t adamw_chunks(const op_t *o) { return (o->a[0] + RUN - 1) / RUN; }
static void adamw_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *g = o->in[1], *h = o->in[5];
  float *w = o->out[0], *m = o->out[1], *s = o->out[2];
  const v16 clip = f_set1(((const float *)o->in[4])[1]), b1 = f_set1(h[0]), b2 = f_set1(h[1]), c1 = f_set1(1.0f - h[0]), c2 = f_set1(1.0f - h[1]);
  const v16 decay = f_set1(h[2]), step = f_set1(h[3]), root = f_set1(h[4]), eps = f_set1(h[5]);
  const int64_t end = at_most((chunk + 1) * RUN, o->a[0]);
  for (int64_t i = chunk * RUN; i < end; i += 16) {
    const int n = (int)at_most(end - i, 16);
    v16 gv = f_mul(f_load_n(g + i, n), clip), wv = f_load_n(w + i, n);
    v16 mv = f_fma(b1, f_load_n(m + i, n), f_mul(c1, gv)), vv = f_fma(b2, f_load_n(s + i, n), f_mul(c2, f_mul(gv, gv)));
    f_store_n(m + i, mv, n);
    f_store_n(s + i, vv, n);
    if (i + n <= o->a[1]) wv = f_mul(wv, decay);
    else if (i < o->a[1]) {
      float part[16];
      f_store(part, wv);
      for (int64_t j = i; j < o->a[1]; j++) part[j - i] = part[j - i] * h[2];
      wv = f_load(part);
    }
    v16 denominator = f_add(f_mul(f_sqrt(vv), root), eps);
    f_store_n(w + i, f_sub(wv, f_mul(step, f_div(mv, denominator))), n);
  }
}
