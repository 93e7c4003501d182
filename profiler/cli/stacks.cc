#include "profiler/cli/stacks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/stack_report.h"
#include "profiler/cli/subject.h"
#include "profiler/core/status.h"
#include "profiler/corefile/core_file.h"
#include "profiler/corefile/mapped_files.h"
#include "profiler/pipeline/naming_deadline.h"
#include "profiler/pipeline/target_files.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

struct StacksOptions {
  std::string target;
  Pid pid = 0;  // 0: the target is a core file
  MappedFiles::Places places;
  StackReportOptions report;
  bool json = false;
  bool no_stop = false;
  bool help = false;
  StackNaming naming;
};

// Within a time, whatever the target's file systems do.
SymbolizeFunction Names(const std::shared_ptr<SymbolizerProcess>& symbolizer) {
  SymbolizeFunction in_time = WithDeadline(
      [symbolizer](std::vector<ImageQuery>& queries, int threads, DebugFileFinder* finder) {
        symbolizer->Symbolize(queries, threads, finder);
      },
      [symbolizer] { return symbolizer->progress(); });
  return [in_time = std::move(in_time)](std::vector<ImageQuery>& queries, int threads,
                                        DebugFileFinder* finder) {
    in_time(queries, threads, finder);
    const bool late = std::any_of(queries.begin(), queries.end(), [](const ImageQuery& query) {
      return absl::IsDeadlineExceeded(query.status);
    });
    if (late) PrintWarning("mapped files did not answer in time: native frames have no names");
  };
}

absl::Status Run(const StacksOptions& options, const RuntimeSet& runtimes) {
  StackReport report;
  Profile profile;
  // Before there are threads.
  JPROF_ASSIGN_OR_RETURN(const std::shared_ptr<SymbolizerProcess> symbolizer,
                         StartFileReaders());
  const SymbolizeFunction symbolize = Names(symbolizer);
  auto read_maps = [&symbolizer](std::vector<SourceMapQuery>& queries) {
    symbolizer->ReadSourceMaps(queries);
  };
  if (options.pid != 0) {
    const LiveMemory memory(options.pid);
    JPROF_ASSIGN_OR_RETURN(
        Subject subject,
        LiveSubject(options.pid, memory,
                    options.no_stop            ? Running::kSample
                    : options.naming.arguments ? Running::kStopWithRegisters
                                               : Running::kStop));
    subject.find_frame_code = FrameCodeFinder(symbolizer);
    subject.world.symbolize = symbolize;
    subject.world.read_source_maps = read_maps;
    JPROF_RETURN_IF_ERROR(
        TakeStacks(std::move(subject), options.naming, runtimes, report, profile));
    if (options.no_stop && options.naming.arguments) {
      report.notes.emplace_back(
          "--no-stop: of threads that run there are only those values that the sample carries, native ones "
          "in registers and on the stack");
    }
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
    subject.world.read_source_maps = read_maps;
    JPROF_RETURN_IF_ERROR(
        TakeStacks(std::move(subject), options.naming, runtimes, report, profile));
  }
  if (report.threads.empty()) {
    return absl::NotFoundError(absl::StrCat("process ", options.pid, " exited meanwhile"));
  }
  // What keeps jprof from all threads alike is the command's failure.
  if (std::all_of(report.threads.begin(), report.threads.end(), [](const ReportedThread& t) {
        return !t.stack.valid() && !t.trouble.empty();
      })) {
    const absl::Status denied = absl::PermissionDeniedError(report.threads[0].trouble);
    return options.pid == 0 ? denied : UnlessExited(options.pid, denied);
  }
  const std::string text = options.json
                               ? StackReportJson(report, profile, options.report)
                               : StackReportText(report, profile, options.report);
  return WriteStandardOutput(text);
}

