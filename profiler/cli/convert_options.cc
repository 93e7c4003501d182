#include "profiler/cli/convert_options.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "export/exporter.h"
#include "import/importer.h"
#include "profiler/cli/options.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

struct Option {
  absl::string_view command;  // "" for both
  absl::string_view short_name;
  absl::string_view long_name;
  absl::string_view argument;  // "" when it takes none
  absl::string_view help;
};

// What has room for two values of a frame.
constexpr absl::string_view kDiffFormats[] = {"svg", "folded", "pprof"};

bool Writes(absl::string_view command, absl::string_view format) {
  return command != "diff" || std::find(std::begin(kDiffFormats), std::end(kDiffFormats), format) !=
                                  std::end(kDiffFormats);
}

constexpr Option kOptions[] = {
    {"convert", "-o", "--output", "FILE",
     "write to FILE, its suffix chooses the format (default: -, stdout)"},
    {"diff", "-o", "--output", "FILE",
     "write to FILE (-: stdout), its suffix chooses the format; without -o and --format\n"
     "                            nothing is written but the functions that grew"},
    {"", "", "--format", "NAME", "choose the format by name"},
    {"", "", "--focus", "REGEX", "only stacks with a frame that matches"},
    {"", "", "--ignore", "REGEX", "no stacks with a frame that matches"},
    {"", "", "--hide", "REGEX", "no frames that match"},
    {"", "", "--by", "KEY", "begin stacks with comm, pid, tid, thread, cgroup, container or cpu"},
    {"", "", "--from", "TIME", "only what was sampled from then on: 30, 30s, 5m, 500ms"},
    {"", "", "--to", "TIME", "only what was sampled before"},
    {"", "", "--merge", "", "show a function that is on the stack already only once"},
    {"", "", "--invert", "", "begin stacks with what executes, its callers above it"},
    {"diff", "", "--fail-above", "PCT",
     "exit with 3 when a function's own share grew by more percentage points"},
    {"", "-h", "--help", "", "print this help"},
};

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

const Option* FindOption(absl::string_view command, absl::string_view name) {
  for (const Option& o : kOptions) {
    if (!o.command.empty() && o.command != command) continue;
    if (name == o.long_name || (!o.short_name.empty() && name == o.short_name)) return &o;
  }
  return nullptr;
}

absl::Status Apply(absl::string_view name, absl::string_view value, ConvertOptions& out) {
  if (name == "--help") {
    out.help = true;
  } else if (name == "--output") {
    if (value.empty()) return Usage("--output takes a file name, or - for standard output, not ''");
    out.output = value == "-" ? "" : std::string(value);
  } else if (name == "--focus" || name == "--ignore" || name == "--hide" || name == "--by") {
    if (value.empty()) return Usage(absl::StrCat(name, " takes a value, not ''"));
    Transform& t = out.transform;
    (name == "--focus" ? t.focus : name == "--ignore" ? t.ignore : name == "--hide" ? t.hide : t.by) =
        std::string(value);
  } else if (name == "--from" || name == "--to") {
    absl::StatusOr<int64_t> time = ParseDuration(value);
    if (!time.ok()) {
      return Usage(absl::StrCat(name, " takes a time since the start such as 30, 30s, 5m or 500ms, not '",
                                value, "'"));
    }
    (name == "--from" ? out.transform.from_ns : out.transform.to_ns) = *time;
  } else if (name == "--merge") {
    out.transform.merge = true;
  } else if (name == "--invert") {
    out.transform.invert = true;
  } else if (name == "--fail-above") {
    double percent = 0;
    if (!absl::SimpleAtod(absl::StripSuffix(value, "%"), &percent) || !(percent >= 0) ||
        percent > 100) {
      return Usage(absl::StrCat("--fail-above takes a percentage from 0 to 100, not '", value, "'"));
    }
    out.fail_above = percent;
  } else if (name == "--format") {
    JPROF_RETURN_IF_ERROR(CheckFormat("", value));
    out.format = std::string(value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConvertOptions> ParseConvertOptions(absl::string_view name, size_t inputs,
                                                   const std::vector<std::string>& arguments) {
  ConvertOptions out;
  std::set<absl::string_view> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view word = arguments[i];
    if (word == "-" || !absl::StartsWith(word, "-")) {
      out.inputs.emplace_back(word);
      continue;
    }
    const size_t equals = absl::StartsWith(word, "--") ? word.find('=') : absl::string_view::npos;
    const Option* option = FindOption(name, word.substr(0, equals));
    if (option == nullptr) {
      std::vector<absl::string_view> known;
      for (const Option& o : kOptions) known.push_back(o.long_name);
      const std::string near = DidYouMean(word.substr(0, equals), known);
      return Usage(absl::StrCat("unknown option '", word, "'",
                                near.empty() ? absl::StrCat("; see jprof ", name, " --help")
                                             : absl::StrCat(", did you mean '", near, "'?")));
    }
    absl::string_view value;
    if (equals != absl::string_view::npos) {
      if (option->argument.empty()) {
        return Usage(absl::StrCat("option '", option->long_name, "' takes no value"));
      }
      value = word.substr(equals + 1);
    } else if (!option->argument.empty()) {
      if (++i == arguments.size()) {
        return Usage(absl::StrCat("option '", word, "' needs a value: ", option->argument));
      }
      value = arguments[i];
    }
    if (!given.insert(option->long_name).second && !option->argument.empty()) {
      return Usage(absl::StrCat("option '", option->long_name, "' is given twice"));
    }
    JPROF_RETURN_IF_ERROR(Apply(option->long_name, value, out));
  }
  if (out.help) return out;
  if (out.inputs.size() != inputs) {
    return Usage(absl::StrCat(name, " takes ", inputs == 1 ? "one profile" : "two profiles", ", not ",
                              out.inputs.size(), "; use: jprof ", name, inputs == 1 ? " IN" : " A B",
                              " -o OUT"));
  }
  if (out.transform.from_ns >= out.transform.to_ns) return Usage("--from has to be before --to");
  JPROF_RETURN_IF_ERROR(CheckFormat(out.output, out.format));
  if (name == "diff") out.writes = given.contains("--output") || given.contains("--format");
  const absl::string_view format = ChooseFormat(out.output, out.format).name;
  if (out.writes && !Writes(name, format)) {
    return Usage(absl::StrCat(name, " writes ", absl::StrJoin(kDiffFormats, ", "), ", not ", format));
  }
  return out;
}

std::string ConvertOptionsHelp(absl::string_view name) {
  std::string text = "options:\n";
  auto row = [&](std::string left, absl::string_view right) {
    left.resize(std::max<size_t>(left.size() + 2, 26), ' ');
    absl::StrAppend(&text, "  ", left, right, "\n");
  };
  for (const Option& o : kOptions) {
    if (!o.command.empty() && o.command != name) continue;
    row(absl::StrCat(o.short_name.empty() ? "    " : absl::StrCat(o.short_name, ", "), o.long_name,
                     o.argument.empty() ? "" : " ", o.argument),
        o.help);
  }
  absl::StrAppend(&text, "\nformats that are read (what a file is, it says itself; gzip too):\n");
  for (const ImportFormat& f : ImportFormats()) row(std::string(f.name), f.help);
  absl::StrAppend(&text, "\nformats that are written:\n");
  for (const ExportFormat& f : ExportFormats()) {
    if (!Writes(name, f.name)) continue;
    row(absl::StrCat(f.name, "  (", absl::StrJoin(f.suffixes, " "), ")"), f.help);
  }
  return text;
}

}  // namespace jprof
