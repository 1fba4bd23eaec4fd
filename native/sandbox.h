/* Takes from the process what a model does not need; see sandbox.c. */
#ifndef VERIT_SANDBOX_H
#define VERIT_SANDBOX_H
#include <stdint.h>

/* what `sandbox_lock` reached; what is zero the system lacks or refused */
typedef struct {
  int no_new_privs; /* nothing that is run gains rights; here: and no capabilities are left */
  int landlock;     /* version of the kernel's interface, with every right of it taken away on every thread */
  int seccomp;      /* the list of system calls holds on every thread */
  int code_range;   /* executable memory only where the JavaScript engine already has it */
  int memory;       /* the ceiling holds */
} sandbox_t;

/* memory: private writable memory that the process may add to what it has, in bytes; 0: no ceiling. with_seccomp: 0 leaves the list of system calls out, so that a test sees the rest alone. */
sandbox_t sandbox_lock(uint64_t memory, int with_seccomp);

#ifdef __linux__
/* Ranges of addresses in which memory may be made executable. */
typedef struct {
  int count;
  struct { uint64_t from, to; } at[4];
} ranges_t;
/* Whether the list of system calls now holds on every thread. code: NULL leaves executable memory alone. */
int seccomp_lock(const ranges_t *code);
#endif
#endif
