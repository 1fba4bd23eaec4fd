/* Block formats (src/ops/block-formats.ts): packing the blocks of a file, and decoding packed rows. A new format is a
 * case in pack_block. */
#include "rowwords.h"

/* low nibbles are the first 16 weights, high nibbles the others */
INLINE void pack_nibbles(const row_set *r, int64_t at, uint8_t *c) {
  v16i w[4];
  read_words(r, at, 4, w);
  put_nibbles(w, 2, 0, c);
  put_nibbles(w, 2, 4, c + 128);
}
/* each 32 bytes hold 32 weights in low nibbles, then 32 in high ones; packed memory has @step bytes for 32 weights */
INLINE void pack_chunks(const row_set *r, int64_t at, uint8_t *c, const int step) {
  for (int i = 0; i < 4; i++, c += 2 * step) {
    v16i w[8];
    read_words(r, at + 32 * i, 8, w);
    put_nibbles(w, 4, 0, c);
    put_nibbles(w, 4, 4, c + step);
  }
}
/* two bits a weight in halves of 128: plane j of four holds weights 32j .. 32j + 31 of the half */
INLINE void pack_two_bits(const row_set *r, int64_t at, uint8_t *c, const int step) {
  for (int i = 0; i < 2; i++) {
    v16i w[8];
    read_words(r, at + 32 * i, 8, w);
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) put_two_bits(w, 2, 2 * b, c + (4 * i + b) * step);
  }
}
/* bit b of byte l is the top bit of weight 32b + l */
INLINE void pack_bit_planes(const row_set *r, int64_t at, uint8_t *c, const int step) {
  v16i w[8];
  read_words(r, at, 8, w);
#pragma GCC unroll 8
  for (int b = 0; b < 8; b++) put_bits(w, b, c + b * step);
}
/* bit 4s + b of a word is the top bit of weight 4s + b, and goes to bit s of byte b */
INLINE void pack_fifth_bits(const row_set *r, int64_t at, uint8_t *c) {
  const v16i word = one_word(r, at);
  v16i all = i_zero();
#pragma GCC unroll 4
  for (int b = 0; b < 4; b++) {
    v16i x = i_mask(i_shift(word, b), 17);
    x = i_mask(i_add(x, i_shift(x, 3)), 3);
    x = i_mask(i_add(x, i_shift(x, 6)), 15);
    x = i_add(x, i_shift(x, 12)); /* its lowest byte is bit b of each four */
    all = i_add(all, i_shift(i_shift(x, -24), 24 - 8 * b));
  }
  i_store(c, all);
}
INLINE void pack_bytes(const row_set *r, int64_t at, uint8_t *c) {
  v16i w[8];
  read_words(r, at, 8, w);
#pragma GCC unroll 8
  for (int s = 0; s < 8; s++) i_store(c + 64 * s, i_flip8(w[s]));
}
/* 32 weights are quarter b % 4 of half b / 4: nibble b % 4 / 2 of 32 bytes, and two bits of others */
INLINE void pack_six_bits(const row_set *r, int64_t low, int64_t high, uint8_t *c, const int step) {
  for (int h = 0; h < 2; h++, c += 4 * step) {
    v16i w[16], top[8];
    read_words(r, low + 64 * h, 16, w);
    read_words(r, high + 32 * h, 8, top);
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) {
      put_nibbles(w + b % 2 * 8, 4, b / 2 * 4, c + b * step);
      put_two_bits(top, 2, 2 * b, c + b * step + 256);
    }
  }
}

/* 16 scales of a byte */
INLINE void pack_scales(const row_set *r, int64_t at, uint8_t *tail) {
  v16i w[4];
  read_words(r, at, 4, w);
  for (int i = 0; i < 4; i++) put_bytes(w[i], tail + 64 * i, 16);
}
/* eight pairs of a scale and a minimum, six bits each, in 12 bytes */
INLINE void pack_pairs(const row_set *r, int64_t at, uint8_t *tail) {
  v16i w[4];
  read_words(r, at, 4, w);
  put_bytes(i_mask(w[0], 63), tail, 32);
  put_bytes(i_mask(w[1], 63), tail + 16, 32);
  put_bytes(i_merge(w[2], i_shift(w[0], 2), 15, 48), tail + 128, 32);
  put_bytes(i_merge(i_shift(w[2], 4), i_shift(w[1], 2), 15, 48), tail + 144, 32);
}
/* 16 scales of six bits in 12 bytes, which end at @end */
INLINE void pack_q3_scales(const row_set *r, int64_t end, uint8_t *tail) {
  v16i w[4];
  read_words(r, end - 16, 4, w);
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    put_bytes(i_merge(i_shift(w[1 + i % 2], i / 2 * 4), i_shift(w[3], 2 * i - 4), 15, 48), tail + 64 * i, 16);
}
/* eight scales of six bits: nibbles, and two bits of a word of 16 */
INLINE void pack_iq4_scales(const row_set *r, int64_t at, uint8_t *tail) {
  for (int j = 0; j < 16; j++) {
    const uint8_t *raw = r->at[j] + at;
    const unsigned high = raw[2] | (unsigned)raw[3] << 8;
    for (int g = 0; g < 8; g++)
      tail[16 * g + j] = (uint8_t)((raw[4 + g / 2] >> 4 * (g & 1) & 15) | (high >> 2 * g & 3) << 4);
  }
}

