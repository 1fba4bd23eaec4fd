/* Rotary position embedding: halves of each head turned by the angles of its position. Angles come from tables. */
static int64_t rope_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(rope, H) * ATTR(rope, D));
  return (ATTR(rope, N) + per - 1) / per;
}
static void rope_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t heads = ATTR(rope, H), d = ATTR(rope, D), turned = ATTR(rope, R), half = turned / 2,
                per = rows_per_chunk(heads * d), end = at_most((chunk + 1) * per, ATTR(rope, N));
  const int32_t *positions = INPUT(rope, positions);
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t position = positions[r];
    if (position < 0 || position >= ATTR(rope, T)) {
      atomic_store(o->error, 1);
      continue;
    }
    const float *c = (const float *)INPUT(rope, cos) + position * half,
                *s = (const float *)INPUT(rope, sin) + position * half;
    for (int64_t h = 0; h < heads; h++) {
      const float *x = (const float *)INPUT(rope, x) + (r * heads + h) * d;
      float *y = (float *)OUTPUT(rope, y) + (r * heads + h) * d;
      for (int64_t i = 0; i < half; i += 16) {
        const int n = (int)at_most(half - i, 16);
        v16 cv = f_load_n(c + i, n), sv = f_load_n(s + i, n), x0 = f_load_n(x + i, n), x1 = f_load_n(x + half + i, n);
        if (ATTR(rope, inverse)) sv = f_neg(sv);
        f_store_n(y + i, f_fma(f_neg(x1), sv, f_mul(x0, cv)), n);
        f_store_n(y + half + i, f_fma(x0, sv, f_mul(x1, cv)), n);
      }
      memmove(y + turned, x + turned, 4 * (size_t)(d - turned));
    }
  }
}
