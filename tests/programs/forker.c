/* Says ready; at each byte on stdin forks a child that executes argv[1] (with the other arguments),
   waits for its end and prints its pid. Without arguments the child only exits. Ends with its input;
   the child does not outlive it. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common.h"

int main(int argc, char** argv) {
  say_ready();
  while (wait_byte()) {
    pid_t pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (argc > 1) execv(argv[1], argv + 1);
      _exit(argc > 1 ? 127 : 0);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid) return 1;
    printf("%d\n", (int)pid);
    fflush(stdout);
  }
  return 0;
}
