/* Products of a few rows with block-quantised weights: codes go from memory through registers into products. A lane of
 * a vector is one output, so no sum is ever split. */
enum { BLOCK_AHEAD = 4096 }; /* bytes of codes that are asked for early */

#if STREAM_ROWS > 0
/* where multiplying codes by scales is faster */
#if defined(WORD_SUMS)
#define STREAM_MULTIPLIED(type, rows) 0
#else
#define STREAM_MULTIPLIED(type, rows) (block_sizes[type].joined && (rows) >= 4)
#endif

/*
 * sum[r] += codes of steps first .. first + steps - 1 . rows of 32 inputs each; where products add up in 16 bits,
 * sum[r] is the start of such a sum
 */
INLINE void stream_dots(v16i *sum, const int type, const int multiplied, const uint8_t *codes, const multiplier_t *m,
                        const int8_t *q, const int first, const int steps, const int rows) {
#if defined(WORD_SUMS)
  if (block_steps(type, multiplied) > 1) {
    const int at_once = block_steps(type, multiplied);
#pragma GCC unroll 2
    for (int s0 = first; s0 < first + steps; s0 += at_once) {
      v16p part[STREAM_ROWS];
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) part[r] = s0 == first ? sum[r] : p_zero();
#pragma GCC unroll 8
      for (int s = s0; s < s0 + at_once; s++) {
        const v16i c = block_codes(type, codes, s);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) part[r] = p_dot4(part[r], c, q + 32 * r + 4 * s);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) sum[r] = s0 == first ? p_widen(part[r]) : p_add(sum[r], part[r]);
    }
    return;
  }
#endif
  /* with few rows two sums each, so that a product waits less for the one before */
  const int twice = rows <= 2;
  v16i other[2];
  if (twice)
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) other[r] = i_zero();
#pragma GCC unroll 8
  for (int s = first; s < first + steps; s++) {
    v16i c = block_codes(type, codes, s);
    if (multiplied) c = multiply_codes(type, c, m[s / 4]);
#if defined(WORD_SUMS)
    const v16i magnitudes = i_abs8(c);
#endif
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      v16i *to = twice && s % 2 ? &other[r % 2] : &sum[r];
#if defined(WORD_SUMS)
      *to = i_dot_signed(*to, c, magnitudes, q + 32 * r + 4 * s);
#else
      *to = i_dot4(*to, c, q + 32 * r + 4 * s);
#endif
    }
  }
  if (twice)
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) sum[r] = i_add(sum[r], other[r]);
}

