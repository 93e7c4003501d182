#include "profiler/cli/manual.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

constexpr absl::string_view kDescription =
    "jprof is a sampling profiler that shows what a running service does in the language that it was\n"
    "written in: JavaScript functions beside C++ and the kernel. The process needs no flag and no restart.\n"
    "\n"
    "A first word that is no command is an option of\n"
    "jprof record.\n";

struct Entry {
  absl::string_view left;
  absl::string_view right;
};

constexpr Entry kExitStatus[] = {
    {"0", "All went well."},
    {"1", "It failed; one line on standard error says why, and what helps."},
    {"2", "The command line is wrong."},
    {"3", "record: below --min-quality. diff: above --fail-above."},
    {"126, 127", "record: the command to start cannot be executed, or is not there."},
    {"others",
     "record: that of the command that was started; 128 and its signal when one killed it."},
};

constexpr Entry kEnvironment[] = {
    {"DEBUGINFOD_URLS", "Servers that are asked for debug files, by build ID. Not by top."},
    {"NO_COLOR", "If not empty, top draws without colours."},
    {"TERM", "If it is empty or dumb, top prints plain text."},
    {"COLUMNS", "The width of top's plain text (default 120)."},
    {"XDG_CACHE_HOME, HOME", "Where call-frame tables are kept."},
    {"JPROF_PID, JPROF_TID", "Set for a command of trap --do exec=COMMAND."},
};

constexpr Entry kFiles[] = {
    {"~/.cache/jprof/unwind",
     "Call-frame tables of files that were seen before. May be removed at any time."},
    {"/tmp/perf-PID.map",
     "Names of JIT code that a process wrote, read where no runtime helper has one: in the folder that its\n"
     "command line or environment names, if it does (--perf-basic-prof-path, DOTNET_PerfMapJitDumpPath)."},
    {"jprof.svg", "The profile of a command that was started, if -o names no other."},
};

constexpr Entry kExamples[] = {
    {"jprof -p 4711 -F 99 -d 30 > out.svg", "A flame graph of 30 seconds of a process."},
    {"jprof -o out.svg -- node app.js", "A program from its first instruction."},
    {"jprof top -a", "What the host does now."},
    {"jprof why 4711", "What a process does or waits for, in one sentence."},
    {"jprof diff old.pb.gz new.pb.gz -o diff.svg --fail-above 2", "What takes more than before."},
};

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\e"},
                                    {"-", "\\-"},
                                    {"~", "\\(ti"},
                                    {"^", "\\(ha"},
                                    {"'", "\\(aq"},
                                    {"`", "\\(ga"}});
}

// A line of text, which may begin like a request.
std::string TextLine(absl::string_view line) {
  const bool is_request = absl::StartsWith(line, ".");
  return absl::StrCat(is_request ? "\\&" : "", Escaped(line), "\n");
}

// Paragraphs; lines that are indented are as they are.
std::string Paragraphs(absl::string_view text) {
  std::string out;
  bool literal = false, fresh = true;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    const bool indented = absl::StartsWith(line, "  ");
    if (literal && !indented) out += ".EE\n.RE\n";
    if (!literal && indented) out += ".PP\n.RS 4\n.EX\n";
    if (!indented && !line.empty() && (literal || fresh)) out += ".PP\n";
    literal = indented;
    fresh = line.empty();
    if (!line.empty()) out += TextLine(indented ? line.substr(2) : line);
  }
  if (literal) out += ".EE\n.RE\n";
  return out;
}

std::string Tagged(absl::string_view left, absl::string_view right) {
  std::string out = absl::StrCat(".TP\n", left, "\n");
  for (absl::string_view line : absl::StrSplit(right, '\n')) out += TextLine(line);
  return out;
}

template <size_t N>
std::string Section(absl::string_view title, const Entry (&entries)[N]) {
  std::string out = absl::StrCat(".SH ", title, "\n");
  for (const Entry& entry : entries) {
    out += Tagged(absl::StrCat("\\fB", Escaped(entry.left), "\\fR"), entry.right);
  }
  return out;
}

std::string OptionTag(const OptionText& option) {
  std::string tag;
  for (absl::string_view name : {option.short_name, option.long_name}) {
    if (name.empty()) continue;
    absl::StrAppend(&tag, tag.empty() ? "" : ", ", "\\fB", Escaped(name), "\\fR");
  }
  if (!option.argument.empty()) absl::StrAppend(&tag, " \\fI", Escaped(option.argument), "\\fR");
  return tag;
}

std::string Command(const CommandText& command) {
  std::string out = absl::StrCat(".SS jprof ", command.name, "\n", ".nf\n");
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(command.usage, "\n"), '\n')) {
    absl::StrAppend(&out, "\\fBjprof\\fR ", Escaped(line), "\n");
  }
  absl::StrAppend(&out, ".fi\n", Paragraphs(command.about));
  for (const OptionText& option : command.options) out += Tagged(OptionTag(option), option.help);
  if (!command.more.empty()) out += Paragraphs(command.more);
  return out;
}

}  // namespace

std::string ManualPage(const std::vector<CommandText>& commands, absl::string_view version) {
  std::string page = absl::StrCat(
      ".TH JPROF 1 \"\" \"jprof ", version, "\" \"User Commands\"\n",
      ".SH NAME\njprof \\- sample what processes do, in the language that they were written in\n",
      ".SH SYNOPSIS\n.nf\n");
  for (const CommandText& command : commands) {
    for (absl::string_view line : absl::StrSplit(absl::StripSuffix(command.usage, "\n"), '\n')) {
      absl::StrAppend(&page, "\\fBjprof\\fR ", Escaped(line), "\n");
    }
  }
  absl::StrAppend(&page, ".fi\n.SH DESCRIPTION\n",
                  absl::StripPrefix(Paragraphs(kDescription), ".PP\n"), ".SH COMMANDS\n");
  for (const CommandText& command : commands)
    page += Tagged(absl::StrCat("\\fB", command.name, "\\fR"), command.summary);
  page += ".SH OPTIONS\n";
  for (const CommandText& command : commands) page += Command(command);
  absl::StrAppend(
      &page, Section("EXIT STATUS", kExitStatus), Section("ENVIRONMENT", kEnvironment),
      Section("FILES", kFiles), Section("EXAMPLES", kExamples),
      ".SH SEE ALSO\n.BR perf (1),\n.BR top (1),\n.BR proc (5),\n.BR capabilities (7)\n");
  return page;
}

}  // namespace jprof
