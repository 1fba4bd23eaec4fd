/* Attention over a KV cache: scores, softmax in two passes, values, each a chain of rule R1 or a reduction of rule R2.
 * Queries of the same sequence share a tile of the micro-kernel; a lone query (decoding) shares one with the other
 * heads of its group. The cache has pages of 16 positions, keys [page][head][dimension][16], so that the lanes of a
 * vector are neighbouring positions, values [page][head][16][dimension]; a table lists the pages of each sequence in
 * order. */
enum { QUERIES = 48 };

static int64_t write_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(writeKeys, G) * ATTR(writeKeys, D));
  return (ATTR(writeKeys, N) + per - 1) / per;
}
INLINE void write_cache(const op_t *o, int64_t chunk, const int keys) {
  const int64_t groups = ATTR(writeKeys, G), d = ATTR(writeKeys, D), rows = ATTR(writeKeys, R),
                half = ATTR(writeKeys, half);
  const int64_t per = rows_per_chunk(groups * d), end = at_most((chunk + 1) * per, ATTR(writeKeys, N));
  const int32_t *cache_row = INPUT(writeKeys, cacheRow);
  for (int64_t n = chunk * per; n < end; n++) {
    const int64_t r = cache_row[n];
    if (r < 0 || r >= rows) {
      atomic_store(o->error, 1);
      continue;
    }
    for (int64_t g = 0; g < groups; g++) {
      const float *x = (const float *)INPUT(writeKeys, k) + (n * groups + g) * d;
      if (half) {
        uint16_t *h =
            (uint16_t *)OUTPUT(writeKeys, cache) + (r / 16 * groups + g) * 16 * d + (keys ? r % 16 : r % 16 * d);
        for (int64_t i = 0; i < d; i += 16) {
          const int count = (int)at_most(d - i, 16);
          uint16_t part[16];
          f_store_half(part, f_load_n(x + i, count));
          if (!keys)
            memcpy(h + i, part, 2 * (size_t)count);
          else
            for (int j = 0; j < count; j++) h[(i + j) * 16] = part[j];
        }
        continue;
      }
      float *page = (float *)OUTPUT(writeKeys, cache) + (r / 16 * groups + g) * 16 * d;
      if (!keys)
        memmove(page + r % 16 * d, x, 4 * (size_t)d);
      else {
        float *k = page + r % 16;
        for (int64_t i = 0; i < d; i++) k[i * 16] = x[i];
      }
    }
  }
}
static void writeKeys_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  write_cache(o, chunk, 1);
}
static void writeValues_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  write_cache(o, chunk, 0);
}

/* rows of queries against keys and values of one head group: everything a tile of rows needs */
typedef struct {
  const float *q;
  int64_t q_stride;
  const char *keys, *values; /* of this head in page 0 */
  int half;                  /* they are f16 */
  const int32_t *pages;      /* of the sequence, as many as the longest row needs, and AHEAD more */
  int64_t page_stride, d, context, rows;
  int64_t length[TILE_ROWS]; /* of each row; of all of them the first where the rows are heads of one query */
  int64_t length_stride;
  float *p; /* scores, then probabilities */
  int64_t p_stride;
  float *o;
  int64_t o_stride;
  float scale, softcap; /* 0: no cap */
  int64_t window;       /* 0: all positions */
  const float *sinks;   /* of the first row; NULL for none */
  int64_t sink_stride;
  float *rest; /* probability mass of the sinks; NULL if unused */
  int64_t rest_stride;
  int whole; /* p is an output: hidden positions are +0 */
} attend_t;

/* a vector of scores, scaled and capped */
INLINE v16 scaled_scores(const attend_t *t, v16 s) {
  const v16 x = f_mul(s, f_set1(t->scale)), cap = f_set1(t->softcap);
  return t->softcap > 0 ? f_mul(cap, f_tanh(f_div(x, cap))) : x;
}

/* in place: scores of n vectors, of which m is the largest, -> exponentials; l is their sum so far */
INLINE void exp_scores(float *s, const int n, v16 m, v16 *l) {
  v16 x[EXPS];
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) x[j] = f_sub(f_load(s + 16 * j), m);
  f_exps(x, n, 1);
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) {
    f_store(s + 16 * j, x[j]);
    *l = f_add(*l, x[j]);
  }
}

