/*
 * The N-API surface, as small as it can be: allocate, createPool, createPlan, run (a promise), functions (for tests),
 * lock, protect, restart. src/exec/native.ts loads it. Nothing here aborts on input: every call is checked and throws
 * or rejects.
 */
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include "pages.h"
#include "plan.h"
#include "sandbox.h"

#define CHECK(call, text)                            \
  do                                                 \
    if ((call) != napi_ok) {                         \
      napi_throw_error(env, "VERIT_INTERNAL", text); \
      return NULL;                                   \
    }                                                \
  while (0)
enum { MAX_BUFFERS = 1024, MAX_THREADS = 1024 };

typedef struct {
  napi_threadsafe_function done;
  int pending;
} state_t;

typedef struct job_t {
  napi_deferred deferred;
  napi_ref keep; /* the buffers, plan and pool of a run in progress */
  state_t *state;
  run_t *run;
  struct job_t *next, **link; /* in `jobs` */
} job_t;

/* Runs in progress in all environments. A reference keeps the buffers of a run alive, but a closing environment (a
 * terminated worker thread) frees them nevertheless, so it must end the run first. */
static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static job_t *jobs;

static void enlist(job_t *job) {
  pthread_mutex_lock(&jobs_lock);
  job->next = jobs;
  job->link = &jobs;
  if (jobs) jobs->link = &job->next;
  jobs = job;
  pthread_mutex_unlock(&jobs_lock);
}

static void delist(job_t *job) {
  pthread_mutex_lock(&jobs_lock);
  if (job->link) {
    *job->link = job->next;
    if (job->next) job->next->link = job->link;
    job->link = NULL;
  }
  pthread_mutex_unlock(&jobs_lock);
}

/* memory of `allocate` will be freed */
static void end_users(const char *data, size_t bytes) {
  for (;;) {
    pthread_mutex_lock(&jobs_lock);
    job_t *job = jobs;
    while (job && (atomic_load(&job->run->ended) || !run_uses(job->run, data, bytes))) job = job->next;
    run_t *run = job ? job->run : NULL;
    if (run) run_hold(run);
    pthread_mutex_unlock(&jobs_lock);
    if (!run) return;
    run_cancel(run);
    run_release(run);
  }
}

static napi_value fail(napi_env env, const char *code, const char *text) {
  napi_throw_error(env, code, text);
  return NULL;
}

static int external(napi_env env, napi_value v, napi_type_tag tag, void **p) {
  napi_valuetype t;
  bool same = false;
  return napi_typeof(env, v, &t) == napi_ok && t == napi_external &&
         napi_check_object_type_tag(env, v, &tag, &same) == napi_ok && same &&
         napi_get_value_external(env, v, p) == napi_ok && *p;
}
static const napi_type_tag POOL_TAG = {0x7665726974706f6fULL, 1}, PLAN_TAG = {0x7665726974706c61ULL, 1};

static int typed(napi_env env, napi_value v, napi_typedarray_type want, void **data, size_t *length) {
  napi_typedarray_type type;
  bool is = false;
  return napi_is_typedarray(env, v, &is) == napi_ok && is &&
         napi_get_typedarray_info(env, v, &type, length, data, NULL, NULL) == napi_ok && type == want;
}

/* bytes of any typed array or ArrayBuffer */
static int bytes_of(napi_env env, napi_value v, char **data, size_t *length) {
  bool is = false;
  if (napi_is_typedarray(env, v, &is) == napi_ok && is) {
    static const unsigned char size[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, v, &type, length, (void **)data, NULL, NULL) != napi_ok ||
        (unsigned)type >= sizeof size)
      return 0;
    *length *= size[type];
    return 1;
  }
  if (napi_is_arraybuffer(env, v, &is) == napi_ok && is)
    return napi_get_arraybuffer_info(env, v, (void **)data, length) == napi_ok;
  return 0;
}

/* ---- memory ---- */
static void unmap(napi_env env, void *data, void *hint) {
  int64_t n;
  end_users(data, (size_t)(intptr_t)hint);
  napi_adjust_external_memory(env, -(int64_t)(intptr_t)hint, &n);
  pages_free(data, (size_t)(intptr_t)hint);
}

