/* Products of many rows with block-quantised weights: a slice of one or two panels is unpacked once and multiplied by
 * all rows, a few at a time. */

/* whether tiles multiply codes of 16 bits */
#if defined(WORD_SUMS)
#define TILE_WIDE(type) (block_steps(type, block_sizes[type].joined) == 1)
#else
#define TILE_WIDE(type) 0
#endif
/* of a block of 32: codes [8][panels][64], wide ones [16][panels][64], factors [.][panels][16], addends likewise */
INLINE int apart_bytes(const int type, const int multiplied, const int wide, const int panels) {
  return 64 * panels * ((wide ? 16 : 8) + factor_count(type, multiplied) + addend_count(type));
}
INLINE int tile_bytes(const int type, const int panels) {
  return apart_bytes(type, block_sizes[type].joined, TILE_WIDE(type), panels);
}

/* takes the blocks of inputs k0 .. k1-1 of a panel apart, as panel v of `panels` */
INLINE void apart_body(const int type, const int multiplied, const int wide, const uint8_t *panel, int64_t k,
                       int64_t k0, int64_t k1, int v, int panels, char *to) {
  const block_size size = block_sizes[type];
  const int tail_size = tail_bytes(type);
  const uint8_t *codes = panel + code_bytes(type, k0);
  const uint8_t *tail = panel + code_bytes(type, k) + k0 / size.block * tail_size;
  for (int64_t left = (k1 - k0) / size.block; left > 0; left--, tail += tail_size) {
    const uint8_t *scales = tail, *halves = tail + tail_size - 32 * size.halves;
    for (int b = 0; b < size.block / 32; b++, codes += 64 * size.bits, scales += 512 / size.group * size.scale_bytes,
             to += apart_bytes(type, multiplied, wide, panels)) {
      char *at = to + 64 * v;
#pragma GCC unroll 8
      for (int s = 0; s < 8; s++, at += 64 * panels) {
        v16i c = block_codes(type, codes, s);
        if (multiplied) c = multiply_codes(type, c, block_multiplier(type, scales + 16 * (s / 4)));
#if defined(WORD_SUMS)
        if (wide) {
          i_store(at + 512 * panels, i_odd_words(c));
          c = i_even_words(c);
        }
#endif
        i_store(at, c);
      }
      if (wide) at += 512 * panels;
      const factors_t f = block_factors(type, multiplied, halves, scales);
#pragma GCC unroll 3
      for (int i = 0; i < factor_count(type, multiplied); i++, at += 64 * panels) f_store((float *)at, f.w[i]);
#pragma GCC unroll 2
      for (int i = 0; i < addend_count(type); i++, at += 64 * panels) f_store((float *)at, f.b[i]);
    }
  }
}
/* for_tiles: as tiles multiply them; otherwise codes and factors as they are */
typedef void apart_kernel(int for_tiles, const uint8_t *panel, int64_t k, int64_t k0, int64_t k1, int v, int panels,
                          char *to);
