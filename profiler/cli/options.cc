#include "profiler/cli/options.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "export/exporter.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr int kMaxFrequency = 50000;
constexpr size_t kMaxPids = 1024;
constexpr double kMinDurationSeconds = 1e-3;
constexpr double kMaxDurationSeconds = 366.0 * 24 * 3600;

struct Option {
  absl::string_view short_name;  // "" for none
  absl::string_view long_name;
  absl::string_view argument;  // "" when it takes none
  absl::string_view help;
};

constexpr Option kOptions[] = {
    {"-p", "--pid", "PID", "profile this process, all its threads; or some: 1,2,3"},
    {"", "--children", "", "and all that it has started and starts (-p)"},
    {"-t", "--tid", "TID", "profile this thread alone"},
    {"-a", "--all", "", "profile every process"},
    {"-G", "--cgroup", "CGROUP", "profile the processes of a cgroup v2, or container: path or id"},
    {"", "--comm", "NAME", "only threads and processes of this command name"},
    {"-F", "--frequency", "HZ", "samples per second of CPU time (default 99)"},
    {"-d", "--duration", "TIME",
     "stop after 30, 30s, 5m, 1h (default: Ctrl-C, or the process's end)"},
    {"-o", "--output", "FILE", "write to FILE, its suffix chooses the format (default: -, stdout)"},
    {"", "--format", "NAME", "choose the format by name"},
    {"", "--async", "", "show who awaits: async functions below what runs for them"},
    {"", "--no-helpers", "", "name JIT code by /tmp/perf-PID.map alone"},
    {"", "--inlines", "", "show inlined C, C++ and Rust functions (from DWARF)"},
    {"", "--lines", "", "show frames by the line that executes, native ones too (from DWARF)"},
    {"", "--tiers", "", "mark functions by their code: ~ interpreted, ^ + * compiled"},
    {"", "--level", "NAME", "capture by kernel (BPF), or ring (own processes, without it)"},
    {"", "--explain", "", "say behind the verdict why frames have no name"},
    {"", "--min-quality", "PCT",
     "exit with 3 when fewer samples are rooted, or frames named"},
    {"-h", "--help", "", "print this help"},
    {"", "--version", "", "print the version"},
};

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

absl::StatusOr<int> ParsePositive(absl::string_view option, absl::string_view text, int max,
                                  absl::string_view what) {
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 1 || value > max) {
    return Usage(absl::StrCat(option, " takes ", what, " from 1 to ", max, ", not '", text, "'"));
  }
  return value;
}

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const int replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

const Option* FindOption(absl::string_view name) {
  for (const Option& o : kOptions) {
    if (name == o.long_name || (!o.short_name.empty() && name == o.short_name)) return &o;
  }
  return nullptr;
}

absl::Status Apply(const Option& option, absl::string_view value, RecordOptions& out) {
  const absl::string_view name = option.long_name;
  if (name == "--help") {
    out.help = true;
  } else if (name == "--version") {
    out.version = true;
  } else if (name == "--all") {
    out.all = true;
  } else if (name == "--cgroup" || name == "--comm") {
    if (value.empty()) return Usage(absl::StrCat(name, " takes a name, not ''"));
    (name == "--comm" ? out.comm : out.cgroup) = std::string(value);
  } else if (name == "--async") {
    out.async = true;
  } else if (name == "--inlines") {
    out.inlines = true;
  } else if (name == "--lines") {
    out.lines = true;
  } else if (name == "--no-helpers") {
    out.use_helpers = false;
  } else if (name == "--tiers") {
    out.tiers = true;
  } else if (name == "--level") {
    if (value != "kernel" && value != "ring") {
      return Usage(absl::StrCat("--level takes kernel or ring, not '", value, "'"));
    }
    out.level = value == "ring" ? CaptureLevel::kRing : CaptureLevel::kKernel;
  } else if (name == "--explain") {
    out.explain = true;
  } else if (name == "--children") {
    out.children = true;
  } else if (name == "--pid") {
    for (absl::string_view word : absl::StrSplit(value, ',')) {
      auto id = ParsePositive(name, word, INT32_MAX, "a number");
      if (!id.ok()) return id.status();
      out.pids.push_back(*id);
    }
    std::sort(out.pids.begin(), out.pids.end());
    out.pids.erase(std::unique(out.pids.begin(), out.pids.end()), out.pids.end());
    if (out.pids.size() > kMaxPids) {
      return Usage(absl::StrCat("--pid takes at most ", kMaxPids, " processes, not ",
                                out.pids.size(), "; -a profiles all"));
    }
  } else if (name == "--tid") {
    auto id = ParsePositive(name, value, INT32_MAX, "a number");
    if (!id.ok()) return id.status();
    out.tid = *id;
  } else if (name == "--frequency") {
    auto hz = ParsePositive(name, value, kMaxFrequency, "samples per second,");
    if (!hz.ok()) return hz.status();
    out.frequency = *hz;
  } else if (name == "--duration") {
    auto duration = ParseDuration(value);
    if (!duration.ok()) return duration.status();
    out.duration_ns = *duration;
  } else if (name == "--output") {
    if (value.empty()) return Usage("--output takes a file name, or - for standard output, not ''");
    out.output = value == "-" ? "" : std::string(value);
  } else if (name == "--min-quality") {
    double percent = 0;
    if (!absl::SimpleAtod(absl::StripSuffix(value, "%"), &percent) || !(percent > 0) ||
        percent > 100) {
      return Usage(absl::StrCat("--min-quality takes a percentage above 0, up to 100, not '", value,
                                "'"));
    }
    out.min_quality = percent;
  } else if (name == "--format") {
    JPROF_RETURN_IF_ERROR(CheckFormat("", value));
    out.format = std::string(value);
  }
  return absl::OkStatus();
}

