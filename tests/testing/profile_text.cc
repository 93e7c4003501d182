#include "tests/testing/profile_text.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/core/profile_builder.h"

namespace jprof {
namespace {

constexpr int64_t kPeriodNs = 10'101'010;
constexpr uint64_t kImageSpacing = 0x10000000;

[[noreturn]] void Malformed(absl::string_view what, absl::string_view text) {
  std::fprintf(stderr, "ParseProfile: %s: %s\n", std::string(what).c_str(),
               std::string(text).c_str());
  std::abort();
}

template <typename T>
T Number(absl::string_view text) {
  T value = 0;
  if (!absl::SimpleAtoi(text, &value)) Malformed("not a number", text);
  return value;
}

std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    char kind = i + 1 < text.size() ? text[i + 1] : '\0';
    uint64_t byte = 0;
    if (kind == 'n') {
      out += '\n';
      i += 1;
    } else if (kind == '\\') {
      out += '\\';
      i += 1;
    } else if (kind == 'x' && absl::SimpleHexAtoi(text.substr(i + 2, 2), &byte)) {
      out += static_cast<char>(byte);
      i += 3;
    } else {
      Malformed("bad escape", text.substr(i));
    }
  }
  return out;
}

class Parser {
 public:
  Profile Parse(absl::string_view text) {
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      line = absl::StripAsciiWhitespace(line);
      if (line.empty()) continue;
      if (absl::ConsumePrefix(&line, "# ")) {
        Directive(line);
      } else {
        Stack(line);
      }
    }
    absl::StatusOr<Profile> profile = std::move(builder_).Build();
    if (!profile.ok()) Malformed("not a profile", profile.status().ToString());
    return *std::move(profile);
  }

 private:
  void Directive(absl::string_view line) {
    if (absl::ConsumePrefix(&line, "title: ")) {
      builder_.SetTitle(Unescape(line));
    } else if (absl::ConsumePrefix(&line, "comment: ")) {
      builder_.AddComment(Unescape(line));
    } else if (absl::ConsumePrefix(&line, "generated: ")) {
      std::pair<std::string, std::string> names = absl::StrSplit(line, absl::MaxSplits(" = ", 1));
      generated_.insert(names);
    } else if (absl::ConsumePrefix(&line, "time: ")) {
      std::pair<absl::string_view, absl::string_view> times = absl::StrSplit(line, ' ');
      builder_.SetTimes(Number<int64_t>(times.first), Number<int64_t>(times.second));
    } else if (absl::ConsumePrefix(&line, "period: ")) {
      period_ns_ = Number<int64_t>(line);
    } else {
      Malformed("unknown directive", line);
    }
  }

  void Stack(absl::string_view line) {
    size_t blank = line.rfind(' ');
    if (blank == absl::string_view::npos) Malformed("no number of samples", line);
    uint32_t count = Number<uint32_t>(line.substr(blank + 1));
    std::vector<absl::string_view> parts = absl::StrSplit(line.substr(0, blank), ';');
    ThreadId thread = ParseThread(parts[0]);
    StackId stack;
    for (size_t i = 1; i < parts.size();) {
      // Frames inlined into this one share its location; the innermost line comes first.
      Frame frame = ParseFrame(parts[i++]);
      std::vector<Line> lines = {frame.line};
      while (i < parts.size() && absl::EndsWith(parts[i], "_[i]")) {
        lines.insert(lines.begin(), ParseFrame(parts[i++]).line);
      }
      stack = builder_.AddStack(stack, builder_.AddLocation(frame.image, frame.address, lines));
    }
    for (uint32_t i = 0; i < count; ++i) {
      std::array<int64_t, 2> values = {1, period_ns_};
      builder_.AddSample(time_ns_, thread, 0, stack, values);
      time_ns_ += period_ns_;
      ++builder_.accounting().taken;
      ++builder_.accounting().kept;
    }
  }

  ThreadId ParseThread(absl::string_view text) {
    std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(text, absl::MaxSplits('@', 1));
    std::string process = Unescape(halves.first);
    if (halves.second.empty()) return builder_.AddThread(1, 1, process, process);
    std::pair<absl::string_view, absl::string_view> named =
        absl::StrSplit(halves.second, absl::MaxSplits(':', 1));
    std::pair<absl::string_view, absl::string_view> ids =
        absl::StrSplit(named.first, absl::MaxSplits('/', 1));
    Pid pid = Number<Pid>(ids.first);
    Tid tid = ids.second.empty() ? pid : Number<Tid>(ids.second);
    return builder_.AddThread(pid, tid, process,
                              named.second.empty() ? process : Unescape(named.second));
  }

  struct Frame {
    ImageId image;
    uint64_t address = 0;
    Line line;
  };
  Frame ParseFrame(absl::string_view text) {
    Frame frame;
    FrameKind kind = FrameKind::kNative;
    if (text.size() > 4 && text.substr(text.size() - 4, 2) == "_[" && text.back() == ']') {
      kind = KindOf(text[text.size() - 2]);
      text.remove_suffix(4);
    }
    if (absl::EndsWith(text, ")")) {
      size_t open = text.rfind(" (");
      if (open != absl::string_view::npos && absl::StrContains(text.substr(open), "+0x")) {
        ParseImage(text.substr(open + 2, text.size() - open - 3), frame);
        text = text.substr(0, open);
      }
    }
    std::string file;
    uint32_t start_line = 0;
    if (IsScript(kind) || kind == FrameKind::kAsync) {
      size_t colon = text.rfind(':');
      size_t blank = text.rfind(' ');
      if (colon == absl::string_view::npos || blank == absl::string_view::npos || colon < blank) {
        Malformed("not 'name file:line'", text);
      }
      std::pair<absl::string_view, absl::string_view> lines =
          absl::StrSplit(text.substr(colon + 1), absl::MaxSplits(',', 1));
      start_line = Number<uint32_t>(lines.first);
      if (!lines.second.empty()) frame.line.line = Number<uint32_t>(lines.second);
      file = Unescape(text.substr(blank + 1, colon - blank - 1));
      text = text.substr(0, blank);
    }
    std::string name = Unescape(text);
    const auto generated = generated_.find(name);
    frame.line.function =
        builder_.AddFunction(name, generated == generated_.end() ? name : generated->second, file,
                             start_line, kind);
    return frame;
  }

  static FrameKind KindOf(char letter) {
    switch (letter) {
      case 'k':
        return FrameKind::kKernel;
      case 'j':
        return FrameKind::kScript;
      case 'l':
        return FrameKind::kLibraryScript;
      case 'a':
        return FrameKind::kAsync;
      case 'b':
        return FrameKind::kBuiltin;
      case 'p':
        return FrameKind::kJit;
      case 'u':
        return FrameKind::kUnknown;
      case 'm':
        return FrameKind::kMarker;
      case 'i':
        return FrameKind::kNative;
      default:
        Malformed("unknown kind of frame", absl::string_view(&letter, 1));
    }
  }

  void ParseImage(absl::string_view text, Frame& frame) {
    size_t plus = text.rfind('+');
    uint64_t offset = 0;
    if (!absl::SimpleHexAtoi(text.substr(plus + 1), &offset) || offset >= kImageSpacing) {
      Malformed("bad offset", text);
    }
    uint64_t start = kImageSpacing * (builder_.profile().images.size() + 1);
    frame.image =
        builder_.AddImage(Unescape(text.substr(0, plus)), "", start, start + kImageSpacing, 0);
    frame.address = builder_.profile().images[frame.image.value].memory_start + offset;
  }

  ProfileBuilder builder_{
      {{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"}, kPeriodNs};
  int64_t time_ns_ = 0;
  int64_t period_ns_ = kPeriodNs;
  std::map<std::string, std::string> generated_;
};

}  // namespace

Profile ParseProfile(absl::string_view text) { return Parser().Parse(text); }

}  // namespace jprof
