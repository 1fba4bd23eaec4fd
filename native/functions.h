/* exp, log, erf, tanh and the random numbers of docs/internals/arithmetic.md section 3, to the bit. */
#ifndef VERIT_FUNCTIONS_H
#define VERIT_FUNCTIONS_H
#include "simd.h"

#define ROUND_MAGIC 6755399441055744.0
#define LOG2E 1.4426950408889634
#define LN2 0.6931471805599453
#define SQRT1_2 0.7071067811865476
#define INV_SQRT_2PI 0.3989422804014327

static const double EXP_C[11] = {1.0,       1.0,        1.0 / 2,     1.0 / 6,      1.0 / 24,     1.0 / 120,
                                 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
static const double ERF_C[19] = {
    0.3535309956188321,     -0.17657623587308224,   0.1316751217802348,   -0.10771028937936981,
    0.09020883404928404,    -0.07473053609826187,   0.059888935444079985, -0.04574400173257201,
    0.03304758579765117,    -0.02256359769822736,   0.014397568196491002, -0.00838207414610365,
    0.0047468294006373455,  -0.0029118389977216765, 0.001438018248864867, -0.00032430257864073347,
    0.00015834105341817537, -0.000246708826385322,  9.735200507674453e-05};

/* in place, of n <= EXPS numbers a lane, step by step for all, so that no step waits for the one before */
INLINE void d_exps(v16d *x, const int n) {
  const v16d magic = d_set1(ROUND_MAGIC);
  v16d t[EXPS], p[EXPS];
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) t[j] = d_add(d_mul(x[j], d_set1(LOG2E)), magic);
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) x[j] = d_sub(x[j], d_mul(d_sub(t[j], magic), d_set1(LN2)));
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) p[j] = d_set1(EXP_C[10]);
#pragma GCC unroll 10
  for (int i = 9; i >= 0; i--)
#pragma GCC unroll 4
    for (int j = 0; j < n; j++) p[j] = d_add(d_mul(p[j], x[j]), d_set1(EXP_C[i]));
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) x[j] = d_scale(p[j], t[j]);
}
INLINE v16d d_exp(v16d x) {
  d_exps(&x, 1);
  return x;
}

/* in place, of n <= EXPS vectors; `down`: no number is above 0, though there may be NaN */
INLINE void f_exps(v16 *x, const int n, const int down) {
  const v16 hi = f_set1(89.0f), lo = f_set1(-104.0f);
  v16d d[EXPS];
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) d[j] = f_to_d(f_max(lo, down ? x[j] : f_min(hi, x[j])));
  d_exps(d, n);
#pragma GCC unroll 4
  for (int j = 0; j < n; j++) {
    const v16 e = f_select(f_gt(lo, x[j]), f_zero(), d_to_f(d[j]));
    x[j] = down ? e : f_select(f_gt(x[j], hi), f_set1(INFINITY), e);
  }
}
INLINE v16 f_exp(v16 x) {
  f_exps(&x, 1, 0);
  return x;
}

INLINE v16d d_erf(v16d x) {
  v16d u = d_sub(d_mul(d_mul(x, x), d_set1(0.125)), d_set1(1.0)), p = d_set1(ERF_C[18]);
  for (int i = 17; i >= 0; i--) p = d_add(d_mul(p, u), d_set1(ERF_C[i]));
  return d_select_gt(d_abs(x), d_set1(4.0), d_sign_of(x), d_mul(x, p));
}

INLINE float exp_1(float x) {
  float r[16];
  f_store(r, f_exp(f_set1(x)));
  return r[0];
}

INLINE double log_core(double x) {
  static const double C[9] = {1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19};
  int e;
  double m = frexp(x, &e);
  if (m < SQRT1_2) {
    m = m * 2;
    e = e - 1;
  }
  double f = (m - 1) / (m + 1), s = f * f, q = C[8];
  for (int i = 7; i >= 0; i--) q = q * s + C[i];
  double f2 = 2 * f;
  return (double)e * LN2 + (f2 + (f2 * s) * q);
}

INLINE float log_1(float x) {
  if (x != x || x < 0) return NAN;
  if (x == 0) return -INFINITY;
  if (x == INFINITY) return INFINITY;
  return (float)log_core(x);
}

INLINE v16d d_tanh(v16d x) {
  static const double C[5] = {1.0, -1.0 / 3, 2.0 / 15, -17.0 / 315, 62.0 / 2835};
  const v16d a = d_abs(x), s = d_mul(a, a), one = d_set1(1.0), two = d_set1(2.0);
  v16d p = d_set1(C[4]);
  for (int i = 3; i >= 0; i--) p = d_add(d_mul(p, s), d_set1(C[i]));
  v16d t = d_sub(one, d_div(two, d_add(d_exp(d_mul(two, a)), one)));
  t = d_select_gt(d_set1(0.0625), a, d_mul(a, p), t);
  t = d_select_gt(a, d_set1(9.999999999999998), one, t); /* the largest number below 10 */
  return d_mul(t, d_sign_of(x));
}
INLINE v16 f_tanh(v16 x) { return d_to_f(d_tanh(f_to_d(x))); }

/* quarter 0: sine, 1: cosine */
INLINE float sincos_1(float xf, int quarter) {
  static const double S[7] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0};
  static const double C[8] = {1.0,         -1.0 / 2,       1.0 / 24,        -1.0 / 720,
                              1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0};
  double x = xf;
  if (!(fabs(x) <= 1048576.0)) return NAN;
  double n = (x * 0.6366197723675814 + ROUND_MAGIC) - ROUND_MAGIC;
  double r = (x - n * 1.5707963267341256) - n * 6.077100506506192e-11, s = r * r, v;
  int64_t q = ((int64_t)n + quarter) & 3;
  if (q & 1) {
    v = C[7];
    for (int i = 6; i >= 0; i--) v = v * s + C[i];
  } else {
    v = S[6];
    for (int i = 5; i >= 0; i--) v = v * s + S[i];
    v = r * v;
  }
  return (float)(q & 2 ? -v : v);
}

/* Philox 4x32-10 (Salmon et al., SC'11) */
INLINE void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
  for (int i = 0; i < 10; i++) {
    uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t x0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, x2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
    c[0] = x0;
    c[1] = (uint32_t)b;
    c[2] = x2;
    c[3] = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}
#endif
