/*
 * Plain C: the baseline x86-64 and any other machine. Lanes are arrays that the compiler may vectorise; it may not contract or reorder.
 * fma comes from f64: the product of two f32 is exact there, a two-sum finds what the addition lost, and rounding to odd keeps the
 * final rounding to f32 single (Boldo & Melquiond, IEEE TC 2008).
 */
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define TERNARY_PAIRS 0

typedef struct { float v[16]; } v16;
typedef struct { int32_t v[16]; } v16i;
typedef struct { uint32_t v[16]; } m16;
typedef struct { double v[16]; } v16d;

#define EACH for (int j = 0; j < 16; j++)

INLINE v16 f_load(const float *p) { v16 r; memcpy(&r, p, 64); return r; }
INLINE void f_store(float *p, v16 v) { memcpy(p, &v, 64); }
INLINE v16 f_load_n(const float *p, int n) { v16 r = {{0}}; memcpy(&r, p, 4 * (size_t)n); return r; }
INLINE void f_store_n(float *p, v16 v, int n) { memcpy(p, &v, 4 * (size_t)n); }
INLINE v16 f_load_half(const uint16_t *p) { v16 r; EACH r.v[j] = half_1(p[j]); return r; }
INLINE v16 f_load_bf16(const uint16_t *p) { v16 r; EACH r.v[j] = bf16_1(p[j]); return r; }
INLINE v16 f_set1(float x) { v16 r; EACH r.v[j] = x; return r; }
INLINE v16 f_zero(void) { return f_set1(0.0f); }
INLINE v16 f_add(v16 a, v16 b) { EACH a.v[j] = a.v[j] + b.v[j]; return a; }
INLINE v16 f_sub(v16 a, v16 b) { EACH a.v[j] = a.v[j] - b.v[j]; return a; }
INLINE v16 f_mul(v16 a, v16 b) { EACH a.v[j] = a.v[j] * b.v[j]; return a; }
INLINE v16 f_div(v16 a, v16 b) { EACH a.v[j] = a.v[j] / b.v[j]; return a; }
INLINE v16 f_sqrt(v16 a) { EACH a.v[j] = sqrtf(a.v[j]); return a; }
INLINE v16 f_max(v16 a, v16 b) { EACH a.v[j] = a.v[j] > b.v[j] ? a.v[j] : b.v[j]; return a; }
INLINE v16 f_min(v16 a, v16 b) { EACH a.v[j] = a.v[j] < b.v[j] ? a.v[j] : b.v[j]; return a; }
INLINE v16 f_abs(v16 a) { uint32_t u[16]; memcpy(u, &a, 64); EACH u[j] &= 0x7fffffffu; memcpy(&a, u, 64); return a; }
INLINE v16 f_neg(v16 a) { uint32_t u[16]; memcpy(u, &a, 64); EACH u[j] ^= 0x80000000u; memcpy(&a, u, 64); return a; }
INLINE m16 f_gt(v16 a, v16 b) { m16 r; EACH r.v[j] = a.v[j] > b.v[j]; return r; }
INLINE m16 f_nan(v16 a) { m16 r; EACH r.v[j] = a.v[j] != a.v[j]; return r; }
INLINE v16 f_select(m16 m, v16 a, v16 b) { EACH a.v[j] = m.v[j] ? a.v[j] : b.v[j]; return a; }

INLINE float fma_f64(float a, float b, float c) {
  double p = (double)a * (double)b, q = c, s = p + q;
  double t = s - p, e = (p - (s - t)) + (q - t);
  uint64_t u;
  memcpy(&u, &s, 8);
  /* finite, inexact and even: one step towards e (away from zero if e has the sign of s) makes it odd */
  if (e != 0.0 && (u & 1) == 0 && ((u >> 52) & 0x7ff) != 0x7ff) {
    u += ((e > 0) == (s > 0)) ? 1u : (uint64_t)-1;
    memcpy(&s, &u, 8);
  }
  return (float)s;
}
INLINE v16 f_fma(v16 a, v16 b, v16 c) { EACH a.v[j] = fma_f64(a.v[j], b.v[j], c.v[j]); return a; }

