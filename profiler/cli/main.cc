#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <new>

#include "jprof_runtimes.h"
#include "profiler/cli/command_line.h"

namespace {

// What the standard library throws is not caught anywhere: it is of what the system does not give.
[[noreturn]] void GiveUp(const char* what, const char* fix) {
  const char* words[] = {"jprof: error: ", what, "; nothing was written; ", fix, "\n"};
  iovec pieces[5];
  for (int i = 0; i < 5; ++i) pieces[i] = {const_cast<char*>(words[i]), std::strlen(words[i])};
  static_cast<void>(::writev(STDERR_FILENO, pieces, 5));
  ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::set_new_handler([] {
    GiveUp("out of memory", "raise the limit (ulimit -v, or that of the control group)");
  });
  std::set_terminate([] {
    GiveUp("the system gives no further thread or memory",
           "raise the limits (ulimit -u, ulimit -v, or those of the control group)");
  });
  return jprof::CommandLineMain(argc, argv, jprof::BuiltinRuntimes());
}
