/*
 * Attention over a key/value cache: scores, softmax in two passes, values, each a chain of rule R1 or a reduction of rule R2. Queries that look at
 * the same sequence share a tile of the micro-kernel; a lone query (decoding) shares one with the other heads of its group. Keys are kept in
 * blocks of 16 positions, [head][block][dimension][16], so that the lanes of a vector are neighbouring positions.
 */
enum { QUERIES = 48 };

static int64_t rope_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(o->a[1] * o->a[2]);
  return (o->a[0] + per - 1) / per;
}
static void rope_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t heads = o->a[1], d = o->a[2], half = d / 2, per = rows_per_chunk(heads * d), end = at_most((chunk + 1) * per, o->a[0]);
  const int32_t *positions = o->in[1];
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t position = positions[r];
    if (position < 0 || position >= o->a[3]) {
      atomic_store(o->error, 1);
      continue;
    }
    const float *c = (const float *)o->in[2] + position * half, *s = (const float *)o->in[3] + position * half;
    for (int64_t h = 0; h < heads; h++) {
      const float *x = (const float *)o->in[0] + (r * heads + h) * d;
      float *y = (float *)o->out[0] + (r * heads + h) * d;
      for (int64_t i = 0; i < half; i += 16) {
        const int n = (int)at_most(half - i, 16);
        v16 cv = f_load_n(c + i, n), sv = f_load_n(s + i, n), x0 = f_load_n(x + i, n), x1 = f_load_n(x + half + i, n);
        if (o->a[4]) sv = f_neg(sv);
        f_store_n(y + i, f_fma(f_neg(x1), sv, f_mul(x0, cv)), n);
        f_store_n(y + half + i, f_fma(x0, sv, f_mul(x1, cv)), n);
      }
    }
  }
}

static int64_t write_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(o->a[1] * o->a[2]);
  return (o->a[0] + per - 1) / per;
}
INLINE void write_cache(const op_t *o, int64_t chunk, const int keys) {
  const int64_t groups = o->a[1], d = o->a[2], rows = o->a[3];
  const int64_t per = rows_per_chunk(groups * d), end = at_most((chunk + 1) * per, o->a[0]);
  const int32_t *cache_row = o->in[1];
  for (int64_t n = chunk * per; n < end; n++) {
    const int64_t r = cache_row[n];
    if (r < 0 || r >= rows) {
      atomic_store(o->error, 1);
      continue;
    }
    for (int64_t g = 0; g < groups; g++) {
      const float *x = (const float *)o->in[0] + (n * groups + g) * d;
      if (!keys) memmove((float *)o->out[0] + (g * rows + r) * d, x, 4 * (size_t)d);
      else {
        float *k = (float *)o->out[0] + (g * rows + r / 16 * 16) * d + r % 16;
        for (int64_t i = 0; i < d; i++) k[i * 16] = x[i];
      }
    }
  }
}
static void writeKeys_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; write_cache(o, chunk, 1); }
static void writeValues_run(const op_t *o, int64_t chunk, char *scratch) { (void)scratch; write_cache(o, chunk, 0); }

/* in place: s[0 .. n) -> softmax(s * scale), rule R2 */
static void softmax_row(float *s, int64_t n, float scale) {
  const v16 sv = f_set1(scale);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) f_store(s + i, f_mul(f_load(s + i), sv));
  if (i < n) f_store_n(s + i, f_mul(f_load_n(s + i, (int)(n - i)), sv), (int)(n - i));
  const v16 m = f_set1(r2_max(s, n));
  v16 l = f_zero();
  for (i = 0; i + 16 <= n; i += 16) {
    v16 e = f_exp(f_sub(f_load(s + i), m));
    f_store(s + i, e);
    l = f_add(l, e);
  }
  if (i < n) {
    const int left = (int)(n - i);
    f_store_n(s + i, f_exp(f_sub(f_load_n(s + i, left), m)), left);
    l = f_add(l, f_load_n(s + i, left));
  }
  const v16 inverse = f_set1(1.0f / f_hsum(l));
  for (i = 0; i + 16 <= n; i += 16) f_store(s + i, f_mul(f_load(s + i), inverse));
  if (i < n) f_store_n(s + i, f_mul(f_load_n(s + i, (int)(n - i)), inverse), (int)(n - i));
}

/* rows of queries against keys and values of one head group: everything a tile of rows needs */
typedef struct {
  const float *q;
  int64_t q_stride;
  const float *keys, *values; /* at the sequence's first position */
  int64_t d, context, rows;
  int64_t length[TILE_ROWS]; /* of each row; of all of them the first where the rows are heads of one query */
  int64_t length_stride;
  float *p; /* scores, then probabilities */
  int64_t p_stride;
  float *o;
  int64_t o_stride;
  float scale;
} attend_t;

