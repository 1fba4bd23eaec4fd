/* Locks the process for good, before it reads a model: no new rights, no capabilities, low limits, no path, no port and
 * no foreign process (Landlock), and only the system calls of a running Node (seccomp.c). Existing threads are locked
 * too: Landlock and capabilities belong to a thread, so each thread takes them in the handler of a signal.
 * docs/internals/sandbox.md describes the protection and its limits. */
#include "sandbox.h"
#ifndef __linux__
sandbox_t sandbox_lock(uint64_t memory, int flags) {
  (void)memory;
  (void)flags;
  return (sandbox_t){0};
}
#else
#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* the same on every architecture; older headers lack them */
enum { NR_LANDLOCK_CREATE = 444, NR_LANDLOCK_RESTRICT = 446, MAX_LOCKED = 1100, MOST_WAITS = 2000 };

static int ruleset = -1;
static atomic_int unlocked_caps, unlocked_landlock, answered;

/* takes capabilities and Landlock on the calling thread; only raw calls, because it runs in a signal handler */
static void lock_thread(void) {
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  struct {
    uint32_t effective, permitted, inheritable;
  } none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, none))
    atomic_store(&unlocked_caps, 1);
  if (ruleset >= 0 && syscall(NR_LANDLOCK_RESTRICT, ruleset, 0)) atomic_store(&unlocked_landlock, 1);
}

static void on_signal(int number) {
  (void)number;
  const int saved = errno;
  lock_thread();
  atomic_fetch_add(&answered, 1);
  syscall(SYS_futex, &answered, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved;
}

/* Whether this many threads have answered. A thread that blocks the signal ends the wait, two seconds after the last
 * answer. */
static int wait_for(int want) {
  for (int have; (have = atomic_load(&answered)) < want;) {
    const struct timespec patience = {.tv_sec = 2};
    const long failed = syscall(SYS_futex, &answered, FUTEX_WAIT_PRIVATE, have, &patience, NULL, 0);
    if (failed && errno == ETIMEDOUT) return atomic_load(&answered) >= want;
  }
  return 1;
}

static int known(const int *list, int n, int tid) {
  for (int i = 0; i < n; i++)
    if (list[i] == tid) return 1;
  return 0;
}

/* Reads one value of a file that describes a thread; leaves it as it is where the thread is gone. */
static void read_thread(int tid, const char *file, const char *form, void *value) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
  FILE *text = fopen(path, "re");
  if (!text) return;
  while (fgets(line, sizeof line, text) && sscanf(line, form, value) != 1) continue;
  fclose(text);
}

enum blocked { NOT_BLOCKED, BLOCKED_NOW, BLOCKED_FOR_GOOD };

/* Whether a thread blocks the signal. A starting or ending thread does so for a moment; the one in which Node waits to
 * open its debugger (SignalInspector) does so for good, and would never answer. */
static enum blocked blocks(int tid, int number) {
  unsigned long long mask = 0;
  read_thread(tid, "status", "SigBlk: %llx", &mask);
  if (!(mask >> (number - 1) & 1)) return NOT_BLOCKED;
  char name[64] = "";
  read_thread(tid, "comm", "%63s", name);
  return !strncmp(name, "SignalInspector", 15) ? BLOCKED_FOR_GOOD : BLOCKED_NOW;
}

/* Every thread but this one. New ones inherit from their maker, so the list is read until it holds no unknown one. */
static int lock_other_threads(void) {
  static int done[MAX_LOCKED];
  int n = 0, fresh = 1, ok = 1;
  const int number = SIGRTMIN + 7, self = (int)syscall(SYS_gettid);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
  sigfillset(&action.sa_mask);
  if (sigaction(number, &action, &before)) return 0;
  for (int rounds = 0, waits = 0; fresh && ok && rounds < 100 && waits < MOST_WAITS;) {
    fresh = 0;
    int busy = 0;
    int want = atomic_load(&answered);
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) ok = 0;
    for (struct dirent *d; ok && (d = readdir(tasks));) {
      const int tid = atoi(d->d_name);
      if (tid <= 0 || tid == self || known(done, n, tid)) continue;
      const enum blocked blocked = blocks(tid, number);
      if (n == MAX_LOCKED || blocked == BLOCKED_FOR_GOOD)
        ok = 0;
      else if (blocked == BLOCKED_NOW)
        busy = fresh = 1;
      else if (syscall(SYS_tgkill, getpid(), tid, number) == 0) {
        want++;
        done[n++] = tid;
        fresh = 1;
      } else if (errno != ESRCH)
        ok = 0;
    }
    if (tasks) closedir(tasks);
    ok = wait_for(want) && ok;
    if (busy) {
      nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
      waits++;
    } else
      rounds++;
  }
  sigaction(number, &before, NULL);
  return ok && !fresh;
}

