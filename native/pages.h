/* Whole pages from the system, zeroed: large memory that goes back to the system when it is freed. */
#ifndef VERIT_PAGES_H
#define VERIT_PAGES_H
#include <stddef.h>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#ifndef MAP_NORESERVE /* not on every system */
#define MAP_NORESERVE 0
#endif
#endif

/* sparse: perhaps only parts will be used, so no pages of 2 MiB, whose first byte takes all of them. NULL: out of
 * memory */
static inline void *pages_alloc(size_t size, int sparse) {
#if defined(_WIN32)
  (void)sparse;
  return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  void *data =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (sparse ? MAP_NORESERVE : 0), -1, 0);
  if (data == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
  if (size >= (4u << 20)) madvise(data, size, sparse ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
#endif
  return data;
#endif
}

static inline void pages_free(void *data, size_t size) {
#if defined(_WIN32)
  (void)size;
  VirtualFree(data, 0, MEM_RELEASE);
#else
  munmap(data, size);
#endif
}

#endif
