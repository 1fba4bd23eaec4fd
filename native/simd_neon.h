/* NEON of AArch64: four registers per v16. Its maximum instruction treats NaN differently from the contract, so max and
 * min are compare and select. */
#include <arm_neon.h>
#define TILE_ROWS 6
#define TILE_VECTORS 1
#define EXPS 1
#define TERNARY_PAIRS 0

typedef struct {
  float32x4_t r[4];
} v16;
typedef struct {
  int32x4_t r[4];
} v16i;
typedef struct {
  uint32x4_t r[4];
} m16;
typedef struct {
  float64x2_t r[8];
} v16d;

#define EACH4 _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)
#define EACH8 _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++)

INLINE v16 f_load(const float *p) {
  v16 v;
  EACH4 v.r[j] = vld1q_f32(p + 4 * j);
  return v;
}
INLINE void f_store(float *p, v16 v) { EACH4 vst1q_f32(p + 4 * j, v.r[j]); }
INLINE v16 f_load_n(const float *p, int n) {
  float t[16] = {0};
  memcpy(t, p, 4 * (size_t)n);
  return f_load(t);
}
INLINE void f_store_n(float *p, v16 v, int n) {
  float t[16];
  f_store(t, v);
  memcpy(p, t, 4 * (size_t)n);
}
INLINE v16 f_load_half(const uint16_t *p) {
  v16 v;
  EACH4 v.r[j] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * j)));
  return v;
}
INLINE void f_store_half(uint16_t *p, v16 v) { EACH4 vst1_u16(p + 4 * j, vreinterpret_u16_f16(vcvt_f16_f32(v.r[j]))); }
INLINE v16 f_load_bf16(const uint16_t *p) {
  v16 v;
  EACH4 v.r[j] = vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p + 4 * j)), 16));
  return v;
}
INLINE v16 f_set1(float x) {
  v16 v;
  EACH4 v.r[j] = vdupq_n_f32(x);
  return v;
}
INLINE v16 f_zero(void) { return f_set1(0.0f); }
INLINE v16 f_add(v16 a, v16 b) {
  EACH4 a.r[j] = vaddq_f32(a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_sub(v16 a, v16 b) {
  EACH4 a.r[j] = vsubq_f32(a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_mul(v16 a, v16 b) {
  EACH4 a.r[j] = vmulq_f32(a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_div(v16 a, v16 b) {
  EACH4 a.r[j] = vdivq_f32(a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_sqrt(v16 a) {
  EACH4 a.r[j] = vsqrtq_f32(a.r[j]);
  return a;
}
INLINE v16 f_fma(v16 a, v16 b, v16 c) {
  EACH4 c.r[j] = vfmaq_f32(c.r[j], a.r[j], b.r[j]);
  return c;
}
INLINE v16 f_max(v16 a, v16 b) {
  EACH4 a.r[j] = vbslq_f32(vcgtq_f32(a.r[j], b.r[j]), a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_min(v16 a, v16 b) {
  EACH4 a.r[j] = vbslq_f32(vcltq_f32(a.r[j], b.r[j]), a.r[j], b.r[j]);
  return a;
}
INLINE v16 f_abs(v16 a) {
  EACH4 a.r[j] = vabsq_f32(a.r[j]);
  return a;
}
INLINE v16 f_neg(v16 a) {
  EACH4 a.r[j] = vnegq_f32(a.r[j]);
  return a;
}
INLINE m16 f_gt(v16 a, v16 b) {
  m16 m;
  EACH4 m.r[j] = vcgtq_f32(a.r[j], b.r[j]);
  return m;
}
INLINE m16 f_nan(v16 a) {
  m16 m;
  EACH4 m.r[j] = vmvnq_u32(vceqq_f32(a.r[j], a.r[j]));
  return m;
}
INLINE v16 f_select(m16 m, v16 a, v16 b) {
  EACH4 a.r[j] = vbslq_f32(m.r[j], a.r[j], b.r[j]);
  return a;
}

INLINE float f_hsum(v16 v) {
  float32x4_t q = vaddq_f32(vaddq_f32(v.r[0], v.r[2]), vaddq_f32(v.r[1], v.r[3]));
  float32x2_t h = vadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
INLINE float f_hmax(v16 v) {
  float t[16];
  f_store(t, v);
  for (int s = 8; s > 0; s >>= 1)
    for (int j = 0; j < s; j++) t[j] = t[j] > t[j + s] ? t[j] : t[j + s];
  return t[0];
}

INLINE v16d f_to_d(v16 v) {
  v16d d;
  EACH4 {
    d.r[2 * j] = vcvt_f64_f32(vget_low_f32(v.r[j]));
    d.r[2 * j + 1] = vcvt_high_f64_f32(v.r[j]);
  }
  return d;
}
INLINE v16 d_to_f(v16d d) {
  v16 v;
  EACH4 v.r[j] = vcvt_high_f32_f64(vcvt_f32_f64(d.r[2 * j]), d.r[2 * j + 1]);
  return v;
}
INLINE v16d d_set1(double x) {
  v16d d;
  EACH8 d.r[j] = vdupq_n_f64(x);
  return d;
}
INLINE v16d d_add(v16d a, v16d b) {
  EACH8 a.r[j] = vaddq_f64(a.r[j], b.r[j]);
  return a;
}
INLINE v16d d_sub(v16d a, v16d b) {
  EACH8 a.r[j] = vsubq_f64(a.r[j], b.r[j]);
  return a;
}
INLINE v16d d_mul(v16d a, v16d b) {
  EACH8 a.r[j] = vmulq_f64(a.r[j], b.r[j]);
  return a;
}
INLINE v16d d_div(v16d a, v16d b) {
  EACH8 a.r[j] = vdivq_f64(a.r[j], b.r[j]);
  return a;
}
INLINE v16d d_scale(v16d p, v16d t) {
  EACH8 p.r[j] =
      vreinterpretq_f64_s64(vaddq_s64(vreinterpretq_s64_f64(p.r[j]), vshlq_n_s64(vreinterpretq_s64_f64(t.r[j]), 52)));
  return p;
}
INLINE v16d d_select_gt(v16d a, v16d b, v16d x, v16d y) {
  EACH8 x.r[j] = vbslq_f64(vcgtq_f64(a.r[j], b.r[j]), x.r[j], y.r[j]);
  return x;
}
INLINE v16d d_abs(v16d x) {
  EACH8 x.r[j] = vabsq_f64(x.r[j]);
  return x;
}
INLINE v16d d_sign_of(v16d x) {
  EACH8 x.r[j] = vbslq_f64(vdupq_n_u64(0x8000000000000000ULL), x.r[j], vdupq_n_f64(1.0));
  return x;
}

INLINE void f_store_i8(int8_t *p, v16 v) {
  int16x8_t a = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v.r[0])), vqmovn_s32(vcvtnq_s32_f32(v.r[1])));
  int16x8_t b = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v.r[2])), vqmovn_s32(vcvtnq_s32_f32(v.r[3])));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(a), vqmovn_s16(b)));
}
INLINE v16 i8_to_f(const int8_t *p) {
  int8x16_t q = vld1q_s8(p);
  int16x8_t a = vmovl_s8(vget_low_s8(q)), b = vmovl_s8(vget_high_s8(q));
  return (v16){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(a))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(a))),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(b))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(b)))}};
}
INLINE void i_store(void *p, v16i v) { EACH4 vst1q_s32((int32_t *)p + 4 * j, v.r[j]); }
INLINE v16i i_zero(void) {
  v16i v;
  EACH4 v.r[j] = vdupq_n_s32(0);
  return v;
}
INLINE v16i i_add(v16i a, v16i b) {
  EACH4 a.r[j] = vaddq_s32(a.r[j], b.r[j]);
  return a;
}
INLINE v16i i_load(const void *p) {
  v16i v;
  EACH4 v.r[j] = vld1q_s32((const int32_t *)p + 4 * j);
  return v;
}
INLINE v16i i_codes(v16i w, int s) {
  EACH4 w.r[j] = vandq_s32(vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(w.r[j]), vdupq_n_s32(-2 * s))),
                           vdupq_n_s32(0x03030303));
  return w;
}
INLINE v16i i_set4(const int8_t *q) {
  int32_t x;
  memcpy(&x, q, 4);
  v16i v;
  EACH4 v.r[j] = vdupq_n_s32(x);
  return v;
}
#if defined(VERIT_NEONDOT)
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  EACH4 acc.r[j] = vdotq_s32(acc.r[j], vreinterpretq_s8_s32(codes.r[j]), vreinterpretq_s8_s32(q.r[j]));
  return acc;
}
/* the same with unsigned codes of 8 bits: they are signed without their top bit's place, 128 less, and twice 64 times x
 * is what is missing */