/* A ruleset that handles everything that this kernel can handle, and allows nothing. */
static int open_ruleset(int *abi) {
  struct {
    uint64_t files, ports, scopes;
  } all;
  const long version = syscall(NR_LANDLOCK_CREATE, NULL, 0, 1);
  if (version < 1) return -1;
  all.files = version >= 5   ? 0xffff
              : version >= 3 ? 0x7fff
              : version == 2 ? 0x3fff
                             : 0x1fff; /* 13 rights; then refer, truncate, devices' ioctl */
  all.ports = 3;                       /* bind and connect with TCP, from 4 on */
  all.scopes = 3;                      /* abstract Unix sockets and signals, from 6 on */
  *abi = (int)version;
  return (int)syscall(NR_LANDLOCK_CREATE, &all, version >= 6 ? 24 : version >= 4 ? 16 : 8, 0);
}

/* Where the JavaScript engine keeps code: executable anonymous memory, with adjacent mappings (it maps its built-in
 * functions into the range). An engine that has opened only pieces of its range so far has the rest reserved next to
 * them. */
static int read_code_ranges(ranges_t *ranges) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  struct {
    uint64_t from, to;
    int open, anonymous;
  } chain = {0};
  char line[512];
  int complete = 1;
  ranges->count = 0;
  for (int more = 1; more;) {
    unsigned long long from = 0, to = 0, inode = 0;
    char rights[8] = "";
    more = fgets(line, sizeof line, maps) != NULL;
    if (more && sscanf(line, "%llx-%llx %7s %*s %*s %llu", &from, &to, rights, &inode) != 4) continue;
    const int code = rights[2] == 'x' && !strchr(line, '['); /* not vdso */
    const int reserved = inode == 0 && !strncmp(rights, "---", 3) && chain.open && chain.to - chain.from < (64u << 20);
    if (more && chain.open && from == chain.to && (code || reserved)) {
      chain.to = to;
      chain.anonymous |= code && inode == 0;
      continue;
    }
    if (chain.open && chain.anonymous) {
      if (ranges->count == 4 || chain.to - chain.from >= (1ull << 31))
        complete = 0;
      else {
        ranges->at[ranges->count].from = chain.from;
        ranges->at[ranges->count++].to = chain.to;
      }
    }
    chain.open = code;
    chain.anonymous = code && inode == 0;
    chain.from = from;
    chain.to = to;
  }
  fclose(maps);
  return complete;
}

/* both limits, so that it cannot be raised again; one that is lower already stays */
static int limit(int what, uint64_t most) {
  struct rlimit now;
  if (getrlimit(what, &now)) return 0;
  const rlim_t value = now.rlim_max < most ? now.rlim_max : (rlim_t)most;
  return setrlimit(what, &(struct rlimit){value, value}) == 0;
}

/* private writable memory so far, in bytes, as the kernel counts it for the limit; 0: not known */
static uint64_t data_bytes(void) {
  FILE *file = fopen("/proc/self/status", "re");
  if (!file) return 0;
  char line[256];
  unsigned long long kib = 0;
  while (fgets(line, sizeof line, file) && sscanf(line, "VmData: %llu", &kib) != 1) continue;
  fclose(file);
  return (uint64_t)kib * 1024;
}

sandbox_t sandbox_lock(uint64_t memory, int flags) {
  sandbox_t reached = {0};
  const int ring = ring_open();
  const uint64_t held = data_bytes();
  ranges_t code;
  const int ranges = read_code_ranges(&code);
  ruleset = open_ruleset(&reached.landlock);
  const int others = lock_other_threads();
  lock_thread();
  if (ruleset < 0 || !others || atomic_load(&unlocked_landlock)) reached.landlock = 0;
  if (ruleset >= 0) close(ruleset);
  ruleset = -1;
  const int command = flags & LOCK_COMMAND, files = command || limit(RLIMIT_FSIZE, 0);
  const int queues = limit(RLIMIT_MEMLOCK, 0) & limit(RLIMIT_MSGQUEUE, 0);
  const int limits = files & queues & limit(RLIMIT_CORE, 0) & limit(RLIMIT_NOFILE, 64);
  reached.memory = memory > 0 && held > 0 && limit(RLIMIT_DATA, held + memory);
  reached.no_new_privs = limits && others && !atomic_load(&unlocked_caps) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
  if (flags & LOCK_SECCOMP) reached.seccomp = seccomp_lock(ranges ? &code : NULL, ring != 0, command);
  reached.no_ring = reached.seccomp && ring == 0;
  reached.code_range = reached.seccomp && ranges;
  return reached;
}
#endif
