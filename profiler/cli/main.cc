#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "jprof_runtimes.h"
#include "profiler/cli/command_line.h"
#include "profiler/top/terminal.h"

namespace {

[[noreturn]] void GiveUp(const char* what, const char* fix) {
  jprof::GiveBackTerminal();
  const char* words[] = {"jprof: error: ", what, "; ", fix, "\n"};
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
    // What the standard library throws is caught nowhere else.
    try {
      if (const std::exception_ptr thrown = std::current_exception()) {
        std::rethrow_exception(thrown);
      }
    } catch (const std::system_error&) {
      GiveUp("the system gives no further thread",
             "raise the limit (ulimit -u, or that of the control group)");
    } catch (...) {
    }
    std::abort();
  });
  return jprof::CommandLineMain(argc, argv, jprof::BuiltinRuntimes());
}
