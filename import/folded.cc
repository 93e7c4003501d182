// Folded stacks. What export/folded.h writes is read back as it was: its escapes are undone, its
// suffixes become kinds of frames. Two weights, before and after, are a comparison (BaseType).
//
// Neighbouring lines share most of their stack, so frames are looked up only from where a line
// differs from the one before.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr absl::string_view kInlinedSuffix = "_[i]";
constexpr size_t kHeadBytes = 64 << 10;  // of what Input::Head() gives
constexpr size_t kMaxLines = 10'000;     // of one location

// Takes a weight and the blanks before it from the end of `line`. Decimals are rounded.
bool TakeWeight(absl::string_view& line, int64_t& weight) {
  size_t begin = line.size();
  while (begin > 0 && line[begin - 1] != ' ' && line[begin - 1] != '\t') --begin;
  if (begin < 2) return false;
  const size_t blank = begin - 1;
  const absl::string_view text = line.substr(begin);
  if (text.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) return false;
  if (!absl::SimpleAtoi(text, &weight)) {
    double decimal = 0;
    if (text.find_first_not_of("0123456789.") != absl::string_view::npos ||
        !absl::SimpleAtod(text, &decimal) || !(decimal < 9e18)) {
      return false;
    }
    weight = std::llround(decimal);
  }
  line = absl::StripTrailingAsciiWhitespace(line.substr(0, blank));
  return !line.empty();
}

// "_\[k]" at the end and "\--" were no structure.
std::string Unescaped(absl::string_view name) {
  std::string out(name);
  const size_t n = out.size();
  if (n >= 5 && absl::EndsWith(out, "]") && out.compare(n - 5, 3, "_\\[") == 0) {
    out.erase(n - 4, 1);
  } else if (n >= 2 && out[0] == '\\' && out.find_first_not_of('-', 1) == std::string::npos) {
    out.erase(0, 1);
  }
  return out;
}

// How many bytes two lines have in common at their beginnings.
size_t CommonBytes(absl::string_view a, absl::string_view b) {
  const size_t size = std::min(a.size(), b.size());
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
    uint64_t x, y;
    std::memcpy(&x, a.data() + at, sizeof(x));
    std::memcpy(&y, b.data() + at, sizeof(y));
    if (x != y) return at + static_cast<size_t>(std::countr_zero(x ^ y)) / 8;
  }
  while (at < size && a[at] == b[at]) ++at;
  return at;
}

