/* Chunks are claimed from one 64-bit word that holds a group of items and the next chunk, so a claim names both in one
 * atomic step. A group is finished when its last chunk is done, not when every thread has arrived: a descheduled thread
 * (on a busy machine) delays the others only if it holds a chunk. The thread that finishes a group runs the following
 * single-chunk items by itself: nobody could help, and handing them out costs more than most of them take. A thread
 * with nothing to claim spins for about a tenth of a millisecond, then sleeps. */
#define _POSIX_C_SOURCE 200809L
#include "pool.h"
#include <pthread.h>
#include <stdlib.h>
#if defined(_WIN32)
#include <malloc.h>
#endif
#include <time.h>
#if defined(__linux__)
#include <sched.h>
#endif

enum { SPINS = 4000 }; /* about 0.1 ms; waking a sleeping thread costs nearly as much on a virtual machine */

/* aligned to 64 bytes; NULL: out of memory. scratch_free gives it back */
static inline void *scratch_alloc(size_t size) {
#if defined(_WIN32)
  return _aligned_malloc(size, 64);
#else
  void *data = NULL;
  return posix_memalign(&data, 64, size) == 0 ? data : NULL;
#endif
}

static inline void scratch_free(void *data) {
#if defined(_WIN32)
  _aligned_free(data);
#else
  free(data);
#endif
}

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

struct pool_t {
  pthread_mutex_t lock;
  pthread_cond_t wake; /* a run arrived, an item advanced, or the pool closes */
  run_t *head, *tail;
  _Atomic int runs; /* in the queue */
  _Atomic int closing;
  int threads;
  pthread_t thread[];
};

void run_release(run_t *run) {
  if (atomic_fetch_sub(&run->references, 1) == 1) free(run);
}

void run_hold(run_t *run) { atomic_fetch_add(&run->references, 1); }

int run_uses(const run_t *run, const char *data, size_t bytes) {
  for (uint32_t i = 0; i < run->items; i++) {
    const op_t *o = &run->item[i].op;
    for (int j = 0; j < MAX_IN + MAX_OUT; j++) {
      const char *p = j < MAX_IN ? o->in[j] : o->out[j - MAX_IN];
      if (p >= data && p < data + bytes) return 1;
    }
  }
  return 0;
}

