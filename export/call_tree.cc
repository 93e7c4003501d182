#include "export/call_tree.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "profiler/core/index_table.h"

namespace jprof {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// The tree while it grows: nodes in order of first sight, children found by hash.
class Growing {
 public:
  Growing(const Profile& profile, const CallTree::Options& options)
      : profile_(profile), options_(options) {
    nodes_.push_back({});
  }

  void AddSamples() {
    sample_nodes_.resize(profile_.samples.size());
    node_of_stack_.assign(profile_.stacks.size(), kNone);
    StringId process;
    uint32_t root = 0;
    for (uint32_t i : ByProcess()) {
      const ProfileSample& sample = profile_.samples[i];
      const StringId name = profile_.threads[sample.thread.value].process_name;
      if (name != process) {
        process = name;
        root = Child(0, Intern(options_.process_label(profile_.String(process))));
        for (StackId s : found_) node_of_stack_[s.value] = kNone;
        found_.clear();
      }
      const uint32_t node = sample.stack.valid() ? NodeOf(root, sample.stack) : root;
      nodes_[node].self = SaturatingAdd(
          nodes_[node].self, std::max<int64_t>(profile_.Value(i, options_.sample_type), 0));
      if (options_.base_type) {
        const int64_t base = std::max<int64_t>(profile_.Value(i, *options_.base_type), 0);
        nodes_[node].base = SaturatingAdd(nodes_[node].base, base);
      }
      sample_nodes_[i] = node;
    }
  }

  // Moves the self weight of every node whose path is too long to a path that is cut.
  void CutLongPaths() {
    if (options_.max_path_bytes == 0) return;
    uint32_t cut_label = Intern(options_.cut_label);
    std::vector<uint32_t> path;
    for (uint32_t node = 0, count = static_cast<uint32_t>(nodes_.size()); node < count; ++node) {
      if (nodes_[node].path_bytes <= options_.max_path_bytes ||
          (nodes_[node].self == 0 && nodes_[node].base == 0)) {
        continue;
      }
      path.clear();
      for (uint32_t n = node; n != 0; n = nodes_[n].parent) path.push_back(nodes_[n].label);
      std::reverse(path.begin(), path.end());
      size_t room = (options_.max_path_bytes - Bytes(cut_label)) / 2;
      size_t head = 0, tail = path.size();
      for (size_t used = 0; (used += Bytes(path[head])) <= room;) ++head;
      for (size_t used = 0; tail > head && (used += Bytes(path[tail - 1])) <= room;) --tail;
      uint32_t to = 0;
      for (size_t i = 0; i < head; ++i) to = Child(to, path[i]);
      to = Child(to, cut_label);
      for (size_t i = tail; i < path.size(); ++i) to = Child(to, path[i]);
      nodes_[to].self = SaturatingAdd(nodes_[to].self, std::exchange(nodes_[node].self, 0));
      nodes_[to].base = SaturatingAdd(nodes_[to].base, std::exchange(nodes_[node].base, 0));
    }
  }

  void SumTotals() {
    // A parent is always older than its children.
    for (size_t i = nodes_.size(); i-- > 0;) {
      Node& node = nodes_[i];
      node.total = SaturatingAdd(node.total, node.self);
      if (i > 0) {
        nodes_[node.parent].total = SaturatingAdd(nodes_[node.parent].total, node.total);
        nodes_[node.parent].base = SaturatingAdd(nodes_[node.parent].base, node.base);
      }
    }
  }

  // `sample_nodes`: the numbers before and after.
  std::vector<CallTree::Node> Preorder(std::vector<uint32_t>& sample_nodes) const {
    std::vector<uint32_t> rank(labels_.size());
    {
      std::vector<uint32_t> order(labels_.size());
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(),
                [&](uint32_t a, uint32_t b) { return labels_[a] < labels_[b]; });
      for (uint32_t i = 0; i < order.size(); ++i) rank[order[i]] = i;
    }
    // Siblings side by side, sorted; first_child[n] is where those of n begin.
    auto is_shown = [](const Node& node) { return node.total > 0 || node.base > 0; };
    std::vector<uint32_t> first_child(nodes_.size() + 2, 0);
    for (uint32_t i = 1; i < nodes_.size(); ++i) {
      if (is_shown(nodes_[i])) ++first_child[nodes_[i].parent + 2];
    }
    std::partial_sum(first_child.begin(), first_child.end(), first_child.begin());
    std::vector<uint32_t> siblings(first_child.back());
    for (uint32_t i = 1; i < nodes_.size(); ++i) {
      // Each entry moves on to where it belongs: to the beginning of the next one's.
      if (is_shown(nodes_[i])) siblings[first_child[nodes_[i].parent + 1]++] = i;
    }
    first_child.pop_back();
    for (size_t n = 0; n + 1 < first_child.size(); ++n) {
      if (first_child[n + 1] - first_child[n] < 2) continue;
      std::sort(siblings.begin() + first_child[n], siblings.begin() + first_child[n + 1],
                [&](uint32_t a, uint32_t b) {
                  return std::pair(rank[nodes_[a].label], nodes_[a].line) <
                         std::pair(rank[nodes_[b].label], nodes_[b].line);
                });
    }

