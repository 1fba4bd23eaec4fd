/* The ops a plan may hold: docs/arithmetic.md section 4 says what each computes. One row each: name, inputs, outputs, attributes. */
#ifndef VERIT_OPS_H
#define VERIT_OPS_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OPS(X) \
  X(matmul, 3, 1, 6) X(panels, 1, 1, 3) X(columnSum, 1, 1, 2) X(add, 2, 1, 2) X(scale, 2, 1, 2) \
  X(embedding, 2, 1, 3) X(embeddingGrad, 2, 1, 3) X(split, 1, 3, 4) X(concat, 3, 1, 4) \
  X(layerNorm, 3, 2, 4) X(layerNormGrad, 4, 1, 2) X(layerNormParamGrad, 3, 2, 3) \
  X(rmsNorm, 2, 2, 3) X(rmsNormGrad, 4, 1, 2) X(rmsNormParamGrad, 3, 1, 2) \
  X(gelu, 1, 1, 2) X(geluGrad, 2, 1, 2) X(reluSquareGate, 2, 1, 2) X(reluSquareGateGrad, 3, 2, 2) \
  X(siluGate, 2, 1, 2) X(siluGateGrad, 3, 2, 2) \
  X(dropout, 2, 1, 5) X(rope, 4, 1, 5) X(writeKeys, 2, 1, 4) X(writeValues, 2, 1, 4) \
  X(attention, 6, 2, 8) X(attentionGrad, 6, 3, 6) \
  X(crossEntropy, 2, 2, 2) X(crossEntropyGrad, 4, 1, 2) X(mean, 1, 1, 1) X(meanGrad, 1, 1, 1) \
  X(quantizeRows, 1, 3, 2) X(dequantizeRows, 2, 1, 2) X(ternarize, 1, 2, 2) X(unternarize, 2, 1, 2) X(ternaryMatmul, 5, 1, 3) \
  X(squareSum, 1, 1, 1) X(clipFactor, 1, 1, 2) X(adamw, 6, 3, 2) \
  X(halfPanels, 1, 1, 2) X(panelRows, 2, 1, 4) X(repackTernary, 1, 1, 4) X(ternaryMatmulBase3, 5, 1, 3) \
  X(eightBitMatmul, 5, 1, 3) X(eightBitRows, 3, 1, 3) X(repackEightBit, 1, 2, 2) \
  X(quantizeFine, 1, 3, 2) X(sixBitMatmul, 6, 1, 3) X(sixBitRows, 4, 1, 3) X(repackSixBit, 1, 3, 2) \
  X(screenSixBit, 1, 4, 2) X(screenLimits, 5, 1, 3) X(screenedMatmul, 5, 1, 3) X(halfRows, 2, 1, 3) \
  X(readProbe, 1, 1, 1) X(dotProbe, 2, 1, 2)

enum {
#define X(name, in, out, attributes) OP_##name,
  OPS(X)
#undef X
  OP_COUNT
};

enum { MAX_IN = 6, MAX_OUT = 4, MAX_ATTRIBUTES = 8 };

/* One op of a run: pointers and sizes are bound. Absent tensors are NULL. */
typedef struct {
  int kind;
  const void *in[MAX_IN];
  void *out[MAX_OUT];
  int64_t a[MAX_ATTRIBUTES];
  int threads; /* for cutting work to size; no result may depend on it */
  atomic_int *error; /* set to 1 by a kernel that meets an index out of range */
} op_t;

typedef __int128 wide_t; /* attributes have 32 bits: no product of three overflows */

static inline float op_float(const op_t *o, int i) {
  uint32_t bits = (uint32_t)o->a[i];
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static inline int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static inline int64_t at_least(int64_t x, int64_t low) { return x < low ? low : x; }
static inline int64_t at_most(int64_t x, int64_t high) { return x > high ? high : x; }

/* What a plan needs to know of an op. */
typedef struct {
  const char *name;
  int inputs, outputs, attributes;
  /*
   * Bytes each tensor must have for these attributes; 0 where it may be absent, and where its op gets no pointer to it. Returns 0 if the attributes
   * themselves are not allowed.
   */
  int (*need)(const wide_t *a, wide_t *in, wide_t *out);
} op_info;
extern const op_info op_infos[OP_COUNT];

/* What the pool needs: an op is cut into chunks that write disjoint outputs, so that any thread may take any chunk at any time. */
typedef struct {
  int64_t (*chunks)(const op_t *o);
  void (*run)(const op_t *o, int64_t chunk, char *scratch);
} op_phase;
enum { MAX_PHASES = 3 };
typedef struct {
  op_phase phases[MAX_PHASES]; /* one after the other; every chunk of one is done before the next begins */
  int64_t (*scratch)(const op_t *o); /* bytes a thread needs; NULL for none */
} op_kernel;
typedef struct {
  const char *name;
  const op_kernel *kernels; /* OP_COUNT of them */
  void (*functions)(int which, const float *x, float *y, int64_t n); /* for tests */
} isa_t;

enum { MAX_ISAS = 4 };
int isa_list(const isa_t *list[MAX_ISAS]); /* those that this machine can run, the best first; how many */
int cpu_has_vbmi(void); /* AVX-512 VBMI, which is looked for at run time within the avx512 set; 0 elsewhere */
const isa_t *isa_find(const char *name); /* NULL when this machine cannot run it; "" picks the best */
#endif