absl::Status CheckTogether(const RecordOptions& o) {
  const int targets = !o.pids.empty() + (o.tid != 0) + o.all + !o.command.empty();
  if (!o.cgroup.empty() && targets > o.all) {
    return Usage("--cgroup says which processes to profile: it goes without -p, -t and a command");
  }
  if (targets == 0 && o.cgroup.empty() && o.comm.empty()) {
    return Usage(
        "nothing to profile: name a process with -p PID, a thread with -t TID, a cgroup with -G, a "
        "command name with --comm, all with -a, or a command to start behind --");
  }
  if (targets > 1) {
    return Usage("-p, -t, -a and a command exclude each other: give one of them");
  }
  if ((o.all || !o.cgroup.empty() || !o.comm.empty()) && o.level == CaptureLevel::kRing) {
    return Usage(
        "-a, --cgroup and --comm take the level kernel: the level ring is of single processes, named "
        "with -p");
  }
  if (o.children && o.pids.empty()) {
    return Usage(o.command.empty() ? "--children goes with -p PID"
                                   : "--children goes with -p PID; a command's are recorded anyway");
  }
  return CheckFormat(o.output, o.format);
}

}  // namespace

std::string DidYouMean(absl::string_view word, const std::vector<absl::string_view>& known) {
  std::string best;
  int best_distance = static_cast<int>(word.size()) / 3 + 2;
  for (absl::string_view k : known) {
    const int distance = EditDistance(word, k);
    if (distance < best_distance) {
      best_distance = distance;
      best = std::string(k);
    }
  }
  return best;
}

absl::StatusOr<int64_t> ParseDuration(absl::string_view text) {
  absl::string_view number = text;
  double unit = 1;
  if (absl::EndsWith(number, "ms")) {
    unit = 1e-3;
    number.remove_suffix(2);
  } else if (!number.empty() && absl::ascii_isalpha(static_cast<unsigned char>(number.back()))) {
    switch (number.back()) {
      case 's':
        unit = 1;
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3600;
        break;
      default:
        unit = 0;
    }
    number.remove_suffix(1);
  }
  double value = 0;
  if (unit == 0 || !absl::SimpleAtod(number, &value) || !std::isfinite(value) ||
      value * unit < kMinDurationSeconds || value * unit > kMaxDurationSeconds) {
    return Usage(absl::StrCat(
        "--duration takes a time from 1ms to 366 days such as 30, 30s, 5m or 1h, not '", text,
        "'"));
  }
  return static_cast<int64_t>(value * unit * 1e9);
}

