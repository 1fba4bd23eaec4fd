/*
 * What the machine can do at most, for `verit bench` to compare with: memory read once from end to end, and int8 dot products whose operands stay in registers (or the
 * nearest cache). No model has these ops. They run through plan and pool like any other, so threads, memory and instruction set are those of the model.
 */
enum { READ_CHUNK = 1 << 20 };
#if defined(VERIT_AVX512)
enum { READ_WIDTH = 64 };
#elif defined(VERIT_AVX2)
enum { READ_WIDTH = 32 };
#else
enum { READ_WIDTH = 16 };
#endif
typedef uint32_t words_t __attribute__((vector_size(READ_WIDTH), aligned(4), may_alias));

static int64_t readProbe_chunks(const op_t *o) { return (o->a[0] + READ_CHUNK - 1) / READ_CHUNK; }
static void readProbe_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const char *p = (const char *)o->in[0] + chunk * READ_CHUNK;
  const int64_t n = at_most(o->a[0] - chunk * READ_CHUNK, READ_CHUNK);
  words_t a = {0}, b = {0}, c = {0}, d = {0};
  int64_t i = 0;
  for (; i + 4 * READ_WIDTH <= n; i += 4 * READ_WIDTH) {
    for (int j = 0; j < 4 * READ_WIDTH; j += 64) __builtin_prefetch(p + i + 4096 + j);
    a += *(const words_t *)(p + i);
    b += *(const words_t *)(p + i + READ_WIDTH);
    c += *(const words_t *)(p + i + 2 * READ_WIDTH);
    d += *(const words_t *)(p + i + 3 * READ_WIDTH);
  }
  for (; i < n; i += READ_WIDTH) a += *(const words_t *)(p + i);
  a += b + c + d;
  uint32_t sum = 0;
  for (int j = 0; j < READ_WIDTH / 4; j++) sum += a[j];
  ((uint32_t *)o->out[0])[chunk] = sum;
}

enum { DOT_SUMS = 12, DOT_PART = TILE_ROWS >= 12 ? 6 : 2 }; /* rows whose sums fit the registers, two of them each */
static int64_t dotProbe_chunks(const op_t *o) { return o->a[0]; }
static void dotProbe_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const v16i c0 = i_codes(i_load(o->in[0]), 0), c1 = i_codes(i_load((const char *)o->in[0] + 64), 0);
  const int8_t *q = o->in[1];
  int32_t total[16] = {0};
  for (int part = 0; part < DOT_SUMS; part += DOT_PART) {
    v16i acc[DOT_PART][2];
#pragma GCC unroll 6
    for (int i = 0; i < DOT_PART; i++) acc[i][0] = acc[i][1] = i_zero();
    for (int64_t r = 0; r < o->a[1]; r++) {
      const int8_t *x = q + 4 * (r % 16 + part); /* another place each round, so that no product can be taken out of the loop */
#pragma GCC unroll 6
      for (int i = 0; i < DOT_PART; i++) {
        const v16i v = i_set4(x + 4 * i);
        acc[i][0] = i_dot(acc[i][0], c0, v);
        acc[i][1] = i_dot(acc[i][1], c1, v);
      }
    }
    int32_t lanes[DOT_PART][2][16];
    _Static_assert(sizeof lanes == sizeof acc, "16 lanes of 32 bits");
    memcpy(lanes, acc, sizeof lanes);
    for (int i = 0; i < DOT_PART; i++)
      for (int j = 0; j < 16; j++) total[j] += lanes[i][0][j] + lanes[i][1][j];
  }
  memcpy((int32_t *)o->out[0] + chunk * 16, total, sizeof total);
}
