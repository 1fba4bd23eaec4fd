/*
 * For tests only, never shipped: system calls by number, as a hostile model that has taken over native code would make
 * them. call(number, ...arguments) gives the result, or minus the error's number; an argument is a number or a typed
 * array, of which the address is passed.
 */
#define NAPI_VERSION 8
#define _GNU_SOURCE
#include <errno.h>
#include <node_api.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static napi_value number(napi_env env, double d) {
  napi_value v = NULL;
  napi_create_double(env, d, &v);
  return v;
}

static napi_value call(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  long a[7] = {0};
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  for (size_t i = 0; i < argc && i < 7; i++) {
    bool typed = false;
    double d = 0;
    void *data = NULL;
    napi_is_typedarray(env, argv[i], &typed);
    if (typed)
      napi_get_typedarray_info(env, argv[i], NULL, NULL, &data, NULL, NULL), a[i] = (long)data;
    else
      napi_get_value_double(env, argv[i], &d), a[i] = (long)d;
  }
  const long r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
  return number(env, r == -1 ? -(double)errno : (double)r);
}

/* getpid through the entrance for 32-bit programs, whose numbers are others */
static napi_value call32(napi_env env, napi_callback_info info) {
  (void)info;
  long r = -1;
#ifdef __x86_64__
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
#endif
  return number(env, (double)r);
}

/* [from, to] of the JavaScript engine's executable memory */
static napi_value code(napi_env env, napi_callback_info info) {
  (void)info;
  FILE *f = fopen("/proc/self/maps", "re");
  char line[512], rights[8];
  unsigned long long from, to, inode, first = 0, last = 0;
  while (f && fgets(line, sizeof line, f)) {
    if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", &from, &to, rights, &inode) != 4 || rights[2] != 'x' || inode ||
        strchr(line, '['))
      continue;
    if (!first) first = from;
    last = to;
  }
  if (f) fclose(f);
  napi_value list;
  napi_create_array(env, &list);
  napi_set_element(env, list, 0, number(env, (double)first));
  napi_set_element(env, list, 1, number(env, (double)last));
  return list;
}

#define N(name) \
  { #name, SYS_##name }
static const struct {
  const char *name;
  long value;
} numbers[] = {
    N(openat),
    N(mkdirat),
    N(newfstatat),
    N(socket),
    N(connect),
    N(bind),
    N(execve),
    N(clone),
    N(ptrace),
    N(kill),
    N(tgkill),
    N(process_vm_readv),
    N(mmap),
    N(mprotect),
    N(bpf),
    N(userfaultfd),
    N(keyctl),
    N(unshare),
    N(setns),
    N(mount),
    N(perf_event_open),
    N(memfd_create),
    N(fcntl),
    N(ioctl),
    N(prlimit64),
    N(prctl),
    N(getpid),
    N(getppid),
    N(dup),
    N(munmap),
    N(pipe2),
    {"io_uring_setup", 425},
    {"io_uring_enter", 426},
    {"pidfd_open", 434},
    {"openat2", 437},
};

NAPI_MODULE_INIT() {
  napi_value f, object;
  napi_create_function(env, "call", NAPI_AUTO_LENGTH, call, NULL, &f);
  napi_set_named_property(env, exports, "call", f);
  napi_create_function(env, "call32", NAPI_AUTO_LENGTH, call32, NULL, &f);
  napi_set_named_property(env, exports, "call32", f);
  napi_create_function(env, "code", NAPI_AUTO_LENGTH, code, NULL, &f);
  napi_set_named_property(env, exports, "code", f);
  napi_create_object(env, &object);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    napi_set_named_property(env, object, numbers[i].name, number(env, (double)numbers[i].value));
  napi_set_named_property(env, exports, "numbers", object);
  return exports;
}
