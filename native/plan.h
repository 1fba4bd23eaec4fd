/* A plan, checked once and run many times. */
#ifndef VERIT_PLAN_H
#define VERIT_PLAN_H
#include "pool.h"

typedef struct plan_t plan_t;

/*
 * program: for each step: op, inputs, outputs, attributes counts, then tensor indices (-1 absent), then (tag, value)
 * for each attribute, tag 0 a value, tag 1 + s symbol s. tensors: (buffer, offset, bytes) each. Returns NULL and a
 * reason for a plan that could touch memory it does not own.
 */
plan_t *plan_create(const isa_t *isa, const int32_t *program, size_t words, const double *tensors, size_t tensor_count,
                    const double *buffer_bytes, size_t buffer_count, const int32_t *limits, size_t symbol_count,
                    const char **problem);
size_t plan_buffers(const plan_t *p);
int64_t plan_buffer_bytes(const plan_t *p, size_t i);
int plan_symbols_ok(const plan_t *p, const int32_t *symbols, size_t n);
/* A run over these buffers, ready for pool_submit. The steps are checked again with these sizes. NULL and a reason, or
 * NULL and no reason without memory. */
run_t *plan_bind(const plan_t *p, char *const *buffers, const int32_t *symbols, int threads, const char **problem);
void plan_free(plan_t *p);
#endif
