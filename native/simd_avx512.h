/* AVX-512 F, BW, DQ, VL, VNNI: one register per v16. */
#include "simd_x86.h"
#define TILE_ROWS 12
#define TILE_VECTORS 2
#define EXPS 4
#define TERNARY_PAIRS 12

typedef __m512 v16;
typedef __m512i v16i;
typedef __mmask16 m16;
typedef struct {
  __m512d a, b;
} v16d;

#define LANES(n) ((__mmask16)((1u << (n)) - 1u))

INLINE v16 f_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void f_store(float *p, v16 v) { _mm512_storeu_ps(p, v); }
INLINE v16 f_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(LANES(n), p); }
INLINE void f_store_n(float *p, v16 v, int n) { _mm512_mask_storeu_ps(p, LANES(n), v); }
INLINE v16 f_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE void f_store_half(uint16_t *p, v16 v) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
INLINE v16 f_load_bf16(const uint16_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE v16 f_set1(float x) { return _mm512_set1_ps(x); }
INLINE v16 f_zero(void) { return _mm512_setzero_ps(); }
INLINE v16 f_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
INLINE v16 f_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
INLINE v16 f_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
INLINE v16 f_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
INLINE v16 f_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
INLINE v16 f_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
INLINE v16 f_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
INLINE v16 f_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
INLINE v16 f_abs(v16 a) { return _mm512_abs_ps(a); }
INLINE v16 f_neg(v16 a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
INLINE m16 f_gt(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE m16 f_nan(v16 a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
INLINE v16 f_select(m16 m, v16 a, v16 b) { return _mm512_mask_blend_ps(m, b, a); }

INLINE float f_hsum(v16 v) {
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return tree4(_mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)), 0);
}
INLINE float f_hmax(v16 v) {
  __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return tree4(_mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)), 1);
}

INLINE v16d f_to_d(v16 v) {
  return (v16d){_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
}
INLINE v16 d_to_f(v16d v) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(v.a)), _mm512_cvtpd_ps(v.b), 1);
}
INLINE v16d d_set1(double x) { return (v16d){_mm512_set1_pd(x), _mm512_set1_pd(x)}; }
INLINE v16d d_add(v16d x, v16d y) { return (v16d){_mm512_add_pd(x.a, y.a), _mm512_add_pd(x.b, y.b)}; }
INLINE v16d d_sub(v16d x, v16d y) { return (v16d){_mm512_sub_pd(x.a, y.a), _mm512_sub_pd(x.b, y.b)}; }
INLINE v16d d_mul(v16d x, v16d y) { return (v16d){_mm512_mul_pd(x.a, y.a), _mm512_mul_pd(x.b, y.b)}; }
INLINE v16d d_div(v16d x, v16d y) { return (v16d){_mm512_div_pd(x.a, y.a), _mm512_div_pd(x.b, y.b)}; }
INLINE __m512d scale1(__m512d p, __m512d t) {
  return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(p), _mm512_slli_epi64(_mm512_castpd_si512(t), 52)));
}
/* p * 2^n where t = n + 1.5 * 2^52: the low bits of t are n */
INLINE v16d d_scale(v16d p, v16d t) { return (v16d){scale1(p.a, t.a), scale1(p.b, t.b)}; }
/* a > b ? x : y */
INLINE v16d d_select_gt(v16d a, v16d b, v16d x, v16d y) {
  return (v16d){_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.a, b.a, _CMP_GT_OQ), y.a, x.a),
                _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.b, b.b, _CMP_GT_OQ), y.b, x.b)};
}
INLINE v16d d_abs(v16d x) { return (v16d){_mm512_abs_pd(x.a), _mm512_abs_pd(x.b)}; }
/* 1 with the sign of x */
INLINE v16d d_sign_of(v16d x) {
  __m512d s = _mm512_set1_pd(-0.0), one = _mm512_set1_pd(1.0);
  return (v16d){_mm512_or_pd(_mm512_and_pd(x.a, s), one), _mm512_or_pd(_mm512_and_pd(x.b, s), one)};
}

INLINE void f_store_i8(int8_t *p, v16 v) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}
INLINE v16 i8_to_f(const int8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE void i_store(void *p, v16i v) { _mm512_storeu_si512(p, v); }
INLINE v16i i_zero(void) { return _mm512_setzero_si512(); }
INLINE v16i i_add(v16i a, v16i b) { return _mm512_add_epi32(a, b); }
INLINE v16i i_load(const void *p) { return _mm512_loadu_si512(p); }
/* bits 2s, 2s+1 of every byte: codes 0, 1, 2 of k-group s */
#define i_codes(w, s) _mm512_and_si512(_mm512_srli_epi32(w, 2 * (s)), _mm512_set1_epi8(3))
INLINE v16i i_set4(const int8_t *q) {
  int32_t x;
  memcpy(&x, q, 4);
  return _mm512_set1_epi32(x);
}
/* acc + codes (4 unsigned a lane) . q (4 signed a lane) */
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  /* not the intrinsic: gcc 12 moves every accumulator to another register and back */
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(q));
  return acc;
}
#define i_dot8 i_dot /* the same with codes of 8 bits */
/* codes of 6 bits, inputs 4s .. 4s+3: nibble s % 2 of l, bits 2s, 2s+1 of h above them */
INLINE v16i i_six(v16i l, v16i h, const int s) {
  const v16i low = s & 1 ? _mm512_srli_epi32(l, 4) : l, high = s == 0   ? _mm512_slli_epi32(h, 4)
                                                               : s == 1 ? _mm512_slli_epi32(h, 2)
                                                               : s == 2 ? h
                                                                        : _mm512_srli_epi32(h, 2);
  /* low where the mask has ones, high elsewhere */
  return _mm512_and_si512(_mm512_ternarylogic_epi32(_mm512_set1_epi8(15), low, high, 0xca), _mm512_set1_epi8(63));
}
/* 128 a + b - c */
INLINE v16 i_to_f_minus(v16i acc, int32_t sum) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(acc, _mm512_set1_epi32(sum)));
}

