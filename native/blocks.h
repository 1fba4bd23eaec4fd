/*
 * How weights of each block format come out of packed memory: codes of four inputs for 16 outputs, and the factors of a block of 32 inputs. src/ops/block-formats.ts says how they lie there:
 * a panel of 16 outputs is all codes, then the tails (scales and f16 factors) of all blocks. A further format is its row there, and its lines here.
 */
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
    case BLOCK_Q8_0: case BLOCK_IQ4_NL: case BLOCK_IQ4_XS: return EIGHT_OFFSET;
    default: return 0;
  }
}

/* steps of four inputs whose products add up in 16 bits, two at a time and of at most 127 times the code; 1: codes of 8 bits, which are signed where this counts */
INLINE int code_steps(const int type) {
  switch (type) {
    case BLOCK_Q8_0: case BLOCK_IQ4_NL: case BLOCK_IQ4_XS: return 1;
    case BLOCK_Q6_K: return 2; /* 2 * 2 * 63 * 127 = 32004 */
    case BLOCK_Q5_0: case BLOCK_Q5_1: case BLOCK_Q5_K: return 4; /* 4 * 2 * 31 * 127 = 31496 */
    case BLOCK_MXFP4: case BLOCK_Q2_K: case BLOCK_Q3_K: return 4; /* codes of at most 24; groups of 16 */
    default: return 8; /* 8 * 2 * 15 * 127 = 30480 */
  }
}

#if defined(SIGNED_CODES)
#define EIGHT(x) ((uint8_t)(x))
#else
#define EIGHT(x) ((uint8_t)((x) + 128))
#endif
static const uint8_t IQ4_TABLE[16] = {EIGHT(-127), EIGHT(-104), EIGHT(-83), EIGHT(-65), EIGHT(-49), EIGHT(-35), EIGHT(-22), EIGHT(-10),
                                      EIGHT(1), EIGHT(13), EIGHT(25), EIGHT(38), EIGHT(53), EIGHT(69), EIGHT(89), EIGHT(113)};
#undef EIGHT
/* plus 12 */
static const uint8_t E2M1_TABLE[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/* bits of the plane at c that belong to inputs 4s .. 4s + 3, shifted so that the lowest is bit `to`; other bits are not cleared */
INLINE v16i plane(const uint8_t *c, const int bits, const int s, const int to) {
  const int per = 8 / bits;
  return i_shift(i_load(c + 64 * (s / per)), bits * (s % per) - to);
}

/* codes of inputs 4s .. 4s + 3 of the 32 whose codes are at c */
INLINE v16i block_codes(const int type, const uint8_t *c, const int s) {
  switch (type) {
    case BLOCK_Q5_0: case BLOCK_Q5_1: case BLOCK_Q5_K: return i_merge(plane(c, 4, s, 0), plane(c + 256, 1, s, 4), 15, 16);
    case BLOCK_Q6_K: return i_merge(plane(c, 4, s, 0), plane(c + 256, 2, s, 4), 15, 48);
    case BLOCK_Q2_K: return i_mask(plane(c, 2, s, 0), 3);
    case BLOCK_Q3_K: return i_merge(plane(c, 2, s, 0), plane(c + 128, 1, s, 2), 3, 4);
#if defined(SIGNED_CODES)
    case BLOCK_Q8_0: return i_flip8(i_load(c + 64 * s));
#else
    case BLOCK_Q8_0: return i_load(c + 64 * s);
#endif
    case BLOCK_IQ4_NL: case BLOCK_IQ4_XS: return i_table(i_mask(plane(c, 4, s, 0), 15), IQ4_TABLE);
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
 * What the sums of a block of 32 are multiplied by: w[0], or with groups of 16 the scales w[0] and w[1] and the factor w[2] of both; and what is added for each unit of input: b of each group.
 */
typedef struct { v16 w[3], b[2]; } factors_t;
INLINE int factor_count(const int type) { return block_sizes[type].group == 16 ? 3 : 1; }
INLINE int addend_count(const int type) { return block_sizes[type].minimums ? 32 / block_sizes[type].group : 0; }

/* @halves: the f16 factors of the block, @scales: those of its groups from the first of this block of 32 on */
INLINE factors_t block_factors(const int type, const uint8_t *halves, const uint8_t *scales) {
  const block_size s = block_sizes[type];
  factors_t f;
  const v16 d = s.halves ? f_load_half((const uint16_t *)halves) : f_zero(), m = s.halves > 1 ? f_load_half((const uint16_t *)halves + 16) : f_zero();
  if (s.group == 16) {
    f.w[0] = block_scale(type, scales);
    f.w[1] = block_scale(type, scales + 16);
    f.w[2] = d;
  } else if (type == BLOCK_MXFP4) f.w[0] = exponents_to_f(scales);
  else f.w[0] = s.scale_bytes ? f_mul(d, block_scale(type, scales)) : d;
#pragma GCC unroll 2
  for (int g = 0; g < addend_count(type); g++) f.b[g] = s.scale_bytes ? f_neg(f_mul(m, block_minimum(type, scales + 16 * g))) : m;
  return f;
}
#endif