/*
 * in place: scores of positions first .. n - 1 of row i -> probabilities, rule R2 from the first position of first's
 * page on. Whole vectors need no masks; the last one, if it is not whole, is worked on in a copy whose missing lanes
 * are hidden.
 */
static void softmax_row(const attend_t *t, int64_t i, int64_t first, int64_t n) {
  float *row = t->p + i * t->p_stride, *s = row + first / 16 * 16, tail[16];
  const int64_t hidden = first % 16, seen = n - first / 16 * 16, whole = seen / 16 * 16;
  const int left = (int)(seen - whole);
  const float *sink = t->sinks ? t->sinks + i * t->sink_stride : NULL;
  v16 top = f_set1(-INFINITY), l = f_zero();
  for (int64_t k = 0; k < whole; k += 16) {
    const v16 x = scaled_scores(t, f_load(s + k));
    f_store(s + k, x);
    if (k >= hidden)
      top = f_max(top, x);
    else {
      for (int64_t h = 0; h < hidden; h++) s[h] = -INFINITY;
      top = f_max(top, f_load(s));
    }
  }
  if (left) {
    f_store(tail, scaled_scores(t, f_load_n(s + whole, left)));
    for (int j = left; j < 16; j++) tail[j] = -INFINITY;
    for (int64_t h = 0; h < hidden && !whole; h++) tail[h] = -INFINITY;
    top = f_max(top, f_load(tail));
  }
  float largest = f_hmax(top);
  if (sink) largest = largest > *sink ? largest : *sink;
  const v16 m = f_set1(largest);
  int64_t k = 0;
  for (; k + 16 * EXPS <= whole; k += 16 * EXPS) exp_scores(s + k, EXPS, m, &l);
  for (; k < whole; k += 16) exp_scores(s + k, 1, m, &l);
  if (left) exp_scores(tail, 1, m, &l);
  float sum = f_hsum(l);
  const float other = sink ? exp_1(*sink - largest) : 0.0f;
  if (sink) sum = sum + other;
  const float inverse = 1.0f / sum;
  if (t->rest) t->rest[i * t->rest_stride] = other * inverse;
  const v16 factor = f_set1(inverse);
  for (k = 0; k < whole; k += 16) f_store(s + k, f_mul(f_load(s + k), factor));
  if (left) f_store_n(s + whole, f_mul(f_load(tail), factor), left);
  if (t->whole) memset(row, 0, 4 * (size_t)first);
}

/* Pages may be anywhere, so they are prefetched this many pages ahead; the lists of pages are as much longer. */
enum { AHEAD = 4 };

/* one or two rows alone take more vectors at a time, so that enough independent sums hide the latency */
enum { FEW_ROWS = 2, FEW_VECTORS = 2 * TILE_VECTORS };
/* whether the kernel of full width goes on where rows end one by one: of the largest tile, which holds all rows */
#define RAGGED(rows) ((rows) == TILE_ROWS)

