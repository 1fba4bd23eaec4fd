/* The last steps of the tree 8-4-2-1, on four lanes: the same for AVX2 and AVX-512. */
#ifndef VERIT_SIMD_X86_H
#define VERIT_SIMD_X86_H
#include <immintrin.h>

INLINE float tree4(__m128 q, int max) {
  __m128 h = _mm_movehl_ps(q, q);
  q = max ? _mm_max_ps(q, h) : _mm_add_ps(q, h);
  h = _mm_shuffle_ps(q, q, 1);
  return _mm_cvtss_f32(max ? _mm_max_ss(q, h) : _mm_add_ss(q, h));
}
#endif
