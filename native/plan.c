/* Checks a plan when it is created; binds pointers and sizes when it runs. */
#include "plan.h"
#include <stdlib.h>

enum { MAX_SYMBOLS = 4 };

typedef struct {
  int32_t kind, in[MAX_IN], out[MAX_OUT], tag[MAX_ATTRIBUTES], value[MAX_ATTRIBUTES];
} step_t;
typedef struct {
  int32_t buffer;
  int64_t offset, bytes;
} tensor_t;
struct plan_t {
  const isa_t *isa;
  step_t *steps;
  tensor_t *tensors;
  int64_t *buffer_bytes;
  size_t step_count, item_count, tensor_count, buffer_count, symbol_count;
  int32_t limits[MAX_SYMBOLS];
};

void plan_free(plan_t *p) {
  if (!p) return;
  free(p->steps);
  free(p->tensors);
  free(p->buffer_bytes);
  free(p);
}

size_t plan_buffers(const plan_t *p) { return p->buffer_count; }
int64_t plan_buffer_bytes(const plan_t *p, size_t i) { return p->buffer_bytes[i]; }

int plan_symbols_ok(const plan_t *p, const int32_t *symbols, size_t n) {
  if (n != p->symbol_count) return 0;
  for (size_t i = 0; i < n; i++)
    if (symbols[i] < 0 || symbols[i] > p->limits[i]) return 0;
  return 1;
}

static int64_t attribute(const step_t *s, int i, const int32_t *symbols) {
  return s->tag[i] ? symbols[s->tag[i] - 1] : s->value[i];
}

static const char *check_tensor(const plan_t *p, int32_t t, wide_t need) {
  if (t < -1 || t >= (int64_t)p->tensor_count) return "a tensor index is out of range";
  if (t < 0) return need > 0 ? "a tensor that the op needs is absent" : NULL;
  return p->tensors[t].bytes < need ? "a tensor is too short for its op" : NULL;
}

/* The step at these sizes: its attributes, and which tensors it needs (the others get no pointer). */
typedef struct {
  wide_t a[MAX_ATTRIBUTES], in[MAX_IN], out[MAX_OUT];
} sized_t;

static int adamw_in_place(const step_t *s) {
  return s->out[OUT_adamw_w] == s->in[IN_adamw_w] && s->out[OUT_adamw_m] == s->in[IN_adamw_m] &&
         s->out[OUT_adamw_v] == s->in[IN_adamw_v];
}

static const char *check_step(const plan_t *p, const step_t *s, const int32_t *symbols, sized_t *z) {
  const op_info *info = &op_infos[s->kind];
  memset(z, 0, sizeof *z);
  for (int i = 0; i < info->attributes; i++) z->a[i] = attribute(s, i, symbols);
  if (!info->need(z->a, z->in, z->out)) return "an op has attributes that are not allowed";
  /* optional outputs: the probabilities of attention */
  if (s->kind == OP_attention && s->out[OUT_attention_p] < 0) z->out[OUT_attention_p] = 0;
  if (s->kind == OP_attention && s->out[OUT_attention_rest] < 0) z->out[OUT_attention_rest] = 0;
  const char *problem = NULL;
  for (int i = 0; i < info->inputs && !problem; i++) problem = check_tensor(p, s->in[i], z->in[i]);
  for (int i = 0; i < info->outputs && !problem; i++) problem = check_tensor(p, s->out[i], z->out[i]);
  /* adamw updates in place: its outputs must be its inputs */
  if (!problem && s->kind == OP_adamw && !adamw_in_place(s)) problem = "adamw must write w, m, v in place";
  return problem;
}

