/*
 * What each op needs: the bytes of every tensor for given attributes. A plan is refused when one of its tensors is shorter, so that no kernel can
 * read or write outside its buffers whatever the plan says. Attributes here are the largest the plan allows.
 */
#include "ops.h"

static int sizes(const wide_t *a, int n) {
  for (int i = 0; i < n; i++)
    if (a[i] < 0 || a[i] > INT32_MAX) return 0;
  return 1;
}
#define F(n) (4 * (n))
#define NEED(name) static int name##_need(const wide_t *a, wide_t *in, wide_t *out)
#define UNUSED (void)in, (void)out

NEED(matmul) {
  if (!sizes(a, 6) || a[2] < 1 || a[4] > 3) return 0;
  in[0] = F(a[0] * a[2]);
  in[1] = (a[4] == 3 ? 2 : 4) * ((a[4] >= 2 ? round_up(a[1], 32) : a[1]) * a[2]);
  in[2] = a[5] ? F(a[1]) : 0;
  out[0] = F(a[0] * a[1]);
  return 1;
}
NEED(panels) { in[0] = F(a[0] * a[1]); out[0] = F(round_up(a[0], 32) * a[1]); return sizes(a, 3) && a[1] > 0 && a[2] < 2; }
NEED(halfPanels) { in[0] = 2 * (a[0] * a[1]); out[0] = 2 * (round_up(a[0], 32) * a[1]); return sizes(a, 2) && a[0] > 0 && a[1] > 0; }
NEED(panelRows) { in[0] = (a[3] ? 2 : 4) * (round_up(a[2], 32) * a[1]); in[1] = F(a[0]); out[0] = F(a[0] * a[1]); return sizes(a, 4) && a[3] <= 1; }
NEED(columnSum) { in[0] = F(a[0] * a[1]); out[0] = F(a[1]); return sizes(a, 2); }
NEED(add) { in[0] = in[1] = out[0] = F(a[0] * a[1]); return sizes(a, 2); }
NEED(scale) { in[0] = out[0] = F(a[0] * a[1]); in[1] = 4; return sizes(a, 2); }
NEED(embedding) { in[0] = F(a[2] * a[1]); in[1] = F(a[0]); out[0] = F(a[0] * a[1]); return sizes(a, 3); }
NEED(embeddingGrad) { in[0] = F(a[0] * a[1]); in[1] = F(a[0]); out[0] = F(a[2] * a[1]); return sizes(a, 3); }
static int parts(const wide_t *a, wide_t *whole, wide_t *part) {
  if (!sizes(a, 4)) return 0;
  *whole = F(a[0] * (a[1] + a[2] + a[3]));
  for (int i = 0; i < 3; i++) part[i] = F(a[0] * a[1 + i]);
  return 1;
}
NEED(split) { return parts(a, in, out); }
NEED(concat) { return parts(a, out, in); }
NEED(layerNorm) {
  in[0] = out[0] = F(a[0] * a[1]);
  in[1] = F(a[1]);
  in[2] = a[2] ? F(a[1]) : 0;
  out[1] = F(a[0] * 2);
  return sizes(a, 3) && a[1] > 0;
}
NEED(layerNormGrad) { in[0] = in[3] = out[0] = F(a[0] * a[1]); in[1] = F(a[1]); in[2] = F(a[0] * 2); return sizes(a, 2) && a[1] > 0; }
NEED(layerNormParamGrad) { in[0] = in[2] = F(a[0] * a[1]); in[1] = F(a[0] * 2); out[0] = F(a[1]); out[1] = a[2] ? F(a[1]) : 0; return sizes(a, 3); }
NEED(rmsNorm) { in[0] = out[0] = F(a[0] * a[1]); in[1] = F(a[1]); out[1] = F(a[0]); return sizes(a, 2) && a[1] > 0; }
NEED(rmsNormGrad) { in[0] = in[3] = out[0] = F(a[0] * a[1]); in[1] = F(a[1]); in[2] = F(a[0]); return sizes(a, 2) && a[1] > 0; }
NEED(rmsNormParamGrad) { in[0] = in[2] = F(a[0] * a[1]); in[1] = F(a[0]); out[0] = F(a[1]); return sizes(a, 2); }
NEED(gelu) { in[0] = out[0] = F(a[0] * a[1]); return sizes(a, 2); }
NEED(geluGrad) { in[0] = in[1] = out[0] = F(a[0] * a[1]); return sizes(a, 2); }
NEED(reluSquareGate) { in[0] = in[1] = out[0] = F(a[0] * a[1]); return sizes(a, 2); }
NEED(reluSquareGateGrad) { in[0] = in[1] = in[2] = out[0] = out[1] = F(a[0] * a[1]); return sizes(a, 2); }
NEED(siluGate) { return reluSquareGate_need(a, in, out); }
NEED(siluGateGrad) { return reluSquareGateGrad_need(a, in, out); }
NEED(dropout) { in[0] = out[0] = F(a[0] * a[1]); in[1] = 12; return sizes(a, 2); }
NEED(rope) {
  in[0] = out[0] = F(a[0] * a[1] * a[2]);
  in[1] = F(a[0]);
  in[2] = in[3] = F(a[3] * (a[2] / 2));
  return sizes(a, 4) && a[2] % 2 == 0 && a[1] * a[2] <= INT32_MAX;
}
NEED(writeKeys) { in[0] = F(a[0] * a[1] * a[2]); in[1] = F(a[0]); out[0] = F(a[1] * a[3] * a[2]); return sizes(a, 4) && a[3] % 16 == 0 && a[1] * a[2] <= INT32_MAX; }
NEED(writeValues) { return writeKeys_need(a, in, out); }
static int heads(const wide_t *a) { return sizes(a, 5) && a[1] > 0 && a[2] > 0 && a[1] % a[2] == 0 && a[3] > 0 && a[4] > 0 && a[1] * a[3] <= INT32_MAX; }
NEED(attention) {
  if (!heads(a) || !sizes(a + 5, 2) || a[5] % 16 || a[1] * a[4] > INT32_MAX) return 0;
  in[0] = out[0] = F(a[0] * a[1] * a[3]);
  in[1] = in[2] = F(a[2] * a[5] * a[3]);
  in[3] = F(a[6] * ((a[4] + 15) / 16));
  in[4] = in[5] = F(a[0]);
  out[1] = F(a[0] * a[1] * a[4]);
  return 1;
}
NEED(attentionGrad) {
  if (!heads(a) || a[3] * a[4] > INT32_MAX) return 0;
  in[0] = in[4] = in[5] = out[0] = F(a[0] * a[1] * a[3]);
  in[1] = in[2] = out[1] = out[2] = F(a[0] * a[2] * a[3]);
  in[3] = F(a[0] * a[1] * a[4]);
  return 1;
}
NEED(crossEntropy) { in[0] = F(a[0] * a[1]); in[1] = out[0] = F(a[0]); out[1] = F(a[0] * 2); return sizes(a, 2) && a[1] > 0; }
NEED(crossEntropyGrad) { in[0] = out[0] = F(a[0] * a[1]); in[1] = in[3] = F(a[0]); in[2] = F(a[0] * 2); return sizes(a, 2) && a[1] > 0; }
NEED(mean) { in[0] = F(a[0]); out[0] = 4; return sizes(a, 1) && a[0] > 0; }
NEED(meanGrad) { in[0] = 4; out[0] = F(a[0]); return sizes(a, 1) && a[0] > 0; }
/* 768 times as many is below 2^31: the sum of products with codes stays within an int32, also with code 3, and that of half of them with fourfold codes (AVX2, one row) */
enum { LONGEST_ROW = 1 << 21 };
NEED(quantizeRows) { in[0] = F(a[0] * a[1]); out[0] = a[0] * round_up(a[1], 16); out[1] = out[2] = F(a[0]); return sizes(a, 2) && a[1] > 0 && a[1] <= LONGEST_ROW; }
NEED(dequantizeRows) { in[0] = a[0] * round_up(a[1], 16); in[1] = F(a[0]); out[0] = F(a[0] * a[1]); return sizes(a, 2); }
static int64_t packed(int64_t outputs, int64_t k) { return round_up(outputs, 16) * round_up(k, 16) / 4; }
NEED(ternarize) { in[0] = F(a[0] * a[1]); out[0] = packed(a[0], a[1]); out[1] = 4; return sizes(a, 2) && a[0] > 0 && a[1] > 0; }
NEED(unternarize) { in[0] = packed(a[0], a[1]); in[1] = 4; out[0] = F(a[0] * a[1]); return sizes(a, 2) && a[0] > 0 && a[1] > 0; }
NEED(ternaryMatmul) {
  in[0] = a[0] * round_up(a[2], 16);
  in[1] = in[2] = F(a[0]);
  in[3] = packed(a[1], a[2]);
  in[4] = 4;
  out[0] = F(a[0] * a[1]);
  return sizes(a, 3) && a[1] > 0 && a[2] > 0 && a[2] <= LONGEST_ROW;
}
static wide_t base3(wide_t outputs, wide_t k) { return (outputs + 15) / 16 * ((k + 19) / 20) * 64; }
NEED(ternaryMatmulBase3) {
  const int ok = ternaryMatmul_need(a, in, out);
  in[3] = base3(a[1], a[2]);
  return ok;
}
NEED(repackTernary) {
  const wide_t n = a[0] * a[1];
  in[0] = a[2] == 0 ? n / 4 + 32 : n / 256 * (a[2] == 1 ? 66 : 54);
  out[0] = a[3] ? base3(a[0], a[1]) : packed(a[0], a[1]);
  return sizes(a, 4) && a[0] > 0 && a[1] > 0 && a[2] <= 2 && a[3] <= 1 && (a[2] == 0 ? n % 128 : a[1] % 256) == 0; /* TQ1_0 and TQ2_0: whole blocks in each row */
}
NEED(quantizeFine) {
  const wide_t k16 = round_up((int64_t)a[1], 16);
  in[0] = F(a[0] * a[1]);
  out[0] = 2 * a[0] * k16;
  out[1] = F(a[0]);
  out[2] = F(a[0] * (k16 / 16));
  return sizes(a, 2) && a[1] > 0 && a[1] <= LONGEST_ROW;
}
/* codes, scales and factors of a matrix of 6-bit weights */
static int six_bit(const wide_t *a, wide_t *part) {
  if (!sizes(a, 2) || a[0] < 1 || a[1] < 1 || a[1] % 256 || a[1] > LONGEST_ROW) return 0;
  const wide_t n = round_up((int64_t)a[0], 16) * a[1];
  part[0] = n / 4 * 3;
  part[1] = n / 16;
  part[2] = F(n / 256);
  return 1;
}
NEED(sixBitMatmul) {
  in[0] = 2 * a[0] * a[2];
  in[1] = F(a[0]);
  in[2] = F(a[0] * (a[2] / 16));
  out[0] = F(a[0] * a[1]);
  return sizes(a, 3) && six_bit(a + 1, in + 3);
}
NEED(sixBitRows) { in[3] = F(a[0]); out[0] = F(a[0] * a[2]); return sizes(a, 3) && six_bit(a + 1, in); }
NEED(repackSixBit) { in[0] = a[0] * a[1] / 256 * 210; return six_bit(a, out); }
NEED(readProbe) { in[0] = a[0]; out[0] = F((a[0] + (1 << 20) - 1) / (1 << 20)); return sizes(a, 1) && a[0] % 64 == 0; }
NEED(dotProbe) { in[0] = 128; in[1] = 28 * 4; out[0] = F(a[0] * 16); return sizes(a, 2) && a[1] <= 1 << 15; } /* 12 * 2 * 4 products of 3 * 128 at most a round */
/* codes and factors of a matrix of 8-bit weights */
static int eight_bit(const wide_t *a, wide_t *part) {
  if (!sizes(a, 2) || a[0] < 1 || a[1] < 1 || a[1] % 32 || a[1] > LONGEST_ROW) return 0;
  const wide_t n = round_up((int64_t)a[0], 16) * a[1];
  part[0] = n;
  part[1] = n / 16;
  return 1;
}
NEED(eightBitMatmul) {
  in[0] = 2 * a[0] * a[2];
  in[1] = F(a[0]);
  in[2] = F(a[0] * (a[2] / 16));
  out[0] = F(a[0] * a[1]);
  return sizes(a, 3) && eight_bit(a + 1, in + 3);
}
NEED(eightBitRows) { in[2] = F(a[0]); out[0] = F(a[0] * a[2]); return sizes(a, 3) && eight_bit(a + 1, in); }
NEED(repackEightBit) { in[0] = a[0] * a[1] / 32 * 34; return eight_bit(a, out); }
/* a product's bound holds for rows of at most this many inputs */
enum { LONGEST_SCREENED = 1 << 20 };
static int screened(const wide_t *a) { return sizes(a, 2) && a[0] > 0 && a[1] > 0 && a[1] % 256 == 0 && a[1] <= LONGEST_SCREENED; }
NEED(screenSixBit) {
  in[0] = 2 * (a[0] * a[1]);
  out[3] = F(round_up(a[0], 16) * 2);
  return screened(a) && six_bit(a, out);
}
NEED(screenLimits) {
  in[0] = F(a[0] * a[2]);
  in[1] = in[4] = F(a[0]);
  in[2] = F(a[0] * a[1]);
  in[3] = F(round_up(a[1], 16) * 2);
  out[0] = F(a[0] * 3);
  return sizes(a, 1) && screened(a + 1);
}
NEED(screenedMatmul) {
  in[0] = F(a[0] * a[2]);
  in[1] = 2 * (a[1] * a[2]);
  in[2] = out[0] = F(a[0] * a[1]);
  in[3] = F(round_up(a[1], 16) * 2);
  in[4] = F(a[0] * 3);
  return sizes(a, 1) && screened(a + 1);
}
NEED(halfRows) { in[0] = 2 * (a[2] * a[1]); in[1] = F(a[0]); out[0] = F(a[0] * a[1]); return sizes(a, 3); }
NEED(squareSum) { in[0] = F(a[0]); out[0] = F((a[0] + 4095) / 4096); return sizes(a, 1); }
NEED(clipFactor) { in[0] = F(a[0]); out[0] = 8; return sizes(a, 1); }
NEED(adamw) { in[0] = in[1] = in[2] = in[3] = out[0] = out[1] = out[2] = F(a[0]); in[4] = 8; in[5] = 24; return sizes(a, 2) && a[1] <= a[0]; }

