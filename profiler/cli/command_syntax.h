// What the command line of a command may hold, as a table of its options. From it the line is read
// and the help is written; whoever writes completions or a manual page takes the same texts
// (AllCommands() in command_line.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/status.h"

namespace jprof {

// What is told of an option.
struct OptionText {
  absl::string_view short_name;  // "-p"; "": none
  absl::string_view long_name;   // "--pid"
  // What its value is called, "" when it takes none. FILE, FOLDER, PID, FORMAT and TIME mean what
  // they say; "kernel|ring" are the values that there are.
  absl::string_view argument;
  absl::string_view help;  // '\n' between its lines; "": for jprof itself, told nobody
  bool repeats = false;    // may be given with several values
};

// What is told of a command. Texts end with a line's end, those that are not "".
struct CommandText {
  absl::string_view name;           // "stacks"
  absl::string_view summary;        // what it does, in half a sentence
  absl::string_view usage;          // lines that follow "jprof "
  absl::string_view about;          // paragraphs
  std::string more;                 // what is behind the options
  bool starts_command = false;      // what follows "--" is a command to start, else more words
  bool takes_words = true;          // something besides options
  std::vector<OptionText> options;  // with --help
};

// An option of a command whose options are a T, and where its value goes: into a member (true, the
// text, a process's number, a time in nanoseconds), or to a function that judges it.
template <typename T>
struct Option : OptionText {
  std::variant<bool T::*, std::string T::*, Pid T::*, int64_t T::*,
               absl::Status (*)(absl::string_view value, T& out)>
      target;
};

// A command line that fits its table.
struct Arguments {
  bool help = false;
  std::vector<std::string> words;    // what is no option, in its order
  std::vector<std::string> command;  // to start
  std::map<absl::string_view, std::string> given;  // options by long name, with the last value
};

// T has a bool `help`.
template <typename T>
struct CommandSyntax {
  CommandText text;  // without its options
  std::vector<Option<T>> options;
  // Takes the words, and says whether all goes together; not asked when help is wanted.
  absl::Status (*check)(const Arguments& arguments, T& out);
};

// Reads a command line; `take` gets the options by their index, with their values, in their order.
// After --help nothing is looked at. InvalidArgument: what is wrong, and what would be right.
absl::StatusOr<Arguments> ReadArguments(
    const CommandText& text, const std::vector<std::string>& arguments,
    absl::FunctionRef<absl::Status(size_t option, absl::string_view value)> take);

std::string HelpOf(const CommandText& text);
// A line of it: "  left    right\n".
std::string HelpRow(absl::string_view left, absl::string_view right);
// "-p, --pid PID".
std::string SpellingOf(const OptionText& option);

// "30", "30s", "1.5s", "500ms", "5m", "1h". `option`: whose value it is, for the message.
absl::StatusOr<int64_t> ParseDuration(absl::string_view option, absl::string_view text);
absl::StatusOr<Pid> ParsePid(absl::string_view text);

// The known word that `word` most likely stands for, "" when none is near.
std::string DidYouMean(absl::string_view word, const std::vector<absl::string_view>& known);

// With all options, those too that are told nobody.
template <typename T>
CommandText WholeTextOf(const CommandSyntax<T>& syntax) {
  CommandText text = syntax.text;
  text.options.assign(syntax.options.begin(), syntax.options.end());
  text.options.push_back({"-h", "--help", "", "print this help"});
  return text;
}

template <typename T>
CommandText TextOf(const CommandSyntax<T>& syntax) {
  CommandText text = WholeTextOf(syntax);
  std::erase_if(text.options, [](const OptionText& option) { return option.help.empty(); });
  return text;
}

template <typename T>
absl::Status SetOption(const Option<T>& option, absl::string_view value, T& out) {
  if (const auto* member = std::get_if<bool T::*>(&option.target)) {
    out.**member = true;
  } else if (const auto* text = std::get_if<std::string T::*>(&option.target)) {
    out.**text = std::string(value);
  } else if (const auto* pid = std::get_if<Pid T::*>(&option.target)) {
    JPROF_ASSIGN_OR_RETURN(out.**pid, ParsePid(value));
  } else if (const auto* time_ns = std::get_if<int64_t T::*>(&option.target)) {
    JPROF_ASSIGN_OR_RETURN(out.**time_ns, ParseDuration(option.long_name, value));
  } else {
    return std::get<absl::Status (*)(absl::string_view, T&)>(option.target)(value, out);
  }
  return absl::OkStatus();
}

// InvalidArgument: for exit status 2.
template <typename T>
absl::StatusOr<T> ParseCommand(const CommandSyntax<T>& syntax,
                               const std::vector<std::string>& arguments) {
  T out;
  JPROF_ASSIGN_OR_RETURN(const Arguments read,
                         ReadArguments(WholeTextOf(syntax), arguments,
                                       [&](size_t option, absl::string_view value) {
                                         return SetOption(syntax.options[option], value, out);
                                       }));
  out.help = read.help;
  if (!out.help) JPROF_RETURN_IF_ERROR(syntax.check(read, out));
  return out;
}

}  // namespace jprof
