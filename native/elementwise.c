/* Ops that touch each element once, and sums over columns. Chunks are runs of elements, rows or 16-column blocks. */
enum { RUN = 16384 };

static int64_t flat_chunks(const op_t *o) { return (ROWS(o) * WIDTH(o) + RUN - 1) / RUN; }

/* calls BODY(n) with i the element index, full vectors first, then the n left */
#define FLAT(o, chunk, BODY)                                               \
  int64_t i = (chunk)*RUN, end_ = at_most(i + RUN, (o)->a[0] * (o)->a[1]); \
  for (; i + 16 <= end_; i += 16) {                                        \
    BODY(16)                                                               \
  }                                                                        \
  if (i < end_) {                                                          \
    const int left_ = (int)(end_ - i);                                     \
    BODY(left_)                                                            \
  }
#define GET(p, n) ((n) == 16 ? f_load((p) + i) : f_load_n((p) + i, n))
#define PUT(p, v, n) ((n) == 16 ? f_store((p) + i, v) : f_store_n((p) + i, v, n))

static void add_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(add, a), *y = INPUT(add, b);
  float *z = OUTPUT(add, y);
#define BODY(n) PUT(z, f_add(GET(x, n), GET(y, n)), n);
  FLAT(o, chunk, BODY)
#undef BODY
}

static void scale_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(scale, x);
  float *z = OUTPUT(scale, y);
  const v16 s = f_set1(*(const float *)INPUT(scale, s));
#define BODY(n) PUT(z, f_mul(GET(x, n), s), n);
  FLAT(o, chunk, BODY)
#undef BODY
}

static void gelu_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(gelu, x);
  float *z = OUTPUT(gelu, y);
#define BODY(n)                                                                             \
  {                                                                                         \
    v16d d = f_to_d(GET(x, n)), phi = d_add(d_set1(1.0), d_erf(d_mul(d, d_set1(SQRT1_2)))); \
    PUT(z, d_to_f(d_mul(d_mul(d_set1(0.5), d), phi)), n);                                   \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void geluGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(geluGrad, x), *dy = INPUT(geluGrad, dy);
  float *dx = OUTPUT(geluGrad, dx);
#define BODY(n)                                                                        \
  {                                                                                    \
    v16d d = f_to_d(GET(x, n));                                                        \
    v16d F = d_mul(d_set1(0.5), d_add(d_set1(1.0), d_erf(d_mul(d, d_set1(SQRT1_2))))); \
    v16d f = d_mul(d_exp(d_mul(d_mul(d, d), d_set1(-0.5))), d_set1(INV_SQRT_2PI));     \
    f = d_select_gt(d_abs(d), d_set1(30.0), d_set1(0.0), f);                           \
    PUT(dx, d_to_f(d_mul(f_to_d(GET(dy, n)), d_add(F, d_mul(d, f)))), n);              \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void reluSquareGate_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(reluSquareGate, gate), *up = INPUT(reluSquareGate, up);
  float *y = OUTPUT(reluSquareGate, y);
#define BODY(n)                                \
  {                                            \
    v16 r = f_max(GET(gate, n), f_zero());     \
    PUT(y, f_mul(f_mul(r, r), GET(up, n)), n); \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void reluSquareGateGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(reluSquareGateGrad, gate), *up = INPUT(reluSquareGateGrad, up),
              *dy = INPUT(reluSquareGateGrad, dy);
  float *dgate = OUTPUT(reluSquareGateGrad, dgate), *dup = OUTPUT(reluSquareGateGrad, dup);
#define BODY(n)                                                            \
  {                                                                        \
    v16 r = f_max(GET(gate, n), f_zero()), u = GET(up, n), d = GET(dy, n); \
    PUT(dgate, f_mul(f_mul(f_add(r, r), u), d), n);                        \
    PUT(dup, f_mul(f_mul(r, r), d), n);                                    \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

INLINE v16 load_lanes(const float *p, int lanes) { return lanes == 16 ? f_load(p) : f_load_n(p, lanes); }

/* n vectors of which each has as many lanes */
INLINE void silu_gate(const float *gate, const float *up, float *y, const int n, int lanes) {
  v16 e[EXPS];
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) e[j] = f_neg(load_lanes(gate + 16 * j, lanes));
  f_exps(e, n, 0);
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) {
    const v16 g = f_div(load_lanes(gate + 16 * j, lanes), f_add(f_set1(1.0f), e[j]));
    const v16 v = f_mul(g, load_lanes(up + 16 * j, lanes));
    if (lanes == 16)
      f_store(y + 16 * j, v);
    else
      f_store_n(y + 16 * j, v, lanes);
  }
}
static void siluGate_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(siluGate, gate), *up = INPUT(siluGate, up);
  float *y = OUTPUT(siluGate, y);
  const int64_t end = at_most((chunk + 1) * RUN, ATTR(siluGate, N) * ATTR(siluGate, C));
  int64_t i = chunk * RUN;
  for (; i + 16 * EXPS <= end; i += 16 * EXPS) silu_gate(gate + i, up + i, y + i, EXPS, 16);
  for (; i + 16 <= end; i += 16) silu_gate(gate + i, up + i, y + i, 1, 16);
  if (i < end) silu_gate(gate + i, up + i, y + i, 1, (int)(end - i));
}

static void siluGateGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(siluGateGrad, gate), *up = INPUT(siluGateGrad, up), *dy = INPUT(siluGateGrad, dy);
  float *dgate = OUTPUT(siluGateGrad, dgate), *dup = OUTPUT(siluGateGrad, dup);
#define BODY(n)                                                                                \
  {                                                                                            \
    const v16 g = GET(gate, n), u = GET(up, n), d = GET(dy, n), one = f_set1(1.0f),            \
              below = f_add(one, f_exp(f_neg(g))), a = f_div(g, below), s = f_div(one, below); \
    PUT(dgate, f_mul(f_mul(f_add(s, f_mul(a, f_sub(one, s))), u), d), n);                      \
    PUT(dup, f_mul(a, d), n);                                                                  \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void dropout_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(dropout, x);
  const uint32_t *rng = INPUT(dropout, rng);
  float *y = OUTPUT(dropout, y);
  const uint32_t purpose = (uint32_t)ATTR(dropout, purpose), threshold = (uint32_t)ATTR(dropout, threshold);
  const float scale = FLOAT(dropout, scale);
  const int64_t begin = chunk * RUN, end = at_most(begin + RUN, ATTR(dropout, N) * ATTR(dropout, C));
  for (int64_t i = begin; i < end; i += 4) {
    uint32_t c[4] = {(uint32_t)(i >> 2), 0, rng[2], purpose};
    philox(c, rng[0], rng[1]);
    for (int j = 0; j < 4 && i + j < end; j++) y[i + j] = c[j] >= threshold ? x[i + j] * scale : 0.0f;
  }
}

static int64_t column_chunks(const op_t *o) { return (WIDTH(o) + 15) / 16; }
static void columnSum_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(columnSum, x);
  const int64_t rows = ATTR(columnSum, N), c = ATTR(columnSum, C);
  const int n = (int)at_most(c - chunk * 16, 16);
  v16 s = f_zero();
  for (int64_t r = 0; r < rows; r++) s = f_add(s, f_load_n(x + r * c + chunk * 16, n));
  f_store_n((float *)OUTPUT(columnSum, y) + chunk * 16, s, n);
}

