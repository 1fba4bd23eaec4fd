/*
 * A libFuzzer target for the native code that takes plans and data: the input is decoded into a plan, which goes
 * through the very check that the addon uses (native/plan.c); what it admits is run on every instruction set of the
 * machine, over buffers that end where the plan says. AddressSanitizer sees an access outside of them; half of the runs
 * put the buffers before pages that cannot be touched, for the vector instructions that it does not see. Runs that gave
 * no error must have given the same bits. scripts/fuzz-native.ts builds and runs it, scripts/fuzz-native-seeds.ts
 * writes this format.
 *
 * At the end it says how often each op was compared.
 *
 * input: threads - 1 (2 bits), pool (bit 2), guard pages (bit 3); two sizes, each limit and value, numbers; steps until
 * the input ends. step: op; its attributes, numbers; for each input and output a place. Bytes that are not there are
 * zeros.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include "pool.h"
#include "plan.h"

enum { MAX_STEPS = 4, MAX_TENSORS = MAX_STEPS * (MAX_IN + MAX_OUT), SYMBOLS = 2, POOL_THREADS = 3 };
enum { MOST_BYTES = 1 << 18, MOST_WORK = 1 << 21, PAGE = 4096 };

#define MUST(condition)                                                \
  do                                                                   \
    if (!(condition)) {                                                \
      fprintf(stderr, "fuzz-native: does not hold: %s\n", #condition); \
      abort();                                                         \
    }                                                                  \
  while (0)

typedef struct {
  const uint8_t *at, *end;
} input_t;
static uint8_t next(input_t *in) { return in->at < in->end ? *in->at++ : 0; }
static int32_t next_word(input_t *in) {
  uint32_t w = 0;
  for (int i = 0; i < 4; i++) w |= (uint32_t)next(in) << 8 * i;
  return (int32_t)w;
}

/* below 0xc0 itself; below 0xe0 one of these; below 0xf0 a size of the run; else the next four bytes */
static const int32_t SPECIAL[32] = {-1,
                                    -2,
                                    INT32_MIN,
                                    INT32_MAX,
                                    INT32_MAX - 1,
                                    INT32_MAX - 15,
                                    INT32_MAX - 31,
                                    1 << 30,
                                    1 << 24,
                                    (1 << 24) - 1,
                                    (1 << 23) + 1,
                                    1 << 23,
                                    1 << 20,
                                    1 << 16,
                                    (1 << 16) + 1,
                                    46341,
                                    4096,
                                    1024,
                                    255,
                                    256,
                                    257,
                                    320,
                                    400,
                                    0x7fc00000,
                                    (int32_t)0xffc00000,
                                    0x7f800000,
                                    (int32_t)0xff800000,
                                    0x7f7fffff,
                                    1,
                                    (int32_t)0x80000000,
                                    0x3f800000,
                                    0x358637bd};
typedef struct {
  int32_t tag, value;
} number_t;
static number_t next_number(input_t *in) {
  const uint8_t b = next(in);
  if (b < 0xc0) return (number_t){0, b};
  if (b < 0xe0) return (number_t){0, SPECIAL[b - 0xc0]};
  if (b < 0xf0) return (number_t){1 + b % SYMBOLS, 0};
  return (number_t){0, next_word(in)};
}

typedef struct {
  int32_t program[MAX_STEPS * (4 + MAX_IN + MAX_OUT + 2 * MAX_ATTRIBUTES)];
  double tensors[3 * MAX_TENSORS], bytes[MAX_TENSORS];
  char *content[MAX_TENSORS]; /* of each buffer at the start */
  size_t words, tensor_count, buffer_count;
  int32_t limits[SYMBOLS], symbols[SYMBOLS];
  int must_refuse; /* a tensor is shorter than its op needs */
  int comparable;  /* every output has its own memory and all that is written is defined */
  int64_t work;
  int ops[MAX_STEPS], op_count;
} fuzzed_t;

static int add_tensor(fuzzed_t *f, double buffer, double offset, double bytes) {
  double *t = f->tensors + 3 * f->tensor_count;
  t[0] = buffer;
  t[1] = offset;
  t[2] = bytes;
  return (int)f->tensor_count++;
}