#define X(name, ...)                                                                                                  \
  static void apart_##name(int for_tiles, const uint8_t *panel, int64_t k, int64_t k0, int64_t k1, int v, int panels, \
                           char *to) {                                                                                \
    const int joined = block_sizes[BLOCK_##name].joined, wide = TILE_WIDE(BLOCK_##name);                              \
    if (for_tiles && (joined || wide))                                                                                \
      apart_body(BLOCK_##name, joined, wide, panel, k, k0, k1, v, panels, to);                                        \
    else                                                                                                              \
      apart_body(BLOCK_##name, 0, 0, panel, k, k0, k1, v, panels, to);                                                \
  }
BLOCK_FORMATS(X)
#undef X
#define X(name, ...) apart_##name,
static apart_kernel *const apart_kernels[BLOCK_COUNT] = {BLOCK_FORMATS(X)};
#undef X

/*
 * sum += codes of steps first .. first + steps - 1 . rows of 32 inputs each; where products add up in 16 bits, sum is
 * the start of such a sum
 */
INLINE void block_tile_dots(v16i (*sum)[PANELS_ABREAST], const int type, const char *codes, const char *q,
                            const int first, const int steps, const int rows, const int panels) {
#if defined(WORD_SUMS)
  (void)panels;
  const int at_once = block_steps(type, block_sizes[type].joined);
  if (at_once > 1) {
#pragma GCC unroll 4
    for (int s0 = first; s0 < first + steps; s0 += at_once) {
      const int fresh = s0 > first || !has_starts(type, block_sizes[type].joined);
      v16p part[BLOCK_TILE_ROWS];
#pragma GCC unroll 8
      for (int s = s0; s < s0 + at_once; s++) {
        const v16i c = i_load(codes + 64 * s);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
          const int8_t *x = (const int8_t *)q + 32 * r + 4 * s;
          part[r] = fresh && s == s0 ? p_first4(c, x) : p_dot4(s == s0 ? sum[r][0] : part[r], c, x);
        }
      }
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++) sum[r][0] = s0 == first ? p_widen(part[r]) : p_add(sum[r][0], part[r]);
    }
    return;
  }
#pragma GCC unroll 16
  for (int s = 2 * first; s < 2 * (first + steps); s++) {
    const v16i c = i_load(codes + 64 * s);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const char *x = q + 64 * r + 4 * s;
      sum[r][0] = s == 2 * first ? i_first_words(c, x) : i_dot_words(sum[r][0], c, x);
    }
  }
#else
  (void)type;
#pragma GCC unroll 8
  for (int s = first; s < first + steps; s++) {
    v16i c[PANELS_ABREAST];
#pragma GCC unroll 2
    for (int v = 0; v < panels; v++) c[v] = i_load(codes + 64 * (s * panels + v));
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const v16i x = i_set4((const int8_t *)q + 32 * r + 4 * s);
#pragma GCC unroll 2
      for (int v = 0; v < panels; v++) sum[r][v] = i_dot(sum[r][v], c[v], x);
    }
  }
#endif
}

/* without this the compiler loads later data so early that sums spill from the registers */
#if defined(VERIT_AVX2)
#define KEEP_ORDER() __asm__ volatile("" ::: "memory")
#else
#define KEEP_ORDER()
#endif

/*
 * acc[rows][panels][16], its rows `ld` apart, from zero or going on over some blocks; joined groups have multiplied
 * codes
 */
INLINE void block_tile_body(const int type, const int rows, const int panels, const char *w, const char *x,
                            int64_t blocks, float *acc, int64_t ld, int more) {
  const int joined = block_sizes[type].joined, groups = block_groups(type, joined);
  const char *q = x + PREPARED_CODES(rows);
  const int code = TILE_WIDE(type) ? 2 : 1;
  v16 y[BLOCK_TILE_ROWS][PANELS_ABREAST];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < panels; v++) y[r][v] = more ? f_load(acc + r * ld + 16 * v) : f_zero();
  for (; blocks > 0; blocks--, w += tile_bytes(type, panels), q += 32 * code * rows, x += 4) {
    const float *f = (const float *)(w + 512 * code * panels), *addends = f + 16 * panels * factor_count(type, joined);
    v16i sum[BLOCK_TILE_ROWS][PANELS_ABREAST];
#pragma GCC unroll 1
    for (int g = 0; g < groups; g++, f += 16 * panels) {
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < panels; v++)
          sum[r][v] = has_starts(type, joined) ? prepared_start(x, rows, g, r) : i_zero();
      block_tile_dots(sum, type, w, q, 4 * g, 8 / groups, rows, panels);
      KEEP_ORDER();
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++) {
        const v16 scale = prepared_scale(x, rows, r);
#pragma GCC unroll 2
        for (int v = 0; v < panels; v++) y[r][v] = f_fma(i_to_f(sum[r][v]), f_mul(f_load(f + 16 * v), scale), y[r][v]);
      }
    }
#pragma GCC unroll 2
    for (int g = 0; g < addend_count(type); g++)
#pragma GCC unroll 12
      for (int r = 0; r < rows; r++) {
        const v16 s = prepared_sum(x, rows, g, r);
#pragma GCC unroll 2
        for (int v = 0; v < panels; v++) y[r][v] = f_fma(f_load(addends + 16 * (g * panels + v)), s, y[r][v]);
      }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < panels; v++) f_store(acc + r * ld + 16 * v, y[r][v]);
}

