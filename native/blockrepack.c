/*
 * Block formats (src/ops/block-formats.ts): from the blocks of a file to packed memory, and rows of packed memory as
 * numbers. A further format is its case in read_block.
 */
/* a block of a file, taken apart: a code for each weight, the bytes of each group's scales */
typedef struct { uint8_t codes[256], scales[32]; } block_parts;

/* low nibbles are the first 16 weights, high nibbles the others */
INLINE void read_nibbles(const uint8_t *raw, uint8_t *codes) {
  for (int j = 0; j < 16; j++) {
    codes[j] = raw[j] & 15;
    codes[16 + j] = raw[j] >> 4;
  }
}
/* bit j of 32 is bit 4 of weight j */
INLINE void read_fifth_bits(const uint8_t *raw, uint8_t *codes) {
  for (int j = 0; j < 32; j++) codes[j] |= (uint8_t)((raw[j >> 3] >> (j & 7) & 1) << 4);
}
/* two bits a weight in halves of 128: plane j of four holds weights 32j .. 32j + 31 of the half */
INLINE void read_two_bits(const uint8_t *raw, uint8_t *codes) {
  for (int b = 0; b < 8; b++)
    for (int l = 0; l < 32; l++) codes[32 * b + l] = raw[b / 4 * 32 + l] >> 2 * (b & 3) & 3;
}
/* each 32 bytes hold 32 weights in low nibbles, then 32 in high ones */
INLINE void read_chunks(const uint8_t *raw, uint8_t *codes) {
  for (int b = 0; b < 8; b++)
    for (int l = 0; l < 32; l++) codes[32 * b + l] = raw[b / 2 * 32 + l] >> 4 * (b & 1) & 15;
}
/* bit b of byte l is bit `to` of weight 32b + l */
INLINE void read_bit_planes(const uint8_t *raw, uint8_t *codes, const int to) {
  for (int b = 0; b < 8; b++)
    for (int l = 0; l < 32; l++) codes[32 * b + l] |= (uint8_t)((raw[l] >> b & 1) << to);
}
/* eight pairs of a scale and a minimum, six bits each, in 12 bytes */
INLINE void read_pairs(const uint8_t *raw, uint8_t *scales) {
  for (int j = 0; j < 4; j++) {
    const uint8_t low = raw[j], high = raw[4 + j], rest = raw[8 + j];
    scales[2 * j] = low & 63;
    scales[2 * j + 1] = high & 63;
    scales[8 + 2 * j] = (uint8_t)((rest & 15) | low >> 6 << 4);
    scales[9 + 2 * j] = (uint8_t)(rest >> 4 | high >> 6 << 4);
  }
}
INLINE void read_q3_scales(const uint8_t *raw, uint8_t *scales) {
  for (int g = 0; g < 16; g++) {
    const int low = raw[g & 7] >> 4 * (g >> 3) & 15, high = raw[8 + (g & 3)] >> 2 * (g >> 2) & 3;
    scales[g] = (uint8_t)(low | high << 4);
  }
}
INLINE void read_six_bits(const uint8_t *low, const uint8_t *high, uint8_t *codes) {
  for (int b = 0; b < 8; b++) /* 32 weights: half b / 4, quarter b % 4 */
    for (int l = 0; l < 32; l++) {
      const int nibble = low[b / 4 * 64 + b % 2 * 32 + l] >> b % 4 / 2 * 4 & 15;
      codes[32 * b + l] = (uint8_t)(nibble | (high[b / 4 * 32 + l] >> b % 4 * 2 & 3) << 4);
    }
}
INLINE void read_iq4_groups(const uint8_t *raw, block_parts *p) {
  for (int g = 0; g < 8; g++) {
    read_nibbles(raw + 8 + 16 * g, p->codes + 32 * g);
    p->scales[g] = (uint8_t)((raw[4 + g / 2] >> 4 * (g & 1) & 15) | ((raw[2] | raw[3] << 8) >> 2 * g & 3) << 4);
  }
}

INLINE void read_block(const int type, const uint8_t *raw, block_parts *p) {
  switch (type) {
    case BLOCK_Q4_0: case BLOCK_IQ4_NL: read_nibbles(raw + 2, p->codes); break;
    case BLOCK_Q4_1: read_nibbles(raw + 4, p->codes); break;
    case BLOCK_Q5_0: read_nibbles(raw + 6, p->codes); read_fifth_bits(raw + 2, p->codes); break;
    case BLOCK_Q5_1: read_nibbles(raw + 8, p->codes); read_fifth_bits(raw + 4, p->codes); break;
    case BLOCK_Q8_0: for (int j = 0; j < 32; j++) p->codes[j] = raw[2 + j] ^ 128; break;
    case BLOCK_Q2_K: read_two_bits(raw + 16, p->codes); memcpy(p->scales, raw, 16); break;
    case BLOCK_Q3_K:
      read_two_bits(raw + 32, p->codes);
      read_bit_planes(raw, p->codes, 2);
      read_q3_scales(raw + 96, p->scales);
      break;
    case BLOCK_Q4_K: read_chunks(raw + 16, p->codes); read_pairs(raw + 4, p->scales); break;
    case BLOCK_Q5_K:
      read_chunks(raw + 48, p->codes);
      read_bit_planes(raw + 16, p->codes, 4);
      read_pairs(raw + 4, p->scales);
      break;
    case BLOCK_Q6_K: read_six_bits(raw, raw + 128, p->codes); memcpy(p->scales, raw + 192, 16); break;
    case BLOCK_IQ4_XS: read_iq4_groups(raw, p); break;
    case BLOCK_MXFP4: read_nibbles(raw + 1, p->codes); p->scales[0] = raw[0]; break;
  }
}