INLINE float f_hsum(v16 l) {
  for (int s = 8; s > 0; s >>= 1) for (int j = 0; j < s; j++) l.v[j] = l.v[j] + l.v[j + s];
  return l.v[0];
}
INLINE float f_hmax(v16 l) {
  for (int s = 8; s > 0; s >>= 1) for (int j = 0; j < s; j++) l.v[j] = l.v[j] > l.v[j + s] ? l.v[j] : l.v[j + s];
  return l.v[0];
}

INLINE v16d f_to_d(v16 v) { v16d r; EACH r.v[j] = v.v[j]; return r; }
INLINE v16 d_to_f(v16d v) { v16 r; EACH r.v[j] = (float)v.v[j]; return r; }
INLINE v16d d_set1(double x) { v16d r; EACH r.v[j] = x; return r; }
INLINE v16d d_add(v16d a, v16d b) { EACH a.v[j] = a.v[j] + b.v[j]; return a; }
INLINE v16d d_sub(v16d a, v16d b) { EACH a.v[j] = a.v[j] - b.v[j]; return a; }
INLINE v16d d_mul(v16d a, v16d b) { EACH a.v[j] = a.v[j] * b.v[j]; return a; }
INLINE v16d d_div(v16d a, v16d b) { EACH a.v[j] = a.v[j] / b.v[j]; return a; }
INLINE v16d d_scale(v16d p, v16d t) {
  uint64_t u[16], w[16];
  memcpy(u, &p, 128);
  memcpy(w, &t, 128);
  EACH u[j] += w[j] << 52;
  memcpy(&p, u, 128);
  return p;
}
INLINE v16d d_select_gt(v16d a, v16d b, v16d x, v16d y) { EACH x.v[j] = a.v[j] > b.v[j] ? x.v[j] : y.v[j]; return x; }
INLINE v16d d_abs(v16d x) { EACH x.v[j] = fabs(x.v[j]); return x; }
INLINE v16d d_sign_of(v16d x) { EACH x.v[j] = copysign(1.0, x.v[j]); return x; }

/* what is no int8 comes only from tensors that share memory, which a plan by hand may have: then any value will do, but the conversion has to be defined */
INLINE void f_store_i8(int8_t *p, v16 v) {
  EACH {
    const float y = (v.v[j] + 12582912.0f) - 12582912.0f;
    p[j] = y >= -128 && y <= 127 ? (int8_t)y : 0;
  }
}
INLINE v16 i8_to_f(const int8_t *p) { v16 r; EACH r.v[j] = (float)p[j]; return r; }
INLINE void i_store(void *p, v16i v) { memcpy(p, &v, 64); }
INLINE v16i i_zero(void) { v16i r = {{0}}; return r; }
INLINE v16i i_add(v16i a, v16i b) { EACH a.v[j] = (int32_t)((uint32_t)a.v[j] + (uint32_t)b.v[j]); return a; }
INLINE v16i i_load(const void *p) { v16i r; memcpy(&r, p, 64); return r; }
INLINE v16i i_codes(v16i w, int s) { EACH w.v[j] = (int32_t)(((uint32_t)w.v[j] >> (2 * s)) & 0x03030303u); return w; }
INLINE v16i i_set4(const int8_t *q) { int32_t x; memcpy(&x, q, 4); v16i r; EACH r.v[j] = x; return r; }
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) {
  EACH {
    uint32_t c = (uint32_t)codes.v[j], x = (uint32_t)q.v[j];
    const int32_t sum = (int32_t)(c & 255) * (int8_t)x + (int32_t)(c >> 8 & 255) * (int8_t)(x >> 8)
                      + (int32_t)(c >> 16 & 255) * (int8_t)(x >> 16) + (int32_t)(c >> 24) * (int8_t)(x >> 24);
    acc.v[j] = (int32_t)((uint32_t)acc.v[j] + (uint32_t)sum);
  }
  return acc;
}
#define i_dot8 i_dot /* codes of 8 bits are as good */
INLINE v16i i_six(v16i l, v16i h, const int s) {
  EACH {
    const uint32_t x = (uint32_t)h.v[j], high = s == 0 ? x << 4 : s == 1 ? x << 2 : s == 2 ? x : x >> 2;
    l.v[j] = (int32_t)(((uint32_t)l.v[j] >> (s & 1) * 4 & 0x0f0f0f0fu) | (high & 0x30303030u));
  }
  return l;
}
INLINE v16 i_join(v16i a, v16i b, int32_t c) { v16 r; EACH r.v[j] = (float)(int32_t)(((uint32_t)a.v[j] << 7) + (uint32_t)b.v[j] - (uint32_t)c); return r; }
INLINE v16 i_to_f_minus(v16i acc, int32_t sum) { v16 r; EACH r.v[j] = (float)(int32_t)((uint32_t)acc.v[j] - (uint32_t)sum); return r; }