static const char *fill(plan_t *p, const int32_t *program, size_t words, const double *tensors,
                        const double *buffer_bytes, const int32_t *limits) {
  const double largest = 9007199254740992.0;
  for (size_t i = 0; i < p->symbol_count; i++) {
    if (limits[i] < 0) return "a limit is negative";
    p->limits[i] = limits[i];
  }
  for (size_t i = 0; i < p->buffer_count; i++) {
    if (!(buffer_bytes[i] >= 0 && buffer_bytes[i] < largest)) return "a buffer has no proper size";
    p->buffer_bytes[i] = (int64_t)buffer_bytes[i];
  }
  for (size_t i = 0; i < p->tensor_count; i++) {
    const double b = tensors[3 * i], offset = tensors[3 * i + 1], bytes = tensors[3 * i + 2];
    if (!(b >= 0 && b < (double)p->buffer_count && offset >= 0 && offset < largest && bytes >= 0 && bytes < largest))
      return "a tensor has no proper place";
    p->tensors[i] = (tensor_t){(int32_t)b, (int64_t)offset, (int64_t)bytes};
    if (p->tensors[i].offset % 4 || p->tensors[i].offset + p->tensors[i].bytes > p->buffer_bytes[p->tensors[i].buffer])
      return "a tensor lies outside its buffer";
  }
  size_t w = 0;
  for (; w < words; p->step_count++) {
    if (words - w < 4) return "the program ends inside a step";
    step_t *s = &p->steps[p->step_count];
    const int32_t *h = program + w;
    if (h[0] < 0 || h[0] >= OP_COUNT) return "an op is unknown";
    const op_info *info = &op_infos[h[0]];
    if (h[1] != info->inputs || h[2] != info->outputs || h[3] != info->attributes)
      return "an op has the wrong number of tensors or attributes";
    const size_t length = 4 + (size_t)(h[1] + h[2] + 2 * h[3]);
    if (words - w < length) return "the program ends inside a step";
    s->kind = h[0];
    const int32_t *x = h + 4;
    for (int i = 0; i < h[1]; i++) s->in[i] = *x++;
    for (int i = 0; i < h[2]; i++) s->out[i] = *x++;
    for (int i = 0; i < h[3]; i++) {
      s->tag[i] = *x++;
      s->value[i] = *x++;
      if (s->tag[i] < 0 || s->tag[i] > (int32_t)p->symbol_count) return "an attribute names an unknown symbol";
    }
    sized_t sized;
    const char *problem = check_step(p, s, p->limits, &sized);
    if (problem) return problem;
    for (int f = 0; f < MAX_PHASES && p->isa->kernels[s->kind].phases[f].run; f++) p->item_count++;
    w += length;
  }
  return NULL;
}

plan_t *plan_create(const isa_t *isa, const int32_t *program, size_t words, const double *tensors, size_t tensor_count,
                    const double *buffer_bytes, size_t buffer_count, const int32_t *limits, size_t symbol_count,
                    const char **problem) {
  plan_t *p = calloc(1, sizeof *p);
  *problem = "out of memory";
  if (!p) return NULL;
  p->isa = isa;
  p->tensor_count = tensor_count;
  p->buffer_count = buffer_count;
  p->symbol_count = symbol_count;
  p->steps = calloc(words / 4 + 1, sizeof *p->steps);
  p->tensors = calloc(tensor_count + 1, sizeof *p->tensors);
  p->buffer_bytes = calloc(buffer_count + 1, sizeof *p->buffer_bytes);
  if (p->steps && p->tensors && p->buffer_bytes) {
    *problem = symbol_count > MAX_SYMBOLS ? "too many symbols" : fill(p, program, words, tensors, buffer_bytes, limits);
    if (!*problem) return p;
  }
  plan_free(p);
  return NULL;
}

/* The memory that an op touches. */
typedef struct {
  struct {
    const char *from, *to;
  } in[MAX_IN], out[MAX_OUT];
} touched_t;

static int overlaps(const touched_t *a, int i, const char *from, const char *to) {
  return a->out[i].from < to && from < a->out[i].to;
}

