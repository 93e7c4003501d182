#include "profiler/cli/options.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "export/exporter.h"
#include "profiler/cli/command_line.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr int kMaxCpuPercent = 10000;
// Recordings that may last for months: without an end, or with one that is further away than this.
constexpr int64_t kLongNs = 600'000'000'000;
constexpr double kMaxCpuOfLong = 2;

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

absl::Status TakeOutput(absl::string_view value, RecordOptions& out) {
  if (value.empty()) return Usage("--output takes a file name, or - for standard output, not ''");
  out.output = value == "-" ? "" : std::string(value);
  return absl::OkStatus();
}

absl::Status TakeFormat(absl::string_view value, RecordOptions& out) {
  out.format = std::string(value);
  return CheckFormat("", value);
}

absl::Status TakeQuality(absl::string_view value, RecordOptions& out) {
  if (absl::SimpleAtod(absl::StripSuffix(value, "%"), &out.min_quality) && out.min_quality > 0 &&
      out.min_quality <= 100) {
    return absl::OkStatus();
  }
  return Usage(
      absl::StrCat("--min-quality takes a percentage above 0, up to 100, not '", value, "'"));
}

absl::Status TakeMaxCpu(absl::string_view value, RecordOptions& out) {
  if (absl::SimpleAtod(absl::StripSuffix(value, "%"), &out.max_cpu_percent) &&
      out.max_cpu_percent >= 0 && out.max_cpu_percent <= kMaxCpuPercent) {
    return absl::OkStatus();
  }
  return Usage(absl::StrCat("--max-cpu takes a percentage of one CPU, from 0 (no limit) to ",
                            kMaxCpuPercent, ", not '", value, "'"));
}

absl::Status Check(const Arguments& arguments, RecordOptions& out) {
  if (!arguments.words.empty()) {
    const std::string& word = arguments.words[0];
    return Usage(absl::StrCat("unexpected argument '", word, "'",
                              DidYouMean(word, {"record"}).empty()
                                  ? "; a process is named with -p PID, a command comes behind --"
                                  : ", did you mean 'record'?"));
  }
  if (out.version) return absl::OkStatus();
  out.command = arguments.command;
  const bool is_long = out.duration_ns == 0 || out.duration_ns > kLongNs;
  if (is_long && !arguments.given.contains("--max-cpu")) out.max_cpu_percent = kMaxCpuOfLong;
  JPROF_RETURN_IF_ERROR(CheckTargetOptions(arguments, out, /*commands=*/true));
  JPROF_RETURN_IF_ERROR(CheckFormat(out.output, out.format));
  // Standard output is the command's own.
  if (!out.command.empty() && !arguments.given.contains("--output")) {
    const ExportFormat& format = *FindFormatByName(out.format.empty() ? "svg" : out.format);
    out.output = absl::StrCat("jprof", format.suffixes[0]);
    out.output_is_default = true;
  }
  return absl::OkStatus();
}

std::string More() {
  std::string text = "formats:\n";
  for (const ExportFormat& f : ExportFormats()) {
    absl::StrAppend(&text, HelpRow(absl::StrCat(f.name, "  (", absl::StrJoin(f.suffixes, " "), ")"),
                                   f.help));
  }
  return absl::StrCat(
      text,
      "\nA command is recorded until it ends, Ctrl-C, or -d, which leaves it running; jprof waits for\n"
      "its end. If jprof is killed, it runs on. Its profile is jprof.svg unless -o says otherwise.\n"
      "\nExit status: 0 a profile was written, 1 failed, 2 wrong usage, 3 below\n"
      "--min-quality; that of the command (128 + its signal) when this is not 0, 127 and 126 when it\n"
      "cannot be started.\n");
}

std::vector<Option<RecordOptions>> Options() {
  using O = RecordOptions;
  std::vector<Option<O>> options = TargetRows<O>();
  auto add = [&options](std::vector<Option<O>> more) {
    options.insert(options.end(), more.begin(), more.end());
  };
  add({
      {{"-o", "--output", "FILE",
        "write to FILE, its suffix chooses the format (default: -, stdout)"},
       TakeOutput},
      {{"", "--format", "FORMAT", "choose the format by name"}, TakeFormat},
      {{"", "--async", "", "show who awaits: async functions below what runs for them"}, &O::async},
      {{"", "--inlines", "", "show inlined C, C++ and Rust functions (from DWARF)"}, &O::inlines},
      {{"", "--lines", "", "show frames by the line that executes, native ones too (from DWARF)"},
       &O::lines},
      {{"", "--source-maps", "auto|FOLDER",
        "show functions of scripts by their originals: TypeScript, bundles"},
       &O::source_maps},
  });
  add(CaptureRows<O>());
  add({
      {{"", "--max-cpu", "PCT",
        "own CPU use that halves the rate; 0: off (default 2; 0 if -d <= 10m)"},
       TakeMaxCpu},
      {{"", "--explain", "", "say behind the verdict why frames have no name"}, &O::explain},
      {{"", "--min-quality", "PCT", "exit with 3 when fewer samples are rooted, or frames named"},
       TakeQuality},
      {{"", "--version", "", "print the version"}, &O::version},
  });
  return options;
}

CommandSyntax<RecordOptions> Syntax() {
  return {
      .text =
          {.name = "record",
           .summary = "sample what processes do, and write a profile",
           .usage = "[record] (-p PID | -t TID | -G CGROUP | --comm NAME | -a) [options]\n"
                    "[record] [options] -- COMMAND [ARGUMENT...]\n",
           .about =
               "Samples a running process, or one that it starts, and writes what it was doing, JavaScript\n"
               "functions beside C++ and kernel frames. The process needs no flag and no restart.\n"
               "\n"
               "  jprof -p 4711 -F 99 -d 30 > out.svg         a flame graph of 30 seconds\n"
               "  jprof -o out.svg -- node app.js             from its first instruction, children too\n"
               "  jprof -a -F 49 -d 60 -o host.pb.gz          every process, for pprof\n"
               "  jprof convert cpu.pb.gz -o cpu.svg          a profile of one format in another\n"
               "  jprof diff old.pb.gz new.pb.gz -o diff.svg  what takes more than before, and what less\n"
               "  jprof top -p 4711                           what is hot now, each second\n"
               "  jprof why 4711                              what it does or waits for, in one sentence\n"
               "  jprof trap 'close errno=EBADF comm=node'    the stack at the very system call\n"
               "  jprof hist syscall:fsync -p 4711            how long each takes, in powers of two\n"
               "  jprof doctor                                what this host allows, and what would be missing\n"
               "  jprof doctor --pid 4711                     its runtimes: known, and from where\n",
           .more = More(),
           .starts_command = true,
           .takes_words = false},
      .options = Options(),
      .check = Check};
}

}  // namespace

absl::StatusOr<RecordOptions> ParseRecordOptions(const std::vector<std::string>& arguments) {
  JPROF_ASSIGN_OR_RETURN(RecordOptions out, ParseCommand(Syntax(), arguments));
  out.command_line = absl::StrCat("jprof ", absl::StrJoin(arguments, " "));
  return out;
}

CommandText RecordText() { return TextOf(Syntax()); }

std::string RecordHelp() {
  CommandText text = RecordText();
  std::string usage(text.usage);
  for (const CommandText& other : AllCommands()) {
    if (other.name == text.name) continue;
    absl::StrAppend(&usage, other.usage.substr(0, other.usage.find('\n') + 1));
  }
  text.usage = usage;
  return HelpOf(text);
}

}  // namespace jprof
