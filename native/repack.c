/*
 * Packed ternary tensors of GGUF to the codes of ternaryMatmul or ternaryMatmulBase3, block of 16 outputs by block,
 * without the weights in between. Layouts: src/lib/ternary-codes.ts. A row is first unpacked to one code a byte; 32-bit
 * words of four such codes are then shifted together.
 */
typedef struct {
  unsigned bad;
} repack_t;

/* n codes from weight i0 of the tensor on; i0 and n are what is left of whole blocks at either end */
static void codes_i2s(const uint8_t *raw, int64_t i0, int64_t n, uint8_t *c, repack_t *state) {
  const uint64_t ones = 0x0101010101010101u;
  uint64_t bad = 0;
  for (int64_t i = i0; i < i0 + n;) {
    const uint8_t *block = raw + i / 128 * 32;
    const int64_t within = i % 128, left = i0 + n - i;
    if (within == 0 && left >= 128) {
      for (int j = 0; j < 32; j += 8) {
        uint64_t v;
        memcpy(&v, block + j, 8);
        bad |= v & v >> 1 & 0x55 * ones;
        for (int part = 0; part < 4; part++) {
          const uint64_t codes = v >> (6 - 2 * part) & 3 * ones;
          memcpy(c + 32 * part + j, &codes, 8);
        }
      }
      c += 128;
      i += 128;
      continue;
    }
    const int64_t take = at_most(32 - within % 32, left);
    const int shift = 6 - 2 * (int)(within / 32);
    const uint8_t *from = block + within % 32;
    for (int64_t j = 0; j < take; j++) {
      const uint8_t code = from[j] >> shift & 3;
      bad |= code & code >> 1;
      c[j] = code;
    }
    c += take;
    i += take;
  }
  state->bad |= bad != 0;
}

static void codes_tq2(const uint8_t *raw, int64_t i0, int64_t n, uint8_t *c, repack_t *state) {
  unsigned bad = 0;
  for (int64_t i = i0; i < i0 + n; i += 32, c += 32) {
    const uint8_t *from = raw + i / 256 * 66 + i % 256 / 128 * 32;
    const int shift = 2 * (int)(i % 128 / 32);
    for (int j = 0; j < 32; j++) {
      const uint8_t code = from[j] >> shift & 3;
      bad |= code & code >> 1;
      c[j] = code;
    }
  }
  state->bad |= bad;
}

/* a byte is ceil(v * 256 / 243) of five trits, the first the most significant: times 3 to the place, modulo 256, times
 * 3 over 256. The 13 bytes that no v gives differ when packed again. */
INLINE unsigned tq1_value(unsigned byte) { return byte * 243 >> 8; }
static void codes_tq1(const uint8_t *raw, int64_t i0, int64_t n, uint8_t *c, repack_t *state) {
  static const uint8_t power[5] = {1, 3, 9, 27, 81};
  unsigned bad = 0;
  for (int64_t i = i0; i < i0 + n; i += 256, c += 256) {
    const uint8_t *b = raw + i / 256 * 54;
    for (int place = 0; place < 5; place++) {
      for (int j = 0; j < 32; j++) c[32 * place + j] = (uint8_t)((uint8_t)(b[j] * power[place]) * 3 >> 8);
      for (int j = 0; j < 16; j++) c[160 + 16 * place + j] = (uint8_t)((uint8_t)(b[32 + j] * power[place]) * 3 >> 8);
      for (int j = 0; j < 4 && place < 4; j++)
        c[240 + 4 * place + j] = (uint8_t)((uint8_t)(b[48 + j] * power[place]) * 3 >> 8);
    }
    for (int j = 0; j < 52; j++) {
      const unsigned v = tq1_value(b[j]);
      bad |= (v * 256 + 242) / 243 != b[j];
      if (j >= 48) bad |= v % 3 != 0;
    }
  }
  state->bad |= bad;
}

/* a row's codes, four or five words of four at once, to where a row of a block has its bytes: no byte of the sum passes
 * 244 */
static void join_five(const uint8_t *c, int64_t groups, uint8_t *t) {
  for (int64_t g = 0; g < groups; g++, c += 20, t += 64) {
    uint32_t w[5];
    memcpy(w, c, 20);
    const uint32_t packed = w[0] + 3 * w[1] + 9 * w[2] + 27 * w[3] + 82 * w[4];
    memcpy(t, &packed, 4);
  }
}
static void join_four(const uint8_t *c, int64_t groups, uint8_t *t) {
  for (int64_t g = 0; g < groups; g++, c += 16, t += 64) {
    uint32_t w[4];
    memcpy(w, c, 16);
    const uint32_t packed = w[0] | w[1] << 2 | w[2] << 4 | w[3] << 6;
    memcpy(t, &packed, 4);
  }
}
static int64_t repackTernary_scratch(const op_t *o) { return round_up(ATTR(repackTernary, K), 80); }
static void repackTernary_run(const op_t *o, int64_t chunk, char *scratch) {
  const int base3 = ATTR(repackTernary, base3) == 1;
  const int64_t rows = ATTR(repackTernary, O), k = ATTR(repackTernary, K), step = base3 ? 20 : 16,
                whole = round_up(k, step);
  uint8_t *c = (uint8_t *)scratch, *t = (uint8_t *)OUTPUT(repackTernary, t) + chunk * (whole / step) * 64;
  repack_t state = {0};
  for (int64_t j = 0; j < 16; j++) {
    const int64_t r = chunk * 16 + j, known = r < rows ? k : 0;
    if (known)
      (ATTR(repackTernary, format) == 0   ? codes_i2s
       : ATTR(repackTernary, format) == 1 ? codes_tq2
                                          : codes_tq1)(INPUT(repackTernary, raw), r * k, k, c, &state);
    memset(c + known, base3 ? 0 : 1, (size_t)(whole - known));
    (base3 ? join_five : join_four)(c, whole / step, t + j * 4);
  }
  if (state.bad) atomic_store(o->error, 1);
}
