/* Mixtures of experts: see src/ops/experts.ts. Rows are gathered by expert, so that each chosen matrix is read once for up to GATHER rows. */
enum { GATHER = 24, EXPERT_PANELS = 8 };

/* in place: softmax of n numbers, rule R2 */
static void softmax_small(float *x, int64_t n) {
  const float m = r2_max(x, n);
  for (int64_t i = 0; i < n; i += 16) {
    const int left = (int)at_most(n - i, 16);
    f_store_n(x + i, f_exp(f_sub(f_load_n(x + i, left), f_set1(m))), left);
  }
  const float inverse = 1.0f / r2_sum(x, n);
  for (int64_t i = 0; i < n; i++) x[i] = x[i] * inverse;
}

static int64_t topExperts_scratch(const op_t *o) { return 8 * round_up(ATTR(topExperts, E), 16); }
static void topExperts_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t E = ATTR(topExperts, E), k = ATTR(topExperts, k), gating = ATTR(topExperts, gating), per = rows_per_chunk(E), end = at_most((chunk + 1) * per, ATTR(topExperts, N));
  const float *bias = INPUT(topExperts, bias), scale = FLOAT(topExperts, scale);
  float *p = (float *)scratch, *s = p + round_up(E, 16);
  for (int64_t r = chunk * per; r < end; r++) {
    memcpy(p, (const float *)INPUT(topExperts, logits) + r * E, 4 * (size_t)E);
    if (gating == 0) softmax_small(p, E);
    if (gating == 1)
      for (int64_t i = 0; i < E; i += 16) {
        const int left = (int)at_most(E - i, 16);
        f_store_n(p + i, f_div(f_set1(1.0f), f_add(f_set1(1.0f), f_exp(f_neg(f_load_n(p + i, left))))), left);
      }
    for (int64_t e = 0; e < E; e++) {
      const float v = bias ? p[e] + bias[e] : p[e];
      s[e] = v != v ? -INFINITY : v;
    }
    int32_t *experts = (int32_t *)OUTPUT(topExperts, experts) + r * k;
    float *w = (float *)OUTPUT(topExperts, weights) + r * k;
    for (int64_t j = 0; j < k; j++) {
      int64_t best = -1;
      for (int64_t e = 0; e < E; e++) /* what is chosen is NaN */
        if (s[e] == s[e] && (best < 0 || s[e] > s[best])) best = e;
      experts[j] = (int32_t)best;
      w[j] = p[best];
      s[best] = NAN;
    }
    if (gating == 2) softmax_small(w, k);
    if (ATTR(topExperts, normalise)) {
      const float whole = r2_sum(w, k), least = 6.103515625e-5f, sum = whole > least ? whole : least;
      for (int64_t j = 0; j < k; j++) w[j] = w[j] / sum;
    }
    for (int64_t j = 0; j < k; j++) w[j] = w[j] * scale;
  }
}

static int64_t expert_panels(const op_t *o) { return (ATTR(expertMatmul, O) + PANEL - 1) / PANEL; }
static int64_t expertMatmul_chunks(const op_t *o) { return (expert_panels(o) + EXPERT_PANELS - 1) / EXPERT_PANELS * ATTR(expertMatmul, E); }
static int64_t expertMatmul_scratch(const op_t *o) {
  (void)o;
  return 4 * (KC * PANEL + GATHER * KC + GATHER * EXPERT_PANELS * PANEL);
}

/* `count` rows r[] of the expert by panels p0 .. p1-1 */
static void expert_rows(const op_t *o, int64_t e, const int64_t *r, int64_t count, int64_t p0, int64_t p1, float *scratch) {
  const int64_t k = ATTR(expertMatmul, k), K = ATTR(expertMatmul, K), O = ATTR(expertMatmul, O), layout = ATTR(expertMatmul, layout), once = ATTR(expertMatmul, U) == 1, all = expert_panels(o);
  const int half = layout >= 3 ? (int)layout - 2 : 0;
  const char *w = (const char *)INPUT(expertMatmul, w) + (layout == 1 ? e * O * K : e * all * K * PANEL) * (half ? 2 : 4);
  const float *x = INPUT(expertMatmul, x), *bias = INPUT(expertMatmul, bias);
  float *y = OUTPUT(expertMatmul, y), *panel = scratch, *a = panel + KC * PANEL, *c = a + GATHER * KC;
  const int few = layout >= 2 && count <= 2;
  if (few)
    for (int64_t i = 0; i < count; i++) few_rows(x + (once ? r[i] / k : r[i]) * K, 1, K, w, half, y + r[i] * O, O, p0, p1);
  for (int64_t k0 = 0; !few && k0 < K; k0 += KC) {
    const int64_t nk = at_most(K - k0, KC);
    for (int64_t i = 0; i < count; i++) memcpy(a + i * KC, x + (once ? r[i] / k : r[i]) * K + k0, 4 * (size_t)nk);
    for (int64_t p = p0; p < p1; p++) {
      const int64_t at = (p * K + k0) * PANEL;
      tile_t t = {.a = a, .rs = KC, .cs = 1, .b = panel, .ldb = PANEL, .c = c + (p - p0) * PANEL, .ldc = EXPERT_PANELS * PANEL, .k = nk};
      if (layout == 1) pack_panel((const float *)w, O, K, 1, p * PANEL, k0, nk, panel);
      else if (half) widen_panel((const uint16_t *)w + at, nk, half, panel);
      else t.b = (const float *)w + at;
      outer(t, count, PANEL, k0 > 0);
    }
  }
  const int64_t from = p0 * PANEL, width = at_most(p1 * PANEL, O) - from;
  for (int64_t i = 0; i < count; i++) {
    float *row = y + r[i] * O + from;
    if (!few) memmove(row, c + i * EXPERT_PANELS * PANEL, 4 * (size_t)width);
    for (int64_t j = 0; bias && j < width; j++) row[j] = row[j] + bias[e * O + from + j];
  }
}

static void expertMatmul_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t E = ATTR(expertMatmul, E), e = chunk % E, p0 = chunk / E * EXPERT_PANELS, p1 = at_most(p0 + EXPERT_PANELS, expert_panels(o));
  const int64_t rows = ATTR(expertMatmul, N) * ATTR(expertMatmul, k);
  const int32_t *experts = INPUT(expertMatmul, experts);
  int64_t list[GATHER], count = 0;
  for (int64_t r = 0; r < rows; r++) {
    const int64_t chosen = experts[r];
    if (chunk == 0 && !known_id(o, chosen, E)) return;
    if (chosen != e) continue;
    list[count++] = r;
    if (count < GATHER) continue;
    expert_rows(o, e, list, count, p0, p1, (float *)scratch);
    count = 0;
  }
  if (count) expert_rows(o, e, list, count, p0, p1, (float *)scratch);
}

static void expertSum_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t c = ATTR(expertSum, C), k = ATTR(expertSum, k), per = rows_per_chunk(c), end = at_most((chunk + 1) * per, ATTR(expertSum, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const float *y = (const float *)INPUT(expertSum, y) + r * k * c, *w = (const float *)INPUT(expertSum, weights) + r * k;
    for (int64_t i = 0; i < c; i += 16) {
      const int n = (int)at_most(c - i, 16);
      v16 acc = f_mul(f_set1(w[0]), f_load_n(y + i, n));
      for (int64_t j = 1; j < k; j++) acc = f_fma(f_set1(w[j]), f_load_n(y + j * c + i, n), acc);
      f_store_n((float *)OUTPUT(expertSum, z) + r * c + i, acc, n);
    }
  }
}
