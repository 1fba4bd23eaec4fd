/* Plain C for baseline x86-64 and any other machine. v16 is four vectors of 16 bytes, which gcc and clang compile for
 * any machine. Arrays of lanes would stay in memory, and gcc takes a minute to analyse them. fma comes from f64: the
 * product of two f32 is exact there, a two-sum finds the rounding error of the addition, and rounding to odd keeps the
 * final rounding to f32 single (Boldo & Melquiond, IEEE TC 2008). */
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define EXPS 1
#define TERNARY_PAIRS 0

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));
typedef int16_t s8 __attribute__((vector_size(16)));
typedef uint16_t w8 __attribute__((vector_size(16)));
typedef double d4 __attribute__((vector_size(32)));
typedef uint64_t q4 __attribute__((vector_size(32)));

typedef struct {
  f4 a, b, c, d;
} v16;
typedef struct {
  u4 a, b, c, d;
} v16i;
typedef struct {
  i4 a, b, c, d;
} m16;
typedef struct {
  d4 a, b, c, d;
} v16d;

#define MAP1(type, of, x) \
  (type) { of(x.a), of(x.b), of(x.c), of(x.d) }
#define MAP2(type, of, x, y) \
  (type) { of(x.a, y.a), of(x.b, y.b), of(x.c, y.c), of(x.d, y.d) }
#define MAP3(type, of, x, y, z) \
  (type) { of(x.a, y.a, z.a), of(x.b, y.b, z.b), of(x.c, y.c, z.c), of(x.d, y.d, z.d) }
#define ADD(x, y) ((x) + (y))
#define SUB(x, y) ((x) - (y))
#define MUL(x, y) ((x) * (y))
#define DIV(x, y) ((x) / (y))
#define EQUAL_4(x) \
  { x, x, x, x }
#define EACH for (int j = 0; j < 16; j++)

INLINE v16 f_load(const float *p) {
  v16 r;
  memcpy(&r, p, 64);
  return r;
}
INLINE void f_store(float *p, v16 x) { memcpy(p, &x, 64); }
INLINE v16 f_load_n(const float *p, int n) {
  float r[16] = {0};
  memcpy(r, p, 4 * (size_t)n);
  return f_load(r);
}
INLINE void f_store_n(float *p, v16 x, int n) {
  float r[16];
  f_store(r, x);
  memcpy(p, r, 4 * (size_t)n);
}
INLINE v16 f_load_half(const uint16_t *p) {
  float r[16];
  EACH r[j] = half_1(p[j]);
  return f_load(r);
}
INLINE void f_store_half(uint16_t *p, v16 x) {
  float r[16];
  f_store(r, x);
  EACH p[j] = half_bits(r[j]);
}
INLINE v16 f_load_bf16(const uint16_t *p) {
  float r[16];
  EACH r[j] = bf16_1(p[j]);
  return f_load(r);
}
INLINE v16 f_set1(float x) {
  const f4 r = EQUAL_4(x);
  return (v16){r, r, r, r};
}
INLINE v16 f_zero(void) { return f_set1(0.0f); }
INLINE v16 f_add(v16 x, v16 y) { return MAP2(v16, ADD, x, y); }
INLINE v16 f_sub(v16 x, v16 y) { return MAP2(v16, SUB, x, y); }
INLINE v16 f_mul(v16 x, v16 y) { return MAP2(v16, MUL, x, y); }
INLINE v16 f_div(v16 x, v16 y) { return MAP2(v16, DIV, x, y); }
INLINE v16 f_sqrt(v16 x) {
  float r[16];
  f_store(r, x);
  EACH r[j] = sqrtf(r[j]);
  return f_load(r);
}

INLINE f4 select_4(i4 m, f4 x, f4 y) { return (f4)((m & (i4)x) | (~m & (i4)y)); }
INLINE f4 max_4(f4 x, f4 y) { return select_4(x > y, x, y); }
INLINE f4 min_4(f4 x, f4 y) { return select_4(x < y, x, y); }
#define ABS(x) (f4)((u4)x & 0x7fffffffu)
#define NEGATIVE(x) (f4)((u4)x ^ 0x80000000u)
#define GREATER(x, y) (x > y)
#define UNORDERED(x) (x != x)
INLINE v16 f_max(v16 x, v16 y) { return MAP2(v16, max_4, x, y); }
INLINE v16 f_min(v16 x, v16 y) { return MAP2(v16, min_4, x, y); }
INLINE v16 f_abs(v16 x) { return MAP1(v16, ABS, x); }
INLINE v16 f_neg(v16 x) { return MAP1(v16, NEGATIVE, x); }
INLINE m16 f_gt(v16 x, v16 y) { return MAP2(m16, GREATER, x, y); }
INLINE m16 f_nan(v16 x) { return MAP1(m16, UNORDERED, x); }
INLINE v16 f_select(m16 m, v16 x, v16 y) { return MAP3(v16, select_4, m, x, y); }

