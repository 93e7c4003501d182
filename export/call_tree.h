// The samples of a profile merged into one tree of names, root first: "all", then the process, then
// the frames of its stacks. What folded stacks and pictures are made of.
//
// Built without recursion: a stack may be as deep as its source lets it be. Deterministic: children
// are sorted by name, and nodes are numbered in preorder, so a loop over the nodes is a walk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

// What a frame is shown as. Frames of equal label below one caller are one node.
struct FrameLabel {
  std::string text;
  uint8_t category = 0;  // the exporter's own numbering

  friend auto operator<=>(const FrameLabel&, const FrameLabel&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const FrameLabel& label) {
    return H::combine(std::move(h), label.text, label.category);
  }
};

class CallTree {
 public:
  struct Options {
    size_t sample_type = 0;  // whose values are summed; negative ones count as 0
    // Called once per function and kind of appearance. `line`: the one that executes, 0 unless the
    // profile shows lines; `inlined`: not the physical function of its location.
    absl::FunctionRef<FrameLabel(const Function& function, uint32_t line, bool inlined)>
        frame_label;
    absl::FunctionRef<FrameLabel(absl::string_view process_name)> process_label;
    // Longest path in bytes, one separator for each frame counted; 0 for no limit. Of a longer
    // stack both ends are kept, and `cut_label` stands for the middle.
    size_t max_path_bytes = 0;
    FrameLabel cut_label = {};
    // Of a profile that is compared with another: the type whose values are the other's.
    std::optional<size_t> base_type = std::nullopt;
    // Frames of one label that execute different lines are different nodes.
    bool by_line = false;
  };

  struct Node {
    uint32_t label = 0;   // into labels(); not used in node 0
    uint32_t line = 0;    // executing line, 0 where not known; only of a tree by line
    uint32_t parent = 0;  // node 0: itself
    uint32_t depth = 0;   // node 0: 0
    uint32_t end = 0;     // one past the last node of its subtree
    int64_t self = 0;
    int64_t total = 0;  // saturates
    int64_t base = 0;   // total in the profile that this is compared with; saturates
  };

  static CallTree Build(const Profile& profile, const Options& options);

  // Node 0 is "all" and is always there; every other node has a total or a base above 0.
  const std::vector<Node>& nodes() const { return nodes_; }
  const FrameLabel& label(const Node& node) const { return labels_[node.label]; }
  const std::vector<FrameLabel>& labels() const { return labels_; }
  // The node of each of the profile's samples; 0 for one without weight, if no other has its stack,
  // and for one whose path was cut.
  const std::vector<uint32_t>& sample_nodes() const { return sample_nodes_; }

 private:
  friend class GrowingTree;

  std::vector<Node> nodes_;
  std::vector<FrameLabel> labels_;
  std::vector<uint32_t> sample_nodes_;
};

}  // namespace jprof