/* 16 outputs of `rows` rows, prepared from the first input to the last */
INLINE void stream_body(const int type, const int rows, const uint8_t *panel, const char *x, int64_t k, float *y) {
  const block_size size = block_sizes[type];
  const int multiplied = STREAM_MULTIPLIED(type, rows), groups = block_groups(type, multiplied);
  const int tail_size = tail_bytes(type);
  const uint8_t *codes = panel, *tail = panel + code_bytes(type, k);
  v16 acc[STREAM_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) acc[r] = f_zero();
  const char *q = x + PREPARED_CODES(rows), *rest = x; /* of rest, what is kept for each block is 4 bytes apart */
  for (int64_t done = 0; done < k; tail += tail_size) {
    const uint8_t *scales = tail, *halves = tail + tail_size - 32 * size.halves;
    for (int line = 0; line < tail_size; line += 64) __builtin_prefetch(tail + BLOCK_AHEAD / 4 + line);
    for (int b = 0; b < size.block / 32;
         b++, codes += 64 * size.bits, scales += 512 / size.group * size.scale_bytes, q += 32 * rows, rest += 4) {
#pragma GCC unroll 8
      for (int line = 0; line < size.bits; line++) __builtin_prefetch(codes + BLOCK_AHEAD + 64 * line);
      const factors_t f = block_factors(type, multiplied, halves, scales);
      multiplier_t m[2];
      if (multiplied)
#pragma GCC unroll 2
        for (int g = 0; g < 2; g++) m[g] = block_multiplier(type, scales + 16 * g);
      v16i sum[STREAM_ROWS];
      v16 t[STREAM_ROWS];
#pragma GCC unroll 2
      for (int g = 0; g < groups; g++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
          sum[r] = has_starts(type, multiplied) ? prepared_start(rest, rows, g, r) : i_zero();
        stream_dots(sum, type, multiplied, codes, m, (const int8_t *)q, g * 4, 8 / groups, rows);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
          const v16 part = i_to_f(sum[r]), scale = prepared_scale(rest, rows, r);
          if (!size.joined || multiplied)
            acc[r] = f_fma(part, f_mul(f.w[g], scale), acc[r]);
          else if (g == 0)
            t[r] = f_mul(part, f.w[0]);
          else
            acc[r] = f_fma(f_fma(part, f.w[1], t[r]), f_mul(f.w[2], scale), acc[r]); /* exact, but for the last */
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int g = 0; g < addend_count(type); g++) acc[r] = f_fma(f.b[g], prepared_sum(rest, rows, g, r), acc[r]);
    }
    done += size.block;
    if (done % SLICE == 0) {
      x += PREPARED * rows;
      rest = x;
      q = x + PREPARED_CODES(rows);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) f_store(y + 16 * r, acc[r]);
}

typedef void stream_kernel(const uint8_t *panel, const char *x, int64_t k, float *y);
#define STREAM_OF(name, R)                                                                    \
  static void stream_##name##_##R(const uint8_t *panel, const char *x, int64_t k, float *y) { \
    stream_body(BLOCK_##name, R, panel, x, k, y);                                             \
  }
#if STREAM_ROWS >= 8
enum { STREAM_SIZES = 4 };
#define STREAM_ALL(name) STREAM_OF(name, 1) STREAM_OF(name, 2) STREAM_OF(name, 4) STREAM_OF(name, 8)
#define STREAM_LIST(name) {stream_##name##_1, stream_##name##_2, stream_##name##_4, stream_##name##_8},
#elif STREAM_ROWS >= 4
enum { STREAM_SIZES = 3 };
#define STREAM_ALL(name) STREAM_OF(name, 1) STREAM_OF(name, 2) STREAM_OF(name, 4)
#define STREAM_LIST(name) {stream_##name##_1, stream_##name##_2, stream_##name##_4},
#else
enum { STREAM_SIZES = 2 };
#define STREAM_ALL(name) STREAM_OF(name, 1) STREAM_OF(name, 2)
#define STREAM_LIST(name) {stream_##name##_1, stream_##name##_2},
#endif
#define X(name, ...) STREAM_ALL(name)
BLOCK_FORMATS(X)
#undef X
#define X(name, ...) STREAM_LIST(name)
static stream_kernel *const stream_kernels[BLOCK_COUNT][STREAM_SIZES] = {BLOCK_FORMATS(X)};
#undef X

/* at most STREAM_ROWS pairs by panels p0 .. p1-1 */
static void stream_rows(const block_rows *x, int type, int64_t first, int rows, const uint8_t *w, int64_t p0,
                        int64_t p1, char *scratch) {
  int size = 0;
  while (1 << size < rows) size++;
  const int tile = 1 << size, multiplied = STREAM_MULTIPLIED(type, tile);
  char *to = scratch;
  for (int64_t k0 = 0; k0 < x->k; k0 += SLICE, to += PREPARED * tile)
    prepare(x, layout_of(type, multiplied, 0), first, rows, tile, k0, at_most(k0 + SLICE, x->k), to);
  for (int64_t p = p0; p < p1; p++) {
    float y[STREAM_ROWS * 16];
    stream_kernels[type][size](w + p * panel_bytes(type, x->k), scratch, x->k, y);
    for (int r = 0; r < rows; r++)
      store_outputs(x->y + pair_of(x, first + r) * x->outputs + 16 * p, f_load(y + 16 * r), x->outputs - 16 * p);
  }
}

#endif