INLINE v16i i_dot8(v16i acc, v16i codes, v16i q) {
  EACH4 {
    const int8x16_t c = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(codes.r[j]), vdupq_n_u8(128))),
                    x = vreinterpretq_s8_s32(q.r[j]), half = vdupq_n_s8(64);
    acc.r[j] = vdotq_s32(vdotq_s32(vdotq_s32(acc.r[j], c, x), half, x), half, x);
  }
  return acc;
}
#else
/* a pair of byte products is at most 2 * 2 * 128: int16 holds it */
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  EACH4 {
    int8x16_t c = vreinterpretq_s8_s32(codes.r[j]), x = vreinterpretq_s8_s32(q.r[j]);
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(c), vget_low_s8(x))), high = vpaddlq_s16(vmull_high_s8(c, x));
    acc.r[j] = vaddq_s32(acc.r[j], vpaddq_s32(low, high));
  }
  return acc;
}
/* the same with unsigned codes of 8 bits: they are signed without their top bit's place, 128 less, and x sums up to
 * what is missing */
INLINE v16i i_dot8(v16i acc, v16i codes, v16i q) {
  EACH4 {
    const int8x16_t c = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(codes.r[j]), vdupq_n_u8(128))),
                    x = vreinterpretq_s8_s32(q.r[j]);
    /* a product is at most 128 * 128: two of them do not fit an int16 */
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(c), vget_low_s8(x))),
                    high = vpaddlq_s16(vmull_high_s8(c, x));
    const int32x4_t sums = vshlq_n_s32(vpaddlq_s16(vpaddlq_s8(x)), 7);
    acc.r[j] = vaddq_s32(acc.r[j], vaddq_s32(vpaddq_s32(low, high), sums));
  }
  return acc;
}
#endif
INLINE v16i i_six(v16i l, v16i h, const int s) {
  EACH4 {
    const uint32x4_t u = vreinterpretq_u32_s32(l.r[j]), x = vreinterpretq_u32_s32(h.r[j]);
    const uint32x4_t high = s == 0 ? vshlq_n_u32(x, 4) : s == 1 ? vshlq_n_u32(x, 2) : s == 2 ? x : vshrq_n_u32(x, 2);
    l.r[j] = vreinterpretq_s32_u32(vorrq_u32(vandq_u32(s & 1 ? vshrq_n_u32(u, 4) : u, vdupq_n_u32(0x0f0f0f0fu)),
                                             vandq_u32(high, vdupq_n_u32(0x30303030u))));
  }
  return l;
}
INLINE v16 i_join(v16i a, v16i b, int32_t c) {
  v16 v;
  EACH4 v.r[j] = vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(a.r[j], 7), vsubq_s32(b.r[j], vdupq_n_s32(c))));
  return v;
}
INLINE v16 i_to_f_minus(v16i acc, int32_t sum) {
  v16 v;
  EACH4 v.r[j] = vcvtq_f32_s32(vsubq_s32(acc.r[j], vdupq_n_s32(sum)));
  return v;
}