/* larger exponents are NaN, or overflow with the largest codes */
enum { MXFP4_LARGEST = 252 };
INLINE int pack_exponents(const row_set *r, int64_t at, uint8_t *tail) {
  unsigned bad = 0;
  for (int j = 0; j < 16; j++) {
    tail[j] = r->at[j][at];
    bad |= tail[j] > MXFP4_LARGEST;
  }
  return (int)bad;
}

/* codes and scales of the block at byte @at of 16 rows; returns whether a scale is invalid */
INLINE int pack_block(const int type, const row_set *r, int64_t at, uint8_t *c, uint8_t *tail) {
  const int step = 64 * block_sizes[type].bits;
  switch (type) {
  case BLOCK_Q4_0:
  case BLOCK_IQ4_NL: pack_nibbles(r, at + 2, c); break;
  case BLOCK_Q4_1: pack_nibbles(r, at + 4, c); break;
  case BLOCK_Q5_0:
    pack_nibbles(r, at + 6, c);
    pack_fifth_bits(r, at + 2, c + 256);
    break;
  case BLOCK_Q5_1:
    pack_nibbles(r, at + 8, c);
    pack_fifth_bits(r, at + 4, c + 256);
    break;
  case BLOCK_Q8_0: pack_bytes(r, at + 2, c); break;
  case BLOCK_Q2_K:
    pack_two_bits(r, at + 16, c, step);
    pack_scales(r, at, tail);
    break;
  case BLOCK_Q3_K:
    pack_two_bits(r, at + 32, c, step);
    pack_bit_planes(r, at, c + 128, step);
    pack_q3_scales(r, at + 108, tail);
    break;
  case BLOCK_Q4_K:
    pack_chunks(r, at + 16, c, step);
    pack_pairs(r, at + 4, tail);
    break;
  case BLOCK_Q5_K:
    pack_chunks(r, at + 48, c, step);
    pack_bit_planes(r, at + 16, c + 256, step);
    pack_pairs(r, at + 4, tail);
    break;
  case BLOCK_Q6_K:
    pack_six_bits(r, at, at + 128, c, step);
    pack_scales(r, at + 192, tail);
    break;
  case BLOCK_IQ4_XS:
    for (int g = 0; g < 8; g++) pack_nibbles(r, at + 8 + 16 * g, c + g * step);
    pack_iq4_scales(r, at, tail);
    break;
  case BLOCK_MXFP4: pack_nibbles(r, at + 1, c); return pack_exponents(r, at, tail);
  }
  return 0;
}

INLINE void repack_body(const int type, const op_t *o, int64_t chunk) {
  const block_size size = block_sizes[type];
  const int tail_size = tail_bytes(type), scales = 16 * (size.block / size.group * size.scale_bytes);
  const int64_t k = ATTR(repackQ4_0, K), blocks = k / size.block, panel = panel_bytes(type, k);
  const row_set rows = panel_rows(INPUT(repackQ4_0, raw), chunk, ATTR(repackQ4_0, O), blocks * size.bytes);
  uint8_t *codes = (uint8_t *)OUTPUT(repackQ4_0, w) + chunk * panel, *tail = codes + code_bytes(type, k), *c = codes;
  int bad = 0;
  for (int64_t b = 0; b < blocks; b++, c += 2 * size.block * size.bits, tail += tail_size) {
    bad |= pack_block(type, &rows, b * size.bytes, c, tail);
    for (int h = 0; h < size.halves; h++)
      bad |= put_halves(&rows, b * size.bytes + size.halves_at + 2 * h, tail + scales + 32 * h);
    clear_rows(tail, scales, &rows, 1);
    clear_rows(tail + scales, 32 * size.halves, &rows, 2);
  }
  clear_rows(codes, code_bytes(type, k), &rows, 4);
  memset(tail, 0, (size_t)(codes + panel - tail));
  if (bad) atomic_store(o->error, 1);
}

static int64_t blockRows_chunks(const op_t *o) {
  const int64_t per = rows_per_chunk(ATTR(rowsQ4_0, K));
  return (ATTR(rowsQ4_0, N) + per - 1) / per;
}
/* decodes packed rows: a block of 16 rows is unpacked for one of them, which only the few tokens of a prompt can afford
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

#define X(name, ...)                                                            \
  static void repack##name##_run(const op_t *o, int64_t chunk, char *scratch) { \
    (void)scratch;                                                              \
    repack_body(BLOCK_##name, o, chunk);                                        \
  }                                                                             \
  static void rows##name##_run(const op_t *o, int64_t chunk, char *scratch) {   \
    (void)scratch;                                                              \
    block_rows_run(BLOCK_##name, o, chunk);                                     \
  }
BLOCK_FORMATS(X)
#undef X
