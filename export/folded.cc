#include "export/folded.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxWeightBytes = 20 + 2;  // digits, blank, newline
constexpr size_t kFlushBytes = 64 * 1024;

// Room for the suffix and for the backslash that a misleading name gets.
constexpr size_t kMaxTextBytes = kMaxNameBytes - 8;

// Makes shown text of at most kMaxTextBytes one frame of a folded line.
std::string FoldedName(std::string text) {
  std::replace(text.begin(), text.end(), ';', ':');
  absl::string_view view = absl::StripAsciiWhitespace(text);
  // "name 12", "name 1.5": flamegraph.pl would read a second weight.
  size_t blank = view.find_last_of(' ');
  std::string name(view);
  if (blank != absl::string_view::npos && absl::ascii_isdigit(view[blank + 1]) &&
      view.find_first_not_of("0123456789.", blank + 1) == absl::string_view::npos) {
    name[blank] = '_';
  }
  if (!name.empty() && name.find_first_not_of('-') == std::string::npos) name.insert(0, "\\");
  size_t n = name.size();
  if (n >= 4 && name[n - 4] == '_' && name[n - 3] == '[' && name[n - 1] == ']') {
    name.insert(n - 3, "\\");
  }
  return name;
}

absl::string_view Suffix(FrameKind kind, bool inlined) {
  if (inlined) return "_[i]";
  switch (kind) {
    case FrameKind::kKernel:
      return "_[k]";
    case FrameKind::kScript:
    case FrameKind::kLibraryScript:
    case FrameKind::kAsync:
    case FrameKind::kBuiltin:
    case FrameKind::kWasm:
    case FrameKind::kJit:
      return "_[j]";
    case FrameKind::kNative:
    case FrameKind::kUnknown:
    case FrameKind::kMarker:
      return "";
  }
  return "";
}

FrameLabel ProcessLabel(absl::string_view process_name) {
  std::string name = FoldedName(ShownText(process_name, kMaxTextBytes));
  if (name.empty()) name = "[unknown]";
  std::replace(name.begin(), name.end(), ' ', '_');
  return {std::move(name)};
}

// A line of output is a node's own weight. Among the lines below one node, bytewise order does not
// follow the order of the names alone: "a(b) 1" lies between "a 1" and "a;c 1". So each child is
// sorted in twice, as the line "name weight" and as the lines that begin with "name;". No name
// holds a ';', hence no such key is the beginning of another and the order is exact.
struct Entry {
  std::string key;
  uint32_t node;
  bool is_line;
};

// The lines of a tree. In a comparison each has two weights, before and after, as difffolded.pl -n
// has it: those of before are scaled to the total of after.
class Weights {
 public:
  Weights(CallTree tree, bool is_comparison) : tree_(std::move(tree)) {
    if (!is_comparison) return;
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    self_base_.resize(nodes.size());
    for (size_t i = nodes.size(); i-- > 0;) {
      self_base_[i] += nodes[i].base;
      if (i > 0) self_base_[nodes[i].parent] -= nodes[i].base;
    }
    const int64_t whole = nodes[0].base, to = nodes[0].total > 0 ? nodes[0].total : whole;
    for (int64_t& base : self_base_) {
      base =
          whole <= 0
              ? 0
              : static_cast<int64_t>(
                    (static_cast<__int128>(std::max<int64_t>(base, 0)) * to + whole / 2) / whole);
    }
  }

  std::vector<Entry> EntriesBelow(uint32_t parent) const {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    std::vector<Entry> entries;
    for (uint32_t i = parent + 1; i < nodes[parent].end; i = nodes[i].end) {
      const std::string& name = tree_.label(nodes[i]).text;
      if (self_base_.empty() ? nodes[i].self > 0 : nodes[i].self > 0 || self_base_[i] > 0) {
        const std::string base = self_base_.empty() ? "" : absl::StrCat(self_base_[i], " ");
        entries.push_back({absl::StrCat(name, " ", base, nodes[i].self), i, true});
      }
      if (nodes[i].end > i + 1) entries.push_back({absl::StrCat(name, ";"), i, false});
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.key > b.key; });
    return entries;
  }

 private:
  CallTree tree_;
  std::vector<int64_t> self_base_;  // by node; empty: no comparison
};

class FoldedExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    auto frame_label = [&](const Function& function, uint32_t line, bool inlined) {
      // What flamegraph.pl knows as a separator; from elsewhere such a name is escaped.
      if (function.kind == FrameKind::kMarker && profile.String(function.name) == kAsyncSeparator) {
        return FrameLabel{kAsyncSeparator};
      }
      return FrameLabel{absl::StrCat(FoldedName(ShownName(profile, function, line, kMaxTextBytes)),
                                     Suffix(function.kind, inlined))};
    };
    CallTree::Options options{.sample_type = SummedType(profile),
                              .frame_label = frame_label, .process_label = ProcessLabel};
    options.max_path_bytes = kMaxFoldedLineBytes - kMaxWeightBytes;
    options.cut_label = {"[frames left out]"};
    options.base_type = BaseType(profile);
    if (options.base_type) options.max_path_bytes -= kMaxWeightBytes;
    const Weights weights(CallTree::Build(profile, options), options.base_type.has_value());

    std::string out;
    std::string prefix;
    struct Level {
      std::vector<Entry> entries;  // sorted backwards, taken from the end
      size_t prefix_size;
    };
    std::vector<Level> levels;
    levels.push_back({weights.EntriesBelow(0), 0});
    while (!levels.empty()) {
      Level& level = levels.back();
      prefix.resize(level.prefix_size);
      if (level.entries.empty()) {
        levels.pop_back();
        continue;
      }
      Entry entry = std::move(level.entries.back());
      level.entries.pop_back();
      if (entry.is_line) {
        absl::StrAppend(&out, prefix, entry.key, "\n");
        if (out.size() >= kFlushBytes) {
          JPROF_RETURN_IF_ERROR(sink.Append(out));
          out.clear();
        }
        continue;
      }
      prefix += entry.key;
      levels.push_back({weights.EntriesBelow(entry.node), prefix.size()});
    }
    return out.empty() ? absl::OkStatus() : sink.Append(out);
  }

};

}  // namespace

std::unique_ptr<Exporter> MakeFoldedExporter() { return std::make_unique<FoldedExporter>(); }

}  // namespace jprof
