// The call tree as both pictures have it: labels with the kind of code and the package of each, and
// in a comparison what the shares say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "export/call_tree.h"
#include "export/code_kind.h"
#include "profiler/core/profile.h"

namespace jprof {

class PictureTree {
 public:
  static constexpr size_t kMaxPackageBytes = 64;

  // `by_line`: as CallTree::Options has it.
  PictureTree(const Profile& profile, bool by_line);

  const CallTree& tree() const { return tree_; }
  const std::vector<CallTree::Node>& nodes() const { return tree_.nodes(); }
  // By label: shown; "" where nothing is known.
  const std::vector<std::string>& packages() const { return packages_; }
  // By label: GeneratedName() of the first function that has it.
  const std::vector<std::string>& generated() const { return generated_; }

  static CodeKind KindOf(const FrameLabel& label);
  static bool IsInlined(const FrameLabel& label);
  // By node: what native code does for the garbage collector is the collector's.
  std::vector<CodeKind> NodeKinds() const;

  // Whether there is a profile to compare with, and something in it.
  bool compares() const { return base_total_ > 0; }
  // What a node is drawn as wide as, against node 0: its weight; in a comparison, the mean of both
  // shares, so that what vanished can be seen.
  int64_t Width(const CallTree::Node& node) const;
  // Of the share of a node against that in the other profile, in hundredths of a percent.
  int64_t Change(const CallTree::Node& node) const;

 private:
  CallTree tree_;
  std::vector<std::string> packages_;
  std::vector<std::string> generated_;
  int64_t total_;
  int64_t base_total_;
};

}  // namespace jprof
