#include "profiler/cli/command_syntax.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

constexpr double kMinDurationSeconds = 1e-3;
constexpr double kMaxDurationSeconds = 366.0 * 24 * 3600;
constexpr size_t kHelpColumn = 26;

absl::Status Usage(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

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

absl::Status UnknownOption(const CommandText& text, absl::string_view name) {
  std::vector<absl::string_view> known;
  for (const OptionText& option : text.options) {
    if (!option.help.empty()) known.push_back(option.long_name);
  }
  const std::string near = DidYouMean(name, known);
  if (!near.empty()) {
    return Usage(absl::StrCat("unknown option '", name, "', did you mean '", near, "'?"));
  }
  return Usage(absl::StrCat("unknown option '", name, "'; see jprof ",
                            text.name == "record" ? "" : absl::StrCat(text.name, " "), "--help"));
}

// A word of the line that begins with "-": "--pid", "--pid=1", "-p" or "-p1".
struct OptionWord {
  absl::string_view name;
  absl::string_view value;
  bool has_value = false;
};
OptionWord TakeApart(absl::string_view word) {
  if (!absl::StartsWith(word, "--")) {
    return {word.substr(0, 2), word.size() > 2 ? word.substr(2) : "", word.size() > 2};
  }
  const size_t equals = word.find('=');
  if (equals == absl::string_view::npos) return {word, ""};
  return {word.substr(0, equals), word.substr(equals + 1), true};
}

}  // namespace

absl::StatusOr<Arguments> ReadArguments(
    const CommandText& text, const std::vector<std::string>& arguments,
    absl::FunctionRef<absl::Status(size_t option, absl::string_view value)> take) {
  Arguments read;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view word = arguments[i];
    if (word == "--") {
      std::vector<std::string>& rest = text.starts_command ? read.command : read.words;
      rest.insert(rest.end(), arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      if (rest.empty() && text.starts_command) {
        return Usage("'--' is followed by the command to start");
      }
      break;
    }
    if (word.empty() || word[0] != '-' || (word == "-" && text.takes_words)) {
      read.words.emplace_back(word);
      continue;
    }
    OptionWord given = TakeApart(word);
    const auto option = std::find_if(
        text.options.begin(), text.options.end(), [&given](const OptionText& known) {
          return given.name == known.long_name ||
                 (!known.short_name.empty() && given.name == known.short_name);
        });
    if (option == text.options.end()) return UnknownOption(text, given.name);
    if (option->argument.empty() && given.has_value) {
      return Usage(absl::StrCat("option '", given.name, "' takes no value"));
    }
    if (!option->argument.empty() && !given.has_value) {
      if (i + 1 == arguments.size()) {
        return Usage(absl::StrCat("option '", given.name, "' needs a value: ", option->argument));
      }
      given.value = arguments[++i];
    }
    if (option->long_name == "--help") {
      read.help = true;
      break;
    }
    // Which of two values was meant is not ours to guess; saying yes twice means yes.
    auto [before, first] = read.given.try_emplace(option->long_name, given.value);
    if (!first && !option->argument.empty() && !option->repeats) {
      return Usage(absl::StrCat("option '", given.name, "' is given twice (", before->second, ", ",
                                given.value, "), keep one of them"));
    }
    JPROF_RETURN_IF_ERROR(take(static_cast<size_t>(option - text.options.begin()), given.value));
  }
  return read;
}

std::string HelpRow(absl::string_view left, absl::string_view right) {
  std::string row = absl::StrCat("  ", left, "  ");
  row.resize(std::max(row.size(), kHelpColumn + 2), ' ');
  const std::string next_line = "\n" + std::string(kHelpColumn + 2, ' ');
  return absl::StrCat(row, absl::StrReplaceAll(right, {{"\n", next_line}}), "\n");
}

std::string SpellingOf(const OptionText& option) {
  return absl::StrCat(option.short_name, option.short_name.empty() ? "" : ", ", option.long_name,
                      option.argument.empty() ? "" : " ", option.argument);
}

std::string HelpOf(const CommandText& text) {
  std::string help;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text.usage, "\n"), '\n')) {
    absl::StrAppend(&help, help.empty() ? "usage: jprof " : "       jprof ", line, "\n");
  }
  absl::StrAppend(&help, "\n", text.about, "\noptions:\n");
  for (const OptionText& option : text.options) {
    absl::StrAppend(&help, HelpRow(absl::StrCat(option.short_name.empty() ? "    " : "",
                                                SpellingOf(option)),
                                   option.help));
  }
  if (!text.more.empty()) absl::StrAppend(&help, "\n", text.more);
  return help;
}

absl::StatusOr<int64_t> ParseDuration(absl::string_view option, absl::string_view text) {
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
      case 'd':
        unit = 24 * 3600;
        break;
      default:
        unit = 0;
    }
    number.remove_suffix(1);
  }
  double value = 0;
  const bool is_decimal = number.find_first_of("xX") == number.npos;  // C's hexadecimal digits
  if (unit == 0 || !is_decimal || !absl::SimpleAtod(number, &value) || !std::isfinite(value) ||
      value * unit < kMinDurationSeconds || value * unit > kMaxDurationSeconds) {
    return Usage(absl::StrCat(
        option, " takes a time from 1ms to 366d such as 30, 30s, 5m or 1h, not '", text, "'"));
  }
  return static_cast<int64_t>(value * unit * 1e9);
}

absl::StatusOr<Pid> ParsePid(absl::string_view text) {
  Pid pid = 0;
  if (!absl::SimpleAtoi(text, &pid) || pid < 1) {
    return Usage(absl::StrCat("'", text, "' is no process"));
  }
  return pid;
}

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

}  // namespace jprof