static void attend(const attend_t *t) {
  int64_t longest = 0, shortest = t->context;
  for (int64_t i = 0; i < t->rows; i++) {
    longest = at_least(longest, t->length[i * t->length_stride]);
    shortest = at_most(shortest, t->length[i * t->length_stride]);
  }
  for (int64_t j = 0; j < longest; j += 16) {
    tile_t s = {.a = t->q, .rs = t->q_stride, .cs = 1, .b = t->keys + j * t->d, .ldb = 16, .c = t->p + j, .ldc = t->p_stride, .k = t->d};
    outer(s, t->rows, at_most(t->context - j, 16), 0);
  }
  for (int64_t i = 0; i < t->rows; i++) softmax_row(t->p + i * t->p_stride, t->length[i * t->length_stride], t->scale);
  tile_t v = {.a = t->p, .rs = t->p_stride, .cs = 1, .b = t->values, .ldb = t->d, .c = t->o, .ldc = t->o_stride, .k = shortest};
  outer(v, t->rows, t->d, 0);
  for (int64_t i = 0; i < t->rows; i++) {
    tile_t r = v;
    r.a += i * t->p_stride + shortest;
    r.b += shortest * t->d;
    r.c += i * t->o_stride;
    r.k = t->length[i * t->length_stride] - shortest;
    if (r.k > 0) outer(r, 1, t->d, 1);
  }
}

static int64_t attention_chunks(const op_t *o) { return (o->a[0] + QUERIES - 1) / QUERIES * o->a[2]; }
static int64_t attention_scratch(const op_t *o) {
  return o->out[1] ? 0 : 4 * at_least(TILE_ROWS, o->a[1] / o->a[2]) * round_up(o->a[4], 16);
}
static void attention_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t heads = o->a[1], groups = o->a[2], d = o->a[3], context = o->a[4], cache_rows = o->a[5], per = heads / groups;
  const int64_t g = chunk % groups, n0 = chunk / groups * QUERIES, n1 = at_most(n0 + QUERIES, o->a[0]);
  const int32_t *start = o->in[3], *length = o->in[4];
  for (int64_t n = n0, e; n < n1; n = e) {
    const int64_t s = start[n];
    int64_t lengths[TILE_ROWS]; /* read once: what was checked is what is used */
    for (e = n; e < n1 && e - n < TILE_ROWS && (e == n || start[e] == s); e++) {
      const int64_t l = lengths[e - n] = length[e];
      if (l < 1 || l > context || s < 0 || s % 16 || s + l > cache_rows) {
        atomic_store(o->error, 1);
        return;
      }
    }
    attend_t t = {.keys = (const float *)o->in[1] + (g * cache_rows + s) * d, .values = (const float *)o->in[2] + (g * cache_rows + s) * d,
                  .d = d, .context = context, .scale = op_float(o, 6)};
    memcpy(t.length, lengths, (size_t)(e - n) * sizeof *lengths);
    const float *q = (const float *)o->in[0] + (n * heads + g * per) * d;
    float *out = (float *)o->out[0] + (n * heads + g * per) * d, *p = o->out[1];
    if (p) p += (n * heads + g * per) * context;
    /* a block of keys is read whole: the cache has R % 16 = 0 rows, and scores past a row's length are thrown away */
    if (e - n == 1) {
      t.rows = per;
      t.q = q;
      t.q_stride = d;
      t.o = out;
      t.o_stride = d;
      t.p = p ? p : (float *)scratch;
      t.p_stride = p ? context : round_up(context, 16);
      attend(&t);
      continue;
    }
    for (int64_t h = 0; h < per; h++) {
      t.rows = e - n;
      t.length_stride = 1;
      t.q = q + h * d;
      t.q_stride = heads * d;
      t.o = out + h * d;
      t.o_stride = heads * d;
      t.p = p ? p + h * context : (float *)scratch;
      t.p_stride = p ? heads * context : round_up(context, 16);
      attend(&t);
    }
  }
}

/* ---- gradient: one sequence and one key head a chunk; queries in blocks, so that scratch stays small ---- */
enum { BLOCK = 96 };
static int64_t grad_stride(int64_t context) { return round_up(context, 16) + 16; }
static int64_t attentionGrad_chunks(const op_t *o) { return (o->a[0] + o->a[4] - 1) / o->a[4] * o->a[2]; }
static int64_t attentionGrad_scratch(const op_t *o) {
  return 4 * (round_up(o->a[4], 16) * o->a[3] + 2 * BLOCK * grad_stride(o->a[4]));
}

