/* Mixture of experts. The choice of experts is cheap and plain. Products are grouped by expert: a chunk is one expert
 * and some of its columns, and gathers the rows that chose it in blocks, so that a matrix is read once per block. */
enum { CHOICE_ROWS = 8, EXPERT_ROWS = 96, EXPERT_COLUMNS = 64 };
#define LEAST_SUM 6.103515625e-5f

/* in place: the softmax of attention over n numbers */
static void plain_softmax(float *p, int64_t n) {
  const attend_t t = {.p = p, .scale = 1.0f};
  softmax_row(&t, 0, 0, n);
}

static int64_t topExperts_chunks(const op_t *o) { return (ROWS(o) + CHOICE_ROWS - 1) / CHOICE_ROWS; }
static int64_t topExperts_scratch(const op_t *o) { return 4 * 4 * round_up(WIDTH(o), 16); }

/* probabilities of all experts; the logits themselves where the chosen alone have probabilities */
static void gates(const float *logits, int64_t n, int64_t gating, float *p) {
  memcpy(p, logits, 4 * (size_t)n);
  if (gating == 0) plain_softmax(p, n);
  if (gating != 1) return;
  const v16 one = f_set1(1.0f);
  for (int64_t i = 0; i < n; i += 16) {
    const int left = (int)at_most(n - i, 16);
    f_store_n(p + i, f_div(one, f_add(one, f_exp(f_neg(f_load_n(p + i, left))))), left);
  }
}

/* whether a comes before b in descending order; NaN comes last */
static int above(float a, float b) { return a > b || (a == a && b != b); }

static float chain_sum(const float *x, int64_t n) {
  float s = 0.0f;
  for (int64_t i = 0; i < n; i++) s = s + x[i];
  return s;
}

static void topExperts_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t e = ATTR(topExperts, E), k = ATTR(topExperts, k), gating = ATTR(topExperts, gating),
                width = round_up(e, 16);
  const int64_t end = at_most((chunk + 1) * CHOICE_ROWS, ATTR(topExperts, N));
  const float *bias = INPUT(topExperts, bias), scale = FLOAT(topExperts, scale);
  float *p = (float *)scratch, *rank = p + width, *q = rank + width, *taken = q + width;
  for (int64_t n = chunk * CHOICE_ROWS; n < end; n++) {
    int32_t *experts = (int32_t *)OUTPUT(topExperts, experts) + n * k;
    float *weights = (float *)OUTPUT(topExperts, weights) + n * k;
    gates((const float *)INPUT(topExperts, logits) + n * e, e, gating, p);
    for (int64_t i = 0; i < e; i++) rank[i] = bias ? p[i] + bias[i] : p[i];
    memset(taken, 0, 4 * (size_t)e);
    for (int64_t r = 0; r < k; r++) {
      int64_t best = -1;
      for (int64_t i = 0; i < e; i++)
        if (taken[i] == 0.0f && (best < 0 || above(rank[i], rank[best]))) best = i;
      taken[best] = 1.0f;
      experts[r] = (int32_t)best;
      q[r] = p[best];
    }
    if (gating == 2) plain_softmax(q, k);
    const float sum = chain_sum(q, k), by = !ATTR(topExperts, normalise) ? 1.0f : sum > LEAST_SUM ? sum : LEAST_SUM;
    for (int64_t r = 0; r < k; r++) weights[r] = (q[r] / by) * scale;
  }
}

INLINE float fma_1(float a, float b, float c) {
  float y[16];
  f_store(y, f_fma(f_set1(a), f_set1(b), f_set1(c)));
  return y[0];
}

static void topExpertsGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t e = ATTR(topExpertsGrad, E), k = ATTR(topExpertsGrad, k), gating = ATTR(topExpertsGrad, gating),
                width = round_up(e, 16);
  const int64_t end = at_most((chunk + 1) * CHOICE_ROWS, ATTR(topExpertsGrad, N));
  float *p = (float *)scratch, *q = p + width, *d = q + width;
  for (int64_t n = chunk * CHOICE_ROWS; n < end; n++) {
    const int32_t *experts = (const int32_t *)INPUT(topExpertsGrad, experts) + n * k;
    const float *dweights = (const float *)INPUT(topExpertsGrad, dweights) + n * k;
    float *dlogits = (float *)OUTPUT(topExpertsGrad, dlogits) + n * e;
    gates((const float *)INPUT(topExpertsGrad, logits) + n * e, e, gating, p);
    for (int64_t r = 0; r < k; r++) {
      const int64_t id = experts[r];
      if (!known_id(o, id, e)) return;
      q[r] = p[id];
      d[r] = dweights[r] * FLOAT(topExpertsGrad, scale);
    }
    if (gating == 2) plain_softmax(q, k);
    if (ATTR(topExpertsGrad, normalise)) {
      const float sum = chain_sum(q, k), by = sum > LEAST_SUM ? sum : LEAST_SUM;
      float mean = 0.0f;
      if (sum > LEAST_SUM)
        for (int64_t r = 0; r < k; r++) mean = fma_1(d[r], q[r] / by, mean);
      for (int64_t r = 0; r < k; r++) d[r] = (d[r] - mean) / by;
    }
    float c = 0.0f;
    for (int64_t r = 0; r < k; r++) c = fma_1(d[r], q[r], c);
    for (int64_t i = 0; i < e; i++) dlogits[i] = gating == 0 ? p[i] * (0.0f - c) : 0.0f;
    for (int64_t r = 0; r < k; r++) {
      const int64_t id = experts[r];
      if (!known_id(o, id, e)) return; /* read again: tensors of a plan may overlap */
      dlogits[id] = gating == 1 ? (d[r] * q[r]) * (1.0f - q[r]) : q[r] * (d[r] - c);
    }
  }
}

