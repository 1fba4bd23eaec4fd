/*
 * matmul and panels. Rule R1 makes every output one chain over K, so the kernel is an outer product: TILE_ROWS x
 * (TILE_VECTORS * 16) accumulators stay in registers while k runs; K is cut in blocks of KC (accumulators stored and
 * reloaded) so that a panel of B stays in the first-level cache. B is repacked to panels of 32 columns once per chunk;
 * A is read in place (rows) or repacked (columns, transposeA).
 */
enum { KC = 256, CHUNK_ROWS = 240, CHUNK_COLUMNS = 480 };

typedef struct {
  const float *a; /* element (i, k) at a[i * rs + k * cs] */
  int64_t rs, cs;
  const float *b; /* row k at b + k * ldb */
  int64_t ldb;
  float *c; /* row i at c + i * ldc */
  int64_t ldc, k;
} tile_t;

/* rows x (vectors * 16) outputs, the last vector `last` lanes wide; load: continue from what c holds */
INLINE void tile_body(const tile_t *t, const int rows, const int vectors, const int last, int load) {
  v16 acc[TILE_ROWS][TILE_VECTORS];
  const int tail = vectors - 1;
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      const float *c = t->c + i * t->ldc + v * 16;
      acc[i][v] = !load ? f_zero() : v == tail && last < 16 ? f_load_n(c, last) : f_load(c);
    }
  const int64_t rs = t->rs, cs = t->cs, ldb = t->ldb;
  const float *a[(TILE_ROWS + 2) / 3], *b = t->b;
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * rs;
  for (int64_t k = 0; k < t->k; k++, b += ldb) {
    v16 bv[TILE_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) bv[v] = v == tail && last < 16 ? f_load_n(b + v * 16, last) : f_load(b + v * 16);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
      v16 x = f_set1(a[i / 3][(i % 3) * rs]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) acc[i][v] = f_fma(x, bv[v], acc[i][v]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < (rows + 2) / 3; g++) a[g] += cs;
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      float *c = t->c + i * t->ldc + v * 16;
      if (v == tail && last < 16)
        f_store_n(c, acc[i][v], last);
      else
        f_store(c, acc[i][v]);
    }
}

typedef void tile_fn(const tile_t *t, int last, int load);
#define TILE(R)                                                      \
  static void tile_##R##_full(const tile_t *t, int last, int load) { \
    (void)last;                                                      \
    tile_body(t, R, TILE_VECTORS, 16, load);                         \
  }                                                                  \
  static void tile_##R##_one(const tile_t *t, int last, int load) {  \
    (void)last;                                                      \
    tile_body(t, R, 1, 16, load);                                    \
  }                                                                  \
  static void tile_##R##_tail(const tile_t *t, int last, int load) { tile_body(t, R, 1, last, load); }
TILE(1)
TILE(2)
TILE(4)
#if TILE_ROWS >= 6
TILE(6)
#endif
#if TILE_ROWS >= 12
TILE(12)
#endif

