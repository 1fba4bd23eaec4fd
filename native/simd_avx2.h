/* AVX2 and FMA, with or without AVX-VNNI: two registers per v16. */
#include "simd_x86.h"
#define TILE_ROWS 6
#define TILE_VECTORS 1
#define EXPS 1
#if defined(VERIT_AVX2VNNI)
#define TERNARY_PAIRS 2
#else
#define TERNARY_PAIRS 0
#endif

typedef struct {
  __m256 a, b;
} v16;
typedef struct {
  __m256i a, b;
} v16i;
typedef struct {
  __m256 a, b;
} m16;
typedef struct {
  __m256d a, b, c, d;
} v16d;

INLINE __m256i lane_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE v16 f_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE void f_store(float *p, v16 v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
INLINE v16 f_load_n(const float *p, int n) {
  return (v16){_mm256_maskload_ps(p, lane_mask(n)), _mm256_maskload_ps(p + 8, lane_mask(n - 8))};
}
INLINE void f_store_n(float *p, v16 v, int n) {
  _mm256_maskstore_ps(p, lane_mask(n), v.a);
  _mm256_maskstore_ps(p + 8, lane_mask(n - 8), v.b);
}
INLINE v16 f_load_half(const uint16_t *p) {
  return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
               _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
INLINE void f_store_half(uint16_t *p, v16 v) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
}
INLINE __m256 bf16_8(const uint16_t *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE v16 f_load_bf16(const uint16_t *p) { return (v16){bf16_8(p), bf16_8(p + 8)}; }
INLINE v16 f_set1(float x) { return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE v16 f_zero(void) { return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
#define TWO(name, op) \
  INLINE v16 name(v16 x, v16 y) { return (v16){op(x.a, y.a), op(x.b, y.b)}; }
TWO(f_add, _mm256_add_ps)
TWO(f_sub, _mm256_sub_ps)
TWO(f_mul, _mm256_mul_ps)
TWO(f_div, _mm256_div_ps)
TWO(f_max, _mm256_max_ps)
TWO(f_min, _mm256_min_ps)
#undef TWO
INLINE v16 f_sqrt(v16 x) { return (v16){_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
INLINE v16 f_fma(v16 x, v16 y, v16 z) { return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
INLINE v16 f_abs(v16 x) {
  __m256 s = _mm256_set1_ps(-0.0f);
  return (v16){_mm256_andnot_ps(s, x.a), _mm256_andnot_ps(s, x.b)};
}
INLINE v16 f_neg(v16 x) {
  __m256 s = _mm256_set1_ps(-0.0f);
  return (v16){_mm256_xor_ps(s, x.a), _mm256_xor_ps(s, x.b)};
}
INLINE m16 f_gt(v16 x, v16 y) {
  return (m16){_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)};
}
INLINE m16 f_nan(v16 x) { return (m16){_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)}; }
INLINE v16 f_select(m16 m, v16 x, v16 y) {
  return (v16){_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}

INLINE float f_hsum(v16 v) {
  __m256 h = _mm256_add_ps(v.a, v.b);
  return tree4(_mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)), 0);
}
INLINE float f_hmax(v16 v) {
  __m256 h = _mm256_max_ps(v.a, v.b);
  return tree4(_mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)), 1);
}

#define LOW(x) _mm256_castps256_ps128(x)
#define HIGH(x) _mm256_extractf128_ps(x, 1)
INLINE v16d f_to_d(v16 v) {
  return (v16d){_mm256_cvtps_pd(LOW(v.a)), _mm256_cvtps_pd(HIGH(v.a)), _mm256_cvtps_pd(LOW(v.b)),
                _mm256_cvtps_pd(HIGH(v.b))};
}
#define JOIN(x, y) _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(x)), _mm256_cvtpd_ps(y), 1)
INLINE v16 d_to_f(v16d v) { return (v16){JOIN(v.a, v.b), JOIN(v.c, v.d)}; }
INLINE v16d d_set1(double x) {
  __m256d v = _mm256_set1_pd(x);
  return (v16d){v, v, v, v};
}
#define FOUR(name, op) \
  INLINE v16d name(v16d x, v16d y) { return (v16d){op(x.a, y.a), op(x.b, y.b), op(x.c, y.c), op(x.d, y.d)}; }
FOUR(d_add, _mm256_add_pd)
FOUR(d_sub, _mm256_sub_pd)
FOUR(d_mul, _mm256_mul_pd)
FOUR(d_div, _mm256_div_pd)
INLINE __m256d scale1(__m256d p, __m256d t) {
  return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p), _mm256_slli_epi64(_mm256_castpd_si256(t), 52)));
}
FOUR(d_scale, scale1)
#undef FOUR
#define PICK(i) _mm256_blendv_pd(y.i, x.i, _mm256_cmp_pd(a.i, b.i, _CMP_GT_OQ))
INLINE v16d d_select_gt(v16d a, v16d b, v16d x, v16d y) { return (v16d){PICK(a), PICK(b), PICK(c), PICK(d)}; }
#undef PICK
INLINE v16d d_abs(v16d x) {
  __m256d s = _mm256_set1_pd(-0.0);
  return (v16d){_mm256_andnot_pd(s, x.a), _mm256_andnot_pd(s, x.b), _mm256_andnot_pd(s, x.c), _mm256_andnot_pd(s, x.d)};
}
INLINE v16d d_sign_of(v16d x) {
  __m256d s = _mm256_set1_pd(-0.0), one = _mm256_set1_pd(1.0);
#define SIGN(i) _mm256_or_pd(_mm256_and_pd(x.i, s), one)
  return (v16d){SIGN(a), SIGN(b), SIGN(c), SIGN(d)};
#undef SIGN
}

