// A call tree while it grows: nodes in order of first sight, children found by hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "export/call_tree.h"
#include "profiler/core/index_table.h"

namespace jprof {

class GrowingTree {
 public:
  GrowingTree() { nodes_.push_back({}); }

  // The number of a label.
  uint32_t Intern(FrameLabel label);
  const std::vector<FrameLabel>& labels() const { return labels_; }

  // The child of `parent` with that label and line. Node 0 is there from the beginning.
  uint32_t Child(uint32_t parent, uint32_t label, uint32_t line = 0);
  // For one who is about to add to nodes: brings one into the processor's cache.
  void Expect(uint32_t node) const { __builtin_prefetch(&nodes_[node].self, 1); }
  // Both 0 or more.
  void AddSelf(uint32_t node, int64_t self, int64_t base = 0);
  // All of another tree; returns the numbers here of its labels.
  std::vector<uint32_t> Add(const GrowingTree& other);
  // Beside node 0.
  size_t size() const { return nodes_.size() - 1; }

  // Moves the self weight of every node whose path is longer than `max_path_bytes` to a path that
  // is cut, with `cut_label` in the middle.
  void CutLongPaths(size_t max_path_bytes, FrameLabel cut_label);

  // `sample_nodes`: numbers of nodes, which become those of the finished tree.
  CallTree Finish(std::vector<uint32_t> sample_nodes) &&;

 private:
  struct Node {
    uint32_t label = 0;
    uint32_t line = 0;
    uint32_t parent = 0;
    int64_t self = 0;
    int64_t total = 0;
    int64_t base = 0;
  };

  size_t Bytes(uint32_t label) const { return labels_[label].text.size() + 1; }
  void SumTotals();
  std::vector<CallTree::Node> Preorder(std::vector<uint32_t>& sample_nodes) const;

  std::vector<Node> nodes_;
  std::vector<FrameLabel> labels_;
  absl::flat_hash_map<FrameLabel, uint32_t> label_ids_;
  IndexTable children_;  // of nodes_, by parent, label and line; not node 0
};

}  // namespace jprof