static const struct {
  int rows;
  tile_fn *full, *one, *tail;
} TILES[] = {
#define ROW(R) \
  { R, tile_##R##_full, tile_##R##_one, tile_##R##_tail }
#if TILE_ROWS >= 12
    ROW(12),
#endif
#if TILE_ROWS >= 6
    ROW(6),
#endif
    ROW(4), ROW(2), ROW(1)};

/* rows x columns outputs for one stretch of k; any size */
static void outer(tile_t t, int64_t rows, int64_t columns, int load) {
  const float *a0 = t.a, *b0 = t.b;
  float *c0 = t.c;
  for (int64_t j = 0; j < columns;) {
    const int full = columns - j >= TILE_VECTORS * 16;
    const int64_t width = full ? TILE_VECTORS * 16 : at_most(columns - j, 16);
    int64_t i = 0;
    for (size_t s = 0; s < sizeof TILES / sizeof TILES[0]; s++)
      for (; i + TILES[s].rows <= rows; i += TILES[s].rows) {
        t.a = a0 + i * t.rs;
        t.b = b0 + j;
        t.c = c0 + i * t.ldc + j;
        (full ? TILES[s].full : width == 16 ? TILES[s].one : TILES[s].tail)(&t, (int)width, load);
      }
    j += width;
  }
}

/* 16 x 16 block: dst[k * ldd + j] = src[j * lds + k], 0 beyond j >= nj or k >= nk */
INLINE void transpose_block(const float *src, int64_t lds, float *dst, int64_t ldd, int nj, int nk) {
#ifdef f_transpose
  if (nj == 16 && nk == 16) {
    f_transpose(src, lds, dst, ldd);
    return;
  }
#endif
  float t[16][16];
  for (int j = 0; j < nj; j++)
    for (int k = 0; k < nk; k++) t[k][j] = src[j * lds + k];
  for (int k = 0; k < nk; k++) {
    for (int j = nj; j < 16; j++) t[k][j] = 0.0f;
    memcpy(dst + k * ldd, t[k], 64);
  }
}

/* columns j0 .. j0+31 of B, rows k0 .. k0+nk-1, as panel[nk][32] */
static void pack_panel(const float *b, int64_t n, int64_t kk, int layout, int64_t j0, int64_t k0, int64_t nk,
                       float *p) {
  const int nj = (int)at_most(n - j0, PANEL);
  if (layout == 0) {
    for (int64_t k = 0; k < nk; k++) {
      const float *row = b + (k0 + k) * n + j0;
      /* the next panel's part of the row is a neighbour, but no hardware prefetcher sees that */
      __builtin_prefetch(row + PANEL);
      __builtin_prefetch(row + PANEL + 16);
      if (nj == PANEL)
        memmove(p + k * PANEL, row, 4 * PANEL);
      else
        for (int j = 0; j < PANEL; j++) p[k * PANEL + j] = j < nj ? row[j] : 0.0f;
    }
    return;
  }
  for (int h = 0; h < PANEL; h += 16)
    for (int64_t k = 0; k < nk; k += 16) {
      const int bj = (int)at_most(at_least(nj - h, 0), 16), bk = (int)at_most(nk - k, 16);
      transpose_block(bj ? b + (j0 + h) * kk + k0 + k : b, kk, p + k * PANEL + h, PANEL, bj, bk);
    }
}

/* columns of A as tiles [nk][TILE_ROWS]; the gap keeps neighbouring tiles out of the same cache sets */
enum { TILE_GAP = 48 };
static void pack_columns(const float *a, int64_t lda, int64_t rows, int64_t nk, float *d) {
  const int64_t tile = nk * TILE_ROWS + TILE_GAP;
  for (int64_t k = 0; k < nk; k++) {
    const float *s = a + k * lda;
    float *t = d + k * TILE_ROWS;
    int64_t i = 0;
    for (; i + TILE_ROWS <= rows; i += TILE_ROWS, t += tile) memcpy(t, s + i, 4 * TILE_ROWS);
    for (int64_t j = 0; i + j < rows; j++) t[j] = s[i + j];
  }
}

/* chunk grid: column panels are kept together unless there are too few rows to keep every thread busy */
typedef struct {
  int64_t rows, row_chunks, panels, column_chunks;
} grid_t;
static grid_t matmul_grid(const op_t *o) {
  const int64_t m = ATTR(matmul, M), n = ATTR(matmul, Nc), k = ATTR(matmul, K), panels = (n + PANEL - 1) / PANEL;
  grid_t g;
  const int64_t most = ATTR(matmul, transposeA) ? CHUNK_COLUMNS : CHUNK_ROWS;
  g.row_chunks = (m + most - 1) / most;
  g.rows = g.row_chunks ? round_up((m + g.row_chunks - 1) / g.row_chunks, TILE_ROWS) : 0;
  g.row_chunks = g.rows ? (m + g.rows - 1) / g.rows : 0;
  /* three chunks a thread where that leaves 2 Mflop or more to each: every further one packs A or B once more */
  int64_t want =
      at_most(2 * m * n * k / 2000000 + 1, o->threads > 1 ? (ATTR(matmul, layoutB) >= 2 ? 16 : 3) * o->threads : 1);
  g.column_chunks = at_least(at_most(g.row_chunks ? (want + g.row_chunks - 1) / g.row_chunks : 0, panels), 1);
  g.panels = (panels + g.column_chunks - 1) / g.column_chunks;
  g.column_chunks = g.panels ? (panels + g.panels - 1) / g.panels : 0;
  return g;
}
static int64_t matmul_chunks(const op_t *o) {
  grid_t g = matmul_grid(o);
  return g.row_chunks * g.column_chunks;
}
static int64_t matmul_scratch(const op_t *o) {
  const int64_t tiles = round_up(matmul_grid(o).rows, TILE_ROWS) / TILE_ROWS;
  return 4 * (KC * PANEL + (ATTR(matmul, transposeA) ? tiles * (KC * TILE_ROWS + TILE_GAP) : 0));
}

static void matmul_run(const op_t *o, int64_t chunk, char *scratch) {
  const float *a = INPUT(matmul, a), *b = INPUT(matmul, b), *bias = INPUT(matmul, bias);
  float *c = OUTPUT(matmul, c);
  const int64_t m = ATTR(matmul, M), n = ATTR(matmul, Nc), kk = ATTR(matmul, K);
  const int transpose_a = (int)ATTR(matmul, transposeA), layout = (int)ATTR(matmul, layoutB);
  const grid_t g = matmul_grid(o);
  const int64_t i0 = chunk / g.column_chunks * g.rows, i1 = at_most(i0 + g.rows, m);
  const int64_t p0 = chunk % g.column_chunks * g.panels, p1 = at_most(p0 + g.panels, (n + PANEL - 1) / PANEL);
  const int half = layout >= 3 ? layout - 2 : WHOLE;
  float *panel = (float *)scratch, *columns = panel + KC * PANEL;
  const int few = layout >= 2 && !transpose_a && i1 - i0 <= 2;
  if (few) few_rows(a + i0 * kk, i1 - i0, kk, b, half, c + i0 * n, n, p0, p1);
  for (int64_t k0 = 0; !few && (k0 == 0 || k0 < kk); k0 += KC) {
    const int64_t nk = at_most(kk - k0, KC);
    tile_t t = {.a = a + i0 * kk + k0, .rs = kk, .cs = 1, .ldb = PANEL, .ldc = n, .k = nk};
    if (transpose_a) pack_columns(a + k0 * m + i0, m, i1 - i0, nk, columns);
    for (int64_t p = p0; p < p1; p++) {
      const int64_t width = at_most(n - p * PANEL, PANEL);
      if (layout == 2)
        t.b = b + (p * kk + k0) * PANEL;
      else if (half) {
        widen_panel((const uint16_t *)INPUT(matmul, b) + (p * kk + k0) * PANEL, half, nk, panel);
        t.b = panel;
      } else {
        pack_panel(b, n, kk, layout, p * PANEL, k0, nk, panel);
        t.b = panel;
      }
      t.c = c + i0 * n + p * PANEL;
      if (!transpose_a)
        outer(t, i1 - i0, width, k0 > 0);
      else
        for (int64_t i = i0; i < i1; i += TILE_ROWS) {
          tile_t s = t;
          s.a = columns + (i - i0) / TILE_ROWS * (nk * TILE_ROWS + TILE_GAP);
          s.rs = 1;
          s.cs = TILE_ROWS;
          s.c = c + i * n + p * PANEL;
          outer(s, at_most(i1 - i, TILE_ROWS), width, k0 > 0);
        }
    }
  }
  if (!bias) return;
  for (int64_t i = i0; i < i1; i++) {
    const int64_t end = at_most(p1 * PANEL, n);
    float *row = c + i * n;
    int64_t j = p0 * PANEL;
    for (; j + 16 <= end; j += 16) f_store(row + j, f_add(f_load(row + j), f_load(bias + j)));
    if (j < end)
      f_store_n(row + j, f_add(f_load_n(row + j, (int)(end - j)), f_load_n(bias + j, (int)(end - j))), (int)(end - j));
  }
}

static int64_t panels_chunks(const op_t *o) { return (ATTR(panels, Nc) + PANEL - 1) / PANEL; }
static void panels_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  pack_panel(INPUT(panels, b), ATTR(panels, Nc), ATTR(panels, K), (int)ATTR(panels, layoutB), chunk * PANEL, 0,
             ATTR(panels, K), (float *)OUTPUT(panels, p) + chunk * ATTR(panels, K) * PANEL);
}
