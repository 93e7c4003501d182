#include "profiler/cli/convert_options.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "export/exporter.h"
#include "import/importer.h"
#include "profiler/cli/profile_file.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// What has room for two values of a frame.
constexpr absl::string_view kDiffFormats[] = {"svg", "html", "folded", "pprof"};

bool DiffWrites(absl::string_view format) {
  return std::find(std::begin(kDiffFormats), std::end(kDiffFormats), format) !=
         std::end(kDiffFormats);
}

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

absl::Status TakeOutput(absl::string_view value, ConvertOptions& out) {
  if (value.empty()) return Usage("--output takes a file name, or - for standard output, not ''");
  out.output = value == "-" ? "" : std::string(value);
  return absl::OkStatus();
}

absl::Status TakeFormat(absl::string_view value, ConvertOptions& out) {
  out.format = std::string(value);
  return CheckFormat("", value);
}

template <std::string Transform::*member>
absl::Status TakeText(absl::string_view value, ConvertOptions& out) {
  out.transform.*member = std::string(value);
  return absl::OkStatus();
}

template <bool Transform::*member>
absl::Status TakeYes(absl::string_view, ConvertOptions& out) {
  out.transform.*member = true;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ParseMoment(absl::string_view option, absl::string_view value) {
  if (value == "0" || value == "0s" || value == "0ms") return 0;
  absl::StatusOr<int64_t> time = ParseDuration(option, value);
  if (time.ok()) return time;
  return Usage(absl::StrCat(
      option, " takes a time since the start such as 30, 30s, 5m or 500ms, not '", value, "'"));
}

absl::Status TakeFrom(absl::string_view value, ConvertOptions& out) {
  JPROF_ASSIGN_OR_RETURN(out.transform.from_ns, ParseMoment("--from", value));
  return absl::OkStatus();
}

absl::Status TakeTo(absl::string_view value, ConvertOptions& out) {
  JPROF_ASSIGN_OR_RETURN(out.transform.to_ns, ParseMoment("--to", value));
  return absl::OkStatus();
}

absl::Status TakeLimit(absl::string_view value, ConvertOptions& out) {
  double percent = 0;
  if (!absl::SimpleAtod(absl::StripSuffix(value, "%"), &percent) || !(percent >= 0) ||
      percent > 100) {
    return Usage(absl::StrCat("--fail-above takes a percentage from 0 to 100, not '", value, "'"));
  }
  out.fail_above = percent;
  return absl::OkStatus();
}

// Of both; `inputs` is said in words, `usage` what would be right.
absl::Status CheckBoth(const Arguments& arguments, size_t inputs, absl::string_view takes,
                       absl::string_view usage, ConvertOptions& out) {
  out.inputs = arguments.words;
  if (out.inputs.size() != inputs) {
    return Usage(absl::StrCat(takes, ", not ", out.inputs.size(), "; use: jprof ", usage));
  }
  for (absl::string_view name : {"--focus", "--ignore", "--hide", "--by"}) {
    const auto given = arguments.given.find(name);
    if (given != arguments.given.end() && given->second.empty()) {
      return Usage(absl::StrCat(name, " takes a value, not ''"));
    }
  }
  if (out.transform.from_ns >= out.transform.to_ns) return Usage("--from has to be before --to");
  return CheckFormat(out.output, out.format);
}

absl::Status CheckConvert(const Arguments& arguments, ConvertOptions& out) {
  return CheckBoth(arguments, 1, "convert takes one profile", "convert IN -o OUT", out);
}

absl::Status CheckDiff(const Arguments& arguments, ConvertOptions& out) {
  JPROF_RETURN_IF_ERROR(
      CheckBoth(arguments, 2, "diff takes two profiles", "diff A B -o OUT", out));
  out.writes = arguments.given.contains("--output") || arguments.given.contains("--format");
  const absl::string_view format = ChooseFormat(out.output, out.format).name;
  if (!out.writes || DiffWrites(format)) return absl::OkStatus();
  return Usage(absl::StrCat("diff writes ", absl::StrJoin(kDiffFormats, ", "), ", not ", format));
}

std::vector<Option<ConvertOptions>> OptionsOfBoth() {
  return {
      {{"", "--format", "FORMAT", "choose the format by name"}, TakeFormat},
      {{"", "--focus", "REGEX", "only stacks with a frame that matches"},
       TakeText<&Transform::focus>},
      {{"", "--ignore", "REGEX", "no stacks with a frame that matches"},
       TakeText<&Transform::ignore>},
      {{"", "--hide", "REGEX", "no frames that match"}, TakeText<&Transform::hide>},
      {{"", "--by", "KEY",
        "begin stacks with comm, pid, tid, thread, cgroup, container, cpu,\nor a label of samples"},
       TakeText<&Transform::by>},
      {{"", "--from", "TIME", "only what was sampled from then on: 30, 30s, 5m, 500ms"}, TakeFrom},
      {{"", "--to", "TIME", "only what was sampled before"}, TakeTo},
      {{"", "--merge", "", "show a function that is on the stack already only once"},
       TakeYes<&Transform::merge>},
      {{"", "--invert", "", "begin stacks with what executes, its callers above it"},
       TakeYes<&Transform::invert>},
  };
}

std::string Formats(bool diff) {
  std::string text = "formats that are read (what a file is, it says itself; gzip too):\n";
  for (const ImportFormat& f : ImportFormats()) absl::StrAppend(&text, HelpRow(f.name, f.help));
  absl::StrAppend(&text, "\nformats that are written:\n");
  for (const ExportFormat& f : ExportFormats()) {
    if (diff && !DiffWrites(f.name)) continue;
    absl::StrAppend(&text, HelpRow(absl::StrCat(f.name, "  (", absl::StrJoin(f.suffixes, " "), ")"),
                                   f.help));
  }
  return text;
}

}  // namespace

