/*
 * Gradients of attention over whole sequences: a chunk is one sequence and one key head; queries go in blocks, so that
 * scratch stays small.
 */
enum { BLOCK = 96 };
static int64_t grad_stride(int64_t context) { return round_up(context, 16) + 16; }
static int64_t attentionGrad_chunks(const op_t *o) {
  return (ATTR(attentionGrad, N) + ATTR(attentionGrad, T) - 1) / ATTR(attentionGrad, T) * ATTR(attentionGrad, G);
}
static int64_t attentionGrad_scratch(const op_t *o) {
  const int64_t copies = FLOAT(attentionGrad, softcap) > 0 ? 2 : 1;
  return 4 * (copies * round_up(ATTR(attentionGrad, T), 16) * ATTR(attentionGrad, D) +
              2 * BLOCK * grad_stride(ATTR(attentionGrad, T)));
}

/* dst[j] += sum over i of w[i][j] * x[i], for keys j < i1, queries i0 <= i < i1, i >= j; w holds rows i - i0 */
static void scatter_block(const float *w, int64_t stride, const float *x, int64_t ldx, float *dst, int64_t ldd,
                          int64_t d, int64_t i0, int64_t i1) {
  for (int64_t j0 = 0; j0 < i1; j0 += TILE_ROWS) {
    const int64_t rows = at_most(i1 - j0, TILE_ROWS);
    /* on the diagonal each key starts at its own query; from `from` on the tile is full */
    const int64_t from = at_least(at_most(j0 + rows, i1), i0);
    for (int64_t j = j0; j < j0 + rows; j++) {
      const int64_t first = at_least(j, i0);
      tile_t t = {.a = w + (first - i0) * stride + j,
                  .rs = 1,
                  .cs = stride,
                  .b = x + first * ldx,
                  .ldb = ldx,
                  .c = dst + j * ldd,
                  .ldc = ldd,
                  .k = from - first};
      if (t.k > 0) outer(t, 1, d, 1);
    }
    tile_t t = {.a = w + (from - i0) * stride + j0,
                .rs = 1,
                .cs = stride,
                .b = x + from * ldx,
                .ldb = ldx,
                .c = dst + j0 * ldd,
                .ldc = ldd,
                .k = i1 - from};
    if (t.k > 0) outer(t, rows, d, 1);
  }
}