void run_cancel(run_t *run) {
  int none = RUN_OK;
  atomic_compare_exchange_strong(&run->error, &none, RUN_CANCELLED);
  while (!atomic_load(&run->ended)) nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static void end(run_t *run) {
  run->finished(run, run->context);
  atomic_store(&run->ended, 1);
  run_release(run);
}

static void wake_all(pool_t *p) {
  pthread_mutex_lock(&p->lock);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
}

static void finish(pool_t *p, run_t *run) {
  pthread_mutex_lock(&p->lock);
  p->head = run->next;
  if (!p->head) p->tail = NULL;
  atomic_fetch_sub(&p->runs, 1);
  if (p->head) pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  end(run);
}

/* one of the chunks of the group that begins with `it`; after an error nothing more is computed */
static void run_chunk(run_t *run, const item_t *it, uint32_t chunk, char *scratch) {
  if (atomic_load_explicit(&run->error, memory_order_relaxed)) return;
  for (; chunk >= it->chunks; it++) chunk -= it->chunks;
  it->run(&it->op, chunk, scratch);
}

/* the last chunk of the group at `item` is done: run what follows in single chunks, and open the next group of more */
static void advance(pool_t *p, run_t *run, uint32_t item, char *scratch) {
  for (item += run->item[item].group; item < run->items; item += run->item[item].group) {
    const item_t *it = &run->item[item];
    if (it->group_chunks > 1) break;
    if (it->group_chunks == 1) run_chunk(run, it, 0, scratch);
  }
  atomic_store(&run->done, 0);
  atomic_store(&run->word, (uint64_t)item << 32);
  if (atomic_load(&run->sleepers) > 0) wake_all(p);
  if (item == run->items) finish(p, run);
}

static void work(pool_t *p, run_t *run, char *scratch) {
  for (;;) {
    const uint64_t claim = atomic_fetch_add(&run->word, 1);
    const uint32_t item = (uint32_t)(claim >> 32), chunk = (uint32_t)claim;
    if (item >= run->items) return;
    const item_t *it = &run->item[item];
    if (chunk < it->group_chunks) {
      run_chunk(run, it, chunk, scratch);
      if (atomic_fetch_add(&run->done, 1) + 1 == it->group_chunks) advance(p, run, item, scratch);
      continue;
    }
    int spins = 0;
    while ((uint32_t)(atomic_load(&run->word) >> 32) == item) {
      if (++spins < SPINS) {
        relax();
        continue;
      }
      pthread_mutex_lock(&p->lock);
      atomic_fetch_add(&run->sleepers, 1);
      while ((uint32_t)(atomic_load(&run->word) >> 32) == item) pthread_cond_wait(&p->wake, &p->lock);
      atomic_fetch_sub(&run->sleepers, 1);
      pthread_mutex_unlock(&p->lock);
    }
  }
}

static void *worker(void *argument) {
  pool_t *p = argument;
  char *scratch = NULL;
  int64_t size = 0;
  for (;;) {
    for (int spins = 0; spins < SPINS && !atomic_load(&p->runs) && !atomic_load(&p->closing); spins++) relax();
    pthread_mutex_lock(&p->lock);
    while (!p->head && !atomic_load(&p->closing)) pthread_cond_wait(&p->wake, &p->lock);
    run_t *run = p->head;
    if (run) atomic_fetch_add(&run->references, 1);
    pthread_mutex_unlock(&p->lock);
    if (!run) break;
    if (run->scratch > size) {
      scratch_free(scratch);
      scratch = scratch_alloc((size_t)round_up(run->scratch, 64));
      size = scratch ? run->scratch : 0;
    }
    if (run->scratch > size) atomic_store(&run->error, RUN_NO_MEMORY);
    work(p, run, scratch);
    run_release(run);
  }
  scratch_free(scratch);
  return NULL;
}

/* whether the thread is pinned to that processor */
static int tie(pthread_t thread, int32_t core) {
#if defined(__linux__)
  unsigned long set[POOL_CORES / 8 / sizeof(unsigned long)] = {0};
  const size_t bits = 8 * sizeof *set;
  if (core < 0 || core >= POOL_CORES) return 0;
  set[(size_t)core / bits] = 1ul << ((size_t)core % bits);
  return pthread_setaffinity_np(thread, sizeof set, (const cpu_set_t *)(const void *)set) == 0;
#else
  (void)thread;
  (void)core;
  return 0;
#endif
}

pool_t *pool_create(int threads, const int32_t *cores, int count, int *untied) {
  pool_t *p = calloc(1, sizeof *p + (size_t)threads * sizeof(pthread_t));
  *untied = 0;
  if (!p) return NULL;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->wake, NULL);
  for (; p->threads < threads; p->threads++)
    if (pthread_create(&p->thread[p->threads], NULL, worker, p)) break;
  for (int i = 0; count > 0 && i < p->threads; i++)
    if (!tie(p->thread[i], cores[i % count])) *untied = 1;
  if (p->threads && !*untied) return p;
  pool_destroy(p);
  return NULL;
}

int pool_threads(const pool_t *p) { return p->threads; }

void pool_submit(pool_t *p, run_t *run) {
  atomic_store(&run->references, 2); /* the pool's and the maker's */
  uint32_t first = 0;
  while (first < run->items && run->item[first].group_chunks == 0) first += run->item[first].group;
  atomic_store(&run->word, (uint64_t)first << 32);
  if (first == run->items) { /* nothing to do */
    end(run);
    return;
  }
  pthread_mutex_lock(&p->lock);
  run->next = NULL;
  if (p->tail)
    p->tail->next = run;
  else
    p->head = run;
  p->tail = run;
  atomic_fetch_add(&p->runs, 1);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
}

void pool_destroy(pool_t *p) {
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->closing, 1);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->threads; i++) pthread_join(p->thread[i], NULL);
  pthread_cond_destroy(&p->wake);
  pthread_mutex_destroy(&p->lock);
  free(p);
}
