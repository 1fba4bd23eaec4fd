/* Threads that carry out runs: lists of ops cut into chunks. */
#ifndef VERIT_POOL_H
#define VERIT_POOL_H
#include "ops.h"

typedef struct {
  op_t op;
  void (*run)(const op_t *o, int64_t chunk, char *scratch);
  uint32_t chunks;
  uint32_t group; /* items from this one on whose chunks are handed out together, for none needs another; 1 or more */
  uint32_t group_chunks;
} item_t;

/* One run. It is freed (with free) when the last thread has left it and its maker has released it. */
typedef struct run_t {
  _Atomic uint64_t word; /* first item of a group in the high half, next of its chunks in the low half */
  _Atomic uint32_t done; /* chunks of the current group that are finished */
  _Atomic int sleepers;
  _Atomic int references;
  atomic_int error;
  _Atomic int ended; /* `finished` has returned */
  uint32_t items;
  int64_t scratch;
  void (*finished)(struct run_t *run, void *context); /* called once, on a pool thread, when the last chunk is done */
  void *context;
  struct run_t *next;
  item_t item[];
} run_t;

enum { RUN_OK = 0, RUN_BAD_INDEX = 1, RUN_NO_MEMORY = 2, RUN_CANCELLED = 3 };

typedef struct pool_t pool_t;
enum { POOL_CORES = 8192 };
/* @cores on Linux, numbers of processors below POOL_CORES; thread i is pinned to number i modulo @count; with @count 0
 * there is no pinning. NULL if threads cannot be started or, with *untied set, the system refuses one of the
 * processors. */
pool_t *pool_create(int threads, const int32_t *cores, int count, int *untied);
int pool_threads(const pool_t *pool);
void pool_submit(pool_t *pool, run_t *run);
void run_cancel(run_t *run); /* of a submitted run: skips what it has not begun, returns when it has ended */
void run_hold(run_t *run);
void run_release(run_t *run);
int run_uses(const run_t *run, const char *data, size_t bytes); /* whether an op of it reads or writes there */
void pool_destroy(pool_t *pool);                                /* waits for runs in progress */
#endif
