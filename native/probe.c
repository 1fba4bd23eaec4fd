/* Limits of the machine for `verit bench`: memory read once from end to end, and int8 dot products whose operands stay
 * in registers (or the nearest cache). No model uses these ops. They run through plan and pool like any other, so
 * threads, memory and instruction set are those of a model. */
enum { READ_CHUNK = 1 << 20 };
#if defined(VERIT_AVX512)
enum { READ_WIDTH = 64 };
#elif defined(VERIT_AVX2)
enum { READ_WIDTH = 32 };
#else
enum { READ_WIDTH = 16 };
#endif
typedef uint32_t words_t __attribute__((vector_size(READ_WIDTH), aligned(4), may_alias));

static int64_t readProbe_chunks(const op_t *o) { return (ATTR(readProbe, N) + READ_CHUNK - 1) / READ_CHUNK; }
static void readProbe_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const char *p = (const char *)INPUT(readProbe, x) + chunk * READ_CHUNK;
  const int64_t n = at_most(ATTR(readProbe, N) - chunk * READ_CHUNK, READ_CHUNK);
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
  ((uint32_t *)OUTPUT(readProbe, y))[chunk] = sum;
}

enum { DOT_ROWS = 12, DOT_PART = TILE_ROWS >= 12 ? 12 : 6 }; /* rows whose sums fit the registers */
static int64_t dotProbe_chunks(const op_t *o) { return ATTR(dotProbe, N); }
static void dotProbe_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const int8_t *q = INPUT(dotProbe, q);
  v16i total = i_zero();
  for (int block = 0; block < 2; block++) {
    const v16i c = i_codes(i_load((const char *)INPUT(dotProbe, c) + 64 * block), 0);
    for (int part = 0; part < DOT_ROWS; part += DOT_PART)
      for (int64_t r = 0, end; r < ATTR(dotProbe, rounds); r = end) {
        v16p sums[DOT_PART];
#pragma GCC unroll 12
        for (int i = 0; i < DOT_PART; i++) sums[i] = p_zero();
        end = at_most(ATTR(dotProbe, rounds), r + PART_INPUTS / 4);
        for (int64_t j = r; j < end; j++) {
          const int8_t *x =
              q + 4 * (j % 16 + part); /* another place each round, so that no product can be taken out of the loop */
#pragma GCC unroll 12
          for (int i = 0; i < DOT_PART; i++) sums[i] = p_dot(sums[i], c, i_set4(x + 4 * i));
        }
#pragma GCC unroll 12
        for (int i = 0; i < DOT_PART; i++) total = i_add(total, p_add(i_zero(), sums[i]));
      }
  }
  i_store((int32_t *)OUTPUT(dotProbe, y) + chunk * 16, total);
}
