/* A screened head, src/ops/screen.ts: an f16 matrix stored by rows, with a 6-bit copy. The copy's product (fine_q6_k.c)
 * and a bound on its error tell which outputs can be among the largest; only those are computed from the f16, by the
 * chain of rule R1. */

/* Sums of squares in f64: lane k mod 16 takes every sixteenth, then the lanes from the first to the last. */
INLINE double d_total(v16d v) {
  double l[16], sum = 0;
  memcpy(l, &v, sizeof l);
  for (int j = 0; j < 16; j++) sum += l[j];
  return sum;
}

/* the 6-bit copy of 16 rows, as fineRepackQ6_K lays it out, and for each row what bounds the error of a product with it
 */
enum { CODE_MOST = 31, SCALE_MOST = 127 };
static void screenQ6_K_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int64_t rows = ATTR(screenQ6_K, O), k = ATTR(screenQ6_K, K), groups = k / 16;
  uint8_t *codes = (uint8_t *)OUTPUT(screenQ6_K, codes) + chunk * groups * 192;
  int8_t *scales = (int8_t *)OUTPUT(screenQ6_K, s) + chunk * k;
  float *factors = (float *)OUTPUT(screenQ6_K, d) + chunk * groups,
        *errors = (float *)OUTPUT(screenQ6_K, errors) + chunk * 32;
  memset(codes, 0, (size_t)groups * 192);
  memset(scales, 0, (size_t)k);
  memset(factors, 0, 4 * (size_t)groups);
  memset(errors, 0, 128);
  int bad = 0;
  for (int64_t j = 0; j < 16 && chunk * 16 + j < rows; j++) {
    const uint16_t *row = (const uint16_t *)INPUT(screenQ6_K, w) + (chunk * 16 + j) * k;
    v16d square = d_set1(0), lost = d_set1(0);
    for (int64_t b = 0; b < k / 256; b++) {
      float most[16], all = 0;
      unsigned endless = 0;
      for (int i = 0; i < 256; i++) endless |= (row[b * 256 + i] & 0x7c00) == 0x7c00;
      if (endless) {
        bad = 1;
        break;
      }
      for (int g = 0; g < 16; g++) {
        most[g] = f_hmax(f_abs(f_load_half(row + b * 256 + g * 16)));
        all = most[g] > all ? most[g] : all;
      }
      const float factor = all / (float)(CODE_MOST * SCALE_MOST), unit = factor * (float)CODE_MOST;
      factors[b * 16 + j] = factor;
      for (int g = 0; g < 16; g++) {
        const float steps = unit > 0 ? ceilf(most[g] / unit) : 0, s = steps < SCALE_MOST ? steps : SCALE_MOST,
                    step = factor * s;
        const v16 w = f_load_half(row + b * 256 + g * 16);
        int8_t q[16];
        uint8_t c[16];
        f_store_i8(q, f_mul(w, f_set1(step > 0 ? 1.0f / step : 0)));
        const v16d exact = f_to_d(w), rest = d_sub(exact, d_mul(d_set1(step), f_to_d(i8_to_f(q))));
        square = d_add(square, d_mul(exact, exact));
        lost = d_add(lost, d_mul(rest, rest));
        for (int i = 0; i < 16; i++) c[i] = (uint8_t)(q[i] + 32) & 63;
        put_six(c, codes + (b * 16 + g) * 192 + j * 4);
        scales[(b * 16 + g) * 16 + j] = (int8_t)s;
      }
    }
    const double norm = sqrt(d_total(square)), apart = sqrt(d_total(lost));
    errors[j] = (float)((apart + (double)(k + 64) * 0x1p-23 * (norm + apart)) * (1 + 0x1p-20) + 0x1p-60);
    errors[16 + j] = (float)((norm + apart) * (1 + 0x1p-20));
  }
  if (bad) atomic_store(o->error, 1);
}