    std::vector<CallTree::Node> out;
    out.reserve(siblings.size() + 1);
    out.push_back({.self = nodes_[0].self, .total = nodes_[0].total, .base = nodes_[0].base});
    std::vector<uint32_t> new_number(nodes_.size(), 0);
    struct Open {
      uint32_t node;  // here
      uint32_t as;    // in `out`
      uint32_t next;  // into siblings
    };
    std::vector<Open> open = {{0, 0, first_child[0]}};
    while (!open.empty()) {
      Open& top = open.back();
      if (top.next == first_child[top.node + 1]) {
        out[top.as].end = static_cast<uint32_t>(out.size());
        open.pop_back();
        continue;
      }
      uint32_t child = siblings[top.next++];
      uint32_t as = static_cast<uint32_t>(out.size());
      new_number[child] = as;
      out.push_back({nodes_[child].label, nodes_[child].line, top.as, out[top.as].depth + 1, 0,
                     nodes_[child].self, nodes_[child].total, nodes_[child].base});
      open.push_back({child, as, first_child[child]});
    }
    for (uint32_t& node : sample_nodes) node = new_number[node];
    return out;
  }

  std::vector<FrameLabel> TakeLabels() && { return std::move(labels_); }
  std::vector<uint32_t> TakeSampleNodes() { return std::move(sample_nodes_); }

 private:
  struct Node {
    uint32_t label = 0;
    uint32_t line = 0;
    uint32_t parent = 0;
    size_t path_bytes = 0;
    int64_t self = 0;
    int64_t total = 0;
    int64_t base = 0;
  };

  uint32_t Intern(FrameLabel label) {
    auto [it, added] = label_ids_.try_emplace(label, static_cast<uint32_t>(labels_.size()));
    if (added) labels_.push_back(std::move(label));
    return it->second;
  }

  size_t Bytes(uint32_t label) const { return labels_[label].text.size() + 1; }

  uint32_t LabelOf(const Line& line, bool inlined) {
    const uint32_t number = profile_.show_lines ? line.line : 0;
    auto [it, added] = label_of_.try_emplace(std::tuple(line.function, number, inlined), 0);
    if (added) {
      it->second =
          Intern(options_.frame_label(profile_.functions[line.function.value], number, inlined));
    }
    return it->second;
  }

  uint32_t Child(uint32_t parent, uint32_t label, uint32_t line = 0) {
    const auto [at, added] =
        children_.FindOrAdd(absl::HashOf(parent, label, line), nodes_.size(), [&](uint32_t i) {
          return nodes_[i].parent == parent && nodes_[i].label == label && nodes_[i].line == line;
        });
    if (added) nodes_.push_back({label, line, parent, nodes_[parent].path_bytes + Bytes(label)});
    return at;
  }

  // The samples' numbers, those of a process together, processes and their samples as they come.
  std::vector<uint32_t> ByProcess() const {
    absl::flat_hash_map<StringId, uint32_t> numbers;
    std::vector<uint32_t> begins, process_of(profile_.samples.size());
    for (size_t i = 0; i < process_of.size(); ++i) {
      const StringId name = profile_.threads[profile_.samples[i].thread.value].process_name;
      process_of[i] =
          numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
      begins.resize(numbers.size() + 1);
      ++begins[process_of[i] + 1];
    }
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::vector<uint32_t> order(process_of.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[begins[process_of[i]]++] = i;
    return order;
  }

  // The node of a stack in the process whose node is `process`; callers that were met before are
  // looked up, not walked.
  uint32_t NodeOf(uint32_t process, StackId stack) {
    walk_.clear();
    uint32_t node = process;
    for (StackId s = stack; s.valid(); s = profile_.stacks[s.value].caller) {
      if (node_of_stack_[s.value] != kNone) {
        node = node_of_stack_[s.value];
        break;
      }
      walk_.push_back(s);
    }
    for (; !walk_.empty(); walk_.pop_back()) {
      StackId s = walk_.back();
      std::span<const Line> lines =
          profile_.Lines(profile_.locations[profile_.stacks[s.value].location.value]);
      for (size_t i = lines.size(); i-- > 0;) {
        node = Child(node, LabelOf(lines[i], i + 1 < lines.size()),
                     options_.by_line ? lines[i].line : 0);
      }
      node_of_stack_[s.value] = node;
      found_.push_back(s);
    }
    return node;
  }

  const Profile& profile_;
  const CallTree::Options& options_;
  std::vector<Node> nodes_;
  std::vector<FrameLabel> labels_;
  absl::flat_hash_map<FrameLabel, uint32_t> label_ids_;
  // By function, line if it is shown, whether it is inlined.
  absl::flat_hash_map<std::tuple<FunctionId, uint32_t, bool>, uint32_t> label_of_;
  IndexTable children_;  // of nodes_, by parent, label and line; not node 0
  // Of the process whose samples are being added; kNone: not yet found.
  std::vector<uint32_t> node_of_stack_;
  std::vector<StackId> found_;
  std::vector<StackId> walk_;
  std::vector<uint32_t> sample_nodes_;
};

}  // namespace

int64_t SaturatingAdd(int64_t a, int64_t b) {
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

CallTree CallTree::Build(const Profile& profile, const Options& options) {
  Growing growing(profile, options);
  growing.AddSamples();
  growing.CutLongPaths();
  growing.SumTotals();
  CallTree tree;
  tree.sample_nodes_ = growing.TakeSampleNodes();
  tree.nodes_ = growing.Preorder(tree.sample_nodes_);
  tree.labels_ = std::move(growing).TakeLabels();
  return tree;
}

}  // namespace jprof