/* for the codes of native/blocks.h: 32 bits a lane, all masks and values the same for each byte; i_dot takes any signed
 * codes */
#define STREAM_ROWS 2
#define PANELS_ABREAST 1
#define BLOCK_TILE_ROWS 6
#define TILES(name, X) X(name, 4) X(name, 6)
#define SIGNED_CODES
INLINE v16i i_set1(int32_t x) {
  v16i v;
  EACH4 v.r[j] = vdupq_n_s32(x);
  return v;
}
INLINE v16i i_mul(v16i a, v16i b) {
  EACH4 a.r[j] = vmulq_s32(a.r[j], b.r[j]);
  return a;
}
INLINE v16 i_to_f(v16i a) {
  v16 v;
  EACH4 v.r[j] = vcvtq_f32_s32(a.r[j]);
  return v;
}
INLINE v16i u8_to_i(const uint8_t *p) {
  const uint8x16_t q = vld1q_u8(p);
  const uint16x8_t a = vmovl_u8(vget_low_u8(q)), b = vmovl_u8(vget_high_u8(q));
  return (v16i){{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(a))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(a))),
                 vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(b))),
                 vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(b)))}};
}
/* shifted to the right, to the left where n is negative */
INLINE v16i i_shift(v16i v, const int n) {
  EACH4 v.r[j] = vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v.r[j]), vdupq_n_s32(-n)));
  return v;
}
INLINE v16i i_mask(v16i v, const int mask) {
  EACH4 v.r[j] = vandq_s32(v.r[j], vreinterpretq_s32_u8(vdupq_n_u8((uint8_t)mask)));
  return v;
}
/* low & mask_low | high & mask_high, masks without a common bit */
INLINE v16i i_merge(v16i low, v16i high, const int mask_low, const int mask_high) {
  low = i_mask(low, mask_low);
  high = i_mask(high, mask_high);
  EACH4 low.r[j] = vorrq_s32(low.r[j], high.r[j]);
  return low;
}
INLINE v16i i_table(v16i nibbles, const uint8_t *table) {
  const uint8x16_t t = vld1q_u8(table);
  EACH4 nibbles.r[j] = vreinterpretq_s32_u8(vqtbl1q_u8(t, vreinterpretq_u8_s32(nibbles.r[j])));
  return nibbles;
}
/* 2^(e-128) */
INLINE v16 exponents_to_f(const uint8_t *p) {
  const v16i e = u8_to_i(p);
  v16 v;
  EACH4 {
    const int32x4_t tiny = vshlq_s32(vdupq_n_s32(0x00200000), e.r[j]),
                    whole = vshlq_n_s32(vsubq_s32(e.r[j], vdupq_n_s32(1)), 23);
    v.r[j] = vreinterpretq_f32_s32(vbslq_s32(vcltq_s32(e.r[j], vdupq_n_s32(2)), tiny, whole));
  }
  return v;
}
INLINE v16i i_dot4(v16i acc, v16i codes, const int8_t *q) { return i_dot(acc, codes, i_set4(q)); }
INLINE v16i i_flip8(v16i v) {
  EACH4 v.r[j] = veorq_s32(v.r[j], vreinterpretq_s32_u8(vdupq_n_u8(128)));
  return v;
}

/* for packing (rowwords.h): 16 bytes at byte @at of each of 16 rows as four vectors, one word of every row in each */
INLINE void i_words(const uint8_t *const *rows, int64_t at, v16i *w) {
  EACH4 {
    int32x4_t x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) x[i] = vreinterpretq_s32_u8(vld1q_u8(rows[4 * j + i] + at));
    const int64x2_t a = vreinterpretq_s64_s32(vzip1q_s32(x[0], x[1])),
                    b = vreinterpretq_s64_s32(vzip2q_s32(x[0], x[1]));
    const int64x2_t c = vreinterpretq_s64_s32(vzip1q_s32(x[2], x[3])),
                    d = vreinterpretq_s64_s32(vzip2q_s32(x[2], x[3]));
    w[0].r[j] = vreinterpretq_s32_s64(vzip1q_s64(a, c));
    w[1].r[j] = vreinterpretq_s32_s64(vzip2q_s64(a, c));
    w[2].r[j] = vreinterpretq_s32_s64(vzip1q_s64(b, d));
    w[3].r[j] = vreinterpretq_s32_s64(vzip2q_s64(b, d));
  }
}