/* the largest error of 16 outputs' estimates */
INLINE v16 screen_bound(const float *errors, const float *limits) {
  return f_add(f_mul(f_load(errors), f_set1(limits[0])), f_mul(f_load(errors + 16), f_set1(limits[1])));
}

enum { MOST_TOP = 1024 };
/* a heap with the least on top takes x in the place of it */
static void heap_replace(float *heap, int64_t n, float x) {
  int64_t i = 0;
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= x) break;
    heap[i] = heap[child];
  }
  heap[i] = x;
}

static int64_t screenLimits_chunks(const op_t *o) { return ATTR(screenLimits, N); }
static void screenLimits_run(const op_t *o, int64_t n, char *scratch) {
  (void)scratch;
  const int64_t outputs = ATTR(screenLimits, O), k = ATTR(screenLimits, K);
  const float *x = (const float *)INPUT(screenLimits, x) + n * k,
              *y = (const float *)INPUT(screenLimits, y) + n * outputs, *errors = INPUT(screenLimits, errors);
  float *limits = (float *)OUTPUT(screenLimits, limits) + n * 3, heap[MOST_TOP];
  v16d square = d_set1(0);
  for (int64_t i = 0; i < k; i += 16) {
    const v16d v = f_to_d(f_load(x + i));
    square = d_add(square, d_mul(v, v));
  }
  const double norm = sqrt(d_total(square)) * (1 + 0x1p-20);
  /* with a longer row a sum of f16 weights can exceed f32's range on the way, whatever its final value */
  limits[0] = norm > 0x1p100 ? INFINITY : (float)(norm > 0x1p-40 ? norm : norm == norm ? 0x1p-40 : norm);
  limits[1] = (float)((double)((const float *)INPUT(screenLimits, scale))[n] * (0.501 * sqrt((double)k)));
  const int64_t top = ((const int32_t *)INPUT(screenLimits, top))[n];
  limits[2] = -INFINITY;
  if (top < 1 || top > MOST_TOP || top >= outputs) return;
  for (int64_t i = 0; i < top; i++) heap[i] = -INFINITY;
  for (int64_t b = 0; b < outputs; b += 16) {
    const int64_t count = at_most(outputs - b, 16);
    v16 low = f_sub(f_load_n(y + b, (int)count), screen_bound(errors + b * 2, limits));
    low = f_select(f_nan(low), f_set1(-INFINITY), low);
    if (count == 16 && !(f_hmax(low) > heap[0])) continue;
    float l[16];
    f_store(l, low);
    for (int64_t i = 0; i < count; i++)
      if (l[i] > heap[0]) heap_replace(heap, top, l[i]);
  }
  limits[2] = heap[0];
}

/* two finite f16 a lane, as f32: lane by lane the lower and the upper; their bits in the places of an f32's are the
 * value times 2^-112 */
INLINE void widen_pairs(const float *pairs, v16 *lower, v16 *upper) {
  uint32_t d[16], l[16], u[16];
  float f[16], g[16];
  memcpy(d, pairs, 64);
  for (int j = 0; j < 16; j++) {
    l[j] = (uint32_t)((int32_t)(d[j] << 16) >> 3) & 0x8fffe000u;
    u[j] = (uint32_t)((int32_t)d[j] >> 3) & 0x8fffe000u;
  }
  memcpy(f, l, 64);
  memcpy(g, u, 64);
  *lower = f_mul(f_load(f), f_set1(0x1p112f));
  *upper = f_mul(f_load(g), f_set1(0x1p112f));
}

/* 32 inputs of 16 rows, so that lanes are rows: pairs[16] of inputs 2i, 2i + 1 */
INLINE void pairs_of_rows(const uint16_t *const *w, int64_t k, const uint16_t *const *next, float *pairs) {
  float rows[16 * 16];
  for (int j = 0; j < 16; j++) {
    memcpy(rows + j * 16, w[j] + k, 64);
    __builtin_prefetch(next[j] + k);
  }
  transpose_block(rows, 16, pairs, 16, 16, 16);
}

