/*
 * Products with block-quantised weights (src/ops/block-matmul.ts): how they are cut into chunks, and the experts of a
 * mixture.
 */
static void multiply_rows(const block_rows *x, int type, int64_t first, int64_t end, const uint8_t *w, int64_t p0,
                          int64_t p1, char *scratch) {
#if STREAM_ROWS > 0
  if (end - first <= STREAM_ROWS) {
    stream_rows(x, type, first, (int)(end - first), w, p0, p1, scratch);
    return;
  }
#endif
  block_tile_rows(x, type, first, end, w, p0, p1, scratch);
}

static int64_t block_scratch(int type, int64_t k, int64_t rows) {
  return rows <= STREAM_ROWS
             ? (k + SLICE - 1) / SLICE * PREPARED * STREAM_ROWS
             : SLICE_BLOCKS * tile_bytes(type, PANELS_ABREAST) + PREPARED * (SLICE_ROWS + BLOCK_TILE_ROWS);
}

/* panels in a chunk, of `total` that are cut for `times` groups of rows: enough to pay for preparing rows, and six
 * chunks a thread if possible */
static int64_t panels_per_chunk(int64_t total, int64_t times, int64_t rows, int threads) {
  const int64_t even = (total * times + 6 * threads - 1) / (6 * threads), least = rows <= STREAM_ROWS ? 2 : 16;
  const int64_t wanted = round_up(at_least(even, least), PANELS_ABREAST);
  return at_least(at_most(wanted, round_up((total + threads - 1) / threads, PANELS_ABREAST)), 1);
}

/* the ops of all formats have the same attributes and operands */
static int64_t matmul_per_chunk(const op_t *o) {
  const int64_t rows = ATTR(matmulQ4_0, N), blocks = (rows + SLICE_ROWS - 1) / SLICE_ROWS;
  return panels_per_chunk((ATTR(matmulQ4_0, O) + 15) / 16, at_least(blocks, 1), at_most(rows, SLICE_ROWS), o->threads);
}
static int64_t blockMatmul_chunks(const op_t *o) {
  const int64_t panels = (ATTR(matmulQ4_0, O) + 15) / 16, per = matmul_per_chunk(o);
  return (ATTR(matmulQ4_0, N) + SLICE_ROWS - 1) / SLICE_ROWS * ((panels + per - 1) / per);
}
static void block_matmul(const op_t *o, int type, int64_t chunk, char *scratch) {
  const int64_t panels = (ATTR(matmulQ4_0, O) + 15) / 16, per = matmul_per_chunk(o), groups = (panels + per - 1) / per;
  const int64_t first = chunk / groups * SLICE_ROWS, p0 = chunk % groups * per;
  const int64_t end = at_most(first + SLICE_ROWS, ATTR(matmulQ4_0, N));
  const block_rows x = {.q = INPUT(matmulQ4_0, q),
                        .scale = INPUT(matmulQ4_0, scale),
                        .sum = INPUT(matmulQ4_0, sum),
                        .share = 1,
                        .k = ATTR(matmulQ4_0, K),
                        .outputs = ATTR(matmulQ4_0, O),
                        .y = OUTPUT(matmulQ4_0, y),
                        .check = p0 == 0,
                        .error = o->error};
  multiply_rows(&x, type, first, end, INPUT(matmulQ4_0, w), p0, at_most(p0 + per, panels), scratch);
}

