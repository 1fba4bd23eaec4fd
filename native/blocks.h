/* How weights of each block format are unpacked: codes of four inputs for 16 outputs, and the factors of a block of 32
 * inputs. src/ops/block-formats.ts defines the layout: a panel of 16 outputs is all codes, then the tails (scales and
 * f16 factors) of all blocks. A new format is a row there, and its lines here. */
#ifndef VERIT_BLOCKS_H
#define VERIT_BLOCKS_H
#include "blocksize.h"
#include "simd.h"

/* what kernels take off the sum of codes for each unit of input */
#if defined(SIGNED_CODES)
enum { EIGHT_OFFSET = 0 };
#else
enum { EIGHT_OFFSET = 128 };
#endif

INLINE int code_offset(const int type) {
  switch (type) {
  case BLOCK_Q4_0: return 8;
  case BLOCK_Q5_0: return 16;
  case BLOCK_Q3_K: return 4;
  case BLOCK_Q6_K: return 32;
  case BLOCK_MXFP4: return 12;
  case BLOCK_Q8_0:
  case BLOCK_IQ4_NL:
  case BLOCK_IQ4_XS: return EIGHT_OFFSET;
  default: return 0;
  }
}

/*
 * WORD_SUMS: steps of four inputs whose products add up in 16 bits, which hold sums of 2 * steps products of (code -
 * offset) and at most 127; 1: codes of 8 bits, which are signed
 */
INLINE int code_steps(const int type) {
  switch (type) {
  case BLOCK_Q8_0:
  case BLOCK_IQ4_NL:
  case BLOCK_IQ4_XS: return 1;
  case BLOCK_Q5_1:
  case BLOCK_Q5_K: return 4; /* 8 * 31 * 127 = 31496 */
  case BLOCK_Q2_K:
  case BLOCK_Q3_K:
  case BLOCK_Q6_K: return 4; /* 8 * 32 * 127 = 32512 for Q6_K; groups of 16 */
  default: return 8;         /* 16 * 16 * 127 = 32512 for Q5_0 */
  }
}

#if defined(SIGNED_CODES)
#define EIGHT(x) ((uint8_t)(x))
#else
#define EIGHT(x) ((uint8_t)((x) + 128))
#endif
static const uint8_t IQ4_TABLE[16] = {EIGHT(-127), EIGHT(-104), EIGHT(-83), EIGHT(-65), EIGHT(-49), EIGHT(-35),
                                      EIGHT(-22),  EIGHT(-10),  EIGHT(1),   EIGHT(13),  EIGHT(25),  EIGHT(38),
                                      EIGHT(53),   EIGHT(69),   EIGHT(89),  EIGHT(113)};
