/* Protects a process that holds secrets but needs files and the network: no core files, no reading of its memory by
 * other processes of the same user, and no end by unhandled signals. It does not lock the process (sandbox.c does). */
#include "sandbox.h"
#if !defined(_WIN32)
#include <signal.h>
#include <sys/resource.h>
#endif
#ifdef __linux__
#include <sys/prctl.h>
#endif

protection_t process_protect(const int *ignored, int count) {
  protection_t reached = {0};
#if !defined(_WIN32)
  /* both limits: children cannot raise it again */
  reached.no_core = setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0;
  /* fails for signals that the C library reserves: nobody else can send those either */
  for (int i = 0; i < count; i++) signal(ignored[i], SIG_IGN);
#else
  (void)ignored;
  (void)count;
#endif
#ifdef __linux__
  reached.not_dumpable = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
#endif
  return reached;
}