static void attentionGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t heads = ATTR(attentionGrad, H), groups = ATTR(attentionGrad, G), d = ATTR(attentionGrad, D),
                T = ATTR(attentionGrad, T), per = heads / groups, S = grad_stride(T);
  const int64_t b = chunk / groups, g = chunk % groups, hd = heads * d, gd = groups * d, blocks = round_up(T, 16);
  const float scale = FLOAT(attentionGrad, scale), softcap = FLOAT(attentionGrad, softcap);
  if ((b + 1) * T > ATTR(attentionGrad, N)) { /* not whole sequences */
    atomic_store(o->error, 1);
    return;
  }
  const float *k = (const float *)INPUT(attentionGrad, k) + b * T * gd + g * d,
              *v = (const float *)INPUT(attentionGrad, v) + b * T * gd + g * d;
  float *dk = (float *)OUTPUT(attentionGrad, dk) + b * T * gd + g * d,
        *dv = (float *)OUTPUT(attentionGrad, dv) + b * T * gd + g * d;
  float *vt = (float *)scratch, *ds = vt + blocks * d, *pb = ds + BLOCK * S, *kt = pb + BLOCK * S;
  for (int64_t j = 0; j < blocks; j++)
    for (int64_t i = 0; i < d; i++) {
      vt[(j / 16 * d + i) * 16 + j % 16] = j < T ? v[j * gd + i] : 0.0f;
      if (softcap > 0) kt[(j / 16 * d + i) * 16 + j % 16] = j < T ? k[j * gd + i] : 0.0f;
    }
  for (int64_t j = 0; j < T; j++) {
    memset(dk + j * gd, 0, 4 * (size_t)d);
    memset(dv + j * gd, 0, 4 * (size_t)d);
  }
  for (int64_t h = g * per; h < (g + 1) * per; h++) {
    const float *q = (const float *)INPUT(attentionGrad, q) + b * T * hd + h * d,
                *p = (const float *)INPUT(attentionGrad, p) + (b * T * heads + h) * T;
    const float *out = (const float *)INPUT(attentionGrad, o) + b * T * hd + h * d,
                *dout = (const float *)INPUT(attentionGrad, dO) + b * T * hd + h * d;
    float *dq = (float *)OUTPUT(attentionGrad, dq) + b * T * hd + h * d;
    for (int64_t i0 = 0; i0 < T; i0 += BLOCK) {
      const int64_t i1 = at_most(i0 + BLOCK, T);
      for (int64_t i = i0; i < i1; i += TILE_ROWS) {
        const int64_t rows = at_most(i1 - i, TILE_ROWS);
        float *w = ds + (i - i0) * S;
        for (int64_t j = 0; j < i + rows; j += 16) {
          tile_t t = {.a = dout + i * hd, .rs = hd, .cs = 1, .b = vt + j * d, .ldb = 16, .c = w + j, .ldc = S, .k = d};
          outer(t, rows, 16, 0);
          tile_t scores = {.a = q + i * hd,
                           .rs = hd,
                           .cs = 1,
                           .b = kt + j * d,
                           .ldb = 16,
                           .c = pb + (i - i0) * S + j,
                           .ldc = S,
                           .k = d};
          if (softcap > 0) outer(scores, rows, 16, 0);
        }
        const v16 cap = f_set1(softcap);
        for (int64_t r = i; r < i + rows; r++) {
          const v16 delta = f_set1(r2_dot(dout + r * hd, out + r * hd, d)), sv = f_set1(scale);
          const float *pr = p + r * heads * T;
          float *wr = ds + (r - i0) * S, *copy = pb + (r - i0) * S;
          for (int64_t j = 0; j <= r; j += 16) {
            const int n = (int)at_most(r + 1 - j, 16);
            const v16 pv = f_load_n(pr + j, n);
            v16 w1 = f_mul(pv, f_sub(f_load(wr + j), delta));
            if (softcap > 0) {
              const v16 th = f_tanh(f_div(f_mul(f_load(copy + j), sv), cap));
              w1 = f_mul(w1, f_sub(f_set1(1.0f), f_mul(th, th)));
            }
            f_store(copy + j, pv);
            f_store_n(wr + j, f_mul(w1, sv), n);
          }
        }
        tile_t t = {.a = w, .rs = S, .cs = 1, .b = k, .ldb = gd, .c = dq + i * hd, .ldc = hd, .k = i + 1};
        outer(t, rows, d, 0);
        for (int64_t r = i + 1; r < i + rows; r++) {
          tile_t one = {.a = ds + (r - i0) * S + i + 1,
                        .rs = S,
                        .cs = 1,
                        .b = k + (i + 1) * gd,
                        .ldb = gd,
                        .c = dq + r * hd,
                        .ldc = hd,
                        .k = r - i};
          outer(one, 1, d, 1);
        }
      }
      scatter_block(ds, S, q, hd, dk, gd, d, i0, i1);
      scatter_block(pb, S, dout, hd, dv, gd, d, i0, i1);
    }
  }
}

static int64_t attentionSinkGrad_chunks(const op_t *o) { return ATTR(attentionSinkGrad, H); }
static void attentionSinkGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t heads = ATTR(attentionSinkGrad, H), d = ATTR(attentionSinkGrad, D);
  const float *out = INPUT(attentionSinkGrad, o), *dout = INPUT(attentionSinkGrad, dO),
              *rest = INPUT(attentionSinkGrad, rest);
  v16 acc = f_zero();
  for (int64_t n = 0; n < ATTR(attentionSinkGrad, N); n++) {
    const int64_t row = n * heads + chunk;
    acc = f_fma(f_neg(f_set1(rest[row])), f_set1(r2_dot(dout + row * d, out + row * d, d)), acc);
  }
  f_store_n((float *)OUTPUT(attentionSinkGrad, dsinks) + chunk, acc, 1);
}