INLINE void f_store_i8(int8_t *p, v16 v) {
  __m256i w = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)), 0xD8);
  _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}
INLINE v16 i8_to_f(const int8_t *p) {
  return (v16){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))),
               _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8))))};
}
INLINE void i_store(void *p, v16i v) {
  _mm256_storeu_si256((__m256i *)p, v.a);
  _mm256_storeu_si256((__m256i *)p + 1, v.b);
}
INLINE v16i i_zero(void) { return (v16i){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
INLINE v16i i_add(v16i a, v16i b) { return (v16i){_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)}; }
INLINE v16i i_load(const void *p) {
  return (v16i){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
INLINE v16i i_codes(v16i w, int s) {
  __m256i m = _mm256_set1_epi8(3);
  return (v16i){_mm256_and_si256(_mm256_srli_epi32(w.a, 2 * s), m), _mm256_and_si256(_mm256_srli_epi32(w.b, 2 * s), m)};
}
INLINE v16i i_set4(const int8_t *q) {
  int32_t x;
  memcpy(&x, q, 4);
  return (v16i){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
#if defined(VERIT_AVX2VNNI)
INLINE __m256i dot_bytes(__m256i acc, __m256i codes, __m256i q) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0"
          : "+x"(acc)
          : "x"(codes), "x"(q)); /* not the intrinsic: gcc would move sums to other registers and back */
  return acc;
}
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  return (v16i){dot_bytes(acc.a, codes.a, q.a), dot_bytes(acc.b, codes.b, q.b)};
}
#define i_dot8 i_dot
#else
/* a pair of byte products is at most 2 * 2 * 128 = 512: int16 cannot saturate */
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  __m256i one = _mm256_set1_epi16(1);
  return (v16i){_mm256_add_epi32(acc.a, _mm256_madd_epi16(_mm256_maddubs_epi16(codes.a, q.a), one)),
                _mm256_add_epi32(acc.b, _mm256_madd_epi16(_mm256_maddubs_epi16(codes.b, q.b), one))};
}
/* sums of products in 16 bits; of codes of two bits (3 is none, but has to give the same everywhere) those of 160
 * inputs fit: 40 * 2 * 3 * 128 = 30720 */
#define PART_INPUTS 160
typedef v16i v16p;
INLINE v16p p_zero(void) { return i_zero(); }
/* the instruction itself: the compiler would add up products before adding them to the sums, and would run out of
 * registers */
INLINE __m256i add_word(__m256i x, __m256i y) {
  __asm__("vpaddw %1, %0, %0" : "+x"(x) : "x"(y));
  return x;
}
INLINE v16p p_dot(v16p acc, v16i codes, v16i q) {
  return (v16p){add_word(acc.a, _mm256_maddubs_epi16(codes.a, q.a)),
                add_word(acc.b, _mm256_maddubs_epi16(codes.b, q.b))};
}
INLINE v16i p_add(v16i acc, v16p part) {
  __m256i one = _mm256_set1_epi16(1);
  return (v16i){_mm256_add_epi32(acc.a, _mm256_madd_epi16(part.a, one)),
                _mm256_add_epi32(acc.b, _mm256_madd_epi16(part.b, one))};
}
INLINE v16i p_add_128(v16i acc, v16p part) {
  __m256i many = _mm256_set1_epi16(128);
  return (v16i){_mm256_add_epi32(acc.a, _mm256_madd_epi16(part.a, many)),
                _mm256_add_epi32(acc.b, _mm256_madd_epi16(part.b, many))};
}
/* the same with codes of 8 bits, in parts of 7 and 1: a pair is at most 2 * 127 * 128 */
INLINE v16i i_dot8(v16i acc, v16i codes, v16i q) {
  const __m256i low = _mm256_set1_epi8(127), one = _mm256_set1_epi8(1);
  const v16i top = i_dot((v16i){_mm256_setzero_si256(), _mm256_setzero_si256()},
                         (v16i){_mm256_and_si256(_mm256_srli_epi32(codes.a, 7), one),
                                _mm256_and_si256(_mm256_srli_epi32(codes.b, 7), one)},
                         q);
  acc = i_dot(acc, (v16i){_mm256_and_si256(codes.a, low), _mm256_and_si256(codes.b, low)}, q);
  return (v16i){_mm256_add_epi32(acc.a, _mm256_slli_epi32(top.a, 7)),
                _mm256_add_epi32(acc.b, _mm256_slli_epi32(top.b, 7))};
}
#endif
INLINE __m256i six1(__m256i l, __m256i h, const int s) {
  const __m256i high = s == 0   ? _mm256_slli_epi32(h, 4)
                       : s == 1 ? _mm256_slli_epi32(h, 2)
                       : s == 2 ? h
                                : _mm256_srli_epi32(h, 2);
  return _mm256_or_si256(_mm256_and_si256(s & 1 ? _mm256_srli_epi32(l, 4) : l, _mm256_set1_epi8(15)),
                         _mm256_and_si256(high, _mm256_set1_epi8(48)));
}
INLINE v16i i_six(v16i l, v16i h, const int s) { return (v16i){six1(l.a, h.a, s), six1(l.b, h.b, s)}; }
INLINE v16 i_join(v16i a, v16i b, int32_t c) {
  const __m256i x = _mm256_set1_epi32(c);
  return (v16){_mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_slli_epi32(a.a, 7), _mm256_sub_epi32(b.a, x))),
               _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_slli_epi32(a.b, 7), _mm256_sub_epi32(b.b, x)))};
}
INLINE v16 i_to_f_minus(v16i acc, int32_t sum) {
  __m256i s = _mm256_set1_epi32(sum);
  return (v16){_mm256_cvtepi32_ps(_mm256_sub_epi32(acc.a, s)), _mm256_cvtepi32_ps(_mm256_sub_epi32(acc.b, s))};
}