/* allocate(bytes, sparse): pages of 2 MiB make large memory faster, but the first byte of each takes all of it */
static napi_value allocate(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], result;
  double bytes;
  bool sparse;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 2 || napi_get_value_double(env, argv[0], &bytes) != napi_ok || !(bytes >= 0 && bytes < 1e15))
    return fail(env, "VERIT_INTERNAL", "allocate: size");
  CHECK(napi_get_value_bool(env, argv[1], &sparse), "allocate: sparse");
  size_t size = (size_t)round_up((int64_t)at_least((int64_t)bytes, 64), 4096);
  void *data = pages_alloc(size, sparse);
  if (!data) return fail(env, "VERIT_MEMORY", "out of memory");
  if (napi_create_external_arraybuffer(env, data, (size_t)bytes, unmap, (void *)(intptr_t)size, &result) != napi_ok) {
    pages_free(data, size);
    return fail(env, "VERIT_MEMORY", "external memory is not allowed here");
  }
  int64_t n;
  napi_adjust_external_memory(env, (int64_t)size, &n);
  return result;
}

/* A thread of Node touches memory that will be written soon, so that its pages exist by then: the system clears each
 * page before first use. Memory freed meanwhile is refused by the system, or is other memory of this process, which
 * becomes ready sooner: nothing is written. */
/* a step is short: the lock waits two seconds for a thread to answer its signal (sandbox.c), and no thread answers
 * within a step */
enum { POPULATE_STEP = 4 << 20, POPULATE_WRITE = 23 /* MADV_POPULATE_WRITE, Linux 5.14 */ };
typedef struct {
  napi_async_work work;
  napi_ref array;
  char *data;
  size_t size;
} populate_t;
static void populate_execute(napi_env env, void *data) {
  (void)env;
  const populate_t *p = data;
#if defined(__linux__)
  for (size_t at = 0; at < p->size; at += POPULATE_STEP)
    if (madvise(p->data + at, p->size - at < POPULATE_STEP ? p->size - at : POPULATE_STEP, POPULATE_WRITE)) return;
#else
  (void)p;
#endif
}
static void populate_complete(napi_env env, napi_status status, void *data) {
  (void)status;
  populate_t *p = data;
  napi_delete_async_work(env, p->work);
  napi_delete_reference(env, p->array);
  free(p);
}
static napi_value populate(napi_env env, napi_callback_info info) {
  size_t argc = 3, length;
  napi_value argv[3], name;
  void *data;
  double from, to;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 3 || napi_get_arraybuffer_info(env, argv[0], &data, &length) != napi_ok ||
      napi_get_value_double(env, argv[1], &from) != napi_ok || napi_get_value_double(env, argv[2], &to) != napi_ok ||
      !(from >= 0 && from <= to && to <= (double)length))
    return fail(env, "VERIT_INTERNAL", "populate");
  populate_t *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  const size_t begin = (size_t)from / 4096 * 4096;
  p->data = (char *)data + begin;
  p->size = (size_t)to / 4096 * 4096 - begin;
  if (napi_create_reference(env, argv[0], 1, &p->array) != napi_ok ||
      napi_create_string_utf8(env, "verit", 5, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, populate_execute, populate_complete, p, &p->work) != napi_ok ||
      napi_queue_async_work(env, p->work) != napi_ok) {
    free(p);
    return fail(env, "VERIT_INTERNAL", "populate");
  }
  return NULL;
}

/* ---- pool ---- */
static void free_pool(napi_env env, void *pool, void *hint) {
  (void)env;
  (void)hint;
  pool_destroy(pool);
}
static napi_value create_pool(napi_env env, napi_callback_info info) {
  size_t argc = 2, count = 0;
  napi_value argv[2], result;
  int32_t threads;
  int untied;
  void *cores = NULL;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 1 || napi_get_value_int32(env, argv[0], &threads) != napi_ok || threads < 1 || threads > MAX_THREADS)
    return fail(env, "VERIT_INTERNAL", "createPool: threads");
  if (argc > 1 && (!typed(env, argv[1], napi_int32_array, &cores, &count) || count > POOL_CORES))
    return fail(env, "VERIT_INTERNAL", "createPool: cores");
  pool_t *pool = pool_create(threads, cores, (int)count, &untied);
  if (!pool && untied) return fail(env, "VERIT_USAGE", "a thread cannot be tied to one of these processors");
  if (!pool) return fail(env, "VERIT_MEMORY", "threads cannot be started");
  if (napi_create_external(env, pool, free_pool, NULL, &result) != napi_ok) {
    pool_destroy(pool);
    return fail(env, "VERIT_INTERNAL", "createPool");
  }
  CHECK(napi_type_tag_object(env, result, &POOL_TAG), "tag");
  return result;
}