/* f16 rows w[0 .. 31] from k0 on as panel[nk][32]; nk a multiple of 32 */
static void pack_half_rows(const uint16_t *const *w, const uint16_t *const *next, int64_t k0, int64_t nk, float *p) {
  float pairs[16 * 16];
  for (int64_t i = 0; i < nk; i += 32)
    for (int h = 0; h < PANEL; h += 16) {
      pairs_of_rows(w + h, k0 + i, next + h, pairs);
      for (int j = 0; j < 16; j++) {
        v16 lower, upper;
        widen_pairs(pairs + j * 16, &lower, &upper);
        f_store(p + (i + 2 * j) * PANEL + h, lower);
        f_store(p + (i + 2 * j + 1) * PANEL + h, upper);
      }
    }
}

/* one row of x by 32 rows of f16, or 16 */
INLINE void half_rows(const float *x, const uint16_t *const *w, const uint16_t *const *next, int64_t kk, float *y,
                      const int two) {
  v16 a = f_zero(), b = f_zero();
  for (int64_t k = 0; k < kk; k += 32) {
    float first[16 * 16], second[16 * 16];
    pairs_of_rows(w, k, next, first);
    if (two) pairs_of_rows(w + 16, k, next + 16, second);
    for (int j = 0; j < 16; j++) {
      v16 lower, upper;
      const v16 xl = f_set1(x[k + 2 * j]), xu = f_set1(x[k + 2 * j + 1]);
      widen_pairs(first + j * 16, &lower, &upper);
      a = f_fma(xu, upper, f_fma(xl, lower, a));
      if (!two) continue;
      widen_pairs(second + j * 16, &lower, &upper);
      b = f_fma(xu, upper, f_fma(xl, lower, b));
    }
  }
  f_store(y, a);
  if (two) f_store(y + 16, b);
}
static void half_rows_32(const float *x, const uint16_t *const *w, const uint16_t *const *next, int64_t kk, float *y) {
  half_rows(x, w, next, kk, y, 1);
}
static void half_rows_16(const float *x, const uint16_t *const *w, const uint16_t *const *next, int64_t kk, float *y) {
  half_rows(x, w, next, kk, y, 0);
}

enum { SCREEN_CHUNK = 512 }; /* outputs */
static int64_t screenedMatmul_chunks(const op_t *o) {
  return (ATTR(screenedMatmul, O) + SCREEN_CHUNK - 1) / SCREEN_CHUNK * (ATTR(screenedMatmul, N) > 0);
}
static int64_t screenedMatmul_scratch(const op_t *o) {
  return 4 * (KC * PANEL + ATTR(screenedMatmul, N) * PANEL) + ATTR(screenedMatmul, N);
}
/* which of `width` outputs a row wants; how many */
static int64_t screen_wanted(const float *y, const float *errors, const float *limits, int64_t width, uint8_t *wanted) {
  int64_t n = 0;
  for (int64_t b = 0; b < width; b += 16) {
    const int count = (int)at_most(width - b, 16);
    float high[16];
    f_store(high, f_add(f_load_n(y + b, count), screen_bound(errors + b * 2, limits)));
    for (int i = 0; i < count; i++) n += wanted[b + i] = !(high[i] < limits[2]);
  }
  return n;
}
/* rows of w that are computed together, and those after them; beyond the end the last one again */
typedef struct {
  const uint16_t *from[PANEL], *next[PANEL];
} screen_rows_t;
static screen_rows_t screen_rows(const uint16_t *w, int64_t kk, const int32_t *list, int64_t i, int64_t n) {
  screen_rows_t rows;
  for (int64_t j = 0; j < PANEL; j++) {
    rows.from[j] = w + list[at_most(i + j, n - 1)] * kk;
    rows.next[j] = w + list[at_most(i + PANEL + j, n - 1)] * kk;
  }
  return rows;
}
/* A row of x that needs few outputs computes them by itself. Rows that need most of a chunk (for log probabilities, or
 * because the bounds are wide) share the transposition of w. */