static void expertSum_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t c = ATTR(expertSum, C), k = ATTR(expertSum, k), per = rows_per_chunk(c),
                end = at_most((chunk + 1) * per, ATTR(expertSum, N));
  const float *weights = INPUT(expertSum, weights);
  for (int64_t n = chunk * per; n < end; n++) {
    const float *y = (const float *)INPUT(expertSum, y) + n * k * c, *w = weights ? weights + n * k : NULL;
    float *z = (float *)OUTPUT(expertSum, z) + n * c;
    for (int64_t i = 0; i < c; i += 16) {
      const int left = (int)at_most(c - i, 16);
      v16 acc = f_load_n(y + i, left);
      if (w) acc = f_mul(f_set1(w[0]), acc);
      for (int64_t r = 1; r < k; r++) {
        const v16 v = f_load_n(y + r * c + i, left);
        acc = w ? f_fma(f_set1(w[r]), v, acc) : f_add(acc, v);
      }
      f_store_n(z + i, acc, left);
    }
  }
}

static void expertSumGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t c = ATTR(expertSumGrad, C), k = ATTR(expertSumGrad, k), per = rows_per_chunk(c),
                end = at_most((chunk + 1) * per, ATTR(expertSumGrad, N));
  const float *weights = INPUT(expertSumGrad, weights), *y = INPUT(expertSumGrad, y);
  float *dweights = OUTPUT(expertSumGrad, dweights);
  for (int64_t i = chunk * per * k; i < end * k; i++) {
    const float *dz = (const float *)INPUT(expertSumGrad, dz) + i / k * c;
    float *dy = (float *)OUTPUT(expertSumGrad, dy) + i * c;
    if (weights) dweights[i] = r2_dot(y + i * c, dz, c);
    for (int64_t j = 0; j < c; j += 16) {
      const int left = (int)at_most(c - j, 16);
      const v16 v = f_load_n(dz + j, left);
      f_store_n(dy + j, weights ? f_mul(f_set1(weights[i]), v) : v, left);
    }
  }
}

/* The next rows, at most EXPERT_ROWS, that chose an expert: which of the N * k they are. Looks on from *from. */
static int64_t rows_of_expert(const op_t *o, const int32_t *experts, int64_t n, int64_t count, int64_t expert,
                              int64_t *from, int64_t *rows) {
  int64_t found = 0, i = *from;
  for (; i < n && found < EXPERT_ROWS; i++) {
    const int64_t id = experts[i];
    if (id == expert)
      rows[found++] = i;
    else if (id < 0 || id >= count)
      atomic_store(o->error, 1);
  }
  *from = i;
  return found;
}

/* parts of a row of panels: enough chunks for all threads, however few experts there are */
static int64_t expert_parts(const op_t *o) {
  const int64_t active = at_least(at_most(ATTR(expertMatmul, E), ATTR(expertMatmul, N) * ATTR(expertMatmul, k)), 1);
  const int64_t panels = (ATTR(expertMatmul, O) + PANEL - 1) / PANEL;
  return o->threads > 1 ? at_most((16 * o->threads + active - 1) / active, panels) : 1;
}
static int64_t expert_rows(const op_t *o) {
  return at_most(ATTR(expertMatmul, N) * ATTR(expertMatmul, k), EXPERT_ROWS);
}
static int64_t expertMatmul_chunks(const op_t *o) { return ATTR(expertMatmul, E) * expert_parts(o); }
static int64_t expertMatmul_scratch(const op_t *o) {
  const int64_t rows = expert_rows(o);
  return 4 * (KC * PANEL + rows * (PANEL + ATTR(expertMatmul, K)) + 2 * ATTR(expertMatmul, O));
}