/* ---- plan ---- */
static void free_plan(napi_env env, void *plan, void *hint) {
  (void)env;
  (void)hint;
  plan_free(plan);
}
static napi_value create_plan(napi_env env, napi_callback_info info) {
  size_t argc = 5, words, tensors, buffers, symbols;
  napi_value argv[5], result;
  char name[32] = "";
  void *program, *places, *sizes, *limits;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 5 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, NULL) != napi_ok ||
      !typed(env, argv[1], napi_int32_array, &program, &words) ||
      !typed(env, argv[2], napi_float64_array, &places, &tensors) ||
      !typed(env, argv[3], napi_float64_array, &sizes, &buffers) ||
      !typed(env, argv[4], napi_int32_array, &limits, &symbols) || tensors % 3 || buffers < 1 || buffers > MAX_BUFFERS)
    return fail(env, "VERIT_INTERNAL", "createPlan: arguments");
  const isa_t *isa = isa_find(name);
  if (!isa) return fail(env, "VERIT_INTERNAL", "createPlan: this machine lacks that instruction set");
  const char *problem;
  plan_t *plan = plan_create(isa, program, words, places, tensors / 3, sizes, buffers, limits, symbols, &problem);
  if (!plan) return fail(env, "VERIT_PLAN", problem);
  if (napi_create_external(env, plan, free_plan, NULL, &result) != napi_ok) {
    plan_free(plan);
    return fail(env, "VERIT_INTERNAL", "createPlan");
  }
  CHECK(napi_type_tag_object(env, result, &PLAN_TAG), "tag");
  return result;
}

/* ---- run ---- */
static void finished(run_t *run, void *context) {
  job_t *job = context;
  (void)run;
  napi_call_threadsafe_function(job->state->done, job, napi_tsfn_nonblocking);
}

/* the environment closes: its heap, with buffers that `allocate` did not make, is freed after this */
static void abandon(void *data) {
  job_t *job = data;
  run_cancel(job->run);
  delist(job);
}

static void settle(napi_env env, napi_value callback, void *context, void *data) {
  (void)callback;
  (void)context;
  job_t *job = data;
  const int error = atomic_load(&job->run->error);
  delist(job);
  run_release(job->run);
  if (!env) {
    free(job);
    return;
  }
  napi_remove_env_cleanup_hook(env, abandon, job);
  napi_delete_reference(env, job->keep);
  if (--job->state->pending == 0) napi_unref_threadsafe_function(env, job->state->done);
  napi_value value, code, text;
  if (error == RUN_OK) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, job->deferred, value);
  } else {
    napi_create_string_utf8(env, error == RUN_NO_MEMORY ? "VERIT_MEMORY" : "VERIT_PLAN", NAPI_AUTO_LENGTH, &code);
    static const char *const texts[] = {"", "an index in the input is out of range", "out of memory",
                                        "a buffer was taken away while it ran"};
    napi_create_string_utf8(env, texts[error], NAPI_AUTO_LENGTH, &text);
    napi_create_error(env, code, text, &value);
    napi_reject_deferred(env, job->deferred, value);
  }
  free(job);
}

