/* The ops of a plan: docs/internals/arithmetic.md section 4 defines each. ops.gen.h names their operands and
 * attributes. */
#ifndef VERIT_OPS_H
#define VERIT_OPS_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __int128 wide_t; /* attributes have 32 bits: no product of three overflows */

#include "ops.gen.h"

enum {
#define X(name, ...) OP_##name,
  OPS(X)
#undef X
      OP_COUNT
};

/* One op of a run: pointers and sizes are bound. Optional tensors that are absent are NULL; others are not, even those
 * without elements. */
typedef struct {
  int kind;
  const void *in[MAX_IN];
  void *out[MAX_OUT];
  int64_t a[MAX_ATTRIBUTES];
  int threads;       /* for sizing chunks; no result may depend on it */
  atomic_int *error; /* set to 1 by a kernel that meets an index out of range */
} op_t;

/* An attribute or operand by its name in src/ops. */
#define ATTR(op, name) (o->a[AT_##op##_##name])
#define INPUT(op, name) (o->in[IN_##op##_##name])
#define OUTPUT(op, name) (o->out[OUT_##op##_##name])
#define FLOAT(op, name) op_float(o, AT_##op##_##name)
/* For helpers that several ops share: their first attribute is the number of rows, the second, where it is used, the
 * width. */
#define ROWS(o) ((o)->a[0])
#define WIDTH(o) ((o)->a[1])

static inline float op_float(const op_t *o, int i) {
  uint32_t bits = (uint32_t)o->a[i];
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static inline int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static inline int64_t at_least(int64_t x, int64_t low) { return x < low ? low : x; }
static inline int64_t at_most(int64_t x, int64_t high) { return x > high ? high : x; }

/* The facts about an op that a plan needs. */
typedef struct {
  const char *name;
  int inputs, outputs, attributes, optional_inputs,
      optional_outputs; /* the last two: a bit for each that may be absent */
  /*
   * Bytes each tensor must have for these attributes; 0 where it may be absent, and where its op gets no pointer into
   * it. Returns 0 if the attributes themselves are not allowed.
   */
  int (*need)(const wide_t *a, wide_t *in, wide_t *out);
} op_info;
extern const op_info op_infos[OP_COUNT];

/* The facts about an op that the pool needs: an op is cut into chunks that write disjoint outputs, so any thread may
 * take any chunk at any time. */
typedef struct {
  int64_t (*chunks)(const op_t *o);
  void (*run)(const op_t *o, int64_t chunk, char *scratch);
} op_phase;
enum { MAX_PHASES = 3 };
typedef struct {
  op_phase phases[MAX_PHASES];       /* one after the other; every chunk of one is done before the next begins */
  int64_t (*scratch)(const op_t *o); /* bytes a thread needs; NULL for none */
} op_kernel;
typedef struct {
  const char *name;
  const op_kernel *kernels;                                          /* OP_COUNT of them */
  void (*functions)(int which, const float *x, float *y, int64_t n); /* for tests */
} isa_t;

enum { MAX_ISAS = 4 };
int isa_list(const isa_t *list[MAX_ISAS]); /* the sets that this machine can run, the best first; returns how many */
int cpu_has_vbmi(void); /* AVX-512 VBMI, which is looked for at run time within the avx512 set; 0 elsewhere */
const isa_t *isa_find(const char *name); /* NULL when this machine cannot run it; "" picks the best */
#endif