const op_info op_infos[OP_COUNT] = {
#define X(name, in, out, attributes) {#name, in, out, attributes, name##_need},
    OPS(X)
#undef X
};

#define ISA(name) extern const isa_t verit_isa_##name;
#ifdef HAVE_X86
ISA(avx512)
ISA(avx2vnni)
ISA(avx2)
#endif
#ifdef HAVE_NEON
ISA(neondot)
ISA(neon)
#endif
ISA(baseline)

#ifdef HAVE_X86
#include <cpuid.h>
/*
 * 4: AVX-512 with VNNI; 3: AVX2 with FMA; 1: neither. The feature bits are those of the x86-64 levels that kernels.c is compiled for (Intel SDM vol. 2,
 * CPUID), and the system must save the wide registers (XGETBV).
 */
static int x86_level(void) {
  unsigned a, b, c, d, b7, c7, cx, xcr0, high;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
  const unsigned basic = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, MOVBE, OSXSAVE, AVX, F16C */
  if ((c & basic) != basic) return 1;
  __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d) || !__get_cpuid(0x80000001, &a, &b, &cx, &d)) return 1;
  const unsigned wide = 1u << 3 | 1u << 5 | 1u << 8; /* BMI1, AVX2, BMI2 */
  if ((b7 & wide) != wide || !(cx & 1u << 5) || (xcr0 & 6) != 6) return 1; /* LZCNT; YMM saved */
  const unsigned wider = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* AVX-512 F, DQ, CD, BW, VL */
  return (b7 & wider) == wider && (c7 & 1u << 11) && (xcr0 & 0xe6) == 0xe6 ? 4 : 3; /* VNNI; ZMM saved */
}
static atomic_int vbmi = -1; /* asked once: a guest's CPUID is slow */
int cpu_has_vbmi(void) {
  int known = atomic_load_explicit(&vbmi, memory_order_relaxed);
  if (known < 0) {
    unsigned a, b, c, d;
    known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 2) && x86_level() >= 4;
    atomic_store_explicit(&vbmi, known, memory_order_relaxed);
  }
  return known;
}
static int has_avx_vnni(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

#ifdef HAVE_NEON
int cpu_has_vbmi(void) { return 0; }
#ifdef __linux__
#include <sys/auxv.h>
static int has_dot(void) { return (getauxval(AT_HWCAP) & 1ul << 20) != 0; } /* HWCAP_ASIMDDP */
#else
static int has_dot(void) { return 1; } /* every processor of Apple's that runs macOS has it */
#endif
#endif

int isa_list(const isa_t *list[MAX_ISAS]) {
  int n = 0;
#ifdef HAVE_X86
  const int level = x86_level();
  if (level >= 4) list[n++] = &verit_isa_avx512;
  if (level >= 3 && has_avx_vnni()) list[n++] = &verit_isa_avx2vnni;
  if (level >= 3) list[n++] = &verit_isa_avx2;
#endif
#ifdef HAVE_NEON
  if (has_dot()) list[n++] = &verit_isa_neondot;
  list[n++] = &verit_isa_neon;
#endif
  list[n++] = &verit_isa_baseline;
  return n;
}

const isa_t *isa_find(const char *name) {
  const isa_t *list[MAX_ISAS];
  const int n = isa_list(list);
  for (int i = 0; i < n; i++)
    if (!*name || !strcmp(name, list[i]->name)) return list[i];
  return NULL;
}
