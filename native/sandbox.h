/* Removes rights that a model does not need; see sandbox.c. */
#ifndef VERIT_SANDBOX_H
#define VERIT_SANDBOX_H
#include <stdint.h>

/* result of `sandbox_lock`; zero: the system lacks or refused it */
typedef struct {
  int no_new_privs; /* no program gains rights, and no capabilities are left */
  int landlock;     /* version of the kernel's interface, with every right of it taken away on every thread */
  int seccomp;      /* the system call filter holds on every thread */
  int code_range;   /* executable memory only where the JavaScript engine already has it */
  int memory;       /* the ceiling holds */
  int no_ring;      /* no io_uring is open, and none can be opened: its operations would bypass the filter */
} sandbox_t;

enum {
  LOCK_SECCOMP = 1, /* skips the system call filter, so that a test sees the rest alone */
  /* a command of a user: it may also write to open files, set up its terminal, wait for its children and tie threads
   * to cores */
  LOCK_COMMAND = 2,
};
/* memory: private writable memory that the process may add to what it has, in bytes; 0: no ceiling. flags: LOCK_... */
sandbox_t sandbox_lock(uint64_t memory, int flags);

/* result of `process_protect`; zero: the system lacks or refused it */
typedef struct {
  int no_core;      /* this process and its children leave no core files */
  int not_dumpable; /* other processes of the same user cannot attach to it or read its memory */
} protection_t;
/* ignored: `count` numbers of signals that do nothing from now on */
protection_t process_protect(const int *ignored, int count);

/* Whether this process has an open io_uring: 1, 0, or -1 if unknown. */
int ring_open(void);
/* Runs `program` in place of this process, without io_uring, with its environment and its descriptors 0 to
 * `descriptors` - 1. Returns only on failure, with the error number. arguments: ends with NULL. program: NULL runs this
 * one, with `arguments` after its name and then its own. */
int ring_restart(const char *program, char *const arguments[], int descriptors);

#ifdef __linux__
/* Address ranges in which memory may be made executable. */
typedef struct {
  int count;
  struct {
    uint64_t from, to;
  } at[4];
} ranges_t;
/* Whether the system call filter now holds on every thread. code: NULL leaves executable memory alone; ring: whether
 * the event loop needs its io_uring; command: LOCK_COMMAND. */
int seccomp_lock(const ranges_t *code, int ring, int command);
#endif
#endif