/* for the codes of native/blocks.h: 32 bits a lane, all masks and values the same for each byte */
#define STREAM_ROWS 0 /* what saves time to compile */
#define PANELS_ABREAST 1
#define BLOCK_TILE_ROWS 2
#define TILES(name, X) X(name, 2)
INLINE v16i i_set1(int32_t x) { v16i r; EACH r.v[j] = x; return r; }
INLINE v16i i_mul(v16i a, v16i b) { EACH a.v[j] = (int32_t)((uint32_t)a.v[j] * (uint32_t)b.v[j]); return a; }
INLINE v16 i_to_f(v16i v) { v16 r; EACH r.v[j] = (float)v.v[j]; return r; }
INLINE v16i u8_to_i(const uint8_t *p) { v16i r; EACH r.v[j] = p[j]; return r; }
/* shifted to the right, to the left where n is negative */
INLINE v16i i_shift(v16i v, const int n) { EACH v.v[j] = (int32_t)(n >= 0 ? (uint32_t)v.v[j] >> n : (uint32_t)v.v[j] << -n); return v; }
INLINE v16i i_mask(v16i v, const int mask) { EACH v.v[j] = (int32_t)((uint32_t)v.v[j] & (uint32_t)mask * 0x01010101u); return v; }
/* low & mask_low | high & mask_high, masks without a common bit */
INLINE v16i i_merge(v16i low, v16i high, const int mask_low, const int mask_high) {
  low = i_mask(low, mask_low);
  high = i_mask(high, mask_high);
  EACH low.v[j] |= high.v[j];
  return low;
}
INLINE v16i i_table(v16i nibbles, const uint8_t *table) {
  uint8_t b[64];
  memcpy(b, &nibbles, 64);
  for (int i = 0; i < 64; i++) b[i] = table[b[i] & 15];
  memcpy(&nibbles, b, 64);
  return nibbles;
}
/* 2^(e-128) */
INLINE v16 exponents_to_f(const uint8_t *p) {
  uint32_t u[16];
  v16 r;
  EACH u[j] = p[j] < 2 ? (uint32_t)0x00200000 << p[j] : (uint32_t)(p[j] - 1) << 23;
  memcpy(&r, u, 64);
  return r;
}
INLINE v16i i_dot4(v16i acc, v16i codes, const int8_t *q) { return i_dot(acc, codes, i_set4(q)); }

/* for packing (rowwords.h): 16 bytes at byte @at of each of 16 rows as four vectors, one word of every row in each */
INLINE void i_words(const uint8_t *const *rows, int64_t at, v16i *w) {
  for (int j = 0; j < 16; j++)
    for (int i = 0; i < 4; i++) memcpy(&w[i].v[j], rows[j] + at + 4 * i, 4);
}
INLINE v16i i_flip8(v16i v) { EACH v.v[j] = (int32_t)((uint32_t)v.v[j] ^ 0x80808080u); return v; }
