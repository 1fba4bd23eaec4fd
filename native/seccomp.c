/* The system call filter (a classic BPF program over the call's number and arguments). Three answers: allowed; an
 * error, if Node or the C library may try the call and can do without; and the end of the process, if only an attacker
 * calls it. Calls that are not named here get an error. */
#include "sandbox.h"
#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif
#define ALLOW SECCOMP_RET_ALLOW
#define KILL SECCOMP_RET_KILL_PROCESS
#define ERROR(e) (SECCOMP_RET_ERRNO | (e))
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define COUNT(list) (sizeof(list) / sizeof *(list))

/* newer than the headers of our oldest systems; one number on every architecture */
enum {
  NR_IO_URING_SETUP = 425,
  NR_IO_URING_ENTER,
  NR_IO_URING_REGISTER,
  NR_PIDFD_OPEN = 434,
  NR_CLONE3,
  NR_PIDFD_GETFD = 438,
  NR_EPOLL_PWAIT2 = 441
};

static const int allowed[] = {
    /* descriptors that are open */
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_preadv,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_getsockname,
    SYS_getpeername,
    /* event loops; a time limit on JavaScript makes one */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    NR_EPOLL_PWAIT2,
    SYS_eventfd2,
    SYS_pipe2,
    SYS_ppoll,
    /* memory; mmap and mprotect have rules of their own */
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_mincore,
    SYS_membarrier,
    /* threads; clone has a rule of its own */
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_set_tid_address,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_exit,
    SYS_exit_group,
#ifdef SYS_rseq
    SYS_rseq,
#endif
    SYS_sched_getparam,
    SYS_sched_getscheduler, /* used by the JavaScript engine's locks */
    /* signals to itself */
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    /* clocks, random numbers, identity */
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_times,
    SYS_sysinfo,
    SYS_uname,
#ifdef __x86_64__
    SYS_epoll_wait,
    SYS_poll,
    SYS_time,
#endif
};

/* No program that serves a model calls these: the process ends at the first. */
static const int deadly[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    NR_PIDFD_OPEN,
    NR_PIDFD_GETFD,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    424 /* pidfd_send_signal */,
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_sendto,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    431 /* fsconfig */,
    432 /* fsmount */,
    433 /* fspick */,
    442 /* mount_setattr */,
    SYS_bpf,
    SYS_perf_event_open,
    NR_IO_URING_REGISTER,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_unshare,
    SYS_setns,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_memfd_create,
    SYS_shmat,
    SYS_personality,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
#ifdef __x86_64__
    SYS_fork,
    SYS_vfork,
    SYS_modify_ldt,
#endif
};

/* Paths, which Node may probe. */
static const int paths[] = {
    SYS_openat,     437 /* openat2 */, SYS_faccessat, 439 /* faccessat2 */,
    SYS_newfstatat, SYS_readlinkat,
#ifdef __x86_64__
    SYS_open,       SYS_creat,         SYS_access,    SYS_stat,
    SYS_lstat,      SYS_readlink,
#endif
};

static struct sock_filter program[1024];
static int length;

static void emit(unsigned code, unsigned yes, unsigned no, uint32_t k) {
  if (length < (int)COUNT(program))
    program[length] = (struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
  length++;
}
static void answer(uint32_t a) { emit(BPF_RET | BPF_K, 0, 0, a); }
static void load(size_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset); }
/* both machines are little-endian */
static void low(int i) { load(offsetof(struct seccomp_data, args) + 8u * (unsigned)i); }
static void high(int i) { load(offsetof(struct seccomp_data, args) + 8u * (unsigned)i + 4); }
static void equal(uint32_t k, unsigned yes, unsigned no) { emit(BPF_JMP | BPF_JEQ | BPF_K, yes, no, k); }

static void all(const int *calls, size_t n, uint32_t a) {
  for (size_t i = 0; i < n; i++) {
    equal((uint32_t)calls[i], 0, 1);
    answer(a);
  }
}

/* a call with a rule of its own: what is emitted between `on` and `end`, which answers in any case */
static int on(int call) {
  equal((uint32_t)call, 0, 0);
  return length - 1;
}
static void end(int start) {
  if (start < (int)COUNT(program)) program[start].jf = (uint8_t)(length - 1 - start);
}

/* argument `i`, 32 bits of it, is one of the list: allowed; else `otherwise` */
static void one_of(int call, int i, const uint32_t *list, size_t n, uint32_t otherwise) {
  const int rule = on(call);
  low(i);
  for (size_t j = 0; j < n; j++) {
    equal(list[j], 0, 1);
    answer(ALLOW);
  }
  answer(otherwise);
  end(rule);
}

/* Executable only from a to b - 1, less than 2 GiB (arguments 0: address, 1: length). What is outside falls through; 17
 * instructions. */