/* bits from .. from + bits - 1 of 32 codes of output j into their plane, whose bits are 0 */
INLINE void put_plane(const uint8_t *codes, uint8_t *c, int j, const int bits, const int from) {
  const int per = 8 / bits;
  const uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
#pragma GCC unroll 8
  for (int vector = 0; vector < bits; vector++) {
    uint32_t word = 0, quad;
#pragma GCC unroll 8
    for (int s = 0; s < per; s++) {
      memcpy(&quad, codes + 4 * (vector * per + s), 4);
      word |= (quad >> from & mask) << bits * s;
    }
    memcpy(c + 64 * vector + 4 * j, &word, 4);
  }
}
/* bits of the first plane */
INLINE int low_bits(const int bits) { return bits == 8 ? 8 : bits >= 4 ? 4 : 2; }

/* larger exponents are NaN, or overflow with the largest codes */
enum { MXFP4_LARGEST = 252 };
INLINE void repack_body(const int type, const op_t *o, int64_t chunk) {
  const block_size size = block_sizes[type];
  const int low = low_bits(size.bits), tail_size = tail_bytes(type),
      scales = size.block / size.group * size.scale_bytes;
  const int64_t rows = ATTR(repackQ4_0, O), k = ATTR(repackQ4_0, K), blocks = k / size.block;
  uint8_t *w = (uint8_t *)OUTPUT(repackQ4_0, w) + chunk * panel_bytes(type, k);
  uint8_t *codes = w, *tail = w + code_bytes(type, k);
  memset(w, 0, (size_t)panel_bytes(type, k));
  unsigned bad = 0;
  for (int64_t b = 0; b < blocks; b++, codes += 2 * size.block * size.bits, tail += tail_size)
    for (int j = 0; j < 16 && chunk * 16 + j < rows; j++) {
      const uint8_t *raw = (const uint8_t *)INPUT(repackQ4_0, raw) + ((chunk * 16 + j) * blocks + b) * size.bytes;
      block_parts p;
      read_block(type, raw, &p);
      if (type == BLOCK_MXFP4) bad |= raw[0] > MXFP4_LARGEST;
      for (int i = 0; i < size.block / 32; i++) {
        uint8_t *c = codes + 64 * size.bits * i;
        put_plane(p.codes + 32 * i, c, j, low, 0);
        if (size.bits > low) put_plane(p.codes + 32 * i, c + 64 * low, j, size.bits - low, low);
      }
      for (int g = 0; g < scales; g++) tail[16 * g + j] = p.scales[g];
      for (int h = 0; h < size.halves; h++) {
        const uint8_t *half = raw + size.halves_at + 2 * h;
        bad |= (half[1] & 0x7c) == 0x7c;
        memcpy(tail + 16 * scales + 32 * h + 2 * j, half, 2);
      }
    }
  if (bad) atomic_store(o->error, 1);
}

static int64_t blockRows_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(rowsQ4_0, K));
  return (ATTR(rowsQ4_0, N) + per - 1) / per;
}
/*
 * rows of packed memory as numbers: a block of 16 rows is taken apart for one of them, which few tokens of a prompt can
 * afford
 */
static void block_rows_run(int type, const op_t *o, int64_t chunk) {
  const int block = block_sizes[type].block, group = block_sizes[type].group, joined = block_sizes[type].joined,
      is_signed = code_steps(type) == 1 && EIGHT_OFFSET == 0;
  const int32_t *ids = INPUT(rowsQ4_0, ids);
  const int64_t k = ATTR(rowsQ4_0, K), per = rows_per_chunk(k), end = at_most((chunk + 1) * per, ATTR(rowsQ4_0, N));
  for (int64_t r = chunk * per; r < end; r++) {
    const int64_t id = ids[r];
    if (!known_id(o, id, ATTR(rowsQ4_0, O))) continue;
    const uint8_t *panel = (const uint8_t *)INPUT(rowsQ4_0, w) + id / 16 * panel_bytes(type, k);
    float *y = (float *)OUTPUT(rowsQ4_0, y) + r * k, apart[8 * 16 * (8 + 3 + 2)];
    for (int64_t i = 0; i < k; i += 32) {
      const char *at = (const char *)apart + i % block / 32 * apart_bytes(type, 0, 0, 1);
      if (i % block == 0) apart_kernels[type](0, panel, k, i, i + block, 0, 1, (char *)apart);
      const float *w = (const float *)(at + 512) + id % 16, *addends = w + 16 * factor_count(type, 0);
      for (int j = 0; j < 32; j++) {
        const uint8_t byte = (uint8_t)at[j / 4 * 64 + id % 16 * 4 + j % 4];
        const int code = is_signed ? (int8_t)byte : byte - code_offset(type), g = j / group;
        const float product = (joined ? w[32] * w[16 * g] : w[16 * g]) * (float)code;
        y[i + j] = addend_count(type) ? product + addends[16 * g] : product;
      }
    }
  }
}

#define X(name, ...) \
  static void repack##name##_run(const op_t *o, int64_t chunk, char *scratch) { \
    (void)scratch; \
    repack_body(BLOCK_##name, o, chunk); \
  } \
  static void rows##name##_run(const op_t *o, int64_t chunk, char *scratch) { \
    (void)scratch; \
    block_rows_run(BLOCK_##name, o, chunk); \
  }
BLOCK_FORMATS(X)
#undef X
