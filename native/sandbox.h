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
  int no_ring;      /* no io_uring is open, and none can be used: operations in a ring would pass the list by */
} sandbox_t;

enum {
  LOCK_SECCOMP = 1, /* without it the list of system calls is left out, so that a test sees the rest alone */
  /* a command of a user: it may also write to open files, set up its terminal, wait for its children and tie threads
   * to cores */
  LOCK_COMMAND = 2,
};
/* memory: private writable memory that the process may add to what it has, in bytes; 0: no ceiling. flags: LOCK_... */
sandbox_t sandbox_lock(uint64_t memory, int flags);

/* what `process_protect` reached; what is zero the system lacks or refused */
typedef struct {
  int no_core;      /* this process and its children leave no core files */
  int not_dumpable; /* other processes of the same user cannot attach to it or read its memory */
} protection_t;
/* ignored: `count` numbers of signals that do nothing from now on */
protection_t process_protect(const int *ignored, int count);

/* Whether this process has an io_uring open: 1, 0, or -1 where that cannot be told. */
int ring_open(void);
/*
 * Runs `program` in the place of this process, with no io_uring to be had, keeping its environment and its descriptors
 * 0 to `descriptors` - 1. Returns only if that fails, with the number of the error. arguments: ends with NULL. program:
 * NULL runs this one, with `arguments` after its name and then those it was given.
 */
int ring_restart(const char *program, char *const arguments[], int descriptors);

#ifdef __linux__
/* Ranges of addresses in which memory may be made executable. */
typedef struct {
  int count;
  struct {
    uint64_t from, to;
  } at[4];
} ranges_t;
/*
 * Whether the list of system calls now holds on every thread. code: NULL leaves executable memory alone; ring:
 * whether the event loop has one that it has to use; command: LOCK_COMMAND.
 */
int seccomp_lock(const ranges_t *code, int ring, int command);
#endif
#endif