/* kernels for formats that differ in what kernels see of them; others are like one of these */
#if defined(WORD_SUMS)
#define TILE_KINDS(X) X(Q4_0) X(Q4_1) X(Q5_1) X(Q8_0) X(Q6_K) X(Q2_K)
#define SAME_STEPS(a, b) (block_steps(a, block_sizes[a].joined) == block_steps(b, block_sizes[b].joined))
#else
#define TILE_KINDS(X) X(Q4_0) X(Q4_1) X(Q6_K) X(Q2_K)
#define SAME_STEPS(a, b) 1
#endif
typedef void block_tile_kernel(const char *w, const char *x, int64_t blocks, float *acc, int64_t ld, int more);
#if PANELS_ABREAST > 1
#define TILE_OF(name, R)                                                                                        \
  static void block_tile_##name##_##R##_1(const char *w, const char *x, int64_t blocks, float *acc, int64_t ld, \
                                          int more) {                                                           \
    block_tile_body(BLOCK_##name, R, 1, w, x, blocks, acc, ld, more);                                           \
  }                                                                                                             \
  static void block_tile_##name##_##R##_2(const char *w, const char *x, int64_t blocks, float *acc, int64_t ld, \
                                          int more) {                                                           \
    block_tile_body(BLOCK_##name, R, 2, w, x, blocks, acc, ld, more);                                           \
  }
#define TILE_ENTRY(name, R) {R, {block_tile_##name##_##R##_1, block_tile_##name##_##R##_2}},
#else
#define TILE_OF(name, R)                                                                                        \
  static void block_tile_##name##_##R##_1(const char *w, const char *x, int64_t blocks, float *acc, int64_t ld, \
                                          int more) {                                                           \
    block_tile_body(BLOCK_##name, R, 1, w, x, blocks, acc, ld, more);                                           \
  }
#define TILE_ENTRY(name, R) {R, {block_tile_##name##_##R##_1}},
#endif
typedef struct {
  int rows;
  block_tile_kernel *run[PANELS_ABREAST];
} block_tile;
typedef struct {
  int like;
  block_tile tiles[3];
} block_tiles; /* the rest are zeros */
#define X(name) TILES_OF(name)
#define TILES_OF(name) TILES(name, TILE_OF)
TILE_KINDS(X)
#undef X
#define X(name) {BLOCK_##name, {TILES(name, TILE_ENTRY)}},
static const block_tiles block_tile_kinds[] = {TILE_KINDS(X)};
#undef X

static const block_tile *block_tiles_for(int type) {
  const block_tiles *t = block_tile_kinds;
  while (block_groups(t->like, block_sizes[t->like].joined) != block_groups(type, block_sizes[type].joined) ||
         addend_count(t->like) != addend_count(type) || !SAME_STEPS(t->like, type))
    t++;
  return t->tiles;
}

/* the smallest tile for the rows that are left, half of them where two of a size hold them better, or the largest */
static const block_tile *block_tile_for(const block_tile *tiles, int64_t left) {
  while (tiles->rows < left && tiles[1].rows && (tiles[1].rows >= left || 2 * tiles->rows < left)) tiles++;
  return tiles;
}

/*
 * a tile of pairs from `first` on, of which `rows` are there, by panels p .. p + panels - 1 of some blocks; y holds the
 * accumulators of the blocks before
 */
static void tile_run(const block_rows *x, const block_tile *t, int64_t first, int rows, int64_t p, int panels, int more,
                     const char *w, const char *prepared, int64_t blocks) {
  if (!x->pairs && rows == t->rows && x->outputs - 16 * p >= 16 * panels) {
    t->run[panels - 1](w, prepared, blocks, x->y + first * x->outputs + 16 * p, x->outputs, more);
    return;
  }
  float acc[BLOCK_TILE_ROWS * PANELS_ABREAST * 16] = {0};
  for (int i = 0; i < rows && more; i++)
    for (int v = 0; v < panels; v++) {
      const float *y = x->y + pair_of(x, first + i) * x->outputs + 16 * (p + v);
      f_store(acc + 16 * (i * panels + v), load_outputs(y, x->outputs - 16 * (p + v)));
    }
  t->run[panels - 1](w, prepared, blocks, acc, 16 * panels, 1);
  for (int i = 0; i < rows; i++)
    for (int v = 0; v < panels; v++) {
      float *y = x->y + pair_of(x, first + i) * x->outputs + 16 * (p + v);
      store_outputs(y, f_load(acc + 16 * (i * panels + v)), x->outputs - 16 * (p + v));
    }
}

/* memory that is asked for a few lines at a time, while something else is done */
typedef struct {
  const uint8_t *from, *end;
} fetch_range;
enum { FETCH_RANGES = 2 * PANELS_ABREAST };
INLINE void fetch_lines(fetch_range *ranges, int64_t lines) {
  for (int i = 0; i < FETCH_RANGES; i++)
    for (; ranges[i].from < ranges[i].end && lines > 0; lines--, ranges[i].from += 64)
      __builtin_prefetch(ranges[i].from);
}
/* codes and tails of inputs k0 .. k1-1 of panels p .. p + panels - 1; returns how many lines they are */
static int64_t weight_ranges(int type, const uint8_t *w, int64_t k, int64_t k0, int64_t k1, int64_t p, int64_t panels,
                             fetch_range *ranges) {
  const int64_t block = block_sizes[type].block, tail = tail_bytes(type);
  int64_t bytes = 0;
  for (int v = 0; v < PANELS_ABREAST; v++) {
    const uint8_t *panel = w + (p + v) * panel_bytes(type, k), *tails = panel + code_bytes(type, k);
    ranges[2 * v] = (fetch_range){panel + code_bytes(type, k0), panel + (v < panels ? code_bytes(type, k1) : 0)};
    ranges[2 * v + 1] = (fetch_range){tails + k0 / block * tail, tails + (v < panels ? k1 / block * tail : 0)};
    if (v < panels) bytes += code_bytes(type, k1 - k0) + (k1 - k0) / block * tail;
  }
  return bytes / 64 + FETCH_RANGES;
}

/* pairs first .. end-1, at most SLICE_ROWS, by panels p0 .. p1-1; y holds the accumulators between slices */
static void block_tile_rows(const block_rows *x, int type, int64_t first, int64_t end, const uint8_t *w, int64_t p0,
                            int64_t p1, char *scratch) {
  const block_tile *tiles = block_tiles_for(type);
  const int joined = block_sizes[type].joined;
  const row_layout layout = layout_of(type, joined, TILE_WIDE(type));
  const int64_t size = panel_bytes(type, x->k);
  char *apart = scratch, *prepared = apart + SLICE_BLOCKS * tile_bytes(type, PANELS_ABREAST);
  for (int64_t k0 = 0; k0 < x->k; k0 += SLICE) {
    const int64_t k1 = at_most(k0 + SLICE, x->k), blocks = (k1 - k0) / 32;
    char *to = prepared;
    for (int64_t r = first; r < end;) {
      const block_tile *t = block_tile_for(tiles, end - r);
      const int rows = (int)at_most(end - r, t->rows);
      fetch_rows(x, r + rows, (int)at_most(end - r - rows, t->rows), k0, k1);
      prepare(x, layout, r, rows, t->rows, k0, k1, to);
      to += PREPARED * t->rows;
      r += t->rows;
    }
    for (int64_t p = p0, panels; p < p1; p += panels) {
      panels = at_most(p1 - p, PANELS_ABREAST);
      for (int v = 0; v < panels; v++) apart_kernels[type](1, w + (p + v) * size, x->k, k0, k1, v, (int)panels, apart);
      /* the weights that come next: of the next panels, or of the next inputs */
      const int last = p + panels >= p1;
      const int64_t next = last ? p0 : p + panels, n0 = last ? k1 : k0, n1 = at_most(n0 + (k1 - k0), x->k);
      fetch_range ahead[FETCH_RANGES];
      const int64_t lines =
          weight_ranges(type, w, x->k, n0, n1, next, n0 < n1 ? at_most(p1 - next, PANELS_ABREAST) : 0, ahead);
      const int64_t lines_a_row = lines / (end - first) + 1;
      const char *from = prepared;
      for (int64_t r = first; r < end;) {
        const block_tile *t = block_tile_for(tiles, end - r);
        tile_run(x, t, r, (int)at_most(end - r, t->rows), p, (int)panels, k0 > 0, apart, from, blocks);
        fetch_lines(ahead, lines_a_row * t->rows);
        from += PREPARED * t->rows;
        r += t->rows;
      }
    }
  }
}