CommandSyntax<ConvertOptions> ConvertSyntax() {
  CommandSyntax<ConvertOptions> syntax = {
      .text =
          {.name = "convert",
           .summary = "write a profile of one format in another",
           .usage = "convert IN -o OUT [options]\n",
           .about =
               "Writes a profile of one format in another. IN may be -, standard input.\n"
               "\n"
               "  jprof convert cpu.pb.gz -o cpu.svg          a flame graph of what Go's pprof wrote\n"
               "  jprof convert cpu.pb.gz -o gc.svg --focus gc --by tid   what collects garbage, by thread\n"
               "  jprof convert stacks.folded -o out.pb.gz    folded stacks for pprof\n",
           .more = Formats(false)},
      .options = OptionsOfBoth(),
      .check = CheckConvert};
  syntax.options.insert(
      syntax.options.begin(),
      {{"-o", "--output", "FILE",
        "write to FILE, its suffix chooses the format (default: -, stdout)"},
       TakeOutput});
  return syntax;
}

CommandSyntax<ConvertOptions> DiffSyntax() {
  CommandSyntax<ConvertOptions> syntax = {
      .text =
          {.name = "diff",
           .summary = "say what takes more in one profile than in another",
           .usage = "diff A B [-o OUT] [options]\n",
           .about =
               "Says what changed from profile A to profile B, by the shares of their samples: a picture coloured\n"
               "by change (or folded stacks with two counts, or pprof as of -diff_base), and on standard error the\n"
               "functions that grew most. Any format that jprof convert reads.\n"
               "\n"
               "  jprof diff old.pb.gz new.pb.gz -o diff.svg             what is red takes more than before\n"
               "  jprof diff old.pb.gz new.pb.gz --fail-above 2          in CI: exit status 3 if a function's\n"
               "                                                         own share grew by more than 2 points\n",
           .more = Formats(true)},
      .options = OptionsOfBoth(),
      .check = CheckDiff};
  syntax.options.insert(
      syntax.options.begin(),
      {{"-o", "--output", "FILE",
        "write to FILE (-: stdout), its suffix chooses the format; without\n"
        "-o and --format nothing is written but the functions that grew"},
       TakeOutput});
  syntax.options.push_back(
      {{"", "--fail-above", "PCT",
        "exit with 3 when a function's own share grew by more percentage points"},
       TakeLimit});
  return syntax;
}

}  // namespace jprof
