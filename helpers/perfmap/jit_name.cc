#include "helpers/perfmap/jit_name.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

using absl::string_view;
constexpr size_t kNone = string_view::npos;
constexpr string_view kAnonymous = "(anonymous)";
constexpr string_view kProgram = "(program)";  // code outside functions

size_t Digits(string_view text) {
  size_t n = 0;
  while (n < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[n]))) ++n;
  return n;
}

// Takes ":NUMBER" off the end.
bool ConsumeNumberAtEnd(string_view* text, uint32_t* number) {
  const size_t colon = text->rfind(':');
  if (colon == kNone) return false;
  const string_view digits = text->substr(colon + 1);
  if (digits.empty() || Digits(digits) != digits.size() || !absl::SimpleAtoi(digits, number)) {
    return false;
  }
  *text = text->substr(0, colon);
  return true;
}

// A program's own code is written as the path of its file.
JitName NameOrFile(string_view text) {
  if (absl::StartsWith(text, "/")) return {std::string(kProgram), std::string(text)};
  return {std::string(text)};
}

// "JS:*" and the like. The tier is one of ~^+*, with an 'o' before it for code that was entered in
// a loop, and a ' behind it for code that is of one closure alone.
bool ConsumeV8Kind(string_view* text, char* tier) {
  constexpr string_view kKinds[] = {"JS:", "LazyCompile:", "Function:", "Eval:", "Script:"};
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](string_view k) { return absl::StartsWith(*text, k); });
  if (kind == std::end(kKinds)) return false;
  string_view rest = text->substr(kind->size());
  if (rest.size() > 1 && rest[0] == 'o' && string_view("~^+*").find(rest[1]) != kNone) {
    rest.remove_prefix(1);
  }
  if (rest.empty() || string_view("~^+*").find(rest[0]) == kNone) return false;
  *tier = rest[0];
  rest.remove_prefix(1);
  absl::ConsumePrefix(&rest, "'");
  *text = rest;
  return true;
}

std::optional<JitName> ParseV8(string_view text) {
  JitName result;
  if (!ConsumeV8Kind(&text, &result.tier)) return std::nullopt;
  result.name = std::string(text);
  uint32_t last = 0, before = 0;
  if (!ConsumeNumberAtEnd(&text, &last)) return result;
  result.start_line = ConsumeNumberAtEnd(&text, &before) ? before : last;
  // Names and paths may both have blanks.
  size_t split = kNone;
  for (string_view start : {" /", " file://", " node:", " http://", " https://"}) {
    split = std::min(split, text.find(start));
  }
  if (split == kNone) split = text.rfind(' ');
  if (split == kNone) return JitName{.name = std::move(result.name), .tier = result.tier};
  result.name = std::string(split == 0 ? kAnonymous : text.substr(0, split));
  result.file = std::string(text.substr(split + 1));
  return result;
}

std::optional<JitName> ParseJsc(string_view text) {
  constexpr std::pair<string_view, char> kTiers[] = {
      {"JSC-Baseline: ", '^'}, {"JSC-DFG: ", '+'}, {"JSC-FTL: ", '*'}};
  for (const auto& [prefix, tier] : kTiers) {
    if (!absl::ConsumePrefix(&text, prefix)) continue;
    JitName result = NameOrFile(text.substr(0, text.rfind('#')));  // behind it a hash of the source
    result.tier = tier;
    return result;
  }
  return std::nullopt;
}

// A hidden class has its address behind its name: "/0x00007fb864000c18".
std::string WithoutAddresses(string_view name) {
  std::string result;
  for (size_t at; (at = name.find("/0x")) != kNone;) {
    absl::StrAppend(&result, name.substr(0, at));
    name.remove_prefix(at + 3);
    while (!name.empty() && absl::ascii_isxdigit(static_cast<unsigned char>(name[0]))) {
      name.remove_prefix(1);
    }
  }
  return absl::StrCat(result, name);
}

// TYPE CLASS.METHOD(TYPES)
std::optional<JitName> ParseHotSpot(string_view text) {
  const size_t open = text.find('('), blank = text.find(' ');
  if (open == kNone || blank == kNone || blank > open || !absl::EndsWith(text, ")")) {
    return std::nullopt;
  }
  const string_view method = text.substr(blank + 1, open - blank - 1);
  auto is_java = [](char c) {
    return static_cast<unsigned char>(c) >= 0x80 ||
           absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           string_view("_$.[]/<>-+").find(c) != kNone;
  };
  if (method.find('.') == kNone || !std::all_of(method.begin(), method.end(), is_java) ||
      !std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(blank), is_java)) {
    return std::nullopt;
  }
  return JitName{WithoutAddresses(text.substr(blank + 1))};
}