static napi_value run_plan(napi_env env, napi_callback_info info) {
  size_t argc = 4, symbols;
  napi_value argv[4], promise, keep;
  state_t *state;
  void *pool, *plan, *values;
  uint32_t count;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, (void **)&state), "arguments");
  if (argc < 4 || !external(env, argv[0], POOL_TAG, &pool) || !external(env, argv[1], PLAN_TAG, &plan) ||
      napi_get_array_length(env, argv[2], &count) != napi_ok ||
      !typed(env, argv[3], napi_int32_array, &values, &symbols))
    return fail(env, "VERIT_INTERNAL", "run: arguments");
  if (count != plan_buffers(plan)) return fail(env, "VERIT_PLAN", "the number of buffers is not the plan's");
  if (!plan_symbols_ok(plan, values, symbols)) return fail(env, "VERIT_PLAN", "a size is over its limit");
  char *buffers[MAX_BUFFERS];
  CHECK(napi_create_array(env, &keep), "array");
  for (uint32_t i = 0; i < count; i++) {
    napi_value b;
    size_t length;
    CHECK(napi_get_element(env, argv[2], i, &b), "buffers");
    CHECK(napi_set_element(env, keep, i + 2, b), "buffers"); /* one by one, because the list may change */
    if (!bytes_of(env, b, &buffers[i], &length)) return fail(env, "VERIT_PLAN", "a buffer is not a typed array");
    if ((int64_t)length < plan_buffer_bytes(plan, i)) return fail(env, "VERIT_PLAN", "a buffer is too short");
    if ((uintptr_t)buffers[i] % 4) return fail(env, "VERIT_PLAN", "a buffer is not aligned to 4 bytes");
  }
  job_t *job = calloc(1, sizeof *job);
  const char *problem = NULL;
  run_t *run = job ? plan_bind(plan, buffers, values, pool_threads(pool), &problem) : NULL;
  if (!run || napi_set_element(env, keep, 0, argv[0]) != napi_ok ||
      napi_set_element(env, keep, 1, argv[1]) != napi_ok ||
      napi_create_reference(env, keep, 1, &job->keep) != napi_ok ||
      napi_add_env_cleanup_hook(env, abandon, job) != napi_ok ||
      napi_create_promise(env, &job->deferred, &promise) != napi_ok) {
    if (run) napi_remove_env_cleanup_hook(env, abandon, job);
    free(run);
    free(job);
    if (problem) return fail(env, "VERIT_PLAN", problem);
    return fail(env, "VERIT_MEMORY", "out of memory");
  }
  job->state = state;
  job->run = run;
  run->finished = finished;
  run->context = job;
  if (state->pending++ == 0) napi_ref_threadsafe_function(env, state->done);
  enlist(job);
  pool_submit(pool, run);
  return promise;
}

/* ---- functions, for tests ---- */
static napi_value functions(napi_env env, napi_callback_info info) {
  size_t argc = 4, nx, ny;
  napi_value argv[4];
  char name[32] = "";
  const isa_t *isa;
  int32_t which;
  void *x, *y;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 4 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, NULL) != napi_ok ||
      napi_get_value_int32(env, argv[1], &which) != napi_ok || which < 0 || which > 5 ||
      !typed(env, argv[2], napi_float32_array, &x, &nx) || !typed(env, argv[3], napi_float32_array, &y, &ny) ||
      nx != ny || !(isa = isa_find(name)))
    return fail(env, "VERIT_INTERNAL", "functions: arguments");
  isa->functions(which, x, y, (int64_t)nx);
  return NULL;
}

/* {name: value} for each of the fields, in numbers */
typedef struct {
  const char *name;
  int value;
} field_t;
static napi_value numbers(napi_env env, const field_t *fields, size_t n) {
  napi_value result, number;
  CHECK(napi_create_object(env, &result), "object");
  for (size_t i = 0; i < n; i++) {
    CHECK(napi_create_int32(env, fields[i].value, &number), "number");
    CHECK(napi_set_named_property(env, result, fields[i].name, number), "property");
  }
  return result;
}

/* ---- lock(ceiling in bytes, whether with the system call filter, whether for a command): the reached locks ---- */
static napi_value lock(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  double memory;
  bool with_seccomp, command;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 3 || napi_get_value_double(env, argv[0], &memory) != napi_ok || !(memory >= 0 && memory < 1e15) ||
      napi_get_value_bool(env, argv[1], &with_seccomp) != napi_ok ||
      napi_get_value_bool(env, argv[2], &command) != napi_ok)
    return fail(env, "VERIT_INTERNAL", "lock: arguments");
  const int flags = (with_seccomp ? LOCK_SECCOMP : 0) | (command ? LOCK_COMMAND : 0);
  const sandbox_t reached = sandbox_lock((uint64_t)memory, flags);
  const field_t fields[] = {{"noNewPrivs", reached.no_new_privs}, {"landlock", reached.landlock},
                            {"seccomp", reached.seccomp},         {"codeRange", reached.code_range},
                            {"memory", reached.memory},           {"noRing", reached.no_ring}};
  return numbers(env, fields, sizeof fields / sizeof *fields);
}

/* ---- protect(numbers of signals to ignore): the reached protections ---- */
static napi_value protect(napi_env env, napi_callback_info info) {
  size_t argc = 1, n;
  napi_value argv[1];
  int *ignored;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 1 || !typed(env, argv[0], napi_int32_array, (void **)&ignored, &n) || n > 64)
    return fail(env, "VERIT_INTERNAL", "protect: signals");
  const protection_t reached = process_protect(ignored, (int)n);
  const field_t fields[] = {{"noCore", reached.no_core}, {"notDumpable", reached.not_dumpable}};
  return numbers(env, fields, sizeof fields / sizeof *fields);
}

