/* Moves bytes of 16 rows of a file into packed memory together: lane j of a vector holds four bytes of row j, so that
 * one store fills 64 bytes of a panel. The formats are in blockrepack.c, fine_q6_k.c and fine_q8_0.c. */
#ifndef VERIT_ROWWORDS_H
#define VERIT_ROWWORDS_H
#include "simd.h"

/* the rows of a panel in a file, @have of them; the first replaces those beyond the end until `clear_rows` */
typedef struct {
  const uint8_t *at[16];
  int have;
} row_set;

INLINE row_set panel_rows(const void *raw, int64_t panel, int64_t rows, int64_t row_bytes) {
  const int64_t left = rows - panel * 16;
  row_set r = {.have = left < 16 ? (int)left : 16};
  for (int j = 0; j < 16; j++) r.at[j] = (const uint8_t *)raw + (panel * 16 + (j < r.have ? j : 0)) * row_bytes;
  return r;
}
/* zeros in the place of missing rows: @bytes of packed memory, @each of them a row */
static void clear_rows(void *packed, int64_t bytes, const row_set *r, int each) {
  for (int64_t i = 0; r->have < 16 && i < bytes; i += 16 * each)
    memset((uint8_t *)packed + i + r->have * each, 0, (size_t)((16 - r->have) * each));
}

/* @count words, a multiple of 4, from byte @from of each row on */
INLINE void read_words(const row_set *r, int64_t from, const int count, v16i *w) {
#pragma GCC unroll 4
  for (int i = 0; i < count; i += 4) i_words(r->at, from + 4 * i, w + i);
}
/* nibbles at bit @shift of two words after each other make a vector of the plane of four bits */
INLINE void put_nibbles(const v16i *w, const int vectors, const int shift, uint8_t *c) {
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++)
    i_store(c + 64 * v, i_merge(i_shift(w[2 * v], shift), i_shift(w[2 * v + 1], shift - 4), 15, 240));
}
/* two bits at @shift of four words */
INLINE void put_two_bits(const v16i *w, const int vectors, const int shift, uint8_t *c) {
#pragma GCC unroll 2
  for (int v = 0; v < vectors; v++) {
    const v16i *q = w + 4 * v;
    i_store(c + 64 * v, i_merge(i_merge(i_shift(q[0], shift), i_shift(q[1], shift - 2), 3, 12),
                                i_merge(i_shift(q[2], shift - 4), i_shift(q[3], shift - 6), 48, 192), 15, 240));
  }
}
/* bit @shift of eight words */
INLINE void put_bits(const v16i *w, const int shift, uint8_t *c) {
  v16i all = i_zero();
#pragma GCC unroll 8
  for (int s = 0; s < 8; s++) all = i_add(all, i_mask(i_shift(w[s], shift - s), 1 << s));
  i_store(c, all);
}
/* byte b of each word to the 16 bytes at to + step * b */
INLINE void put_bytes(v16i w, uint8_t *to, const int step) {
  uint8_t bytes[64];
  i_store(bytes, w);
  for (int b = 0; b < 4; b++)
    for (int j = 0; j < 16; j++) to[step * b + j] = bytes[4 * j + b];
}
/* four bytes a row, wherever they lie */
INLINE v16i one_word(const row_set *r, int64_t from) {
  int32_t w[16];
  for (int j = 0; j < 16; j++) memcpy(w + j, r->at[j] + from, 4);
  return i_load(w);
}
/* f16 factors of a block; whether one is infinite or NaN */
INLINE int put_halves(const row_set *r, int64_t from, uint8_t *to) {
  uint16_t h[16];
  unsigned bad = 0;
  for (int j = 0; j < 16; j++) {
    memcpy(h + j, r->at[j] + from, 2);
    bad |= (h[j] & 0x7c00) == 0x7c00;
  }
  memcpy(to, h, 32);
  return (int)bad;
}
#endif