/* dst[j] += sum over i of w[i][j] * x[i], for keys j < i1, queries i0 <= i < i1, i >= j; w holds rows i - i0 */
static void scatter_block(const float *w, int64_t stride, const float *x, int64_t ldx, float *dst, int64_t ldd, int64_t d, int64_t i0, int64_t i1) {
  for (int64_t j0 = 0; j0 < i1; j0 += TILE_ROWS) {
    const int64_t rows = at_most(i1 - j0, TILE_ROWS);
    /* on the diagonal each key starts at its own query; from `from` on the tile is full */
    const int64_t from = at_least(at_most(j0 + rows, i1), i0);
    for (int64_t j = j0; j < j0 + rows; j++) {
      const int64_t first = at_least(j, i0);
      tile_t t = {.a = w + (first - i0) * stride + j, .rs = 1, .cs = stride, .b = x + first * ldx, .ldb = ldx, .c = dst + j * ldd, .ldc = ldd, .k = from - first};
      if (t.k > 0) outer(t, 1, d, 1);
    }
    tile_t t = {.a = w + (from - i0) * stride + j0, .rs = 1, .cs = stride, .b = x + from * ldx, .ldb = ldx, .c = dst + j0 * ldd, .ldc = ldd, .k = i1 - from};
    if (t.k > 0) outer(t, rows, d, 1);
  }
}

static void attentionGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t heads = o->a[1], groups = o->a[2], d = o->a[3], T = o->a[4], per = heads / groups, S = grad_stride(T);
  const int64_t b = chunk / groups, g = chunk % groups, hd = heads * d, gd = groups * d, blocks = round_up(T, 16);
  const float scale = op_float(o, 5);
  if ((b + 1) * T > o->a[0]) { /* not whole sequences */
    atomic_store(o->error, 1);
    return;
  }
  const float *k = (const float *)o->in[1] + b * T * gd + g * d, *v = (const float *)o->in[2] + b * T * gd + g * d;
  float *dk = (float *)o->out[1] + b * T * gd + g * d, *dv = (float *)o->out[2] + b * T * gd + g * d;
  float *vt = (float *)scratch, *ds = vt + blocks * d, *pb = ds + BLOCK * S;
  for (int64_t j = 0; j < blocks; j++)
    for (int64_t i = 0; i < d; i++) vt[(j / 16 * d + i) * 16 + j % 16] = j < T ? v[j * gd + i] : 0.0f;
  for (int64_t j = 0; j < T; j++) {
    memset(dk + j * gd, 0, 4 * (size_t)d);
    memset(dv + j * gd, 0, 4 * (size_t)d);
  }
  for (int64_t h = g * per; h < (g + 1) * per; h++) {
    const float *q = (const float *)o->in[0] + b * T * hd + h * d, *p = (const float *)o->in[3] + (b * T * heads + h) * T;
    const float *out = (const float *)o->in[4] + b * T * hd + h * d, *dout = (const float *)o->in[5] + b * T * hd + h * d;
    float *dq = (float *)o->out[0] + b * T * hd + h * d;
    for (int64_t i0 = 0; i0 < T; i0 += BLOCK) {
      const int64_t i1 = at_most(i0 + BLOCK, T);
      for (int64_t i = i0; i < i1; i += TILE_ROWS) {
        const int64_t rows = at_most(i1 - i, TILE_ROWS);
        float *w = ds + (i - i0) * S;
        for (int64_t j = 0; j < i + rows; j += 16) {
          tile_t t = {.a = dout + i * hd, .rs = hd, .cs = 1, .b = vt + j * d, .ldb = 16, .c = w + j, .ldc = S, .k = d};
          outer(t, rows, 16, 0);
        }
        for (int64_t r = i; r < i + rows; r++) {
          const v16 delta = f_set1(r2_dot(dout + r * hd, out + r * hd, d)), sv = f_set1(scale);
          const float *pr = p + r * heads * T;
          float *wr = ds + (r - i0) * S, *copy = pb + (r - i0) * S;
          for (int64_t j = 0; j <= r; j += 16) {
            const int n = (int)at_most(r + 1 - j, 16);
            const v16 pv = f_load_n(pr + j, n);
            f_store(copy + j, pv);
            f_store_n(wr + j, f_mul(f_mul(pv, f_sub(f_load(wr + j), delta)), sv), n);
          }
        }
        tile_t t = {.a = w, .rs = S, .cs = 1, .b = k, .ldb = gd, .c = dq + i * hd, .ldc = hd, .k = i + 1};
        outer(t, rows, d, 0);
        for (int64_t r = i + 1; r < i + rows; r++) {
          tile_t one = {.a = ds + (r - i0) * S + i + 1, .rs = S, .cs = 1, .b = k + (i + 1) * gd, .ldb = gd, .c = dq + r * hd, .ldc = hd, .k = r - i};
          outer(one, 1, d, 1);
        }
      }
      scatter_block(ds, S, q, hd, dk, gd, d, i0, i1);
      scatter_block(pb, S, dout, hd, dv, gd, d, i0, i1);
    }
  }
}