/* whether an output of a is an input or output of b */
static int reaches(const touched_t *a, const touched_t *b) {
  for (int i = 0; i < MAX_OUT; i++) {
    for (int j = 0; j < MAX_IN; j++)
      if (overlaps(a, i, b->in[j].from, b->in[j].to)) return 1;
    for (int j = 0; j < MAX_OUT; j++)
      if (overlaps(a, i, b->out[j].from, b->out[j].to)) return 1;
  }
  return 0;
}

/* Consecutive items that do not depend on each other. */
enum { GROUP = 4 };
typedef struct {
  uint32_t first, count;
  touched_t touched[GROUP];
} group_t;

/*
 * Adds an item to the run, and to the group before it if it can be in it. One of a single chunk stays alone: pool.c has
 * a shorter way for it.
 */
static void add_item(run_t *r, group_t *g, item_t item, const touched_t *touched) {
  item_t *first = &r->item[g->first];
  int joins = g->count > 0 && g->count < GROUP && item.chunks > 1 && first->chunks > 1 &&
              first->group_chunks < INT32_MAX - item.chunks;
  for (uint32_t i = 0; i < g->count && joins; i++)
    joins = !reaches(&g->touched[i], touched) && !reaches(touched, &g->touched[i]);
  item.group = 1;
  item.group_chunks = item.chunks;
  if (joins) {
    first->group++;
    first->group_chunks += item.chunks;
  } else {
    g->first = r->items;
    g->count = 0;
  }
  g->touched[g->count++] = *touched;
  r->item[r->items++] = item;
}

/* address of tensors without elements: kernels may add 0 to it, which C forbids for NULL, and write nothing */
static _Alignas(64) char nothing[1];

run_t *plan_bind(const plan_t *p, char *const *buffers, const int32_t *symbols, int threads, const char **problem) {
  run_t *r = calloc(1, sizeof *r + p->item_count * sizeof(item_t));
  group_t group = {0};
  *problem = NULL;
  if (!r) return NULL;
  for (size_t i = 0; i < p->step_count; i++) {
    const step_t *s = &p->steps[i];
    const op_info *info = &op_infos[s->kind];
    const op_kernel *k = &p->isa->kernels[s->kind];
    op_t op = {.kind = s->kind, .threads = threads, .error = &r->error};
    sized_t z;
    /* what fits at the largest sizes may not be allowed at smaller ones (a symbol may stand for any attribute) */
    *problem = check_step(p, s, symbols, &z);
    if (*problem) {
      free(r);
      return NULL;
    }
    wide_t written = 0;
    for (int j = 0; j < info->outputs; j++) written += z.out[j];
    if (!written) continue; /* rows without columns: nothing to do, and no pointers to do it with */
#define ABSENT(optional, j) ((optional) >> (j)&1 ? NULL : nothing)
#define POINTER(t, need, absent) ((need) > 0 ? buffers[p->tensors[t].buffer] + p->tensors[t].offset : (absent))
    for (int j = 0; j < info->inputs; j++) op.in[j] = POINTER(s->in[j], z.in[j], ABSENT(info->optional_inputs, j));
    for (int j = 0; j < info->outputs; j++) op.out[j] = POINTER(s->out[j], z.out[j], ABSENT(info->optional_outputs, j));
    for (int j = 0; j < info->attributes; j++) op.a[j] = (int64_t)z.a[j];
    touched_t touched = {0};
    for (int j = 0; j < info->inputs; j++)
      if (op.in[j]) touched.in[j].to = (touched.in[j].from = op.in[j]) + (int64_t)z.in[j];
    for (int j = 0; j < info->outputs; j++)
      if (op.out[j]) touched.out[j].to = (touched.out[j].from = op.out[j]) + (int64_t)z.out[j];
    if (k->scratch) r->scratch = at_least(r->scratch, k->scratch(&op));
    for (int f = 0; f < MAX_PHASES && k->phases[f].run; f++)
      add_item(r, &group, (item_t){.op = op, .run = k->phases[f].run, .chunks = (uint32_t)k->phases[f].chunks(&op)},
               &touched);
  }
  return r;
}