#define WIDEN(x) __builtin_convertvector(x, d4)
#define NARROW(x) __builtin_convertvector(x, f4)
INLINE f4 fma_4(f4 x, f4 y, f4 z) {
  const d4 p = WIDEN(x) * WIDEN(y), q = WIDEN(z), s = p + q, t = s - p, e = (p - (s - t)) + (q - t), none = EQUAL_4(0);
  const q4 u = (q4)s;
  /* finite, inexact and even: one step towards e (away from zero if e has the sign of s) makes it odd */
  const q4 wanted = (q4)(s - s == none) & (q4)(e != none) & ((u & 1) - 1);
  return NARROW((d4)(u + ((1 - (((q4)e ^ u) >> 62 & 2)) & wanted)));
}
INLINE v16 f_fma(v16 x, v16 y, v16 z) { return MAP3(v16, fma_4, x, y, z); }

INLINE float f_hsum(v16 x) {
  const f4 s = (x.a + x.c) + (x.b + x.d);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
INLINE float f_hmax(v16 x) {
  const f4 s = max_4(max_4(x.a, x.c), max_4(x.b, x.d));
  const float even = s[0] > s[2] ? s[0] : s[2], odd = s[1] > s[3] ? s[1] : s[3];
  return even > odd ? even : odd;
}

#define SIGN_64 0x8000000000000000u
#define SCALE(p, t) (d4)((q4)p + ((q4)t << 52))
#define ABS_64(x) (d4)((q4)x & ~SIGN_64)
#define SIGN_OF(x) (d4)(((q4)x & SIGN_64) | 0x3ff0000000000000u)
INLINE d4 select_gt_4(d4 a, d4 b, d4 x, d4 y) {
  const q4 m = (q4)(a > b);
  return (d4)((m & (q4)x) | (~m & (q4)y));
}
INLINE v16d f_to_d(v16 x) { return MAP1(v16d, WIDEN, x); }
INLINE v16 d_to_f(v16d x) { return MAP1(v16, NARROW, x); }
INLINE v16d d_set1(double x) {
  const d4 r = EQUAL_4(x);
  return (v16d){r, r, r, r};
}
INLINE v16d d_add(v16d x, v16d y) { return MAP2(v16d, ADD, x, y); }
INLINE v16d d_sub(v16d x, v16d y) { return MAP2(v16d, SUB, x, y); }
INLINE v16d d_mul(v16d x, v16d y) { return MAP2(v16d, MUL, x, y); }
INLINE v16d d_div(v16d x, v16d y) { return MAP2(v16d, DIV, x, y); }
INLINE v16d d_scale(v16d p, v16d t) { return MAP2(v16d, SCALE, p, t); }
INLINE v16d d_select_gt(v16d a, v16d b, v16d x, v16d y) {
  return (v16d){select_gt_4(a.a, b.a, x.a, y.a), select_gt_4(a.b, b.b, x.b, y.b), select_gt_4(a.c, b.c, x.c, y.c),
                select_gt_4(a.d, b.d, x.d, y.d)};
}
INLINE v16d d_abs(v16d x) { return MAP1(v16d, ABS_64, x); }
INLINE v16d d_sign_of(v16d x) { return MAP1(v16d, SIGN_OF, x); }

/* Values outside int8 occur only in tensors that share memory, in handwritten plans: any result will do, but the
 * conversion must be defined. */
INLINE void f_store_i8(int8_t *p, v16 x) {
  float r[16];
  f_store(r, x);
  EACH {
    const float y = (r[j] + 12582912.0f) - 12582912.0f;
    p[j] = y >= -128 && y <= 127 ? (int8_t)y : 0;
  }
}
INLINE v16 i8_to_f(const int8_t *p) {
  float r[16];
  EACH r[j] = (float)p[j];
  return f_load(r);
}

INLINE v16i i_load(const void *p) {
  v16i r;
  memcpy(&r, p, 64);
  return r;
}
INLINE void i_store(void *p, v16i x) { memcpy(p, &x, 64); }
INLINE v16i i_set1(int32_t x) {
  const u4 r = EQUAL_4((uint32_t)x);
  return (v16i){r, r, r, r};
}
INLINE v16i i_zero(void) { return i_set1(0); }
INLINE v16i i_add(v16i x, v16i y) { return MAP2(v16i, ADD, x, y); }
INLINE v16i i_mul(v16i x, v16i y) { return MAP2(v16i, MUL, x, y); }
#define TO_FLOAT(x) __builtin_convertvector((i4)(x), f4)
INLINE v16 i_to_f(v16i x) { return MAP1(v16, TO_FLOAT, x); }
INLINE v16i i_codes(v16i w, int s) {
#define CODES(x) (x >> (2 * s) & 0x03030303u)
  return MAP1(v16i, CODES, w);
}
INLINE v16i i_set4(const int8_t *q) {
  int32_t x;
  memcpy(&x, q, 4);
  return i_set1(x);
}
/* the bytes of each lane, every other one as 16 bits; products are 16 bits, too */
INLINE u4 dot_4(u4 sum, u4 codes, u4 q) {
  const w8 even_codes = (w8)codes & 255, odd_codes = (w8)codes >> 8;
  const s8 even_q = (s8)((w8)q << 8) >> 8, odd_q = (s8)q >> 8;
  const u4 even = (u4)((s8)even_codes * even_q), odd = (u4)((s8)odd_codes * odd_q);
  const i4 low = ((i4)(even << 16) >> 16) + ((i4)(odd << 16) >> 16), high = ((i4)even >> 16) + ((i4)odd >> 16);
  return sum + (u4)(low + high);
}
INLINE v16i i_dot(v16i acc, v16i codes, v16i q) { return MAP3(v16i, dot_4, acc, codes, q); }
#define i_dot8 i_dot /* codes of 8 bits are as good */
INLINE v16i i_six(v16i l, v16i h, const int s) {
#define HIGH(x) ((s == 0 ? x << 4 : s == 1 ? x << 2 : s == 2 ? x : x >> 2) & 0x30303030u)
#define SIX(x, y) ((x >> (s & 1) * 4 & 0x0f0f0f0fu) | HIGH(y))
  return MAP2(v16i, SIX, l, h);
}
INLINE v16 i_join(v16i x, v16i y, int32_t c) {
#define JOIN(p, q) TO_FLOAT((p << 7) + q - (uint32_t)c)
  return MAP2(v16, JOIN, x, y);
}
INLINE v16 i_to_f_minus(v16i x, int32_t sum) { return i_to_f(i_add(x, i_set1((int32_t)(0 - (uint32_t)sum)))); }

/* for the codes of native/blocks.h: 32 bits a lane, all masks and values the same for each byte */
#define STREAM_ROWS 0 /* saves compile time */
#define PANELS_ABREAST 1
#define BLOCK_TILE_ROWS 2
#define TILES(name, X) X(name, 2)
INLINE v16i u8_to_i(const uint8_t *p) {
  uint32_t r[16];
  EACH r[j] = p[j];
  return i_load(r);
}
/* shifted to the right, to the left where n is negative */
INLINE v16i i_shift(v16i v, const int n) {
#define SHIFT(x) (n >= 0 ? x >> (n & 31) : x << (-n & 31))
  return MAP1(v16i, SHIFT, v);
}
INLINE v16i i_mask(v16i v, const int mask) {
#define MASK(x) (x & (uint32_t)mask * 0x01010101u)
  return MAP1(v16i, MASK, v);
}
/* low & mask_low | high & mask_high, masks without a common bit */
INLINE v16i i_merge(v16i low, v16i high, const int mask_low, const int mask_high) {
  return i_add(i_mask(low, mask_low), i_mask(high, mask_high));
}
INLINE v16i i_table(v16i nibbles, const uint8_t *table) {
  uint8_t b[64];
  memcpy(b, &nibbles, 64);
  for (int i = 0; i < 64; i++) b[i] = table[b[i] & 15];
  return i_load(b);
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
  uint32_t t[4][16];
  EACH for (int i = 0; i < 4; i++) memcpy(&t[i][j], rows[j] + at + 4 * i, 4);
  for (int i = 0; i < 4; i++) w[i] = i_load(t[i]);
}
INLINE v16i i_flip8(v16i v) {
#define FLIP(x) (x ^ 0x80808080u)
  return MAP1(v16i, FLIP, v);
}
