// The text of `perf script`:
//
//   node 4711/4712 [001] 8423.123456:   10101010 cpu-clock:
//           7f21 uv__io_poll+0x3e (/usr/bin/node)
//           55d0 [unknown] (/usr/lib/libc.so.6)
//
//   ...
//
// Leaf first, a blank line behind each stack. Addresses are dropped: they are those of one process,
// and the text does not say where its files are mapped. A name may have blanks and parentheses, a
// command name too, so each is what is left between what is sure.
//
// A stack costs one look-up for each of its lines: what a line means is found by its text.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxDepth = 100'000;
constexpr size_t kMaxInlinedBytes = 1 << 20;  // of the names in one location
constexpr absl::string_view kDigits = "0123456789";

struct Event {
  absl::string_view comm;
  Pid pid = 0;
  Tid tid = 0;
  uint32_t cpu = kUnknownCpu;
  int64_t time_ns = 0;
  int64_t period = 0;       // 0: not told
  absl::string_view name;   // "cpu-clock"; "" where not told
  absl::string_view frame;  // behind the event, where there are no call chains
};

// The next word and the blanks behind it.
absl::string_view TakeWord(absl::string_view& rest) {
  const size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const absl::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t", end), rest.size()));
  return word;
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == absl::string_view::npos;
}

// "4711" or "4711/4712".
bool ParseIds(absl::string_view word, Event& event) {
  const size_t slash = word.find('/');
  const absl::string_view pid = word.substr(0, slash);
  if (!IsNumber(pid) || !absl::SimpleAtoi(pid, &event.pid)) return false;
  event.tid = event.pid;
  if (slash == absl::string_view::npos) return true;
  const absl::string_view tid = word.substr(slash + 1);
  return IsNumber(tid) && absl::SimpleAtoi(tid, &event.tid);
}

// "8423.123456:", any number of decimals up to nine.
bool ParseTime(absl::string_view word, int64_t& time_ns) {
  if (!absl::ConsumeSuffix(&word, ":")) return false;
  const size_t dot = word.find('.');
  if (dot == absl::string_view::npos || word.size() - dot > 10) return false;
  int64_t seconds = 0, fraction = 0;
  const absl::string_view decimals = word.substr(dot + 1);
  if (!IsNumber(word.substr(0, dot)) || !IsNumber(decimals) ||
      !absl::SimpleAtoi(word.substr(0, dot), &seconds) || seconds > INT64_MAX / 2'000'000'000 ||
      !absl::SimpleAtoi(decimals, &fraction)) {
    return false;
  }
  for (size_t i = decimals.size(); i < 9; ++i) fraction *= 10;
  time_ns = seconds * 1'000'000'000 + fraction;
  return true;
}

// "7f21 uv__io_poll+0x3e (/usr/bin/node)". Behind a tracepoint's name are its fields instead.
bool IsFrame(absl::string_view text) {
  const absl::string_view address = TakeWord(text);
  return address.find_first_not_of("0123456789abcdef") == absl::string_view::npos &&
         absl::StrContains(text, " (") && absl::EndsWith(text, ")");
}

bool ParseEvent(absl::string_view line, Event& event) {
  line = absl::StripAsciiWhitespace(line);
  // The first word but one that can be the ids, and is followed by what must follow.
  for (size_t begin = line.find_first_of(" \t"); begin != absl::string_view::npos;
       begin = line.find_first_of(" \t", begin)) {
    const size_t comm_end = begin;
    begin = line.find_first_not_of(" \t", begin);
    absl::string_view rest = line.substr(begin);
    if (!absl::ascii_isdigit(static_cast<unsigned char>(rest[0])) ||
        !ParseIds(TakeWord(rest), event)) {
      continue;
    }
    absl::string_view word = TakeWord(rest);
    if (word.size() > 2 && word[0] == '[' && word.back() == ']' &&
        absl::SimpleAtoi(word.substr(1, word.size() - 2), &event.cpu)) {
      word = TakeWord(rest);
    }
    if (!ParseTime(word, event.time_ns)) continue;
    event.comm = line.substr(0, comm_end);
    if (absl::string_view peek = rest; absl::SimpleAtoi(TakeWord(peek), &event.period)) rest = peek;
    if (absl::string_view peek = rest; absl::EndsWith(TakeWord(peek), ":")) {
      event.name = absl::StripSuffix(TakeWord(rest), ":");
      // Without ":ppp"; but "sched:sched_switch".
      const size_t colon = event.name.rfind(':');
      if (colon != absl::string_view::npos && colon + 1 < event.name.size() &&
          event.name.find_first_not_of("ukhGHpPSDWe", colon + 1) == absl::string_view::npos) {
        event.name = event.name.substr(0, colon);
      }
    }
    if (IsFrame(rest)) event.frame = rest;
    return true;
  }
  return false;
}

