/* Sizes of the block formats of ops.gen.h, in a file and in packed memory (src/ops/block-formats.ts). */
#ifndef VERIT_BLOCKSIZE_H
#define VERIT_BLOCKSIZE_H
#include "ops.h"

enum {
#define X(name, ...) BLOCK_##name,
  BLOCK_FORMATS(X)
#undef X
      BLOCK_COUNT
};

typedef struct {
  int block, bytes, group, bits, scale_bytes, halves, halves_at, minimums, joined;
} block_size;
static const block_size block_sizes[BLOCK_COUNT] = {
#define X(name, ...) {__VA_ARGS__},
    BLOCK_FORMATS(X)
#undef X
};

/* bytes of scales and factors of 16 rows of a block */
static inline int tail_bytes(int type) {
  const block_size s = block_sizes[type];
  return 16 * (s.block / s.group * s.scale_bytes + 2 * s.halves);
}
/* bytes of the codes of 16 rows, and of all of a panel */
static inline int64_t code_bytes(int type, int64_t k) { return 2 * k * block_sizes[type].bits; }
static inline int64_t panel_bytes(int type, int64_t k) {
  return round_up(code_bytes(type, k) + k / block_sizes[type].block * tail_bytes(type), 64);
}
/* bytes of a packed matrix */
static inline wide_t packed_bytes(int type, int64_t outputs, int64_t k) {
  return (wide_t)((outputs + 15) / 16) * panel_bytes(type, k);
}
#endif
