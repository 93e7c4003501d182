#include "profiler/process/address_space.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace jprof {
namespace {

// Both say the same about every address that both cover.
bool Agree(const Mapping& a, const Mapping& b) {
  if (a.file != b.file || a.path != b.path) return false;
  // Offsets into anonymous memory mean nothing.
  if (!a.file.valid() && a.path == kAnonymousPath) return true;
  return a.offset.value - a.range.begin.value == b.offset.value - b.range.begin.value;
}

}  // namespace

void AddressSpace::Tree::Insert(Entry entry) {
  path_bytes += entry.mapping.path.size();
  uint64_t begin = entry.mapping.range.begin.value;
  by_begin.insert_or_assign(begin, std::move(entry));
}

AddressSpace::Tree::Iterator AddressSpace::Tree::Erase(Iterator it) {
  path_bytes -= it->second.mapping.path.size();
  return by_begin.erase(it);
}

AddressSpace::Tree& AddressSpace::MutableTree() {
  if (tree_ == nullptr) {
    tree_ = std::make_shared<Tree>();
  } else if (tree_.use_count() > 1) {
    tree_ = std::make_shared<Tree>(*tree_);
  }
  return *tree_;
}

void AddressSpace::Add(Mapping mapping) {
  if (mapping.range.empty()) return;
  // Known already, as a whole: nothing to do. Also keeps a runtime that changes the protection of
  // single pages from chopping its code range into thousands of pieces.
  if (const Mapping* known = Find(mapping.range.begin);
      known != nullptr && mapping.range.end <= known->range.end && Agree(*known, mapping)) {
    return;
  }

  Tree& tree = MutableTree();
  auto it = tree.by_begin.lower_bound(mapping.range.begin.value);
  if (it != tree.by_begin.begin()) {
    auto before = std::prev(it);
    if (before->second.mapping.range.end > mapping.range.begin) it = before;
  }
  while (it != tree.by_begin.end() && it->second.mapping.range.Overlaps(mapping.range)) {
    Entry old = std::move(it->second);
    tree.path_bytes -= old.mapping.path.size();
    it = tree.by_begin.erase(it);
    const bool sticks_out_left = old.mapping.range.begin < mapping.range.begin;
    const bool sticks_out_right = mapping.range.end < old.mapping.range.end;
    if (!Agree(old.mapping, mapping)) ++generation_;
    if (sticks_out_right) {
      Entry right = old;
      right.mapping.range.begin = mapping.range.end;
      right.mapping.offset = old.mapping.ToFileOffset(mapping.range.end);
      if (sticks_out_left) right.age = next_age_++;  // ages stay distinct
      tree.Insert(std::move(right));
    }
    if (sticks_out_left) {
      Entry left = std::move(old);
      left.mapping.range.end = mapping.range.begin;
      tree.Insert(std::move(left));
      it = tree.by_begin.lower_bound(mapping.range.begin.value);  // insertions move everything
    }
    if (sticks_out_right) break;
  }
  tree.Insert({std::move(mapping), next_age_++});
  if (tree.by_begin.size() > kMaxMappings || tree.path_bytes > kMaxPathBytes) ForgetOlderHalf();
}

void AddressSpace::ForgetOlderHalf() {
  Tree& tree = MutableTree();
  std::vector<uint64_t> ages;
  ages.reserve(tree.by_begin.size());
  for (const auto& [begin, entry] : tree.by_begin) ages.push_back(entry.age);
  auto middle = ages.begin() + static_cast<ptrdiff_t>(ages.size() / 2);
  std::nth_element(ages.begin(), middle, ages.end());
  const uint64_t oldest_kept = *middle;
  for (auto it = tree.by_begin.begin(); it != tree.by_begin.end();) {
    it = it->second.age < oldest_kept ? tree.Erase(it) : std::next(it);
  }
  ++generation_;
}

void AddressSpace::Clear() {
  if (!empty()) ++generation_;
  tree_ = nullptr;
}

const Mapping* AddressSpace::Find(Address address) const {
  if (tree_ == nullptr) return nullptr;
  auto it = tree_->by_begin.upper_bound(address.value);
  if (it == tree_->by_begin.begin()) return nullptr;
  const Mapping& mapping = std::prev(it)->second.mapping;
  return mapping.range.Contains(address) ? &mapping : nullptr;
}

std::vector<Mapping> AddressSpace::Mappings() const {
  std::vector<Mapping> mappings;
  if (tree_ == nullptr) return mappings;
  mappings.reserve(tree_->by_begin.size());
  for (const auto& [begin, entry] : tree_->by_begin) mappings.push_back(entry.mapping);
  return mappings;
}

}  // namespace jprof
