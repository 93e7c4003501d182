// Folded stacks. What export/folded.h writes is read back as it was: its escapes are undone, its
// suffixes become kinds of frames. Two weights, before and after, are a comparison (BaseType).
//
// Neighbouring lines share most of their stack, so frames are looked up only from where a line
// differs from the one before.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "import/folded_text.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kHeadBytes = 64 << 10;  // of what Input::Head() gives
constexpr size_t kMaxLines = 10'000;     // of one location

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
    NoteSkippedFolded(skipped_, out.notes);
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
    if (!TakeFoldedWeight(line, weights[0])) return false;
    if (!builder_) Begin();
    if (is_comparison_ && !TakeFoldedWeight(line, weights[1])) return false;
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
    if (kept > 0 && IsInlined(FoldedFrame(line, groups_[kept].begin))) --kept;
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
      const absl::string_view physical = FoldedFrame(line, begin);
      at = begin + physical.size();
      while (at < line.size()) {
        const absl::string_view next = FoldedFrame(line, at + 1);
        if (!IsInlined(next)) break;
        at += 1 + next.size();
      }
      stack = builder_->AddStack(stack, LocationOf(line.substr(begin, at - begin), physical));
      groups_.push_back({begin, stack});
    }
    before_.assign(line.data(), cut > 0 ? 0 : line.size());
    if (cut > 0) groups_.clear();
    AddSample(*builder_, 0, thread_, kUnknownCpu, stack,
              std::span(weights).first(is_comparison_ ? 2 : 1));
    return true;
  }

  // Where the frames begin that are kept of a stack that is too deep; 0: it is not.
  static size_t CutOf(absl::string_view line) {
    if (line.size() / 2 <= kMaxStackDepth) return 0;
    std::vector<size_t> begins;
    for (size_t at = line.find(';'); at < line.size();) {
      const absl::string_view frame = FoldedFrame(line, at + 1);
      if (begins.empty() || !IsInlined(frame)) begins.push_back(at);
      at += 1 + frame.size();
    }
    return begins.size() <= kMaxStackDepth ? 0 : begins[begins.size() - kMaxStackDepth];
  }
  static bool IsInlined(absl::string_view frame) { return absl::EndsWith(frame, kInlinedSuffix); }

  void Begin() {
    builder_.emplace(FoldedTypes(is_comparison_), FoldedTypes(false)[0], 1);
  }

  ThreadId ThreadOf(absl::string_view process) {
    const std::string name = UnescapedFolded(process);
    return builder_->AddThread(0, 0, name, name);
  }

  // `group`: the physical frame's text and those of the frames inlined into it.
  LocationId LocationOf(absl::string_view group, absl::string_view physical) {
    auto it = locations_.find(group);
    if (it != locations_.end()) return it->second;
    std::vector<Line> lines = {{AddFoldedFunction(*builder_, physical)}};
    for (size_t at = physical.size(); at < group.size() && lines.size() < kMaxLines;) {
      const size_t end = std::min(group.find(';', at + 1), group.size());
      absl::string_view text = group.substr(at + 1, end - at - 1);
      text.remove_suffix(kInlinedSuffix.size());
      lines.push_back({AddFoldedFunction(*builder_, text)});
      at = end;
    }
    std::reverse(lines.begin(), lines.end());
    budget_.Take(group.size() + 64);
    const LocationId location = builder_->AddLocation(ImageId{}, 0, lines);
    locations_.emplace(group, location);
    return location;
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
           (is_whole ? TakeFoldedWeight(line, weight)
                     : line[0] != '{' && absl::StrContains(line, ";"));
  }
  return false;
}

absl::StatusOr<Imported> ReadFolded(Input& input) { return FoldedReader().Read(input); }

}  // namespace jprof