/* scores of some rows with `vectors` pages; the last is stored `last` lanes wide */
INLINE void score_body(const attend_t *t, const float *q, float *s, const int32_t *pages, const int rows,
                       const int vectors, const int last, const int half) {
  v16 acc[TILE_ROWS][FEW_VECTORS];
  const int64_t qs = t->q_stride, d = t->d;
  const int64_t size = half ? 2 : 4;
  const float *a[(TILE_ROWS + 2) / 3];
  const char *b[FEW_VECTORS], *next[FEW_VECTORS];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    b[v] = t->keys + pages[v] * t->page_stride * size;
    next[v] = t->keys + pages[v + AHEAD] * t->page_stride * size;
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) acc[i][v] = f_zero();
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) a[g] = q + 3 * g * qs;
  for (int64_t k = 0; k < d; k++) {
    v16 bv[FEW_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      bv[v] = half ? f_load_half((const uint16_t *)b[v] + k * 16) : f_load((const float *)b[v] + k * 16);
      __builtin_prefetch(next[v] + k * 16 * size);
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
      v16 x = f_set1(a[i / 3][(i % 3) * qs + k]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) acc[i][v] = f_fma(x, bv[v], acc[i][v]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      float *o = s + i * t->p_stride + v * 16;
      if (v == vectors - 1 && last < 16)
        f_store_n(o, acc[i][v], last);
      else
        f_store(o, acc[i][v]);
    }
}

/*
 * Part of the product of probabilities and values: rows x (vectors * 16) outputs over positions from .. to - 1, in
 * registers from page to page, and for the largest tile also the positions behind that only some of its rows see.
 */
typedef struct {
  const float *p;     /* of the first row */
  const char *values; /* of the first column in page 0 */
  float *o;
  int64_t from, to;
  int64_t longest; /* what follows `to` counts for rows that are long enough, up to here */
} sum_t;

INLINE void sum_body(const attend_t *t, const sum_t *s, const int rows, const int vectors, const int last, int load,
                     const int half, const int ragged) {
  v16 acc[TILE_ROWS][FEW_VECTORS];
  const int tail = vectors - 1;
  const int64_t ps = t->p_stride, os = t->o_stride, d = t->d, size = half ? 2 : 4;
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      const float *o = s->o + i * os + v * 16;
      acc[i][v] = !load ? f_zero() : v == tail && last < 16 ? f_load_n(o, last) : f_load(o);
    }
  const float *p[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 4
  for (int g = 0; g < (rows + 2) / 3; g++) p[g] = s->p + 3 * g * ps;
  for (int64_t j = s->from, end; j < s->to; j = end) {
    end = at_most(j / 16 * 16 + 16, s->to);
    const char *b = s->values + (t->pages[j / 16] * t->page_stride + j % 16 * d) * size;
    const int64_t ahead = (t->pages[j / 16 + AHEAD] - t->pages[j / 16]) * t->page_stride * size;
    for (int64_t k = j; k < end; k++, b += d * size) {
      v16 bv[FEW_VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) {
        const char *x = b + v * 16 * size;
        const int part = v == tail && last < 16;
        if (half)
          bv[v] = part ? f_load_half_n((const uint16_t *)x, last) : f_load_half((const uint16_t *)x);
        else
          bv[v] = part ? f_load_n((const float *)x, last) : f_load((const float *)x);
        __builtin_prefetch(x + ahead);
      }
#pragma GCC unroll 12
      for (int i = 0; i < rows; i++) {
        v16 x = f_set1(p[i / 3][(i % 3) * ps + k]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) acc[i][v] = f_fma(x, bv[v], acc[i][v]);
      }
    }
  }
  if (ragged)
    for (int64_t k = s->to; k < s->longest; k++) {
      const char *b = s->values + (t->pages[k / 16] * t->page_stride + k % 16 * d) * size;
      v16 bv[FEW_VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++)
        bv[v] = half ? f_load_half((const uint16_t *)b + v * 16) : f_load((const float *)b + v * 16);
#pragma GCC unroll 12
      for (int i = 0; i < rows; i++) {
        if (k >= t->length[i * t->length_stride]) continue;
        v16 x = f_set1(p[i / 3][(i % 3) * ps + k]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) acc[i][v] = f_fma(x, bv[v], acc[i][v]);
      }
    }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      float *o = s->o + i * os + v * 16;
      if (v == tail && last < 16)
        f_store_n(o, acc[i][v], last);
      else
        f_store(o, acc[i][v]);
    }
}

typedef void score_fn(const attend_t *t, const float *q, float *s, const int32_t *pages, int last);
typedef void sum_fn(const attend_t *t, const sum_t *s, int last, int load);
#define SCORE_OF(name, rows, vectors, last_, half)                                                \
  static void name(const attend_t *t, const float *q, float *s, const int32_t *pages, int last) { \
    (void)last;                                                                                   \
    score_body(t, q, s, pages, rows, vectors, last_, half);                                       \
  }
#define SUM_OF(name, rows, vectors, last_, half, ragged)                    \
  static void name(const attend_t *t, const sum_t *s, int last, int load) { \
    (void)last;                                                             \
    sum_body(t, s, rows, vectors, last_, load, half, ragged);               \
  }