static void screenedMatmul_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t rows = ATTR(screenedMatmul, N), outputs = ATTR(screenedMatmul, O), kk = ATTR(screenedMatmul, K),
                o0 = chunk * SCREEN_CHUNK, width = at_most(SCREEN_CHUNK, outputs - o0);
  const float *x = INPUT(screenedMatmul, x), *errors = (const float *)INPUT(screenedMatmul, errors) + o0 * 2,
              *limits = INPUT(screenedMatmul, limits), *y = (const float *)INPUT(screenedMatmul, y) + o0;
  const uint16_t *w = (const uint16_t *)INPUT(screenedMatmul, w) + o0 * kk;
  float *panel = (float *)scratch, *products = panel + KC * PANEL, *out = (float *)OUTPUT(screenedMatmul, logits) + o0;
  uint8_t wanted[SCREEN_CHUNK], *most = (uint8_t *)(products + rows * PANEL);
  int32_t list[SCREEN_CHUNK];
  int64_t together = 0;
  for (int64_t r = 0; r < rows; r++)
    together += most[r] = 2 * screen_wanted(y + r * outputs, errors, limits + r * 3, width, wanted) > width;
  for (int64_t r = 0; r < rows; r++) {
    if (together > 1 && most[r]) continue;
    float *to = out + r * outputs;
    int64_t n = 0;
    screen_wanted(y + r * outputs, errors, limits + r * 3, width, wanted);
    for (int64_t i = 0; i < width; i++) {
      if (wanted[i])
        list[n++] = (int32_t)i;
      else
        to[i] = -INFINITY;
    }
    for (int64_t i = 0; i < n; i += PANEL) {
      const screen_rows_t part = screen_rows(w, kk, list, i, n);
      (n - i > 16 ? half_rows_32 : half_rows_16)(x + r * kk, part.from, part.next, kk, products);
      for (int64_t j = 0; j < at_most(n - i, PANEL); j++) to[list[i + j]] = products[j];
    }
  }
  if (together < 2) return;
  for (int64_t i = 0; i < width; i++) list[i] = (int32_t)i;
  for (int64_t i = 0; i < width; i += PANEL) {
    const screen_rows_t part = screen_rows(w, kk, list, i, width);
    for (int64_t k0 = 0; k0 < kk; k0 += KC) {
      const int64_t nk = at_most(kk - k0, KC);
      pack_half_rows(part.from, part.next, k0, nk, panel);
      outer((tile_t){.a = x + k0, .rs = kk, .cs = 1, .b = panel, .ldb = PANEL, .c = products, .ldc = PANEL, .k = nk},
            rows, PANEL, k0 > 0);
    }
    for (int64_t r = 0; r < rows; r++) {
      if (!most[r]) continue;
      const int64_t count = at_most(width - i, PANEL);
      float *to = out + r * outputs + i;
      screen_wanted(y + r * outputs + i, errors + i * 2, limits + r * 3, count, wanted);
      for (int64_t j = 0; j < count; j++) to[j] = wanted[j] ? products[r * PANEL + j] : -INFINITY;
    }
  }
}

static void halfRows_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int32_t *ids = INPUT(halfRows, ids);
  const int64_t c = ATTR(halfRows, C), v = ATTR(halfRows, V), per = rows_per_chunk(c),
                end = at_most((chunk + 1) * per, ATTR(halfRows, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, v)) continue;
    const uint16_t *w = (const uint16_t *)INPUT(halfRows, w) + id * c;
    for (int64_t k = 0; k < c; k++) ((float *)OUTPUT(halfRows, y))[r * c + k] = half_1(w[k]);
  }
}
