#include "profiler/cli/command_line.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "profiler/cli/convert.h"
#include "profiler/cli/core.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/diff.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/hist.h"
#include "profiler/cli/options.h"
#include "profiler/cli/record.h"
#include "profiler/cli/stacks.h"
#include "profiler/cli/top.h"
#include "profiler/cli/trap.h"
#include "profiler/cli/why.h"

namespace jprof {
namespace {

struct Command {
  CommandText (*text)();
  int (*main)(const std::vector<std::string>& arguments, const RuntimeSet& runtimes);
};

constexpr Command kCommands[] = {
    {RecordText, RecordMain}, {TopText, TopMain},         {StacksText, StacksMain},
    {WhyText, WhyMain},       {TrapText, TrapMain},       {HistText, HistMain},
    {CoreText, CoreMain},     {ConvertText, ConvertMain}, {DiffText, DiffMain},
    {DoctorText, DoctorMain},
};

// Else what is opened later takes the place of a closed one, and messages go into it. Standard
// output stays one that cannot be written to.
void FillClosedStreams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int CommandLineMain(int argc, char** argv, const RuntimeSet& runtimes) {
  FillClosedStreams();
  if (::getuid() != ::geteuid()) {
    PrintError(
        absl::FailedPreconditionError("jprof does not run set-uid; use sudo, or give it CAP_BPF, "
                                      "CAP_PERFMON and CAP_SYS_PTRACE"));
    return 1;
  }
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  for (const Command& command : kCommands) {
    if (!arguments.empty() && arguments[0] == command.text().name) {
      return command.main({arguments.begin() + 1, arguments.end()}, runtimes);
    }
  }
  return RecordMain(arguments, runtimes);
}

std::vector<CommandText> AllCommands() {
  std::vector<CommandText> texts;
  for (const Command& command : kCommands) texts.push_back(command.text());
  return texts;
}

}  // namespace jprof