/* for the codes of native/blocks.h: 32 bits a lane, all masks and values the same for each byte */
#define STREAM_ROWS 4
#define PANELS_ABREAST 1
#define BLOCK_TILE_ROWS 6
#define TILES(name, X) X(name, 4) X(name, 6)
INLINE v16i i_set1(int32_t x) { return (v16i){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
INLINE v16i i_mul(v16i a, v16i b) { return (v16i){_mm256_mullo_epi32(a.a, b.a), _mm256_mullo_epi32(a.b, b.b)}; }
INLINE v16 i_to_f(v16i v) { return (v16){_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
#define BYTES_TO_INTS(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
INLINE v16i u8_to_i(const uint8_t *p) { return (v16i){BYTES_TO_INTS(p), BYTES_TO_INTS(p + 8)}; }
/* shifted to the right, to the left where n is negative */
INLINE v16i i_shift(v16i v, const int n) {
  return n >= 0 ? (v16i){_mm256_srli_epi32(v.a, n), _mm256_srli_epi32(v.b, n)}
                : (v16i){_mm256_slli_epi32(v.a, -n), _mm256_slli_epi32(v.b, -n)};
}
INLINE v16i i_mask(v16i v, const int mask) {
  const __m256i m = _mm256_set1_epi8((char)mask);
  return (v16i){_mm256_and_si256(v.a, m), _mm256_and_si256(v.b, m)};
}
/* low & mask_low | high & mask_high, masks without a common bit */
INLINE v16i i_merge(v16i low, v16i high, const int mask_low, const int mask_high) {
  const v16i l = i_mask(low, mask_low), h = i_mask(high, mask_high);
  return (v16i){_mm256_or_si256(l.a, h.a), _mm256_or_si256(l.b, h.b)};
}
INLINE v16i i_flip8(v16i v) {
  const __m256i top = _mm256_set1_epi8((char)128);
  return (v16i){_mm256_xor_si256(v.a, top), _mm256_xor_si256(v.b, top)};
}
INLINE v16i i_table(v16i nibbles, const uint8_t *table) {
  const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
  return (v16i){_mm256_shuffle_epi8(t, nibbles.a), _mm256_shuffle_epi8(t, nibbles.b)};
}
INLINE __m256 exponents8(__m256i e) {
  const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e),
                whole = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(whole, tiny, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
}
/* 2^(e-128) */
INLINE v16 exponents_to_f(const uint8_t *p) {
  return (v16){exponents8(BYTES_TO_INTS(p)), exponents8(BYTES_TO_INTS(p + 8))};
}
#if defined(VERIT_AVX2VNNI)
INLINE v16i i_dot4(v16i acc, v16i codes, const int8_t *q) { return i_dot(acc, codes, i_set4(q)); }
#else
#define WORD_SUMS    /* sums of p_dot4 start in 16 bits, and stay there for as long as a code's bits allow */
#define SIGNED_CODES /* codes of 8 bits are signed */
INLINE v16p p_dot4(v16p acc, v16i codes, const int8_t *q) { return p_dot(acc, codes, i_set4(q)); }
/* the same from zero */
INLINE v16p p_first4(v16i codes, const int8_t *q) {
  const __m256i x = i_set4(q).a;
  return (v16p){_mm256_maddubs_epi16(codes.a, x), _mm256_maddubs_epi16(codes.b, x)};
}
INLINE v16i p_widen(v16p part) {
  const __m256i one = _mm256_set1_epi16(1);
  return (v16i){_mm256_madd_epi16(part.a, one), _mm256_madd_epi16(part.b, one)};
}
/* minus `offset` times the two sums of words of p_dot4 with codes of 1, for 16 codes each, or in *first for all 32 */
INLINE void word_starts(const int8_t *q, int offset, int one, int32_t *first, int32_t *second) {
  __m256i t = _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_loadu_si256((const __m256i *)q));
  t = _mm256_add_epi16(t, _mm256_shuffle_epi32(t, 0x4e));
  t = _mm256_mullo_epi16(_mm256_add_epi16(t, _mm256_shuffle_epi32(t, 0xb1)), _mm256_set1_epi16((short)-offset));
  const __m128i low = _mm256_castsi256_si128(t), high = _mm256_extracti128_si256(t, 1);
  *first = _mm_cvtsi128_si32(one ? _mm_add_epi16(low, high) : low);
  if (!one) *second = _mm_cvtsi128_si32(high);
}
/* 16 bits for each of four codes a lane: of codes 0 and 2, and of codes 1 and 3 */
INLINE v16i i_even_words(v16i c) {
  return (v16i){_mm256_srai_epi16(_mm256_slli_epi16(c.a, 8), 8), _mm256_srai_epi16(_mm256_slli_epi16(c.b, 8), 8)};
}
INLINE v16i i_odd_words(v16i c) { return (v16i){_mm256_srai_epi16(c.a, 8), _mm256_srai_epi16(c.b, 8)}; }
/* 32 codes: the even words of their quads, then the odd ones */
INLINE void widen_codes(void *to, const int8_t *q) {
  const __m256i c = _mm256_loadu_si256((const __m256i *)q);
  _mm256_storeu_si256((__m256i *)to, _mm256_srai_epi16(_mm256_slli_epi16(c, 8), 8));
  _mm256_storeu_si256((__m256i *)to + 1, _mm256_srai_epi16(c, 8));
}
INLINE __m256i add_dword(__m256i x, __m256i y) {
  __asm__("vpaddd %1, %0, %0" : "+x"(x) : "x"(y)); /* as add_word */
  return x;
}
/* two codes of 16 bits a lane . the two at q, and acc + that */
INLINE v16i i_first_words(v16i codes, const char *q) {
  const __m256i x = i_set4((const int8_t *)q).a;
  return (v16i){_mm256_madd_epi16(codes.a, x), _mm256_madd_epi16(codes.b, x)};
}
INLINE v16i i_dot_words(v16i acc, v16i codes, const char *q) {
  const v16i t = i_first_words(codes, q);
  return (v16i){add_dword(acc.a, t.a), add_dword(acc.b, t.b)};
}
INLINE v16i i_abs8(v16i v) { return (v16i){_mm256_abs_epi8(v.a), _mm256_abs_epi8(v.b)}; }
/* acc + signed codes of 8 bits, whose magnitudes are given, . q, none of it -128: a pair of products is at most 2 * 128
 * * 127 */
INLINE v16i i_dot_signed(v16i acc, v16i codes, v16i magnitudes, const int8_t *q) {
  const __m256i one = _mm256_set1_epi16(1), x = i_set4(q).a;
  return (v16i){
      _mm256_add_epi32(acc.a, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes.a, _mm256_sign_epi8(x, codes.a)), one)),
      _mm256_add_epi32(acc.b,
                       _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes.b, _mm256_sign_epi8(x, codes.b)), one))};
}
#endif

/* for packing (rowwords.h): 16 bytes at byte @at of each of 16 rows as four vectors, one word of every row in each */
INLINE void words8(const uint8_t *const *rows, int64_t at, __m256i *w) {
  __m256i x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m128i low = _mm_loadu_si128((const __m128i *)(rows[i] + at));
    x[i] =
        _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128((const __m128i *)(rows[4 + i] + at)), 1);
  }
  const __m256i a = _mm256_unpacklo_epi32(x[0], x[1]), b = _mm256_unpackhi_epi32(x[0], x[1]);
  const __m256i c = _mm256_unpacklo_epi32(x[2], x[3]), d = _mm256_unpackhi_epi32(x[2], x[3]);
  w[0] = _mm256_unpacklo_epi64(a, c);
  w[1] = _mm256_unpackhi_epi64(a, c);
  w[2] = _mm256_unpacklo_epi64(b, d);
  w[3] = _mm256_unpackhi_epi64(b, d);
}
INLINE void i_words(const uint8_t *const *rows, int64_t at, v16i *w) {
  __m256i a[4], b[4];
  words8(rows, at, a);
  words8(rows + 8, at, b);
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) w[i] = (v16i){a[i], b[i]};
}