#undef EIGHT
/* plus 12 */
static const uint8_t E2M1_TABLE[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/*
 * bits of the plane at c that belong to inputs 4s .. 4s + 3, shifted so that the lowest is bit `to`; other bits are not
 * cleared
 */
INLINE v16i plane(const uint8_t *c, const int bits, const int s, const int to) {
  const int per = 8 / bits;
  return i_shift(i_load(c + 64 * (s / per)), bits * (s % per) - to);
}

/* codes of inputs 4s .. 4s + 3 of the 32 whose codes are at c */
INLINE v16i block_codes(const int type, const uint8_t *c, const int s) {
  switch (type) {
  case BLOCK_Q5_0:
  case BLOCK_Q5_1:
  case BLOCK_Q5_K: return i_merge(plane(c, 4, s, 0), plane(c + 256, 1, s, 4), 15, 16);
  case BLOCK_Q6_K: return i_merge(plane(c, 4, s, 0), plane(c + 256, 2, s, 4), 15, 48);
  case BLOCK_Q2_K: return i_mask(plane(c, 2, s, 0), 3);
  case BLOCK_Q3_K: return i_merge(plane(c, 2, s, 0), plane(c + 128, 1, s, 2), 3, 4);
#if defined(SIGNED_CODES)
  case BLOCK_Q8_0: return i_flip8(i_load(c + 64 * s));
#else
  case BLOCK_Q8_0: return i_load(c + 64 * s);
#endif
  case BLOCK_IQ4_NL:
  case BLOCK_IQ4_XS: return i_table(i_mask(plane(c, 4, s, 0), 15), IQ4_TABLE);
  case BLOCK_MXFP4: return i_table(i_mask(plane(c, 4, s, 0), 15), E2M1_TABLE);
  default: return i_mask(plane(c, 4, s, 0), 15);
  }
}

/* the integer scale of a group, as f32 */
INLINE v16 block_scale(const int type, const uint8_t *p) {
  switch (type) {
  case BLOCK_Q2_K: return i_to_f(i_mask(u8_to_i(p), 15));
  case BLOCK_Q3_K: return i_to_f(i_add(i_mask(u8_to_i(p), 63), i_set1(-32)));
  case BLOCK_IQ4_XS: return i_to_f(i_add(u8_to_i(p), i_set1(-32)));
  case BLOCK_Q6_K: return i8_to_f((const int8_t *)p);
  default: return i_to_f(u8_to_i(p));
  }
}
/* the integer minimum of a group */
INLINE v16 block_minimum(const int type, const uint8_t *p) {
  return type == BLOCK_Q2_K ? i_to_f(i_shift(u8_to_i(p), 4)) : i_to_f(u8_to_i(p + 16));
}

/*
 * Formats whose groups are joined have codes that are so short that a code times its group's scale is a byte. Kernels
 * see such products (@multiplied) as the codes of a format with one group of 32, or codes and scales apart. Q3_K: 128 -
 * scale * (code - 4), which is 0 .. 252, with -d.
 */
INLINE int block_groups(const int type, const int multiplied) { return multiplied ? 1 : 32 / block_sizes[type].group; }
INLINE int block_offset(const int type, const int multiplied) {
  return multiplied && type == BLOCK_Q3_K ? EIGHT_OFFSET : code_offset(type);
}
INLINE int block_steps(const int type, const int multiplied) {
  if (!multiplied) return code_steps(type);
  return type == BLOCK_Q3_K ? 1 : 2; /* 2 * 2 * 45 * 127 = 22860 */
}
/* whether kernels add starts of sums, where sums have to be smaller by the offset for each unit of input */
INLINE int has_starts(const int type, const int multiplied) {
#if defined(WORD_SUMS)
  return block_offset(type, multiplied) != 0;
#else
  (void)multiplied;
  return !block_sizes[type].minimums;
#endif
}
/* what codes of a group are multiplied by, four at a time, and what is added */
typedef struct {
  v16i by, more;
} multiplier_t;
INLINE multiplier_t block_multiplier(const int type, const uint8_t *p) {
  if (type == BLOCK_Q2_K) return (multiplier_t){i_mask(u8_to_i(p), 15), i_zero()};
  const v16i by = i_add(i_set1(32), i_mul(i_mask(u8_to_i(p), 63), i_set1(-1))); /* 32 - (scale + 32) */
  return (multiplier_t){by, i_mul(i_add(i_set1(128), i_mul(by, i_set1(-4))), i_set1(0x01010101))};
}
INLINE v16i multiply_codes(const int type, v16i codes, multiplier_t m) {
  const v16i product = i_mul(codes, m.by);
  if (type == BLOCK_Q2_K) return product;
#if defined(SIGNED_CODES)
  return i_flip8(i_add(product, m.more));
#else
  return i_add(product, m.more);
#endif
}

/*
 * What the sums of each group of a block of 32 are multiplied by, with joined groups their scales and then d; and what
 * is added for each unit of input of each group.
 */
typedef struct {
  v16 w[3], b[2];
} factors_t;
INLINE int factor_count(const int type, const int multiplied) {
  if (multiplied) return 1;
  return block_sizes[type].joined ? 3 : 32 / block_sizes[type].group;
}
INLINE int addend_count(const int type) { return block_sizes[type].minimums ? 32 / block_sizes[type].group : 0; }

/* @halves: the f16 factors of the block, @scales: those of its groups from the first of this block of 32 on */
INLINE factors_t block_factors(const int type, const int multiplied, const uint8_t *halves, const uint8_t *scales) {
  const block_size s = block_sizes[type];
  factors_t f;
  const v16 d = s.halves ? f_load_half((const uint16_t *)halves) : f_zero();
  const v16 m = s.halves > 1 ? f_load_half((const uint16_t *)halves + 16) : f_zero();
  if (multiplied)
    f.w[0] = type == BLOCK_Q3_K ? f_neg(d) : d;
  else if (type == BLOCK_MXFP4)
    f.w[0] = exponents_to_f(scales);
  else if (!s.scale_bytes)
    f.w[0] = d;
  else {
#pragma GCC unroll 2
    for (int g = 0; g < 32 / s.group; g++) {
      const v16 scale = block_scale(type, scales + 16 * s.scale_bytes * g);
      f.w[g] = s.joined ? scale : f_mul(d, scale);
    }
    f.w[2] = d;
  }
#pragma GCC unroll 2
  for (int g = 0; g < addend_count(type); g++)
    f.b[g] = s.scale_bytes ? f_neg(f_mul(m, block_minimum(type, scales + 16 * g))) : m;
  return f;
}
#endif