/* a kind (3 bits) and a parameter (5 bits); kind 5 is followed by a length and that many bytes, which repeat */
static char *next_content(input_t *in, int64_t bytes) {
  static const float VALUES[] = {0,   -0.0f, 1,      -1,      0.5f,     -2.5f,    1e-45f,    -5e-39f, 1e-30f,
                                 127, 1e19f, -1e19f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, NAN,     16777216};
  char *content = calloc((size_t)at_least(bytes, 1), 1);
  const uint8_t b = next(in);
  const int kind = b & 7, parameter = b >> 3;
  const uint8_t *literal = in->at;
  size_t length = (size_t)(in->end - in->at);
  if (kind == 5) {
    length = next(in);
    literal = in->at;
    if (length > (size_t)(in->end - in->at)) length = (size_t)(in->end - in->at);
    in->at += length;
  }
  uint32_t random = 0x9e3779b9u * (uint32_t)(parameter + 1);
  for (int64_t i = 0; i < bytes; i += 4) {
    random = random * 1664525u + 1013904223u;
    int32_t word = 0;
    float value = 0;
    if (kind == 1)
      word = (int32_t)((random >> 8) % (uint32_t)(parameter + 1));
    else if (kind == 2 || kind == 5) {
      for (int j = 0; j < 4 && length; j++) word |= (int32_t)((uint32_t)literal[(size_t)(i + j) % length] << 8 * j);
    } else if (kind == 3)
      value = (float)(int32_t)random * 0x1p-30f;
    else if (kind == 4)
      value = VALUES[(random >> 8) % (sizeof VALUES / sizeof *VALUES)];
    else if (kind == 6)
      word = (int32_t)random;
    else if (kind == 7)
      word = (int32_t)(16 * ((random >> 8) % (uint32_t)(parameter + 1)));
    if (kind == 3 || kind == 4) memcpy(&word, &value, 4);
    memcpy(content + i, &word, (size_t)at_most(4, bytes - i));
  }
  return content;
}

/* where a tensor lies that needs so many bytes: its index. Reading one again leaves a run comparable, writing does not.
 */
static int next_place(input_t *in, fuzzed_t *f, wide_t need, int is_input) {
  const uint8_t kind = next(in) % 8;
  if (kind == 2) return -1;
  if (kind == 3 && f->tensor_count) {
    f->comparable &= is_input;
    return next(in) % (int)f->tensor_count;
  }
  if (kind == 4 && f->buffer_count) {
    f->comparable = 0;
    const double buffer = next(in) % f->buffer_count, offset = next_number(in).value;
    return add_tensor(f, buffer, offset, next_number(in).value);
  }
  if (kind == 5) {
    f->comparable = 0;
    return next_number(in).value;
  }
  /* 0, 7: memory of its own; 1: not at its start; 6: a byte too short */
  int64_t bytes = need < 0 || need > MOST_BYTES ? 64 : (int64_t)need;
  const int64_t offset = kind == 1 ? 4 * (next(in) % 16) : 0;
  if (kind == 6 && bytes) bytes--;
  if (bytes < need) f->must_refuse = 1;
  f->bytes[f->buffer_count] = (double)(offset + bytes);
  f->content[f->buffer_count] = next_content(in, offset + bytes);
  return add_tensor(f, (double)f->buffer_count++, (double)offset, (double)bytes);
}

/*
 * How much there is to do at most, from the op's own size rule: elements of the first output, each a chain over the
 * largest attribute on which the size of an operand depends.
 */
static int64_t work_of(int op, const wide_t *a, const wide_t *in, const wide_t *out) {
  const op_info *info = &op_infos[op];
  wide_t longest = op == OP_dotProbe ? 64 * a[AT_dotProbe_rounds] : 1; /* a round is some thousand operations */
  for (int i = 0; i < info->attributes; i++) {
    wide_t other[MAX_ATTRIBUTES], other_in[MAX_IN] = {0}, other_out[MAX_OUT] = {0};
    memcpy(other, a, sizeof other);
    other[i] = a[i] / 2;
    info->need(other, other_in, other_out);
    const int sized = memcmp(in, other_in, sizeof other_in) || memcmp(out, other_out, sizeof other_out);
    if (sized && a[i] > longest) longest = a[i];
  }
  const wide_t elements = (out[0] + 3) / 4;
  return elements > MOST_WORK || longest > MOST_WORK ? MOST_WORK + 1
                                                     : at_most((int64_t)(elements * longest), MOST_WORK + 1);
}

/* whether adamw, which writes over its inputs, has four different ones */
static int updates_apart(const int32_t *in, const int32_t *out) {
  const int32_t w = in[IN_adamw_w], g = in[IN_adamw_g], m = in[IN_adamw_m], v = in[IN_adamw_v];
  return out[OUT_adamw_w] == w && out[OUT_adamw_m] == m && out[OUT_adamw_v] == v && w != g && w != m && w != v &&
         g != m && g != v && m != v;
}