// Lpackage/Class;method(TYPES)TYPE, or Lpackage/Class;::method
std::optional<JitName> ParseJvmti(string_view text) {
  const size_t semicolon = text.find(';');
  if (!absl::StartsWith(text, "L") || semicolon == kNone || semicolon < 2) return std::nullopt;
  const string_view type = text.substr(1, semicolon - 1);
  string_view method = text.substr(semicolon + 1);
  const bool scoped = absl::ConsumePrefix(&method, "::") || absl::ConsumePrefix(&method, ".");
  const size_t open = method.find('(');
  if (type.find_first_of(" (:") != kNone || (open == kNone && !scoped) || open == 0 ||
      (open != kNone && method.find(')', open) == kNone)) {
    return std::nullopt;
  }
  return JitName{WithoutAddresses(
      absl::StrCat(absl::StrReplaceAll(WithoutAddresses(type), {{"/", "."}}), ".",
                   method.substr(0, open)))};
}

// TYPE [MODULE] CLASS::METHOD(TYPES)[TIER]
std::optional<JitName> ParseDotNet(string_view text) {
  constexpr std::pair<string_view, char> kTiers[] = {
      {"[Tier0]", '^'},           {"[QuickJitted]", '^'},
      {"[MinOptJitted]", '^'},    {"[Instrumented]", '^'},
      {"[InstrumentedTier0]", '^'}, {"[InstrumentedTier1]", '*'},
      {"[Optimized]", '*'},       {"[OptimizedTier1]", '*'},
      {"[OptimizedTier1OSR]", '*'}, {"[PreJIT]", '\0'},
      {"[ReadyToRun]", '\0'}};
  JitName result;
  const auto* tier = std::find_if(std::begin(kTiers), std::end(kTiers),
                                  [&](const auto& t) { return absl::EndsWith(text, t.first); });
  if (tier != std::end(kTiers)) {
    text.remove_suffix(tier->first.size());
    result.tier = tier->second;
  }
  // Other brackets have no blank behind them: "class [System.Runtime]System.String".
  const size_t close = text.find("] ");
  const size_t open = close == kNone ? kNone : text.rfind(" [", close);
  const bool has_module = open != kNone && text.find("::", close) != kNone;
  if (has_module) text.remove_prefix(close + 2);
  if (!has_module && tier == std::end(kTiers)) return std::nullopt;
  result.name = std::string(text);
  return result;
}

std::optional<JitName> ParsePython(string_view text) {
  if (!absl::ConsumePrefix(&text, "py::")) return std::nullopt;
  const size_t colon = text.find(':');
  if (colon == kNone) return std::nullopt;
  return JitName{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

std::optional<JitName> ParseBeam(string_view text) {
  if (!absl::ConsumePrefix(&text, "$") || text.find(':') == kNone) return std::nullopt;
  return JitName{std::string(text)};
}

// JIT$FUNCTION; JIT$$STUB is no function. TRACE-NUMBER[-EXIT]$FUNCTION$LINE
std::optional<JitName> ParsePhp(string_view text) {
  if (absl::ConsumePrefix(&text, "JIT$")) {
    if (text.empty() || text[0] == '$') return std::nullopt;
    return NameOrFile(text);
  }
  if (!absl::ConsumePrefix(&text, "TRACE-")) return std::nullopt;
  const size_t begin = text.find('$'), end = text.rfind('$');
  uint32_t line;
  if (begin == kNone || begin == 0 || begin == end ||
      text.substr(0, begin).find_first_not_of("0123456789-") != kNone ||
      !absl::SimpleAtoi(text.substr(end + 1), &line)) {
    return std::nullopt;
  }
  JitName result = NameOrFile(text.substr(begin + 1, end - begin - 1));
  result.name.insert(0, "trace of ");
  result.start_line = line;
  return result;
}

// TRACE_NUMBER::FILE:LINE
std::optional<JitName> ParseLuaJit(string_view text) {
  if (!absl::ConsumePrefix(&text, "TRACE_")) return std::nullopt;
  const size_t digits = Digits(text);
  text.remove_prefix(digits);
  JitName result = {"trace"};
  if (digits == 0 || !absl::ConsumePrefix(&text, "::") ||
      !ConsumeNumberAtEnd(&text, &result.start_line)) {
    return std::nullopt;
  }
  result.file = std::string(text);
  return result;
}

}  // namespace

bool IsV8FunctionName(string_view text) {
  char tier;
  return ConsumeV8Kind(&text, &tier);
}

JitName ParseJitName(string_view text) {
  for (auto* parse : {ParseV8, ParseJsc, ParsePython, ParseBeam, ParsePhp, ParseLuaJit, ParseJvmti,
                      ParseDotNet, ParseHotSpot}) {
    if (std::optional<JitName> name = parse(text); name && !name->name.empty()) {
      return *std::move(name);
    }
  }
  return {std::string(text)};
}

}  // namespace jprof