absl::Status TakeFilter(absl::string_view value, StacksOptions& out) {
  out.report.filter = std::string(value);
  const std::string wrong = CheckFilter(out.report.filter);
  if (wrong.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--filter '", value, "': ", wrong));
}

absl::Status Check(const Arguments& arguments, StacksOptions& out) {
  out.naming.lines = true;
  if (arguments.words.empty()) {
    return WithHint(absl::InvalidArgumentError("stacks takes a process or a core file"),
                    "use: jprof stacks PID, or jprof stacks CORE");
  }
  if (arguments.words.size() > 1) {
    return absl::InvalidArgumentError("stacks takes one process, or one core file");
  }
  out.target = arguments.words[0];
  int64_t number = 0;
  if (!absl::SimpleAtoi(out.target, &number)) {
    if (out.naming.source_maps == "auto") {
      return absl::InvalidArgumentError(
          "--source-maps auto is for a process; for a core file name the folder that has them");
    }
    if (!out.no_stop) return absl::OkStatus();
    return absl::InvalidArgumentError("--no-stop is for a process, not for a core file");
  }
  if (!(out.places.program.empty() && out.places.sysroot.empty())) {
    return absl::InvalidArgumentError("--exe and --sysroot are for a core file, not for a process");
  }
  JPROF_ASSIGN_OR_RETURN(out.pid, ParsePid(out.target));
  return absl::OkStatus();
}

CommandSyntax<StacksOptions> Syntax() {
  using O = StacksOptions;
  return {
      .text =
          {.name = "stacks",
           .summary = "print what every thread of a process, or of a core file, is doing",
           .usage = "stacks PID|CORE [options]\n",
           .about =
               "Prints what every thread of a process, or of a core file, is doing, once: JavaScript and native\n"
               "frames, innermost first, and what a sleeping thread waits for. Equal stacks are put together.\n"
               "Threads that sleep are not stopped (where BPF may not be used, only if they do not notice); the\n"
               "others are, one by one, for a fraction of a millisecond; with --no-stop none is, and what is\n"
               "traced by a debugger can be read too.\n"},
      .options =
          {
              {{"", "--all", "", "each thread by itself"},
               [](absl::string_view, O& out) {
                 out.report.one_by_one = true;
                 return absl::OkStatus();
               }},
              {{"", "--filter", "REGEX",
                "threads with a frame, a name or a system call that matches"},
               TakeFilter},
              {{"", "--exe", "FILE", "the core's program, where it does not lie at its path"},
               [](absl::string_view value, O& out) {
                 out.places.program = std::string(value);
                 return absl::OkStatus();
               }},
              {{"", "--sysroot", "FOLDER", "where the core's files lie"},
               [](absl::string_view value, O& out) {
                 out.places.sysroot = std::string(value);
                 return absl::OkStatus();
               }},
              {{"", "--no-stop", "",
                "threads that run from one sample each, within a second; no ptrace"},
               &O::no_stop},
              {{"", "--args", "", "present values of parameters: may show secrets"},
               [](absl::string_view, O& out) {
                 out.naming.arguments = true;
                 return absl::OkStatus();
               }},
              {{"", "--json", "", "for programs"}, &O::json},
              {{"", "--async", "", "who awaits what runs"},
               [](absl::string_view, O& out) {
                 out.naming.async = true;
                 return absl::OkStatus();
               }},
              {{"", "--source-maps", "auto|FOLDER", "functions of scripts by their originals"},
               [](absl::string_view value, O& out) {
                 out.naming.source_maps = std::string(value);
                 return absl::OkStatus();
               }},
              {{"", "--tiers", "", "~interpreted, ^baseline, +maglev, *turbofan"},
               [](absl::string_view, O& out) {
                 out.naming.tiers = true;
                 return absl::OkStatus();
               }},
          },
      .check = Check};
}

}  // namespace

CommandText StacksText() { return TextOf(Syntax()); }

int StacksMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const StacksOptions& options) {
    auto without_values = [&] {
      PrintWarning("a thread stood for too long while values were read: they are left out");
      StacksOptions rest = options;
      rest.naming.arguments = false;
      return AsUsageError(Run(rest, runtimes));
    };
    const bool stops = options.pid != 0 && !options.no_stop;
    return ReportedGuarded([&] { return AsUsageError(Run(options, runtimes)); },
                           stops && options.naming.arguments ? without_values
                                                             : std::function<absl::Status()>());
  });
}

}  // namespace jprof