/*
 * whether the rows of a cache that a step writes are different ones, as they have to be: of equal ones either may be
 * written last. The tensor that names them has to be new in this step, from index `fresh` on, so that no op writes it.
 */
static int rows_apart(const fuzzed_t *f, size_t fresh, int32_t tensor, wide_t count) {
  if (tensor < 0 || (size_t)tensor < fresh || (size_t)tensor >= f->tensor_count || count < 0 || count > 1024) return 0;
  const double *t = f->tensors + 3 * tensor;
  if (t[0] < 0 || t[0] >= (double)f->buffer_count || t[1] < 0) return 0;
  const size_t buffer = (size_t)t[0];
  if (t[1] + 4.0 * (double)count > f->bytes[buffer]) return 0;
  const char *rows = f->content[buffer] + (size_t)t[1];
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < i; j++)
      if (memcmp(rows + 4 * i, rows + 4 * j, 4) == 0) return 0;
  return 1;
}

static void next_step(input_t *in, fuzzed_t *f) {
  const int op = next(in) % OP_COUNT;
  const op_info *info = &op_infos[op];
  int32_t *w = f->program + f->words;
  *w++ = op;
  *w++ = info->inputs;
  *w++ = info->outputs;
  *w++ = info->attributes;
  int32_t *attributes = w + info->inputs + info->outputs;
  wide_t a[MAX_ATTRIBUTES] = {0}, need_in[MAX_IN] = {0}, need_out[MAX_OUT] = {0};
  for (int i = 0; i < info->attributes; i++) {
    const number_t n = next_number(in);
    attributes[2 * i] = n.tag;
    attributes[2 * i + 1] = n.value;
    a[i] = n.tag ? f->limits[n.tag - 1] : n.value;
  }
  if (!info->need(a, need_in, need_out))
    f->must_refuse = 1;
  else
    f->work = at_least(f->work, work_of(op, a, need_in, need_out));
  f->ops[f->op_count++] = op;
  const size_t fresh = f->tensor_count;
  for (int i = 0; i < info->inputs; i++) *w++ = next_place(in, f, need_in[i], 1);
  int32_t *outputs = w;
  const int comparable = f->comparable;
  for (int i = 0; i < info->outputs; i++) *w++ = next_place(in, f, need_out[i], 0);
  if (op == OP_adamw && updates_apart(outputs - info->inputs, outputs)) f->comparable = comparable;
  /* probabilities past a row's length are left as they are */
  if (op == OP_attention && outputs[OUT_attention_p] >= 0) f->comparable = 0;
  if (op == OP_writeKeys)
    f->comparable &= rows_apart(f, fresh, outputs[IN_writeKeys_cacheRow - info->inputs], a[AT_writeKeys_N]);
  if (op == OP_writeValues)
    f->comparable &= rows_apart(f, fresh, outputs[IN_writeValues_cacheRow - info->inputs], a[AT_writeValues_N]);
  f->words += (size_t)(4 + info->inputs + info->outputs + 2 * info->attributes);
}

/* ---- memory that ends where the buffer ends ---- */
static char *guarded(size_t slot, size_t bytes) {
  enum { SLOT = MOST_BYTES + 2 * PAGE };
  static char *base;
  if (!base) {
    base = mmap(NULL, (size_t)MAX_TENSORS * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(base != MAP_FAILED);
    for (size_t i = 0; i < MAX_TENSORS; i++) MUST(mprotect(base + (i + 1) * SLOT - PAGE, PAGE, PROT_NONE) == 0);
  }
  return base + (slot + 1) * SLOT - PAGE - (bytes + 3) / 4 * 4;
}

static void over(run_t *run, void *context) {
  (void)run;
  atomic_store((atomic_int *)context, 1);
}

static int carry_out(run_t *run, int with_pool) {
  if (with_pool) {
    static pool_t *pool;
    int untied;
    if (!pool) MUST((pool = pool_create(POOL_THREADS, NULL, 0, &untied)) != NULL);
    atomic_int done = 0;
    run->finished = over;
    run->context = &done;
    pool_submit(pool, run);
    while (!atomic_load(&run->ended)) nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    MUST(atomic_load(&done));
  } else {
    void *scratch = NULL;
    MUST(run->scratch >= 0 && (run->scratch == 0 || posix_memalign(&scratch, 64, (size_t)run->scratch) == 0));
    for (uint32_t i = 0; i < run->items; i++)
      for (uint32_t chunk = 0; chunk < run->item[i].chunks && !atomic_load(&run->error); chunk++)
        run->item[i].run(&run->item[i].op, chunk, scratch);
    free(scratch);
    atomic_store(&run->references, 1);
  }
  const int error = atomic_load(&run->error);
  run_release(run);
  return error;
}

static int same(const char *x, const char *y, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 4) {
    uint32_t a = 0, b = 0;
    memcpy(&a, x + i, bytes - i < 4 ? bytes - i : 4);
    memcpy(&b, y + i, bytes - i < 4 ? bytes - i : 4);
    const int nans = (a & 0x7fffffff) > 0x7f800000 && (b & 0x7fffffff) > 0x7f800000;
    if (a != b && !nans) return 0;
  }
  return 1;
}

