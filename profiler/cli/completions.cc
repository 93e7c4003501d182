#include "profiler/cli/completions.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "export/exporter.h"

namespace jprof {
namespace {

constexpr absl::string_view kDefaultCommand = "record";

// What a value may be.
struct Values {
  bool pids = false;
  bool files = false;
  bool folders = false;
  std::vector<std::string> words;

  bool any() const { return pids || files || folders || !words.empty(); }
};

bool IsWord(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) || c == '-' || c == ':';
  });
}

// "PID|CORE", "kernel|ring", "syscall:NAME|gc".
Values ValuesOf(absl::string_view argument) {
  Values values;
  for (absl::string_view one : absl::StrSplit(argument, '|')) {
    if (one == "PID") values.pids = true;
    if (one == "FILE" || one == "CORE" || one == "IN" || one == "A") values.files = true;
    if (one == "FOLDER") values.folders = true;
    if (one == "FORMAT") {
      for (const ExportFormat& format : ExportFormats()) values.words.emplace_back(format.name);
    }
    const size_t colon = one.find(':');
    const absl::string_view word =
        one.substr(0, colon == absl::string_view::npos ? colon : colon + 1);
    if (IsWord(word)) values.words.emplace_back(word);
  }
  return values;
}

// Of the words that are no options: as the usage has the first.
Values WordsOf(const CommandText& command) {
  absl::string_view usage = command.usage;
  if (!command.takes_words || !absl::ConsumePrefix(&usage, command.name)) return {};
  usage = absl::StripAsciiWhitespace(usage);
  return ValuesOf(usage.substr(0, usage.find_first_of(" \n")));
}

std::vector<absl::string_view> NamesOf(const OptionText& option) {
  if (option.short_name.empty()) return {option.long_name};
  return {option.short_name, option.long_name};
}

absl::string_view FirstLine(absl::string_view text) { return text.substr(0, text.find('\n')); }

// --- bash

std::string BashCall(const Values& values) {
  std::vector<std::string> calls;
  if (values.pids) calls.push_back("_jprof_pids");
  if (values.files) calls.push_back("_jprof_files -f");
  if (values.folders) calls.push_back("_jprof_files -d");
  if (!values.words.empty()) {
    calls.push_back(absl::StrCat("_jprof_words '", absl::StrJoin(values.words, " "), "'"));
  }
  return calls.empty() ? ":" : absl::StrJoin(calls, "; ");
}

constexpr absl::string_view kBashBegin =
    R"sh(# bash completion for jprof, made of its tables of options

_jprof_words() { COMPREPLY+=($(compgen -W "$1" -- "$cur")); }
_jprof_pids() { _jprof_words "$(cd /proc && echo [0-9]*)"; }
_jprof_files() {
  local file
  compopt -o filenames 2>/dev/null
  while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen "$1" -- "$cur")
}

_jprof() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=record i
  COMPREPLY=()
  # --option=value comes as three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
)sh";

constexpr absl::string_view kBashEnd = R"sh(
}

complete -F _jprof jprof
)sh";

// --- zsh

std::string ZshAction(const Values& values) {
  std::vector<std::string> actions;
  if (values.pids) actions.push_back("_jprof_pids");
  if (values.files) actions.push_back("_files");
  if (values.folders) actions.push_back("_files -/");
  if (!values.words.empty()) {
    actions.push_back(absl::StrReplaceAll(absl::StrCat("(", absl::StrJoin(values.words, " "), ")"),
                                          {{":", "\\:"}}));
  }
  if (actions.size() < 2) return absl::StrJoin(actions, "");
  // Behind a blank: _arguments then adds no options of its own, which _alternative does not take.
  return absl::StrCat(" _jprof_values \"", absl::StrJoin(actions, "\" \""), "\"");
}

// Within single quotes, in a description in brackets.
std::string ZshText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"'", "'\\''"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshOption(const OptionText& option) {
  const std::string names = absl::StrJoin(NamesOf(option), ",");
  std::string spec =
      option.short_name.empty()
          ? absl::StrCat("'", option.repeats ? "*" : "", option.long_name)
          : absl::StrCat(option.repeats
                             ? "'*'"
                             : absl::StrCat("'(", absl::StrJoin(NamesOf(option), " "), ")'"),
                         "{", names, "}'");
  absl::StrAppend(&spec, "[", ZshText(FirstLine(option.help)), "]");
  if (!option.argument.empty()) {
    absl::StrAppend(&spec, ":", ZshText(option.argument), ":",
                    ZshAction(ValuesOf(option.argument)));
  }
  return absl::StrCat(spec, "'");
}

// --- fish

std::string FishText(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// Behind an option, or a command.
std::string FishValues(const Values& values) {
  std::vector<std::string> words;
  if (values.pids) words.push_back("(__fish_complete_pids)");
  if (values.folders) words.push_back("(__fish_complete_directories)");
  words.insert(words.end(), values.words.begin(), values.words.end());
  const std::string list =
      words.empty() ? "" : absl::StrCat(" -a ", FishText(absl::StrJoin(words, " ")));
  return absl::StrCat(values.files ? " -F" : " -f", list);
}

}  // namespace