absl::StatusOr<RecordOptions> ParseRecordOptions(const std::vector<std::string>& arguments) {
  RecordOptions out;
  out.command_line = absl::StrCat("jprof ", absl::StrJoin(arguments, " "));
  std::map<absl::string_view, absl::string_view> given;  // long name -> value
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view word = arguments[i];
    if (word == "--") {
      out.command.assign(arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      if (out.command.empty()) return Usage("'--' is followed by the command to start");
      break;
    }
    absl::string_view name = word, value;
    bool has_value = false;
    if (absl::StartsWith(word, "--")) {
      if (size_t equals = word.find('='); equals != absl::string_view::npos) {
        name = word.substr(0, equals);
        value = word.substr(equals + 1);
        has_value = true;
      }
    } else if (word.size() > 2 && word[0] == '-') {
      name = word.substr(0, 2);  // -F99
      value = word.substr(2);
      has_value = true;
    }
    const Option* option = FindOption(name);
    if (option == nullptr) {
      if (word.empty() || word[0] != '-') {
        return Usage(absl::StrCat("unexpected argument '", word, "'",
                                  DidYouMean(word, {"record"}).empty()
                                      ? "; a process is named with -p PID, a command comes behind --"
                                      : ", did you mean 'record'?"));
      }
      std::vector<absl::string_view> known;
      for (const Option& o : kOptions) known.push_back(o.long_name);
      std::string near = DidYouMean(name, known);
      return Usage(absl::StrCat("unknown option '", name, "'",
                                near.empty() ? std::string("; see jprof --help")
                                             : absl::StrCat(", did you mean '", near, "'?")));
    }
    if (option->argument.empty() && has_value) {
      return Usage(absl::StrCat("option '", name, "' takes no value"));
    }
    if (!option->argument.empty() && !has_value) {
      if (i + 1 == arguments.size()) {
        return Usage(absl::StrCat("option '", name, "' needs a value: ", option->argument));
      }
      value = arguments[++i];
    }
    // Which of two values was meant is not ours to guess; saying yes twice means yes.
    auto [before, first] = given.try_emplace(option->long_name, value);
    if (!first && !option->argument.empty()) {
      return Usage(absl::StrCat("option '", name, "' is given twice (", before->second, ", ", value,
                                "), keep one of them"));
    }
    absl::Status applied = Apply(*option, value, out);
    if (!applied.ok()) return applied;
  }
  if (out.help || out.version) return out;
  absl::Status together = CheckTogether(out);
  if (!together.ok()) return together;
  // Standard output is the command's own.
  if (!out.command.empty() && out.output.empty() && !given.contains("--output")) {
    const ExportFormat& format = *FindFormatByName(out.format.empty() ? "svg" : out.format);
    out.output = absl::StrCat("jprof", format.suffixes[0]);
    out.output_is_default = true;
  }
  return out;
}

std::string RecordHelp() {
  std::string text =
      "usage: jprof [record] (-p PID | -t TID | -G CGROUP | --comm NAME | -a) [options]\n"
      "       jprof [record] [options] -- COMMAND [ARGUMENT...]\n"
      "       jprof stacks PID|CORE [options]\n"
      "       jprof why PID [options]\n"
      "       jprof trap 'CALL TERM...' [options]\n"
      "       jprof hist syscall:NAME|gc|uprobe:BINARY:SYMBOL [-p PID] [options]\n"
      "       jprof core PID -o FILE [options]\n"
      "       jprof convert IN -o OUT [options]\n"
      "       jprof diff A B [-o OUT] [options]\n"
      "       jprof doctor [--pid PID]\n"
      "\n"
      "Samples a running process, or one that it starts, and writes what it was doing, JavaScript\n"
      "functions beside C++ and kernel frames. The process needs no flag and no restart.\n"
      "\n"
      "  jprof -p 4711 -F 99 -d 30 > out.svg         a flame graph of 30 seconds\n"
      "  jprof -o out.svg -- node app.js             from its first instruction, children too\n"
      "  jprof -a -F 49 -d 60 -o host.pb.gz          every process, for pprof\n"
      "  jprof convert cpu.pb.gz -o cpu.svg          a profile of one format in another\n"
      "  jprof diff old.pb.gz new.pb.gz -o diff.svg  what takes more than before, and what less\n"
      "  jprof why 4711                              what it does or waits for, in one sentence\n"
      "  jprof trap 'close errno=EBADF comm=node'    the stack at the very system call\n"
      "  jprof hist syscall:fsync -p 4711            how long each takes, in powers of two\n"
      "  jprof doctor                                what this host allows, and what would be missing\n"
      "  jprof doctor --pid 4711                     its runtimes: known, and from where\n"
      "\n"
      "options:\n";
  for (const Option& o : kOptions) {
    std::string left = o.short_name.empty() ? "    " : absl::StrCat(o.short_name, ", ");
    absl::StrAppend(&left, o.long_name, o.argument.empty() ? "" : " ", o.argument);
    left.resize(std::max<size_t>(left.size() + 2, 26), ' ');
    absl::StrAppend(&text, "  ", left, o.help, "\n");
  }
  absl::StrAppend(&text, "\nformats:\n");
  for (const ExportFormat& f : ExportFormats()) {
    std::string left = absl::StrCat(f.name, "  (", absl::StrJoin(f.suffixes, " "), ")");
    left.resize(std::max<size_t>(left.size() + 2, 26), ' ');
    absl::StrAppend(&text, "  ", left, f.help, "\n");
  }
  absl::StrAppend(
      &text,
      "\nA command is recorded until it ends, Ctrl-C, or -d, which leaves it running; jprof waits for\n"
      "its end. Its profile is jprof.svg unless -o says otherwise.\n"
      "\nExit status: 0 a profile was written, 1 failed, 2 wrong usage, 3 below\n"
      "--min-quality; that of the command (128 + its signal) when this is not 0, 127 and 126 when it\n"
      "cannot be started.\n");
  return text;
}

}  // namespace jprof