/* ---- restart(program and arguments, number of kept descriptors): runs it in place of this process, without io_uring;
 * returns the error number, 0 if there is nothing to do. Program '': this one, with the other arguments of the list,
 * then its own ---- */
static napi_value restart(napi_env env, napi_callback_info info) {
  enum { MOST = 32 };
  size_t argc = 2, length;
  napi_value argv[2], item, result;
  uint32_t n;
  int32_t descriptors;
  static char text[MOST][4096];
  char *arguments[MOST + 1] = {NULL};
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL), "arguments");
  if (argc < 2 || napi_get_array_length(env, argv[0], &n) != napi_ok || n < 1 || n > MOST ||
      napi_get_value_int32(env, argv[1], &descriptors) != napi_ok || descriptors < 0 || descriptors > 16)
    return fail(env, "VERIT_INTERNAL", "restart: arguments");
  for (uint32_t i = 0; i < n; i++) {
    CHECK(napi_get_element(env, argv[0], i, &item), "argument");
    if (napi_get_value_string_utf8(env, item, text[i], sizeof text[i], &length) != napi_ok ||
        length >= sizeof text[i] - 1)
      return fail(env, "VERIT_INTERNAL", "restart: an argument");
    arguments[i] = text[i];
  }
  const int own = text[0][0] == 0;
  const int error = ring_restart(own ? NULL : arguments[0], arguments + own, descriptors);
  CHECK(napi_create_int32(env, error, &result), "number");
  return result;
}

static napi_value strings(napi_env env, const char *const *list, size_t n) {
  napi_value array, s;
  CHECK(napi_create_array(env, &array), "array");
  for (size_t i = 0; i < n; i++) {
    CHECK(napi_create_string_utf8(env, list[i], NAPI_AUTO_LENGTH, &s), "string");
    CHECK(napi_set_element(env, array, (uint32_t)i, s), "element");
  }
  return array;
}

static void free_state(napi_env env, void *state, void *hint) {
  (void)env;
  (void)hint; /* the threadsafe function closes with the environment */
  free(state);
}

NAPI_MODULE_INIT() {
  state_t *state = calloc(1, sizeof *state);
  napi_value name;
  if (!state) return fail(env, "VERIT_MEMORY", "out of memory");
  CHECK(napi_create_string_utf8(env, "verit", NAPI_AUTO_LENGTH, &name), "name");
  CHECK(napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, NULL, settle, &state->done),
        "threadsafe function");
  CHECK(napi_unref_threadsafe_function(env, state->done), "unref");
  CHECK(napi_set_instance_data(env, state, free_state, NULL), "state");
  const char *ops[OP_COUNT], *sets[MAX_ISAS];
  const isa_t *isas[MAX_ISAS];
  for (int i = 0; i < OP_COUNT; i++) ops[i] = op_infos[i].name;
  const int n = isa_list(isas);
  for (int i = 0; i < n; i++) sets[i] = isas[i]->name;
  napi_value vbmi;
  CHECK(napi_get_boolean(env, cpu_has_vbmi(), &vbmi), "vbmi");
  const napi_property_descriptor properties[] = {
      {"allocate", NULL, allocate, NULL, NULL, NULL, napi_enumerable, NULL},
      {"populate", NULL, populate, NULL, NULL, NULL, napi_enumerable, NULL},
      {"createPool", NULL, create_pool, NULL, NULL, NULL, napi_enumerable, NULL},
      {"createPlan", NULL, create_plan, NULL, NULL, NULL, napi_enumerable, NULL},
      {"run", NULL, run_plan, NULL, NULL, NULL, napi_enumerable, state},
      {"restart", NULL, restart, NULL, NULL, NULL, napi_enumerable, NULL},
      {"lock", NULL, lock, NULL, NULL, NULL, napi_enumerable, NULL},
      {"protect", NULL, protect, NULL, NULL, NULL, napi_enumerable, NULL},
      {"functions", NULL, functions, NULL, NULL, NULL, napi_enumerable, NULL},
      {"ops", NULL, NULL, NULL, NULL, strings(env, ops, OP_COUNT), napi_enumerable, NULL},
      {"vbmi", NULL, NULL, NULL, NULL, vbmi, napi_enumerable, NULL},
      {"instructionSets", NULL, NULL, NULL, NULL, strings(env, sets, n), napi_enumerable, NULL},
  };
  CHECK(napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties), "exports");
  return exports;
}