/* choices, and how many different experts they can name */
static int64_t expert_pairs(const op_t *o) { return ATTR(expertMatmulQ4_0, N) * ATTR(expertMatmulQ4_0, k); }
static int64_t expert_slots(const op_t *o) { return at_most(expert_pairs(o), ATTR(expertMatmulQ4_0, E)); }
static int64_t expert_per_chunk(const op_t *o) {
  const int64_t slots = at_least(expert_slots(o), 1);
  return panels_per_chunk((ATTR(expertMatmulQ4_0, O) + 15) / 16, slots, expert_pairs(o) / slots, o->threads);
}
static int64_t blockExperts_chunks(const op_t *o) {
  const int64_t per = expert_per_chunk(o);
  return expert_slots(o) * (((ATTR(expertMatmulQ4_0, O) + 15) / 16 + per - 1) / per);
}
/* bytes of scratch for the rows of one expert, however many they are */
static int64_t expert_room(const op_t *o, int type) {
  const int64_t k = ATTR(expertMatmulQ4_0, K);
  return round_up(at_least(block_scratch(type, k, 1), block_scratch(type, k, STREAM_ROWS + 1)), 64);
}
static int64_t expert_scratch(const op_t *o, int type) {
  return expert_room(o, type) + round_up(4 * expert_pairs(o), 64) + ATTR(expertMatmulQ4_0, E);
}
/* all choices of the expert that is the slot-th to be named, by some panels of its matrix */
static void expert_matmul(const op_t *o, int type, int64_t chunk, char *scratch) {
  const int64_t k = ATTR(expertMatmulQ4_0, K), panels = (ATTR(expertMatmulQ4_0, O) + 15) / 16,
                per = expert_per_chunk(o), groups = (panels + per - 1) / per;
  const int64_t count = expert_pairs(o), experts = ATTR(expertMatmulQ4_0, E), slot = chunk / groups,
                p0 = chunk % groups * per;
  const int64_t room = expert_room(o, type);
  const int32_t *named = INPUT(expertMatmulQ4_0, experts);
  int32_t *pairs = (int32_t *)(scratch + room);
  char *seen = scratch + room + round_up(4 * count, 64);
  memset(seen, 0, (size_t)experts);
  int64_t found = 0, expert = -1, n = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t id = named[i];
    if (!known_id(o, id, experts)) return;
    if (expert < 0 && !seen[id]) {
      seen[id] = 1;
      if (found++ == slot) expert = id;
    }
    if (id == expert) pairs[n++] = (int32_t)i;
  }
  const block_rows x = {.q = INPUT(expertMatmulQ4_0, q),
                        .scale = INPUT(expertMatmulQ4_0, scale),
                        .sum = INPUT(expertMatmulQ4_0, sum),
                        .pairs = pairs,
                        .share = ATTR(expertMatmulQ4_0, U) == 1 ? ATTR(expertMatmulQ4_0, k) : 1,
                        .k = k,
                        .outputs = ATTR(expertMatmulQ4_0, O),
                        .y = OUTPUT(expertMatmulQ4_0, y),
                        .check = p0 == 0,
                        .error = o->error};
  const uint8_t *w = (const uint8_t *)INPUT(expertMatmulQ4_0, w) + at_least(expert, 0) * panels * panel_bytes(type, k);
  for (int64_t first = 0; first < n; first += SLICE_ROWS) {
    const int64_t end = at_most(first + SLICE_ROWS, n);
    multiply_rows(&x, type, first, end, w, p0, at_most(p0 + per, panels), scratch);
  }
}

static int64_t matmul_scratch_of(const op_t *o, int type) {
  return block_scratch(type, ATTR(matmulQ4_0, K), at_most(ATTR(matmulQ4_0, N), SLICE_ROWS));
}

#define X(name, ...)                                                                                     \
  static int64_t matmul##name##_scratch(const op_t *o) { return matmul_scratch_of(o, BLOCK_##name); }    \
  static void matmul##name##_run(const op_t *o, int64_t chunk, char *scratch) {                          \
    block_matmul(o, BLOCK_##name, chunk, scratch);                                                       \
  }                                                                                                      \
  static int64_t expertMatmul##name##_scratch(const op_t *o) { return expert_scratch(o, BLOCK_##name); } \
  static void expertMatmul##name##_run(const op_t *o, int64_t chunk, char *scratch) {                    \
    expert_matmul(o, BLOCK_##name, chunk, scratch);                                                      \
  }
BLOCK_FORMATS(X)
#undef X
