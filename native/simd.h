/*
 * One vector type for every instruction set: 16 lanes of f32 (v16), with 16 lanes of f64 (v16d) for the functions and
 * of int32 (v16i) for the integer products. A kernel is written once on these; kernels.c is compiled once per
 * instruction set. docs/internals/arithmetic.md section 2 fixes the 16 lanes (rule R2), so the width of the machine's
 * registers never shows in a result.
 *
 * Every backend defines:
 *   f_load f_store f_load_n f_store_n f_load_half f_store_half f_load_bf16 f_set1 f_zero (n: the first n lanes,
 *   0 <= n <= 16; missing lanes read as +0)
 *   f_add f_sub f_mul f_div f_sqrt f_fma f_max f_min f_abs f_neg
 *   f_gt f_nan f_select (m16 masks)                            f_hsum f_hmax: the tree 8-4-2-1
 *   f_to_d d_to_f d_set1 d_add d_sub d_mul d_div d_scale d_select_gt d_abs d_sign_of
 *   f_store_i8 (round to nearest even, 16 int8), i_zero i_add i_load i_store i_set4 i_dot i_dot8 i_codes i_six
 * i_to_f_minus i_join (but AVX-512), p_zero p_dot p_add and PART_INPUTS (where sums of 16 bits pay) for block-quantised
 * weights (blocks.h): i_set1 i_to_f i_mul u8_to_i i_shift i_mask i_merge i_table exponents_to_f i_dot4; SIGNED_CODES
 * and i_flip8 where codes of 8 bits are signed; WORD_SUMS, p_dot4, i_abs8 and i_dot_signed where sums of 16 bits pay;
 * STREAM_ROWS: rows multiplied from registers; PANELS_ABREAST, BLOCK_TILE_ROWS, TILES: the tiles EXPS: vectors whose
 * exponentials are computed side by side TILE_ROWS, TILE_VECTORS: rows and v16 of the matrix micro-kernel's
 * accumulators; TERNARY_PAIRS: up to how many rows two blocks of ternary outputs go through together
 */
#ifndef VERIT_SIMD_H
#define VERIT_SIMD_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* an f16 as f32, exact: its bits in the place of an f32's are the value times 2^-112, but for infinities and NaN, which
 * have all bits of the exponent */
INLINE float half_1(uint16_t h) {
  const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, endless = magnitude | 0x7f800000u;
  float f, e;
  memcpy(&f, &magnitude, 4);
  memcpy(&e, &endless, 4);
  f = magnitude >= 0x7c00u << 13 ? e : f * 0x1p112f;
  return h & 0x8000 ? -f : f;
}

/* the nearest f16, ties to even; a NaN keeps the top of its payload */
INLINE uint16_t half_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  const uint32_t sign = u >> 16 & 0x8000, m = u & 0x7fffffff;
  if (m > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (m >> 13 & 0x3ff));
  if (m >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (m >= 0x38800000) return (uint16_t)(sign | ((m - 0x38000000 + 0xfff + (m >> 13 & 1)) >> 13));
  if (m >> 23 < 102) return (uint16_t)sign; /* below 2^-25 */
  const uint32_t shift = 126 - (m >> 23), f = (m & 0x7fffff) | 0x800000;
  return (uint16_t)(sign | ((f + (1u << (shift - 1)) - 1 + (f >> shift & 1)) >> shift));
}

/* a bf16 as f32: its upper half */
INLINE float bf16_1(uint16_t h) {
  const uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

#if defined(VERIT_AVX2VNNI) /* AVX2, with the products of bytes that came after AVX-512 */
#define VERIT_AVX2
#elif defined(VERIT_NEONDOT)
#define VERIT_NEON
#endif
#if defined(VERIT_AVX512)
#include "simd_avx512.h"
#elif defined(VERIT_AVX2)
#include "simd_avx2.h"
#elif defined(VERIT_NEON)
#include "simd_neon.h"
#else
#include "simd_portable.h"
#endif

INLINE v16 f_load_half_n(const uint16_t *p, int n) {
  uint16_t t[16] = {0};
  memcpy(t, p, 2 * (size_t)n);
  return f_load_half(t);
}

#if defined(WORD_SUMS) /* bytes of an activation's code in rows that are prepared for a kernel */
enum { WIDEST_CODE = 2 };
#else
enum { WIDEST_CODE = 1 };
#endif

#ifndef PART_INPUTS /* sums of products with codes of two bits have 32 bits from the start */
#define PART_INPUTS (INT64_MAX / 2)
typedef v16i v16p;
#define p_zero i_zero
#define p_dot i_dot
#define p_add(acc, part) (part)
#endif

/* max over lanes and sum over lanes of n elements, rule R2 */
INLINE float r2_sum(const float *x, int64_t n) {
  v16 l = f_zero();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) l = f_add(l, f_load(x + i));
  if (i < n) l = f_add(l, f_load_n(x + i, (int)(n - i)));
  return f_hsum(l);
}

INLINE float r2_dot(const float *x, const float *y, int64_t n) {
  v16 l = f_zero();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) l = f_fma(f_load(x + i), f_load(y + i), l);
  if (i < n) l = f_fma(f_load_n(x + i, (int)(n - i)), f_load_n(y + i, (int)(n - i)), l);
  return f_hsum(l);
}

INLINE float r2_max(const float *x, int64_t n) {
  v16 l = f_set1(-INFINITY);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) l = f_max(l, f_load(x + i));
  if (i < n) {
    float tail[16];
    f_store(tail, l);
    for (int j = 0; i + j < n; j++) tail[j] = tail[j] > x[i + j] ? tail[j] : x[i + j];
    l = f_load(tail);
  }
  return f_hmax(l);
}
#endif
