#include "profiler/cli/doctor.h"

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "export/text.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/host_check.h"
#include "profiler/core/status.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/process_access.h"
#include "profiler/process/target_file.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

absl::string_view TextOf(LayoutFact::Source source) {
  switch (source) {
    case LayoutFact::Source::kSymbol:
      return "symbol";
    case LayoutFact::Source::kDerived:
      return "derived";
    case LayoutFact::Source::kTable:
      break;
  }
  return "table";
}

absl::string_view TextOf(Fit fit, bool is_partial) {
  switch (fit) {
    case Fit::kFits:
      return is_partial ? "partly verified: functions of the process fit, lines cannot be read"
                        : "verified: functions of the process read as the layout says";
    case Fit::kDoesNotFit:
      return "unknown: objects of the process contradict the layout; perf maps name its functions";
    case Fit::kUnseen:
      break;
  }
  return "partly verified: no function of the process was met yet";
}

std::string ExplainImage(const RuntimeImage& image, Fit fit) {
  std::string text = absl::StrCat("  ", image.version, "\n  ", TextOf(fit, image.is_partial), "\n");
  for (const FileRange& code : image.code) {
    absl::StrAppendFormat(&text, "  its own code: file offsets 0x%x to 0x%x%s\n", code.begin.value,
                          code.end.value,
                          !image.named_code.empty()   ? ", named by its own table"
                          : !image.plumbing.empty() ? ", without symbols"
                                                    : "");
  }
  for (const LayoutFact& fact : image.facts) {
    absl::StrAppendFormat(&text, "    %-52s %10d  %s\n", fact.name, fact.value,
                          TextOf(fact.source));
  }
  return text;
}

// "" when the file holds no runtime.
std::string ExplainFile(const ElfFile& file, const RuntimeSet& runtimes, const MemoryReader& memory,
                        AddressRange stack) {
  std::string text;
  for (size_t i = 0; i < runtimes.runtimes.size(); ++i) {
    auto found = runtimes.runtimes[i]->Probe(file);
    if (!found.ok()) {
      absl::StrAppend(&text, "  unknown: ", found.status().message(),
                      "; perf maps name its functions\n");
    } else if (found->has_value()) {
      RuntimeImage& image = **found;
      image.native_walk = runtimes.native_walk;
      image.number = static_cast<uint8_t>(i + 1);
      absl::StrAppend(&text,
                      ExplainImage(image, runtimes.runtimes[i]->Check(image, memory, stack)));
    }
  }
  return text;
}

struct DoctorOptions {
  Pid pid = 0;  // 0: the host
  bool help = false;
};

absl::Status Check(const Arguments& arguments, DoctorOptions&) {
  if (arguments.words.empty()) return absl::OkStatus();
  return WithHint(absl::InvalidArgumentError("doctor takes one process, or nothing"),
                  "use: jprof doctor --pid PID, or jprof doctor for the host");
}

CommandSyntax<DoctorOptions> Syntax() {
  return {
      .text =
          {.name = "doctor",
           .summary = "say what this host allows, or what is known of a process",
           .usage = "doctor [--pid PID]\n",
           .about =
               "Says what this host allows to jprof, and what would be missing; or which runtimes a\n"
               "process has, and where what is known of them comes from.\n",
           .takes_words = false},
      .options = {{{"-p", "--pid", "PID", "of this process"}, &DoctorOptions::pid}},
      .check = Check};
}

}  // namespace

absl::StatusOr<std::string> ExplainProcess(Pid pid, const RuntimeSet& runtimes) {
  JPROF_RETURN_IF_ERROR(
      Annotate(CheckAccess(pid, true), absl::StrCat("cannot look into process ", pid)));
  absl::StatusOr<std::vector<ProcMapping>> maps = ReadProcMaps(pid);
  if (absl::IsNotFound(maps.status())) {
    return WithHint(absl::NotFoundError(absl::StrCat("there is no process ", pid)),
                    "pgrep -a NAME lists the processes of a name");
  }
  JPROF_RETURN_IF_ERROR(maps.status());
  const LiveMemory memory(pid);
  AddressRange stack;
  for (const ProcMapping& m : *maps) {
    if (!m.file.valid() && m.path == "[stack]") stack = m.range;
  }
  std::string text;
  size_t unopened = 0;
  absl::flat_hash_set<FileIdentity> seen;
  for (const ProcMapping& m : *maps) {
    if (!m.file.valid() || !m.executable || !seen.insert(m.file).second) continue;
    auto fd = OpenMappedFile(pid, Mapping{m.range, m.offset, m.file, m.path});
    if (!fd.ok()) {
      ++unopened;
      continue;
    }
    auto file = ElfFile::Open(*std::move(fd), m.path);
    if (!file.ok()) continue;
    const std::string runtime = ExplainFile(*file, runtimes, memory, stack);
    if (!runtime.empty()) absl::StrAppend(&text, ShownText(m.path), "\n", runtime);
  }
  if (text.empty()) text = "no runtime that jprof knows\n";
  if (unopened > 0) absl::StrAppend(&text, unopened, " mapped files could not be opened\n");
  return text;
}

namespace {

int DiagnoseHost(const RuntimeSet& runtimes) {
  const std::vector<HostCheck> checks = CheckHost(runtimes);
  const CaptureLevel level = BestLevel(checks);
  const int printed = PrintText(absl::StrCat(
      HostText(checks), level == CaptureLevel::kKernel ? "level kernel is used\n"
                        : level == CaptureLevel::kRing
                            ? "level ring is used, for your own processes\n"
                            : "nothing can be recorded\n"));
  return printed == 0 && level == CaptureLevel::kBest ? 1 : printed;
}

}  // namespace

CommandText DoctorText() { return TextOf(Syntax()); }

int DoctorMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const DoctorOptions& options) {
    if (options.pid == 0) return DiagnoseHost(runtimes);
    const absl::StatusOr<std::string> text = ExplainProcess(options.pid, runtimes);
    return text.ok() ? PrintText(*text) : ReportedStatus(text.status());
  });
}

}  // namespace jprof