class FoldedReader {
 public:
  absl::StatusOr<Imported> Read(Input& input) {
    JPROF_ASSIGN_OR_RETURN(const absl::string_view head, input.Head());
    is_comparison_ = HasTwoWeights(head);
    absl::string_view line;
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const bool more, input.NextLine(line));
      if (!more) break;
      if (line.empty() || line[0] == '#') continue;
      if (!Add(line)) ++skipped_;
      if (builder_) JPROF_RETURN_IF_ERROR(CheckRoom(*builder_));
      JPROF_RETURN_IF_ERROR(budget_.status());
    }
    Imported out;
    NoteTruncated("folded", truncated_, out.notes);
    if (skipped_ > 0) {
      out.notes.push_back(absl::StrCat("folded: ", skipped_, " lines without a stack or a weight"));
    }
    if (builder_) {
      JPROF_ASSIGN_OR_RETURN(out.profile, std::move(*builder_).Build());
    }
    return out;
  }

 private:
  // A physical frame with what is inlined into it, in the line before.
  struct Group {
    size_t begin;  // of its text
    StackId stack;
  };

  bool Add(absl::string_view line) {
    std::array<int64_t, 2> weights = {};  // after, before
    if (!TakeWeight(line, weights[0])) return false;
    if (!builder_) Begin();
    if (is_comparison_ && !TakeWeight(line, weights[1])) return false;
    const size_t process_end = std::min(line.find(';'), line.size());
    size_t same = CommonBytes(line, before_);
    if (same <= process_end) {
      groups_.clear();
      thread_ = ThreadOf(line.substr(0, process_end));
      same = 0;
    }
    // A group that another one follows before the difference is as it was, unless what follows has
    // become a function that is inlined into it.
    size_t kept = 0;
    while (kept < groups_.size() && groups_[kept].begin <= same) ++kept;
    if (kept > 0) --kept;
    if (kept > 0 && IsInlined(FrameAt(line, groups_[kept].begin))) --kept;
    size_t at = kept > 0 ? groups_[kept].begin - 1 : process_end;
    StackId stack = kept > 0 ? groups_[kept - 1].stack : StackId{};
    groups_.resize(kept);
    const size_t cut = CutOf(line);
    if (cut > 0) {
      at = cut;
      stack = AddTruncated(*builder_);
      groups_.clear();
      ++truncated_;
    }
    while (at < line.size()) {
      const size_t begin = at + 1;
      const absl::string_view physical = FrameAt(line, begin);
      at = begin + physical.size();
      while (at < line.size()) {
        const absl::string_view next = FrameAt(line, at + 1);
        if (!IsInlined(next)) break;
        at += 1 + next.size();
      }
      stack = builder_->AddStack(stack, LocationOf(line.substr(begin, at - begin), physical));
      groups_.push_back({begin, stack});
    }
    before_.assign(line.data(), cut > 0 ? 0 : line.size());
    if (cut > 0) groups_.clear();
    AddSample(*builder_, 0, thread_, 0, stack, std::span(weights).first(is_comparison_ ? 2 : 1));
    return true;
  }

  static absl::string_view FrameAt(absl::string_view line, size_t begin) {
    const absl::string_view rest = line.substr(std::min(begin, line.size()));
    const void* end = std::memchr(rest.data(), ';', rest.size());
    return end == nullptr
               ? rest
               : rest.substr(0, static_cast<size_t>(static_cast<const char*>(end) - rest.data()));
  }
  // Where the frames begin that are kept of a stack that is too deep; 0: it is not.
  static size_t CutOf(absl::string_view line) {
    if (line.size() / 2 <= kMaxStackDepth) return 0;
    std::vector<size_t> begins;
    for (size_t at = line.find(';'); at < line.size();) {
      const absl::string_view frame = FrameAt(line, at + 1);
      if (begins.empty() || !IsInlined(frame)) begins.push_back(at);
      at += 1 + frame.size();
    }
    return begins.size() <= kMaxStackDepth ? 0 : begins[begins.size() - kMaxStackDepth];
  }
  static bool IsInlined(absl::string_view frame) { return absl::EndsWith(frame, kInlinedSuffix); }

  // Each whole line of the beginning that has a weight has two: a name may end in a number.
  static bool HasTwoWeights(absl::string_view head) {
    const size_t last = head.rfind('\n');
    if (last != absl::string_view::npos) head = head.substr(0, last);
    bool any = false;
    for (absl::string_view line : absl::StrSplit(head, '\n')) {
      line = absl::StripTrailingAsciiWhitespace(line);
      int64_t weight = 0;
      if (line.empty() || line[0] == '#' || !TakeWeight(line, weight)) continue;
      if (!TakeWeight(line, weight)) return false;
      any = true;
    }
    return any;
  }

  void Begin() {
    std::vector<ValueType> types = {{"samples", "count"}};
    if (is_comparison_) types.push_back({kBaseType, "count"});
    builder_.emplace(std::move(types), ValueType{"samples", "count"}, 1);
  }

  ThreadId ThreadOf(absl::string_view process) {
    const std::string name = Unescaped(process);
    return builder_->AddThread(0, 0, name, name);
  }

  // `group`: the physical frame's text and those of the frames inlined into it.
  LocationId LocationOf(absl::string_view group, absl::string_view physical) {
    auto it = locations_.find(group);
    if (it != locations_.end()) return it->second;
    std::vector<Line> lines = {{FunctionOf(physical)}};
    for (size_t at = physical.size(); at < group.size() && lines.size() < kMaxLines;) {
      const size_t end = std::min(group.find(';', at + 1), group.size());
      absl::string_view text = group.substr(at + 1, end - at - 1);
      text.remove_suffix(kInlinedSuffix.size());
      lines.push_back({FunctionOf(text)});
      at = end;
    }
    std::reverse(lines.begin(), lines.end());
    budget_.Take(group.size() + 64);
    const LocationId location = builder_->AddLocation(ImageId{}, 0, lines);
    locations_.emplace(group, location);
    return location;
  }

  FunctionId FunctionOf(absl::string_view text) {
    FrameText frame = SplitPlace(text);
    if (absl::EndsWith(text, "_[k]")) {
      frame = {.name = absl::StripSuffix(text, "_[k]"), .kind = FrameKind::kKernel};
    } else if (absl::EndsWith(text, "_[j]")) {
      frame = SplitPlace(absl::StripSuffix(text, "_[j]"));
      if (frame.kind == FrameKind::kNative) frame.kind = FrameKind::kBuiltin;
    } else if (frame.kind != FrameKind::kScript || !IsScriptFile(frame.file)) {
      frame = {.name = text, .kind = KindOfName(text)};
    }
    const std::string name = Unescaped(frame.name);
    return builder_->AddFunction(name, name, frame.file, frame.start_line, frame.kind);
  }

  std::optional<ProfileBuilder> builder_;
  bool is_comparison_ = false;
  absl::flat_hash_map<std::string, LocationId> locations_;
  std::string before_;  // the line before, without its weight
  std::vector<Group> groups_;
  ThreadId thread_;
  uint64_t skipped_ = 0;
  uint64_t truncated_ = 0;
  TableBudget budget_;
};

}  // namespace

// The first line that is no comment ends in a weight behind a stack, and is not indented. Of one
// that is longer than the head the end is not to be seen.
bool LooksFolded(absl::string_view head) {
  const bool is_cut = head.size() >= kHeadBytes;
  while (!head.empty()) {
    const size_t end = std::min(head.find('\n'), head.size());
    absl::string_view line = absl::StripTrailingAsciiWhitespace(head.substr(0, end));
    const bool is_whole = end < head.size() || !is_cut;
    head.remove_prefix(std::min(end + 1, head.size()));
    if (line.empty() || line[0] == '#') continue;
    int64_t weight = 0;
    return static_cast<unsigned char>(line[0]) > ' ' &&
           line.find('\0') == absl::string_view::npos &&
           (is_whole ? TakeWeight(line, weight) : line[0] != '{' && absl::StrContains(line, ";"));
  }
  return false;
}

absl::StatusOr<Imported> ReadFolded(Input& input) { return FoldedReader().Read(input); }

}  // namespace jprof