class PerfScriptReader {
 public:
  absl::StatusOr<Imported> Read(Input& input) {
    absl::string_view line;
    bool in_stack = false, at_first = false;
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const bool more, input.NextLine(line));
      if (!more) break;
      const bool is_blank = line.find_first_not_of(" \t") == absl::string_view::npos;
      Event event;
      // Events without call chains are indented too, by blanks.
      const bool is_next =
          in_stack && at_first && !is_blank && line[0] == ' ' && ParseEvent(line, event);
      at_first = false;
      if (in_stack && !is_next && !is_blank && (line[0] == '\t' || line[0] == ' ')) {
        if (path_.size() < kMaxDepth) AddFrame(line);
        JPROF_RETURN_IF_ERROR(budget_.status());
        continue;
      }
      if (in_stack) JPROF_RETURN_IF_ERROR(EndStack());
      in_stack = false;
      if (is_blank || line[0] == '#') continue;
      if (!is_next && !ParseEvent(line, event)) {
        ++skipped_;
        continue;
      }
      Begin(event);
      in_stack = at_first = event.frame.empty();
      if (in_stack) continue;
      AddFrame(event.frame);
      JPROF_RETURN_IF_ERROR(EndStack());
    }
    if (in_stack) JPROF_RETURN_IF_ERROR(EndStack());
    Imported out;
    NoteTruncated("perf script", truncated_, out.notes);
    if (skipped_ > 0)
      out.notes.push_back(absl::StrCat("perf script: ", skipped_, " lines that are no event"));
    if (other_events_ > 0) {
      out.notes.push_back(absl::StrCat("perf script: ", other_events_,
                                       " samples of other events than ", event_name_));
    }
    if (builder_) {
      builder_->SetTimes(0, last_ns_);
      JPROF_ASSIGN_OR_RETURN(out.profile, std::move(*builder_).Build());
    }
    return out;
  }

 private:
  void Begin(const Event& event) {
    if (!builder_) {
      event_name_ = std::string(event.name);
      first_ns_ = event.time_ns;
      std::vector<ValueType> types = {{"samples", "count"}};
      ValueType period{"samples", "count"};
      has_period_ = event.period > 0 && !event.name.empty();
      if (has_period_) {
        const bool is_time = event.name == "cpu-clock" || event.name == "task-clock";
        period = is_time ? ValueType{"cpu", "nanoseconds"} : ValueType{event_name_, "count"};
        types.push_back(period);
      }
      builder_.emplace(std::move(types), period, has_period_ ? event.period : 1);
    }
    is_other_ = event.name != event_name_;
    if (is_other_) return;
    time_ns_ = std::max<int64_t>(event.time_ns - first_ns_, 0);
    last_ns_ = std::max(last_ns_, time_ns_);
    cpu_ = event.cpu;
    values_ = {1, event.period};
    if (event.comm != comm_ || event.pid != pid_ || event.tid != tid_) {
      comm_ = std::string(event.comm);
      pid_ = event.pid;
      tid_ = event.tid;
      thread_ = builder_->AddThread(pid_, tid_, comm_, comm_);
    }
  }

  absl::Status EndStack() {
    if (is_other_) {
      ++other_events_;
    } else {
      const StackId stack = AddPath(*builder_, path_, truncated_);
      AddSample(*builder_, time_ns_, thread_, cpu_, stack,
                std::span(values_).first(has_period_ ? 2 : 1));
    }
    path_.clear();
    inlined_.clear();
    return CheckRoom(*builder_);
  }

  // "  7f21 uv__io_poll+0x3e (/usr/bin/node)"
  void AddFrame(absl::string_view line) {
    if (is_other_) return;
    const size_t address = line.find_first_not_of(" \t");
    const size_t blank = line.find(' ', address);
    if (blank == absl::string_view::npos ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(line[address]))) {
      return;  // a line of source
    }
    const bool is_high = blank - address == 16 && absl::StartsWith(line.substr(address), "ffff");
    absl::string_view text = line.substr(blank + 1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    if (absl::EndsWith(text, " (inlined)")) {
      if (inlined_.size() < kMaxInlinedBytes) {
        absl::StrAppend(&inlined_, text.substr(0, text.size() - 10), "\n");
      }
      return;
    }
    auto& known = locations_[is_high];
    absl::string_view key = text;
    if (!inlined_.empty()) {
      inlined_.append(text.data(), text.size());
      key = inlined_;
    }
    auto it = known.find(key);
    if (it == known.end()) {
      it = known.emplace(key, LocationOf(key, is_high)).first;
      budget_.Take(key.size() + 64);
    }
    path_.push_back(it->second);
    inlined_.clear();
  }

  // `key`: names of inlined functions, innermost first, a line each, and the physical frame.
  LocationId LocationOf(absl::string_view key, bool is_high) {
    std::vector<Line> lines;
    for (size_t end; (end = key.find('\n')) != absl::string_view::npos;
         key.remove_prefix(end + 1)) {
      lines.push_back({FunctionOf(key.substr(0, end), "", is_high)});
    }
    absl::string_view dso;
    const size_t search = absl::EndsWith(key, " (deleted))") ? key.size() - 11 : key.size();
    const size_t open = key.rfind(" (", search == 0 ? 0 : search - 1);
    if (open != absl::string_view::npos && absl::EndsWith(key, ")")) {
      dso = key.substr(open + 2, key.size() - open - 3);
      key = key.substr(0, open);
    } else if (absl::StartsWith(key, "(") && absl::EndsWith(key, ")")) {
      dso = key.substr(1, key.size() - 2);
      key = "";
    }
    if (dso == "[unknown]") dso = "";
    lines.push_back({FunctionOf(key, dso, is_high)});
    const ImageId image = dso.empty() ? ImageId{} : builder_->AddImage(dso, "", 0, 0, 0);
    return builder_->AddLocation(image, 0, lines);
  }

  FunctionId FunctionOf(absl::string_view name, absl::string_view dso, bool is_high) {
    const size_t plus = name.rfind("+0x");
    if (plus != absl::string_view::npos && plus > 0) name = name.substr(0, plus);
    FrameText frame{.name = name};
    std::string unknown;
    if (name.empty() || name == "[unknown]") {
      unknown = absl::StrCat("[unknown]", dso.empty() ? "" : " ", dso.substr(dso.rfind('/') + 1));
      frame = {.name = unknown, .kind = FrameKind::kUnknown};
    } else if (is_high) {
      frame.kind = FrameKind::kKernel;
    } else if (absl::StrContains(dso, "/perf-") && absl::EndsWith(dso, ".map")) {
      frame = SplitJitName(name);
    }
    return builder_->AddFunction(frame.name, frame.name, frame.file, frame.start_line, frame.kind);
  }

  std::optional<ProfileBuilder> builder_;
  std::string event_name_;
  bool has_period_ = false;
  int64_t first_ns_ = 0;
  int64_t last_ns_ = 0;
  // By whether the address is the kernel's, then by text.
  std::array<absl::flat_hash_map<std::string, LocationId>, 2> locations_;
  uint64_t skipped_ = 0;
  uint64_t truncated_ = 0;
  TableBudget budget_;
  uint64_t other_events_ = 0;
  // The sample that is being read.
  bool is_other_ = false;
  int64_t time_ns_ = 0;
  uint32_t cpu_ = 0;
  std::array<int64_t, 2> values_ = {};
  std::string comm_;
  Pid pid_ = -1;
  Tid tid_ = -1;
  ThreadId thread_;
  std::vector<LocationId> path_;  // leaf first
  std::string inlined_;
};

}  // namespace

bool LooksPerfScript(absl::string_view head) {
  while (!head.empty()) {
    const size_t end = std::min(head.find('\n'), head.size());
    const absl::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 1, head.size()));
    if (line.find_first_not_of(" \t\r") == absl::string_view::npos || line[0] == '#') continue;
    Event event;
    return ParseEvent(line, event);
  }
  return false;
}

absl::StatusOr<Imported> ReadPerfScript(Input& input) { return PerfScriptReader().Read(input); }

}  // namespace jprof
