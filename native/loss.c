/* Cross entropy over the vocabulary, one row at a time, and means. */
static void crossEntropy_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t v = ATTR(crossEntropy, V), per = rows_per_chunk(v),
                end = at_most((chunk + 1) * per, ATTR(crossEntropy, N));
  const int32_t *targets = INPUT(crossEntropy, targets);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(crossEntropy, logits) + r * v;
    float *stats = (float *)OUTPUT(crossEntropy, stats) + r * 2, *loss = (float *)OUTPUT(crossEntropy, loss) + r;
    const float m = r2_max(x, v);
    v16 l = f_zero(), mv = f_set1(m);
    int64_t i = 0;
    for (; i + 16 <= v; i += 16) l = f_add(l, f_exp(f_sub(f_load(x + i), mv)));
    if (i < v) {
      float e[16] = {0};
      f_store_n(e, f_exp(f_sub(f_load_n(x + i, (int)(v - i)), mv)), (int)(v - i));
      l = f_add(l, f_load(e));
    }
    const float sum = f_hsum(l);
    stats[0] = m;
    stats[1] = 1.0f / sum;
    const int64_t t = targets[r];
    if (t < -1 || t >= v) {
      atomic_store(o->error, 1);
      continue;
    }
    *loss = t < 0 ? 0.0f : log_1(sum) - (x[t] - m);
  }
}

static void crossEntropyGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t v = ATTR(crossEntropyGrad, V), per = rows_per_chunk(v),
                end = at_most((chunk + 1) * per, ATTR(crossEntropyGrad, N));
  const int32_t *targets = INPUT(crossEntropyGrad, targets);
  for (int64_t r = chunk * per; r < end; r++) {
    const float *x = (const float *)INPUT(crossEntropyGrad, logits) + r * v,
                *stats = (const float *)INPUT(crossEntropyGrad, stats) + r * 2;
    float *dx = (float *)OUTPUT(crossEntropyGrad, dlogits) + r * v;
    const int32_t t = targets[r];
    if (t < -1 || t >= v) {
      atomic_store(o->error, 1);
      continue;
    }
    if (t < 0) {
      memset(dx, 0, 4 * (size_t)v);
      continue;
    }
    const float d = ((const float *)INPUT(crossEntropyGrad, dloss))[r];
    const v16 m = f_set1(stats[0]), inverse = f_set1(stats[1]), dv = f_set1(d);
    for (int64_t i = 0; i < v; i += 16) {
      const int n = (int)at_most(v - i, 16);
      v16 p = f_mul(f_exp(f_sub(f_load_n(x + i, n), m)), inverse);
      f_store_n(dx + i, f_mul(p, dv), n);
    }
    dx[t] = (exp_1(x[t] - stats[0]) * stats[1] - 1.0f) * d;
  }
}

static int64_t one_chunk(const op_t *o) {
  (void)o;
  return 1;
}
static void mean_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)chunk;
  (void)scratch;
  *(float *)OUTPUT(mean, y) = r2_sum(INPUT(mean, x), ATTR(mean, N)) / (float)ATTR(mean, N);
}
static void meanGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)chunk;
  (void)scratch;
  const float d = *(const float *)INPUT(meanGrad, dy) / (float)ATTR(meanGrad, N);
  for (int64_t i = 0; i < ATTR(meanGrad, N); i++) ((float *)OUTPUT(meanGrad, dx))[i] = d;
}