#define ATTEND(rows, half, kind)                                              \
  SCORE_OF(score_##rows##_full##kind, rows, TILE_VECTORS, 16, half)           \
  SCORE_OF(score_##rows##_one##kind, rows, 1, last, half)                     \
  SUM_OF(sum_##rows##_full##kind, rows, TILE_VECTORS, 16, half, RAGGED(rows)) \
  SUM_OF(sum_##rows##_one##kind, rows, 1, 16, half, 0)                        \
  SUM_OF(sum_##rows##_tail##kind, rows, 1, last, half, 0)
#define ATTEND_FEW(rows, half, kind)                              \
  SCORE_OF(score_##rows##_few##kind, rows, FEW_VECTORS, 16, half) \
  SUM_OF(sum_##rows##_few##kind, rows, FEW_VECTORS, 16, half, 0)
ATTEND_FEW(1, 0, _f32)
ATTEND_FEW(1, 1, _f16)
ATTEND_FEW(2, 0, _f32)
ATTEND_FEW(2, 1, _f16)
#define ATTEND_BOTH(rows) ATTEND(rows, 0, _f32) ATTEND(rows, 1, _f16)
ATTEND_BOTH(1)
ATTEND_BOTH(2)
ATTEND_BOTH(4)
#if TILE_ROWS >= 6
ATTEND_BOTH(6)
#endif
#if TILE_ROWS >= 12
ATTEND_BOTH(12)
#endif

#define ATTEND_KIND(R, kind) \
  { score_##R##_full##kind, score_##R##_one##kind, sum_##R##_full##kind, sum_##R##_one##kind, sum_##R##_tail##kind }
#define ATTEND_ROW(R)                                 \
  {                                                   \
    R, { ATTEND_KIND(R, _f32), ATTEND_KIND(R, _f16) } \
  }
/* of f32 and of f16 */
static const struct {
  int rows;
  struct {
    score_fn *pages, *page;
    sum_fn *full, *one, *tail;
  } kind[2];
} ATTENDS[] = {
#if TILE_ROWS >= 12
    ATTEND_ROW(12),
#endif
#if TILE_ROWS >= 6
    ATTEND_ROW(6),
#endif
    ATTEND_ROW(4), ATTEND_ROW(2), ATTEND_ROW(1)};
#define FEW_KIND(R, kind) \
  { score_##R##_few##kind, sum_##R##_few##kind }
static const struct {
  score_fn *pages;
  sum_fn *full;
} FEW[FEW_ROWS][2] = {{FEW_KIND(1, _f32), FEW_KIND(1, _f16)}, {FEW_KIND(2, _f32), FEW_KIND(2, _f16)}};
#define EACH_TILE(k, i, first, count)                             \
  int64_t i = first;                                              \
  for (size_t k = 0; k < sizeof ATTENDS / sizeof ATTENDS[0]; k++) \
    for (; i + ATTENDS[k].rows <= first + count; i += ATTENDS[k].rows)

/* scores of all rows with positions from (the first of a page) .. length - 1; a page of keys is read whole: scores past
 * a row's length are thrown away */
static void scores(const attend_t *t, int64_t from, int64_t length) {
  int64_t j = from;
  for (; t->rows <= FEW_ROWS && length - j >= FEW_VECTORS * 16; j += FEW_VECTORS * 16)
    FEW[t->rows - 1][t->half].pages(t, t->q, t->p + j, t->pages + j / 16, 16);
  while (j < length) {
    const int full = length - j >= TILE_VECTORS * 16;
    EACH_TILE(k, i, 0, t->rows) {
      (full ? ATTENDS[k].kind[t->half].pages : ATTENDS[k].kind[t->half].page)(
          t, t->q + i * t->q_stride, t->p + i * t->p_stride + j, t->pages + j / 16, (int)at_most(t->context - j, 16));
    }
    j += full ? TILE_VECTORS * 16 : 16;
  }
}

/* `width` outputs of these rows from column c on */
static void sum_columns(const attend_t *t, int64_t c, int64_t width, int64_t first, int64_t rows, sum_t s, int load) {
  const int64_t full = TILE_VECTORS * 16;
  s.values = t->values + c * (t->half ? 2 : 4);
  EACH_TILE(k, i, first, rows) {
    const int ragged = RAGGED(ATTENDS[k].rows) && width == full;
    s.p = t->p + i * t->p_stride;
    s.o = t->o + i * t->o_stride + c;
    sum_fn *narrow = width == 16 ? ATTENDS[k].kind[t->half].one : ATTENDS[k].kind[t->half].tail;
    (width == full ? ATTENDS[k].kind[t->half].full : narrow)(t, &s, (int)width, load);
    for (int64_t r = i; r < i + ATTENDS[k].rows && !ragged && s.longest > s.to; r++) {
      const int64_t length = t->length[r * t->length_stride];
      if (length > s.to) sum_columns(t, c, width, r, 1, (sum_t){.from = s.to, .to = length, .longest = length}, 1);
    }
  }
}

/*
 * outputs of rows first .. first + rows - 1 over positions from .. to - 1, and over those behind, up to `longest`, that
 * a row sees; load: go on from what the outputs hold
 */
static void sum_values(const attend_t *t, int64_t first, int64_t rows, int64_t from, int64_t to, int64_t longest,
                       int load) {
  const sum_t s = {.from = from, .to = to, .longest = longest};
  int64_t c = 0;
  for (; rows <= FEW_ROWS && longest == to && t->d - c >= FEW_VECTORS * 16; c += FEW_VECTORS * 16) {
    sum_t few = s;
    few.p = t->p + first * t->p_stride;
    few.o = t->o + first * t->o_stride + c;
    few.values = t->values + c * (t->half ? 2 : 4);
    FEW[rows - 1][t->half].full(t, &few, 16, load);
  }
  for (int64_t width; c < t->d; c += width) {
    width = t->d - c >= TILE_VECTORS * 16 ? TILE_VECTORS * 16 : at_most(t->d - c, 16);
    sum_columns(t, c, width, first, rows, s, load);
  }
}

/* the first position that a row of that length sees */
INLINE int64_t first_seen(const attend_t *t, int64_t length) {
  return t->window > 0 && length > t->window ? length - t->window : 0;
}

static void attend(const attend_t *t) {
  int64_t longest = 0, shortest = t->context;
  for (int64_t i = 0; i < t->rows; i++) {
    longest = at_least(longest, t->length[i * t->length_stride]);
    shortest = at_most(shortest, t->length[i * t->length_stride]);
  }
  const int64_t first = first_seen(t, shortest), last = first_seen(t, longest);
  scores(t, first / 16 * 16, longest);
  for (int64_t i = 0; i < t->rows; i++) {
    const int64_t length = t->length[i * t->length_stride];
    softmax_row(t, i, first_seen(t, length), length);
  }
  /* what all rows see goes through together, then what follows it; positions ascend */
  const int64_t end = at_least(last, shortest);
  if (first < last)
    for (int64_t i = 0; i < t->rows; i++) {
      const int64_t length = t->length[i * t->length_stride], to = at_most(last, length);
      sum_values(t, i, 1, first_seen(t, length), to, to, 0);
    }
  if (last < end || first < last) sum_values(t, 0, t->rows, last, end, longest, first < last);
}

/* queries of a chunk: fewer where there would be too few chunks for the threads (a batch of decoding sequences) */
static int64_t attention_queries(const op_t *o) {
  const int64_t even = at_least(ATTR(attention, N) * ATTR(attention, G) / (8 * o->threads), 1);
  return at_most(even > TILE_ROWS ? round_up(even, TILE_ROWS) : even, QUERIES);
}
static int64_t attention_chunks(const op_t *o) {
  const int64_t queries = attention_queries(o);
  return (ATTR(attention, N) + queries - 1) / queries * ATTR(attention, G);
}
static int64_t attention_score_rows(const op_t *o) {
  return OUTPUT(attention, p) ? 0 : at_least(TILE_ROWS, ATTR(attention, H) / ATTR(attention, G));
}
static int64_t attention_scratch(const op_t *o) {
  const int64_t context = round_up(ATTR(attention, T), 16);
  return 4 * (attention_score_rows(o) * context + round_up(context / 16 + AHEAD, 16));
}

/* the pages of one sequence up to a length, copied, so that the checked list is the used list */
static int sequence_pages(const op_t *o, int64_t sequence, int64_t length, int32_t *pages) {
  const int64_t width = (ATTR(attention, T) + 15) / 16;
  const int32_t *table = (const int32_t *)INPUT(attention, pages) + sequence * width;
  for (int64_t b = 0; b < (length + 15) / 16; b++) {
    pages[b] = table[b];
    if (pages[b] < 0 || pages[b] >= ATTR(attention, R) / 16) return 0;
  }
  const int64_t last = (length + 15) / 16;
  for (int64_t b = last; b < last + AHEAD; b++) pages[b] = pages[last - 1];
  return 1;
}

static void attention_run(const op_t *o, int64_t chunk, char *scratch) {
  const int64_t heads = ATTR(attention, H), groups = ATTR(attention, G), d = ATTR(attention, D),
                context = ATTR(attention, T), per = heads / groups, queries = attention_queries(o);
  const int64_t g = chunk % groups, n0 = chunk / groups * queries, n1 = at_most(n0 + queries, ATTR(attention, N));
  const int32_t *sequence = INPUT(attention, sequence), *length = INPUT(attention, length);
  int32_t *pages = (int32_t *)scratch + attention_score_rows(o) * round_up(context, 16);
  for (int64_t n = n0, e; n < n1; n = e) {
    const int64_t s = sequence[n];
    int64_t lengths[TILE_ROWS], longest = 0; /* read once */
    for (e = n; e < n1 && e - n < TILE_ROWS && (e == n || sequence[e] == s); e++) {
      const int64_t l = lengths[e - n] = length[e];
      if (l < 1 || l > context || s < 0 || s >= ATTR(attention, S)) {
        atomic_store(o->error, 1);
        return;
      }
      longest = at_least(longest, l);
    }
    if (!sequence_pages(o, s, longest, pages)) {
      atomic_store(o->error, 1);
      return;
    }
    const int64_t size = ATTR(attention, half) ? 2 : 4;
    const float *sinks = INPUT(attention, sinks);
    float *rest = OUTPUT(attention, rest);
    attend_t t = {.keys = (const char *)INPUT(attention, keys) + g * 16 * d * size,
                  .values = (const char *)INPUT(attention, values) + g * 16 * d * size,
                  .pages = pages,
                  .page_stride = groups * 16 * d,
                  .half = (int)ATTR(attention, half),
                  .d = d,
                  .context = context,
                  .scale = FLOAT(attention, scale),
                  .softcap = FLOAT(attention, softcap),
                  .window = ATTR(attention, window),
                  .whole = OUTPUT(attention, p) != NULL};
    memcpy(t.length, lengths, (size_t)(e - n) * sizeof *lengths);
    const float *q = (const float *)INPUT(attention, q) + (n * heads + g * per) * d;
    float *out = (float *)OUTPUT(attention, o) + (n * heads + g * per) * d, *p = OUTPUT(attention, p);
    if (p) p += (n * heads + g * per) * context;
    if (e - n == 1) {
      t.rows = per;
      t.q = q;
      t.q_stride = d;
      t.o = out;
      t.o_stride = d;
      t.p = p ? p : (float *)scratch;
      t.p_stride = p ? context : round_up(context, 16);
      t.sinks = sinks ? sinks + g * per : NULL;
      t.sink_stride = t.rest_stride = 1;
      t.rest = rest ? rest + n * heads + g * per : NULL;
      attend(&t);
      continue;
    }
    for (int64_t h = 0; h < per; h++) {
      t.rows = e - n;
      t.length_stride = 1;
      t.q = q + h * d;
      t.q_stride = heads * d;
      t.o = out + h * d;
      t.o_stride = heads * d;
      t.p = p ? p + h * context : (float *)scratch;
      t.p_stride = p ? heads * context : round_up(context, 16);
      t.sinks = sinks ? sinks + g * per + h : NULL;
      t.rest = rest ? rest + n * heads + g * per + h : NULL;
      t.rest_stride = heads;
      attend(&t);
    }
  }
}