/* rows in runs of about RUN elements */
static int64_t rows_per_chunk(int64_t width) { return at_least(RUN / at_least(width, 1), 1); }
static int64_t row_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(WIDTH(o));
  return (ROWS(o) + per - 1) / per;
}

static void addBias_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t c = ATTR(addBias, C), per = rows_per_chunk(c), end = at_most((chunk + 1) * per, ATTR(addBias, N));
  const float *bias = INPUT(addBias, bias);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(addBias, x) + r * c;
    float *y = (float *)OUTPUT(addBias, y) + r * c;
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      f_store_n(y + i, f_add(f_load_n(x + i, n), f_load_n(bias + i, n)), n);
    }
  }
}

static int64_t split_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(split, w0) + ATTR(split, w1) + ATTR(split, w2));
  return (ATTR(split, N) + per - 1) / per;
}
static void split_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t width = ATTR(split, w0) + ATTR(split, w1) + ATTR(split, w2), per = rows_per_chunk(width),
                end = at_most((chunk + 1) * per, ATTR(split, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(split, x) + r * width;
    /* not memcpy, here and elsewhere: tensors of a plan may overlap */
    for (int p = 0; p < 3; x += o->a[1 + p], p++)
      if (o->a[1 + p]) memmove((float *)o->out[p] + r * o->a[1 + p], x, 4 * (size_t)o->a[1 + p]);
  }
}
static void concat_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t width = ATTR(concat, w0) + ATTR(concat, w1) + ATTR(concat, w2), per = rows_per_chunk(width),
                end = at_most((chunk + 1) * per, ATTR(concat, N));
  for (int64_t r = chunk * per; r < end; r++) {
    float *y = (float *)OUTPUT(concat, y) + r * width;
    for (int p = 0; p < 3; y += o->a[1 + p], p++)
      if (o->a[1 + p]) memmove(y, (const float *)o->in[p] + r * o->a[1 + p], 4 * (size_t)o->a[1 + p]);
  }
}

/* whether a row of that number is there; if not, the run ends with an error */
static int known_id(const op_t *o, int64_t id, int64_t rows) {
  if (id >= 0 && id < rows) return 1;
  atomic_store(o->error, 1);
  return 0;
}

static void embedding_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *table = INPUT(embedding, table);
  const int32_t *ids = INPUT(embedding, ids);
  const int64_t c = ATTR(embedding, C), v = ATTR(embedding, V), per = rows_per_chunk(c),
                end = at_most((chunk + 1) * per, ATTR(embedding, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    memmove((float *)OUTPUT(embedding, y) + r * c, table + id * c, 4 * (size_t)c);
  }
}

/* blocks of 64 columns, so that the order over tokens holds within each */
static int64_t embeddingGrad_chunks(const op_t *o) { return (ATTR(embeddingGrad, C) + 63) / 64; }
static void embeddingGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *dy = INPUT(embeddingGrad, dy);
  const int32_t *ids = INPUT(embeddingGrad, ids);
  float *d = OUTPUT(embeddingGrad, dtable);
  const int64_t rows = ATTR(embeddingGrad, N), c = ATTR(embeddingGrad, C), v = ATTR(embeddingGrad, V), c0 = chunk * 64,
                c1 = at_most(c0 + 64, c);
  for (int64_t r = 0; r < v; r++) memset(d + r * c + c0, 0, 4 * (size_t)(c1 - c0));
  for (int64_t r = 0; r < rows; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    float *row = d + id * c;
    const float *x = dy + r * c;
    for (int64_t j = c0; j < c1; j += 16) {
      const int n = (int)at_most(c1 - j, 16);
      f_store_n(row + j, f_add(f_load_n(row + j, n), f_load_n(x + j, n)), n);
    }
  }
}
