/* Elementwise ops made of tanh, and products: see src/ops/tanh.ts. */
#define GELU_ROOT 0.7978845608028654
#define GELU_CUBE 0.044715

INLINE v16d gelu_inner(v16d x) {
  return d_tanh(d_mul(d_set1(GELU_ROOT), d_add(x, d_mul(d_set1(GELU_CUBE), d_mul(d_mul(x, x), x)))));
}
INLINE v16 gelu_value(v16d x, v16d t) { return d_to_f(d_mul(d_mul(d_set1(0.5), x), d_add(d_set1(1.0), t))); }
INLINE v16d gelu_slope(v16d x, v16d t) {
  const v16d one = d_set1(1.0), half = d_set1(0.5);
  const v16d du = d_mul(d_set1(GELU_ROOT), d_add(one, d_mul(d_set1(3 * GELU_CUBE), d_mul(x, x))));
  return d_add(d_mul(half, d_add(one, t)), d_mul(d_mul(d_mul(half, x), d_sub(one, d_mul(t, t))), du));
}

static void geluTanh_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(geluTanh, x);
  float *y = OUTPUT(geluTanh, y);
#define BODY(n)                              \
  {                                          \
    const v16d d = f_to_d(GET(x, n));        \
    PUT(y, gelu_value(d, gelu_inner(d)), n); \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void geluTanhGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(geluTanhGrad, x), *dy = INPUT(geluTanhGrad, dy);
  float *dx = OUTPUT(geluTanhGrad, dx);
#define BODY(n)                                                                  \
  {                                                                              \
    const v16d d = f_to_d(GET(x, n));                                            \
    PUT(dx, d_to_f(d_mul(f_to_d(GET(dy, n)), gelu_slope(d, gelu_inner(d)))), n); \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void geluTanhGate_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(geluTanhGate, gate), *up = INPUT(geluTanhGate, up);
  float *y = OUTPUT(geluTanhGate, y);
#define BODY(n)                                                 \
  {                                                             \
    const v16d d = f_to_d(GET(gate, n));                        \
    PUT(y, f_mul(gelu_value(d, gelu_inner(d)), GET(up, n)), n); \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void geluTanhGateGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *gate = INPUT(geluTanhGateGrad, gate), *up = INPUT(geluTanhGateGrad, up),
              *dy = INPUT(geluTanhGateGrad, dy);
  float *dgate = OUTPUT(geluTanhGateGrad, dgate), *dup = OUTPUT(geluTanhGateGrad, dup);
#define BODY(n)                                                  \
  {                                                              \
    const v16d d = f_to_d(GET(gate, n)), t = gelu_inner(d);      \
    const v16 u = GET(up, n), e = GET(dy, n);                    \
    PUT(dgate, f_mul(f_mul(d_to_f(gelu_slope(d, t)), u), e), n); \
    PUT(dup, f_mul(gelu_value(d, t), e), n);                     \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void softcap_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(softcap, x);
  float *y = OUTPUT(softcap, y);
  const v16 cap = f_set1(FLOAT(softcap, cap));
#define BODY(n) PUT(y, f_mul(cap, f_tanh(f_div(GET(x, n), cap))), n);
  FLAT(o, chunk, BODY)
#undef BODY
}

static void softcapGrad_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(softcapGrad, x), *dy = INPUT(softcapGrad, dy);
  float *dx = OUTPUT(softcapGrad, dx);
  const v16 cap = f_set1(FLOAT(softcapGrad, cap));
#define BODY(n)                                                      \
  {                                                                  \
    const v16 t = f_tanh(f_div(GET(x, n), cap));                     \
    PUT(dx, f_mul(f_sub(f_set1(1.0f), f_mul(t, t)), GET(dy, n)), n); \
  }
  FLAT(o, chunk, BODY)
#undef BODY
}

static void multiply_run(const op_t *o, int64_t chunk, char *scratch) {
  (void)scratch;
  const float *x = INPUT(multiply, a), *y = INPUT(multiply, b);
  float *z = OUTPUT(multiply, y);
#define BODY(n) PUT(z, f_mul(GET(x, n), GET(y, n)), n);
  FLAT(o, chunk, BODY)
#undef BODY
}