std::string BashCompletion(const std::vector<CommandText>& commands) {
  std::vector<absl::string_view> names;
  for (const CommandText& command : commands) names.push_back(command.name);
  std::string out = absl::StrCat(
      kBashBegin, "  if ((COMP_CWORD > 1)); then\n    case ${COMP_WORDS[1]} in\n      ",
      absl::StrJoin(names, "|"), ") command=${COMP_WORDS[1]} ;;\n    esac\n  fi\n",
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    if [[ ${COMP_WORDS[i]} == -- && $command == ", kDefaultCommand, " ]]; then\n"
      "      _jprof_files -c; _jprof_files -f; return\n    fi\n  done\n",
      "  case $command:$prev in\n");
  for (const CommandText& command : commands) {
    for (const OptionText& option : command.options) {
      if (option.argument.empty()) continue;
      std::vector<std::string> patterns;
      for (absl::string_view name : NamesOf(option))
        patterns.push_back(absl::StrCat(command.name, ":", name));
      absl::StrAppend(&out, "    ", absl::StrJoin(patterns, "|"), ") ",
                      BashCall(ValuesOf(option.argument)), "; return ;;\n");
    }
  }
  absl::StrAppend(&out, "  esac\n  case $command:$cur in\n");
  for (const CommandText& command : commands) {
    std::vector<absl::string_view> options;
    for (const OptionText& option : command.options) {
      for (absl::string_view name : NamesOf(option)) options.push_back(name);
    }
    absl::StrAppend(&out, "    ", command.name, ":-*) _jprof_words '", absl::StrJoin(options, " "),
                    "' ;;\n");
    const Values words = WordsOf(command);
    if (words.any()) absl::StrAppend(&out, "    ", command.name, ":*) ", BashCall(words), " ;;\n");
  }
  return absl::StrCat(out,
                      "  esac\n  if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then _jprof_words '",
                      absl::StrJoin(names, " "), "'; fi", kBashEnd);
}

std::string ZshCompletion(const std::vector<CommandText>& commands) {
  std::string out =
      "#compdef jprof\n# zsh completion for jprof, made of its tables of options\n\n"
      // _pids has those of the terminal alone.
      "_jprof_pids() {\n  local -a all\n  local pid\n"
      "  for pid in /proc/<1->(/N:t); do\n"
      "    all+=(\"$pid:${$(</proc/$pid/comm)//:/\\:}\")\n  done 2>/dev/null\n"
      "  _describe process all\n}\n\n"
      "_jprof_values() {\n  local -a all\n  local action\n"
      "  for action; do all+=(\"values:value:$action\"); done\n  _alternative $all\n}\n\n"
      "_jprof() {\n  local -a commands\n  commands=(\n";
  for (const CommandText& command : commands) {
    absl::StrAppend(&out, "    '", command.name, ":", ZshText(command.summary), "'\n");
  }
  absl::StrAppend(
      &out,
      "  )\n  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n"
      "    _describe command commands\n    return\n  fi\n"
      "  local command=",
      kDefaultCommand,
      "\n"
      "  if (( ${commands[(I)$words[2]:*]} )); then\n"
      "    command=$words[2]\n    shift words\n    ((CURRENT--))\n  fi\n  case $command in\n");
  for (const CommandText& command : commands) {
    absl::StrAppend(&out, "    ", command.name, ")\n      _arguments");
    for (const OptionText& option : command.options) {
      absl::StrAppend(&out, " \\\n        ", ZshOption(option));
    }
    const Values words = WordsOf(command);
    if (words.any()) absl::StrAppend(&out, " \\\n        '*:: :", ZshAction(words), "'");
    if (command.starts_command) absl::StrAppend(&out, " \\\n        '*:: :_normal'");
    out += "\n      ;;\n";
  }
  return absl::StrCat(out, "  esac\n}\n\n_jprof \"$@\"\n");
}

std::string FishCompletion(const std::vector<CommandText>& commands) {
  std::vector<absl::string_view> others;
  for (const CommandText& command : commands) {
    if (command.name != kDefaultCommand) others.push_back(command.name);
  }
  std::string out =
      "# fish completion for jprof, made of its tables of options\n\ncomplete -c jprof -f\n";
  for (const CommandText& command : commands) {
    absl::StrAppend(&out, "complete -c jprof -n __fish_use_subcommand -a ", command.name, " -d ",
                    FishText(command.summary), "\n");
  }
  for (const CommandText& command : commands) {
    const std::string when =
        command.name == kDefaultCommand
            ? absl::StrCat("'not __fish_seen_subcommand_from ", absl::StrJoin(others, " "), "'")
            : absl::StrCat("'__fish_seen_subcommand_from ", command.name, "'");
    const std::string begin = absl::StrCat("complete -c jprof -n ", when);
    for (const OptionText& option : command.options) {
      absl::StrAppend(&out, begin);
      if (!option.short_name.empty()) absl::StrAppend(&out, " -s ", option.short_name.substr(1));
      absl::StrAppend(&out, " -l ", option.long_name.substr(2));
      if (!option.argument.empty()) {
        absl::StrAppend(&out, " -r", FishValues(ValuesOf(option.argument)));
      }
      absl::StrAppend(&out, " -d ", FishText(FirstLine(option.help)), "\n");
    }
    const Values words = WordsOf(command);
    if (words.any()) absl::StrAppend(&out, begin, FishValues(words), "\n");
  }
  return out;
}

}  // namespace jprof