static void inside(uint64_t a, uint64_t b) {
  const uint32_t al = (uint32_t)a, ah = (uint32_t)(a >> 32), size = (uint32_t)(b - a);
  low(0);
  emit(BPF_JMP | BPF_JGE | BPF_K, 0, 2, al); /* the upper half is that of a, or, with a borrow, one more */
  high(0);
  equal(ah, 2, 13);
  high(0);
  equal(ah + 1, 0, 11);
  low(0);
  emit(BPF_ALU | BPF_SUB | BPF_K, 0, 0, al);
  emit(BPF_JMP | BPF_JGT | BPF_K, 8, 0, size);
  emit(BPF_MISC | BPF_TAX, 0, 0, 0); /* X: how far into the range; with the length it must not pass the end */
  high(1);
  equal(0, 0, 5);
  low(1);
  emit(BPF_JMP | BPF_JGT | BPF_K, 3, 0, size);
  emit(BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
  emit(BPF_JMP | BPF_JGT | BPF_K, 1, 0, size);
  answer(ALLOW);
}

static void protect(int call, const ranges_t *code) {
  const int rule = on(call);
  low(2);
  emit(BPF_JMP | BPF_JSET | BPF_K, 1, 0, PROT_EXEC);
  answer(ALLOW);
  for (int i = 0; code && i < code->count; i++) inside(code->at[i].from, code->at[i].to);
  answer(code ? KILL : ALLOW);
  end(rule);
}

/* only clone with these flags makes a thread of this process and nothing else */
static void threads_only(void) {
  const uint32_t must = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
  const uint32_t never = CLONE_PTRACE | CLONE_VFORK | CLONE_UNTRACED | CLONE_PARENT | CLONE_NEWNS | CLONE_NEWCGROUP |
                         CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PIDFD;
  const int rule = on(SYS_clone);
  low(0);
  emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, must | never);
  equal(must, 0, 1);
  answer(ALLOW);
  answer(KILL);
  end(rule);
}

/* New memory under the ceiling (RLIMIT_DATA): private, and not a stack. Node maps no other; of files it may map the
 * model, read-only. */
static void map(const ranges_t *code) {
  const int rule = on(SYS_mmap);
  low(3);
  emit(BPF_JMP | BPF_JSET | BPF_K, 0, 1, MAP_GROWSDOWN);
  answer(ERROR(EPERM));
  emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, MAP_SHARED | MAP_ANONYMOUS);
  equal(MAP_SHARED | MAP_ANONYMOUS, 0, 1);
  answer(ERROR(EPERM));
  low(2);
  emit(BPF_JMP | BPF_JSET | BPF_K, 0, 1, PROT_EXEC);
  answer(code ? KILL : ALLOW);
  answer(ALLOW);
  end(rule);
}

/* The gateway and every later process read the model through the same open file and share its flags. With O_DIRECT they
 * could not read it any more. */
static void descriptor_flags(void) {
  const int rule = on(SYS_fcntl);
  low(1);
  equal(F_SETFL, 0, 4);
  low(2);
  emit(BPF_JMP | BPF_JSET | BPF_K, 0, 1, O_DIRECT | O_APPEND | O_ASYNC | O_NOATIME);
  answer(ERROR(EPERM));
  answer(ALLOW);
  for (const int *f = (const int[]){F_GETFD, F_SETFD, F_GETFL, -1}; *f >= 0; f++) { /* F_SETOWN would send signals */
    equal((uint32_t)*f, 0, 1);
    answer(ALLOW);
  }
  answer(ERROR(EPERM));
  end(rule);
}

/* reading limits, not setting them */
static void limits_read_only(void) {
  const int rule = on(SYS_prlimit64);
  low(2);
  equal(0, 0, 3);
  high(2);
  equal(0, 0, 1);
  answer(ALLOW);
  answer(ERROR(EPERM));
  end(rule);
}

int seccomp_lock(const ranges_t *code, int ring, int command) {
  const uint32_t self[] = {(uint32_t)getpid()};
  /* terminal calls come last: read and set its modes, never inject input (TIOCSTI) */
  const uint32_t controls[] = {FIONBIO, FIOCLEX, FIONCLEX, FIONREAD, TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ};
  const uint32_t names[] = {PR_SET_NAME, PR_GET_NAME};
  length = 0;
  load(offsetof(struct seccomp_data, arch));
  equal(ARCHITECTURE, 1, 0);
  answer(KILL);
  load(offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
  emit(BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000); /* the x32 interface */
  answer(KILL);
#endif
  all(allowed, COUNT(allowed), ALLOW);
  all((const int[]){NR_IO_URING_ENTER}, 1, ring ? ALLOW : KILL);
  if (command) all((const int[]){SYS_wait4, SYS_sched_setaffinity}, 2, ALLOW);
  map(code);
  protect(SYS_mprotect, code);
  protect(SYS_pkey_mprotect, code);
  threads_only();
  limits_read_only();
  one_of(SYS_tgkill, 0, self, COUNT(self), KILL);
  one_of(SYS_kill, 0, self, COUNT(self), KILL);
  one_of(SYS_ioctl, 1, controls, command ? COUNT(controls) : 4, ERROR(ENOTTY));
  one_of(SYS_prctl, 0, names, COUNT(names), ERROR(EPERM));
  descriptor_flags();
  all(deadly, COUNT(deadly), KILL);
  all(paths, COUNT(paths), ERROR(EACCES));
  all((const int[]){NR_CLONE3, SYS_statx, NR_IO_URING_SETUP}, 3,
      ERROR(ENOSYS)); /* the C library and libuv then fall back to clone, fstat and epoll */
  answer(ERROR(EPERM));
  if (length > (int)COUNT(program)) return 0;
  const struct sock_fprog p = {.len = (unsigned short)length, .filter = program};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p) == 0;
}
#endif