static void expertMatmul_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t n = ATTR(expertMatmul, O), kk = ATTR(expertMatmul, K), k = ATTR(expertMatmul, k),
                all = ATTR(expertMatmul, N) * k;
  const int64_t count = ATTR(expertMatmul, E), parts = expert_parts(o), expert = chunk / parts,
                panels = (n + PANEL - 1) / PANEL;
  const int64_t per = (panels + parts - 1) / parts, p0 = chunk % parts * per, p1 = at_most(p0 + per, panels);
  const int layout = (int)ATTR(expertMatmul, layoutB), half = layout >= 3 ? layout - 2 : WHOLE;
  const int64_t size = (layout >= 2 ? panels * PANEL : n) * kk, most = expert_rows(o);
  const char *w = (const char *)INPUT(expertMatmul, w) + expert * size * (half ? 2 : 4);
  const float *x = INPUT(expertMatmul, x);
  float *y = OUTPUT(expertMatmul, y), *panel = (float *)scratch, *c = panel + KC * PANEL, *a = c + most * PANEL,
        *two = a + most * kk;
  int64_t rows[EXPERT_ROWS], from = 0;
#define X_ROW(i) (x + (ATTR(expertMatmul, shared) ? rows[i] / k : rows[i]) * kk)
  for (;;) {
    const int64_t found = rows_of_expert(o, INPUT(expertMatmul, experts), all, count, expert, &from, rows);
    if (!found) return;
    if (layout >= 2 && found == 1) {
      few_rows(X_ROW(0), 1, kk, w, half, y + rows[0] * n, n, p0, p1);
      continue;
    }
    for (int64_t i = 0; i < found; i++) memcpy(a + i * kk, X_ROW(i), 4 * (size_t)kk);
    if (layout >= 2 && found == 2) {
      few_rows(a, 2, kk, w, half, two, n, p0, p1);
      const int64_t j = p0 * PANEL, end = at_most(p1 * PANEL, n);
      for (int64_t i = 0; i < 2 && j < end; i++) memcpy(y + rows[i] * n + j, two + i * n + j, 4 * (size_t)(end - j));
      continue;
    }
    for (int64_t p = p0; p < p1; p++) {
      const int64_t width = at_most(n - p * PANEL, PANEL);
      for (int64_t k0 = 0; k0 < kk; k0 += KC) {
        const int64_t nk = at_most(kk - k0, KC), at = (p * kk + k0) * PANEL;
        tile_t t = {.a = a + k0, .rs = kk, .cs = 1, .b = panel, .ldb = PANEL, .c = c, .ldc = PANEL, .k = nk};
        if (layout == 2)
          t.b = (const float *)w + at;
        else if (half)
          widen_panel((const uint16_t *)w + at, half, nk, panel);
        else
          pack_panel((const float *)w, n, kk, layout, p * PANEL, k0, nk, panel);
        outer(t, found, width, k0 > 0);
      }
      for (int64_t i = 0; i < found; i++) memcpy(y + rows[i] * n + p * PANEL, c + i * PANEL, 4 * (size_t)width);
    }
  }
#undef X_ROW
}

/* Gradient by the matrices: an expert and some of its outputs a chunk; rows ascend. */
static int64_t expert_blocks(const op_t *o) {
  return (ATTR(expertMatmulGrad, O) + EXPERT_COLUMNS - 1) / EXPERT_COLUMNS;
}
static int64_t expertMatmulGrad_chunks(const op_t *o) { return ATTR(expertMatmulGrad, E) * expert_blocks(o); }
static int64_t expertMatmulGrad_scratch(const op_t *o) {
  return 4 * EXPERT_ROWS * (EXPERT_COLUMNS + ATTR(expertMatmulGrad, K));
}
static void expertMatmulGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t n = ATTR(expertMatmulGrad, O), kk = ATTR(expertMatmulGrad, K), k = ATTR(expertMatmulGrad, k),
                all = ATTR(expertMatmulGrad, N) * k;
  const int64_t blocks = expert_blocks(o), expert = chunk / blocks, j0 = chunk % blocks * EXPERT_COLUMNS,
                width = at_most(n - j0, EXPERT_COLUMNS);
  const float *x = INPUT(expertMatmulGrad, x), *dy = INPUT(expertMatmulGrad, dy);
  float *dw = (float *)OUTPUT(expertMatmulGrad, dw) + (expert * n + j0) * kk, *a = (float *)scratch,
        *b = a + EXPERT_ROWS * EXPERT_COLUMNS;
  int64_t rows[EXPERT_ROWS], from = 0;
  for (int load = 0;; load = 1) {
    const int64_t found =
        rows_of_expert(o, INPUT(expertMatmulGrad, experts), all, ATTR(expertMatmulGrad, E), expert, &from, rows);
    if (!found && !load) memset(dw, 0, 4 * (size_t)(width * kk));
    if (!found) return;
    for (int64_t i = 0; i < found; i++) {
      memcpy(a + i * EXPERT_COLUMNS, dy + rows[i] * n + j0, 4 * (size_t)width);
      memcpy(b + i * kk, x + (ATTR(expertMatmulGrad, shared) ? rows[i] / k : rows[i]) * kk, 4 * (size_t)kk);
    }
    tile_t t = {.a = a, .rs = 1, .cs = EXPERT_COLUMNS, .b = b, .ldb = kk, .c = dw, .ldc = kk, .k = found};
    outer(t, width, kk, load);
  }
}
