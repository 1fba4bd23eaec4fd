/* Node's event loop opens an io_uring before the first line of a program runs, and its operations bypass the system
 * call filter (seccomp.c). The loop cannot give the ring back. So the runner starts twice: the first time only to
 * forbid new rings for good, and to run the same program again in its place, whose loop then works without one. */
#include "sandbox.h"
#ifdef __linux__
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_IO_URING_SETUP = 425, X32 = 0x40000000 };

int ring_open(void) {
  DIR *open = opendir("/proc/self/fd");
  if (!open) return -1;
  int found = 0;
  char target[64];
  for (struct dirent *d; (d = readdir(open));) {
    const ssize_t n = readlinkat(dirfd(open), d->d_name, target, sizeof target - 1);
    if (n > 0) target[n] = 0;
    if (n > 0 && strstr(target, "[io_uring]")) found = 1;
  }
  closedir(open);
  return found;
}

/* The arguments of this process as raw bytes, with `more` after the first; NULL without /proc. Never freed: the process
 * is about to be replaced. */
static char **own_arguments(char *const more[]) {
  FILE *file = fopen("/proc/self/cmdline", "re");
  if (!file) return NULL;
  size_t size = 0, room = 1 << 16, count = 0;
  char *text = malloc(room);
  for (size_t n; text && (n = fread(text + size, 1, room - size, file)) > 0;) {
    size += n;
    if (size == room) text = realloc(text, room *= 2);
  }
  fclose(file);
  if (!text || size == 0 || text[size - 1] != 0) return NULL;
  for (size_t i = 0; i < size; i++) count += text[i] == 0;
  size_t added = 0;
  while (more[added]) added++;
  char **list = calloc(count + added + 1, sizeof *list);
  if (!list) return NULL;
  for (size_t i = 0, at = 0; i < count; i++, at += strlen(text + at) + 1) list[i == 0 ? 0 : i + added] = text + at;
  for (size_t i = 0; i < added; i++) list[i + 1] = more[i];
  return list;
}

int ring_restart(const char *program, char *const arguments[], int descriptors) {
  if (!program && !(arguments = own_arguments(arguments))) return ENOENT;
  struct sock_filter none[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NR_IO_URING_SETUP},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, X32 + NR_IO_URING_SETUP},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const struct sock_fprog filter = {.len = sizeof none / sizeof *none, .filter = none};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) return errno;
  /* Node marks inherited descriptors to be closed at this point, but not those that the gateway's own parents left open
   * in it */
  DIR *open = opendir("/proc/self/fd");
  if (!open) return errno;
  for (struct dirent *d; (d = readdir(open));) {
    const int fd = atoi(d->d_name), flags = fcntl(fd, F_GETFD);
    if (d->d_name[0] != '.' && flags >= 0)
      fcntl(fd, F_SETFD, fd < descriptors ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC);
  }
  closedir(open);
  execv(program ? program : "/proc/self/exe", arguments);
  return errno;
}
#else
int ring_open(void) { return 0; }
int ring_restart(const char *program, char *const arguments[], int descriptors) {
  (void)program;
  (void)arguments;
  (void)descriptors;
  return 0;
}
#endif