static void *copy(const void *data, size_t bytes) {
  void *to = malloc(bytes ? bytes : 1);
  MUST(to);
  if (bytes) memcpy(to, data, bytes);
  return to;
}

/* how often each op was run on every instruction set and gave the same bits */
static uint64_t compared[OP_COUNT];
static void report(void) {
  fprintf(stderr, "compared:");
  for (int i = 0; i < OP_COUNT; i++) fprintf(stderr, " %s=%llu", op_infos[i].name, (unsigned long long)compared[i]);
  fprintf(stderr, "\n");
}
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  return atexit(report);
}

static void run_everywhere(const fuzzed_t *f, int threads, int with_pool, int guard) {
  const isa_t *list[MAX_ISAS];
  const int isas = isa_list(list);
  char *first[MAX_TENSORS] = {0};
  int first_error = 0, ran = 0, finished = 0;
  for (int s = isas - 1; s >= 0; s--) { /* plain C first: the others are compared with it */
    const isa_t *isa = list[s];
    /* copies as long as they are: a check that reads on is seen */
    int32_t *program = copy(f->program, 4 * f->words), *limits = copy(f->limits, sizeof f->limits);
    double *tensors = copy(f->tensors, 24 * f->tensor_count), *bytes = copy(f->bytes, 8 * f->buffer_count);
    const char *problem;
    plan_t *plan = plan_create(isa, program, f->words, tensors, f->tensor_count, bytes, f->buffer_count, limits,
                               SYMBOLS, &problem);
    free(program);
    free(limits);
    free(tensors);
    free(bytes);
    MUST(plan || problem);
    MUST(!plan || !f->must_refuse);
    if (!plan || f->work > MOST_WORK || !plan_symbols_ok(plan, f->symbols, SYMBOLS)) {
      plan_free(plan);
      break;
    }
    char *buffers[MAX_TENSORS];
    for (size_t i = 0; i < f->buffer_count; i++) {
      const size_t n = (size_t)f->bytes[i];
      MUST(plan_buffer_bytes(plan, i) == (int64_t)n);
      if (guard)
        memcpy(buffers[i] = guarded(i, n), f->content[i], n);
      else
        buffers[i] = copy(f->content[i], n);
    }
    run_t *run = plan_bind(plan, buffers, f->symbols, (threads + s) % POOL_THREADS + 1, &problem);
    const int error = run ? carry_out(run, with_pool) : -1;
    if (!ran) first_error = error;
    MUST(error == first_error);
    for (size_t i = 0; i < f->buffer_count; i++) {
      const size_t n = (size_t)f->bytes[i];
      if (!ran)
        first[i] = copy(buffers[i], n);
      else if (f->comparable && !error && !same(first[i], buffers[i], n)) {
        fprintf(stderr, "fuzz-native: %s gives other bits than %s in buffer %zu\n", isa->name, list[isas - 1]->name, i);
        abort();
      }
      if (!guard) free(buffers[i]);
    }
    ran = 1;
    finished += f->comparable && !error;
    plan_free(plan);
  }
  for (int i = 0; i < f->op_count && finished == isas; i++) compared[f->ops[i]]++;
  for (size_t i = 0; i < f->buffer_count; i++) free(first[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input_t in = {data, data + size};
  fuzzed_t *f = calloc(1, sizeof *f);
  MUST(f);
  f->comparable = 1;
  const uint8_t how = next(&in);
  for (int i = 0; i < SYMBOLS; i++) {
    f->limits[i] = next_number(&in).value;
    f->symbols[i] = next_number(&in).value;
    if (f->limits[i] < 0) f->must_refuse = 1;
  }
  for (int i = 0; i < MAX_STEPS && in.at < in.end; i++) next_step(&in, f);
  run_everywhere(f, how & 3, how & 4, how & 8);
  for (size_t i = 0; i < f->buffer_count; i++) free(f->content[i]);
  free(f);
  return 0;
}
