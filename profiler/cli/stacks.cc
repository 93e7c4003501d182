#include "profiler/cli/stacks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "profiler/cli/diagnostics.h"
#include "profiler/cli/options.h"
#include "profiler/cli/stack_report.h"
#include "profiler/cli/subject.h"
#include "profiler/core/status.h"
#include "profiler/corefile/core_file.h"
#include "profiler/corefile/mapped_files.h"
#include "profiler/process/live_memory.h"
#include "profiler/stop/guard.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

struct StacksOptions {
  std::string target;
  MappedFiles::Places places;
  StackReportOptions report;
  bool json = false;
  bool no_stop = false;
  bool help = false;
  StackNaming naming;
};

absl::Status Run(const StacksOptions& options, const RuntimeSet& runtimes) {
  StackReport report;
  Profile profile;
  Pid pid = 0;
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(const std::unique_ptr<SymbolizerProcess> symbolizer,
                         SymbolizerProcess::Start());
  auto symbolize = [&symbolizer](std::vector<ImageQuery>& queries, int threads,
                                 DebugFileFinder* finder) {
    symbolizer->Symbolize(queries, threads, finder);
  };
  if (absl::SimpleAtoi(options.target, &pid)) {
    if (pid < 1) return absl::InvalidArgumentError(absl::StrCat(options.target, " is no process"));
    const LiveMemory memory(pid);
    JPROF_ASSIGN_OR_RETURN(Subject subject, LiveSubject(
        pid, memory, options.no_stop ? Running::kSample : Running::kStop));
    subject.world.symbolize = symbolize;
    JPROF_RETURN_IF_ERROR(TakeStacks(std::move(subject), options.naming, runtimes, report, profile));
  } else {
    UniqueFd fd(::open(options.target.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) {
      return ErrnoStatus(errno, absl::StrCat("cannot read core file ", options.target));
    }
    JPROF_ASSIGN_OR_RETURN(const CoreFile core, CoreFile::Open(std::move(fd), options.target));
    const MappedFiles files(core, options.places);
    const CoreMemory memory(core, files);
    Subject subject = CoreSubject(core, files, memory, options.target);
    subject.world.symbolize = symbolize;
    JPROF_RETURN_IF_ERROR(TakeStacks(std::move(subject), options.naming, runtimes, report, profile));
  }
  if (report.threads.empty()) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " exited meanwhile"));
  }
  // What keeps jprof from all threads alike is the command's failure.
  if (std::all_of(report.threads.begin(), report.threads.end(), [](const ReportedThread& t) {
        return !t.stack.valid() && !t.trouble.empty();
      })) {
    return absl::PermissionDeniedError(report.threads[0].trouble);
  }
  const std::string text = options.json
                               ? StackReportJson(report, profile, options.report)
                               : StackReportText(report, profile, options.report);
  std::signal(SIGPIPE, SIG_IGN);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return ErrnoStatus(errno, "cannot write standard output");
  }
  return absl::OkStatus();
}

absl::StatusOr<StacksOptions> ParseStacksOptions(const std::vector<std::string>& arguments) {
  StacksOptions options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    // The value of an option, in the same word or the next one.
    auto value = [&](absl::string_view name, std::string& out) -> absl::Status {
      if (argument.size() > name.size()) {
        out = argument.substr(name.size() + 1);
      } else if (++i < arguments.size()) {
        out = arguments[i];
      } else {
        return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
      }
      return absl::OkStatus();
    };
    auto is = [&](absl::string_view name) {
      return argument == name || absl::StartsWith(argument, absl::StrCat(name, "="));
    };
    if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--json") {
      options.json = true;
    } else if (argument == "--all") {
      options.report.one_by_one = true;
    } else if (argument == "--no-stop") {
      options.no_stop = true;
    } else if (argument == "--async") {
      options.naming.async = true;
    } else if (argument == "--tiers") {
      options.naming.tiers = true;
    } else if (is("--exe")) {
      JPROF_RETURN_IF_ERROR(value("--exe", options.places.program));
    } else if (is("--sysroot")) {
      JPROF_RETURN_IF_ERROR(value("--sysroot", options.places.sysroot));
    } else if (is("--filter")) {
      JPROF_RETURN_IF_ERROR(value("--filter", options.report.filter));
      const std::string wrong = CheckFilter(options.report.filter);
      if (!wrong.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--filter '", options.report.filter, "': ", wrong));
      }
    } else if (absl::StartsWith(argument, "-")) {
      return WithHint(absl::InvalidArgumentError(absl::StrCat("unknown option ", argument)),
                      "see jprof stacks --help");
    } else if (options.target.empty()) {
      options.target = argument;
    } else {
      return absl::InvalidArgumentError("stacks takes one process, or one core file");
    }
  }
  if (options.target.empty() && !options.help) {
    return WithHint(absl::InvalidArgumentError("stacks takes a process or a core file"),
                    "use: jprof stacks PID, or jprof stacks CORE");
  }
  Pid pid;
  const bool is_process = absl::SimpleAtoi(options.target, &pid);
  if (is_process && !(options.places.program.empty() && options.places.sysroot.empty())) {
    return absl::InvalidArgumentError("--exe and --sysroot are for a core file, not for a process");
  }
  if (!is_process && !options.help && options.no_stop) {
    return absl::InvalidArgumentError("--no-stop is for a process, not for a core file");
  }
  return options;
}

}  // namespace

std::string StacksHelp() {
  return "usage: jprof stacks PID [options]\n"
         "       jprof stacks CORE [--exe FILE] [--sysroot FOLDER] [options]\n"
         "\n"
         "Prints what every thread of a process, or of a core file, is doing, once: JavaScript and native frames,\n"
         "innermost first, and what a sleeping thread waits for. Equal stacks are put together.\n"
         "Threads that sleep are not stopped; the others are, one by one, for a fraction of a\n"
         "millisecond; with --no-stop none is, and what is traced by a debugger can be read too.\n"
         "\n"
         "options:\n"
         "  --all           each thread by itself\n"
         "  --filter REGEX  threads with a frame, a name or a system call that matches\n"
         "  --no-stop       threads that run from one sample each, within a second; no ptrace\n"
         "  --exe FILE      the core's program, where it does not lie at its path\n"
         "  --sysroot FOLDER  where the core's files lie\n"
         "  --json          for programs\n"
         "  --async         who awaits what runs\n"
         "  --tiers         ~interpreted, ^baseline, +maglev, *turbofan\n"
         "  -h, --help      print this help\n";
}

int StacksMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  absl::StatusOr<StacksOptions> options = ParseStacksOptions(arguments);
  if (!options.ok()) {
    PrintError(options.status());
    return 2;
  }
  if (options->help) {
    std::fputs(StacksHelp().c_str(), stdout);
    return 0;
  }
  absl::StatusOr<int> result = RunGuarded([&] {
    absl::Status status = Run(*options, runtimes);
    if (status.ok()) return 0;
    PrintError(status);
    return absl::IsInvalidArgument(status) ? 2 : 1;
  });
  if (result.ok()) return *result;
  PrintError(result.status());
  return 1;
}

}  // namespace jprof
