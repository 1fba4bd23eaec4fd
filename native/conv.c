/*
 * The short causal convolution. A chunk is a block of channels and a run of rows; its weights are transposed first, so
 * that the channels of a tap are neighbours. Earlier positions lie in pages of 16 rows, as the values of one head of
 * attention.
 */
enum { CONV_CHANNELS = 64, CONV_ROWS = 64 };

static int64_t conv_blocks(int64_t c) { return (c + CONV_CHANNELS - 1) / CONV_CHANNELS; }
static int64_t shortConv_chunks(const op_t *o) {
  return conv_blocks(ATTR(shortConv, C)) * ((ATTR(shortConv, N) + CONV_ROWS - 1) / CONV_ROWS);
}
static int64_t shortConv_scratch(const op_t *o) { return 4 * CONV_CHANNELS * ATTR(shortConv, L); }

/* w[c][j] of the channels of a block as t[j][channel] */
static void conv_weights(const float *w, int64_t taps, int64_t channels, float *t) {
  for (int64_t i = 0; i < channels; i++)
    for (int64_t j = 0; j < taps; j++) t[j * CONV_CHANNELS + i] = w[i * taps + j];
}

static void shortConv_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t c = ATTR(shortConv, C), taps = ATTR(shortConv, L), context = ATTR(shortConv, T),
                width = (context + 15) / 16;
  const int64_t blocks = conv_blocks(c), c0 = chunk % blocks * CONV_CHANNELS, channels = at_most(c - c0, CONV_CHANNELS);
  const int64_t n0 = chunk / blocks * CONV_ROWS, n1 = at_most(n0 + CONV_ROWS, ATTR(shortConv, N));
  const int32_t *pages = INPUT(shortConv, pages), *sequence = INPUT(shortConv, sequence),
                *length = INPUT(shortConv, length);
  const float *values = (const float *)INPUT(shortConv, values) + c0;
  float *t = (float *)scratch;
  conv_weights((const float *)INPUT(shortConv, w) + c0 * taps, taps, channels, t);
  for (int64_t n = n0; n < n1; n++) {
    const int64_t s = sequence[n], l = length[n];
    if (l < 1 || l > context || s < 0 || s >= ATTR(shortConv, S)) {
      atomic_store(o->error, 1);
      return;
    }
    v16 acc[CONV_CHANNELS / 16];
    for (int v = 0; v < CONV_CHANNELS / 16; v++) acc[v] = f_zero();
    for (int64_t p = at_least(l - taps, 0); p < l; p++) {
      const int64_t page = pages[s * width + p / 16];
      if (page < 0 || page >= ATTR(shortConv, R) / 16) {
        atomic_store(o->error, 1);
        return;
      }
      const float *u = values + (page * 16 + p % 16) * c, *w = t + (taps - l + p) * CONV_CHANNELS;
      for (int64_t i = 0; i < channels; i += 16) {
        const int k = (int)at_most(channels - i, 16);
        acc[i / 16] = f_fma(f_load_n(w + i, k), f_load_n(u + i, k), acc[i / 16]);
      }
    }
    float *y = (float *)OUTPUT(shortConv, y) + n * c + c0;
    for (int64_t i = 0; i < channels; i += 16) f_store_n(y + i, acc[i / 16], (int)at_most(channels - i, 16));
  }
}

/* Gradient: one block of channels a chunk, over all rows, so that dw adds up in order. */
static int64_t shortConvGrad_chunks(const op_t *o) { return conv_blocks(ATTR(shortConvGrad, C)); }
static int64_t shortConvGrad_scratch(const op_t *o) { return 2 * 4 * CONV_CHANNELS * ATTR(shortConvGrad, L); }
static void shortConvGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t rows = ATTR(shortConvGrad, N), c = ATTR(shortConvGrad, C), taps = ATTR(shortConvGrad, L),
                context = ATTR(shortConvGrad, T);
  const int64_t c0 = chunk * CONV_CHANNELS, channels = at_most(c - c0, CONV_CHANNELS);
  const float *x = (const float *)INPUT(shortConvGrad, x) + c0, *dy = (const float *)INPUT(shortConvGrad, dy) + c0;
  float *dx = (float *)OUTPUT(shortConvGrad, dx) + c0, *dw = (float *)OUTPUT(shortConvGrad, dw) + c0 * taps;
  float *t = (float *)scratch, *sum = t + CONV_CHANNELS * taps;
  if (rows % context) { /* not whole sequences */
    atomic_store(o->error, 1);
    return;
  }
  conv_weights((const float *)INPUT(shortConvGrad, w) + c0 * taps, taps, channels, t);
  memset(sum, 0, 4 * CONV_CHANNELS * (size_t)taps);
  for (int64_t n = 0; n < rows; n++) {
    const int64_t later = at_most(taps - 1, context - 1 - n % context), earlier = at_most(taps - 1, n % context);
    for (int64_t i = 0; i < channels; i += 16) {
      const int k = (int)at_most(channels - i, 16);
      v16 acc = f_zero();
      for (int64_t m = 0; m <= later; m++)
        acc = f_fma(f_load_n(t + (taps - 1 - m) * CONV_CHANNELS + i, k), f_load_n(dy + (n + m) * c + i, k), acc);
      f_store_n(dx + n * c + i, acc, k);
      const v16 d = f_load_n(dy + n * c + i, k);
      for (int64_t m = 0; m <= earlier; m++) {
        float *s = sum + (taps - 1 - m) * CONV_CHANNELS + i;
        f_store(s, f_fma(d, f_load_n(x + (n - m) * c + i, k), f_load(s)));
      }
    }
  }
  for (int64_t i = 0; i < channels; i++)
    for (int64_t j = 0; j < taps; j++) dw[i * taps + j] = sum[j * CONV_CHANNELS + i];
}
