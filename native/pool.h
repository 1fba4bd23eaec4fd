/* Threads that carry out runs: lists of ops cut into chunks. */
#ifndef VERIT_POOL_H
#define VERIT_POOL_H
#include "ops.h"

typedef struct {
  op_t op;
  void (*run)(const op_t *o, int64_t chunk, char *scratch);
  uint32_t chunks;
} item_t;

/* One run. The pool frees it (with free) when the last thread has left it. */
typedef struct run_t {
  _Atomic uint64_t word; /* item index in the high half, next chunk in the low half */
  _Atomic uint32_t done; /* chunks of the current item that are finished */
  _Atomic int sleepers;
  _Atomic int references;
  atomic_int error;
  uint32_t items;
  int64_t scratch;
  void (*finished)(struct run_t *run, void *context); /* called once, on a pool thread, when the last chunk is done */
  void *context;
  struct run_t *next;
  item_t item[];
} run_t;

enum { RUN_OK = 0, RUN_BAD_INDEX = 1, RUN_NO_MEMORY = 2 };

typedef struct pool_t pool_t;
pool_t *pool_create(int threads); /* NULL if threads cannot be started */
int pool_threads(const pool_t *pool);
void pool_submit(pool_t *pool, run_t *run);
void pool_destroy(pool_t *pool); /* waits for runs in progress */
#endif
