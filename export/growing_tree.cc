#include "export/growing_tree.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/hash/hash.h"

namespace jprof {

uint32_t GrowingTree::Intern(FrameLabel label) {
  auto [it, added] = label_ids_.try_emplace(label, static_cast<uint32_t>(labels_.size()));
  if (added) labels_.push_back(std::move(label));
  return it->second;
}

uint32_t GrowingTree::Child(uint32_t parent, uint32_t label, uint32_t line) {
  const auto [at, added] =
      children_.FindOrAdd(absl::HashOf(parent, label, line), nodes_.size(), [&](uint32_t i) {
        return nodes_[i].parent == parent && nodes_[i].label == label && nodes_[i].line == line;
      });
  if (added) nodes_.push_back({label, line, parent});
  return at;
}

void GrowingTree::AddSelf(uint32_t node, int64_t self, int64_t base) {
  nodes_[node].self = SaturatingAdd(nodes_[node].self, self);
  nodes_[node].base = SaturatingAdd(nodes_[node].base, base);
}

std::vector<uint32_t> GrowingTree::Add(const GrowingTree& other) {
  std::vector<uint32_t> labels;
  for (const FrameLabel& label : other.labels_) labels.push_back(Intern(label));
  std::vector<uint32_t> nodes = {0};
  AddSelf(0, other.nodes_[0].self, other.nodes_[0].base);
  for (size_t i = 1; i < other.nodes_.size(); ++i) {
    const Node& node = other.nodes_[i];
    nodes.push_back(Child(nodes[node.parent], labels[node.label], node.line));
    AddSelf(nodes.back(), node.self, node.base);
  }
  return labels;
}

void GrowingTree::CutLongPaths(size_t max_path_bytes, FrameLabel cut) {
  const uint32_t cut_label = Intern(std::move(cut));
  // A parent is always older than its children. Node 0 has no name.
  std::vector<size_t> path_bytes(nodes_.size());
  for (uint32_t node = 1; node < path_bytes.size(); ++node) {
    path_bytes[node] = path_bytes[nodes_[node].parent] + Bytes(nodes_[node].label);
  }
  std::vector<uint32_t> path;
  for (uint32_t node = 0; node < path_bytes.size(); ++node) {
    if (path_bytes[node] <= max_path_bytes ||
        (nodes_[node].self == 0 && nodes_[node].base == 0)) {
      continue;
    }
    path.clear();
    for (uint32_t n = node; n != 0; n = nodes_[n].parent) path.push_back(nodes_[n].label);
    std::reverse(path.begin(), path.end());
    size_t room = (max_path_bytes - Bytes(cut_label)) / 2;
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

void GrowingTree::SumTotals() {
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

std::vector<CallTree::Node> GrowingTree::Preorder(std::vector<uint32_t>& sample_nodes) const {
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

CallTree GrowingTree::Finish(std::vector<uint32_t> sample_nodes) && {
  SumTotals();
  CallTree tree;
  tree.nodes_ = Preorder(sample_nodes);
  tree.labels_ = std::move(labels_);
  tree.sample_nodes_ = std::move(sample_nodes);
  return tree;
}

}  // namespace jprof