/* dst[k][j] = src[j][k], 16 x 16: exchange 32-bit neighbours, 64-bit pairs, then 128-bit quarters twice */
INLINE void transpose16(const float *src, int64_t lds, float *dst, int64_t ldd) {
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(src + i * lds);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
#define PAIR(op, x, y) _mm512_castpd_ps(op(_mm512_castps_pd(x), _mm512_castps_pd(y)))
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = PAIR(_mm512_unpacklo_pd, t[i], t[i + 2]);
    r[i + 1] = PAIR(_mm512_unpackhi_pd, t[i], t[i + 2]);
    r[i + 2] = PAIR(_mm512_unpacklo_pd, t[i + 1], t[i + 3]);
    r[i + 3] = PAIR(_mm512_unpackhi_pd, t[i + 1], t[i + 3]);
  }
#undef PAIR
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    _mm512_storeu_ps(dst + i * ldd, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_ps(dst + (i + 4) * ldd, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_ps(dst + (i + 8) * ldd, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_ps(dst + (i + 12) * ldd, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd));
  }
}
#define f_transpose transpose16

/* for the codes of native/blocks.h: 32 bits a lane, all masks and values the same for each byte */
#define STREAM_ROWS 8
#define PANELS_ABREAST 2
#define BLOCK_TILE_ROWS 6
#define TILES(name, X) X(name, 4) X(name, 6)
INLINE v16i i_set1(int32_t x) { return _mm512_set1_epi32(x); }
INLINE v16i i_mul(v16i a, v16i b) { return _mm512_mullo_epi32(a, b); }
INLINE v16 i_to_f(v16i v) { return _mm512_cvtepi32_ps(v); }
INLINE v16i u8_to_i(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
/* shifted to the right, to the left where n is negative */
INLINE v16i i_shift(v16i v, const int n) {
  return n >= 0 ? _mm512_srli_epi32(v, (unsigned)n) : _mm512_slli_epi32(v, (unsigned)-n);
}
INLINE v16i i_mask(v16i v, const int mask) { return _mm512_and_si512(v, _mm512_set1_epi8((char)mask)); }
/* low & mask_low | high & mask_high, masks without a common bit */
INLINE v16i i_merge(v16i low, v16i high, const int mask_low, const int mask_high) {
  return i_mask(_mm512_ternarylogic_epi32(_mm512_set1_epi8((char)mask_low), low, high, 0xca), mask_low | mask_high);
}
INLINE v16i i_table(v16i nibbles, const uint8_t *table) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), nibbles);
}
/* 2^(e-128) */
INLINE v16 exponents_to_f(const uint8_t *p) {
  const __m512i e = u8_to_i(p), tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
  const __mmask16 small = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
  return _mm512_castsi512_ps(
      _mm512_mask_blend_epi32(small, _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23), tiny));
}
/* acc + codes . the four bytes at q */
typedef int32_t loose_int __attribute__((may_alias, aligned(1)));
INLINE v16i i_dot4(v16i acc, v16i codes, const int8_t *q) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(codes), "m"(*(const loose_int *)q));
  return acc;
}

/* for packing (rowwords.h): 16 bytes at byte @at of each of 16 rows as four vectors, one word of every row in each */
INLINE void i_words(const uint8_t *const *rows, int64_t at, v16i *w) {
  __m512i x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    x[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(rows[i] + at)));
    x[i] = _mm512_inserti32x4(x[i], _mm_loadu_si128((const __m128i *)(rows[4 + i] + at)), 1);
    x[i] = _mm512_inserti32x4(x[i], _mm_loadu_si128((const __m128i *)(rows[8 + i] + at)), 2);
    x[i] = _mm512_inserti32x4(x[i], _mm_loadu_si128((const __m128i *)(rows[12 + i] + at)), 3);
  }
  const __m512i a = _mm512_unpacklo_epi32(x[0], x[1]), b = _mm512_unpackhi_epi32(x[0], x[1]);
  const __m512i c = _mm512_unpacklo_epi32(x[2], x[3]), d = _mm512_unpackhi_epi32(x[2], x[3]);
  w[0] = _mm512_unpacklo_epi64(a, c);
  w[1] = _mm512_unpackhi_epi64(a, c);
  w[2] = _mm512_unpacklo_epi64(b, d);
  w[3] = _mm512_unpackhi_epi64(b, d);
}
INLINE v16i i_flip8(v16i v) { return _mm512_xor_si512(v, _mm512_set1_epi8((char)128)); }
