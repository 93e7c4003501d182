// The call tree as both pictures have it: labels with the kind of code and the package of each, and
// in a comparison what the shares say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

#include "export/call_tree.h"
#include "export/code_kind.h"
#include "profiler/core/profile.h"

namespace jprof {

// What is known of labels beside their text. Of several functions with one label the package that
// is the first in the order of bytes counts.
class LabelFacts {
 public:
  static constexpr size_t kMaxPackageBytes = 64;

  // `function` of `profile`, whose packages are `packages`.
  void Add(const FrameLabel& label, const Profile& profile, const Function& function,
           const Packages& packages);
  // Shown; "" where nothing is known.
  std::string Package(const FrameLabel& label) const;
  // GeneratedName() of the first function that has the text.
  std::string Generated(const FrameLabel& label) const;

 private:
  absl::flat_hash_map<FrameLabel, std::string> package_of_;
  absl::flat_hash_map<std::string, std::string> generated_of_;
};

class PictureTree {
 public:
  // Own weights, saturating.
  struct Executing {
    struct Kind {
      bool present = false;  // of a node; of processes only those with an own weight
      int64_t self = 0;
      int64_t inlined = 0;  // of it
    };
    std::vector<int64_t> of_label;
    std::array<Kind, kCodeKinds> of_kind;

    void Meet(CodeKind kind);
    void Add(uint32_t label, bool is_inlined, CodeKind kind, int64_t self);
    // `labels`: what its labels are here.
    void Add(const Executing& other, const std::vector<uint32_t>& labels);
  };
  // Of a tree without callees of nodes that are too thin to be drawn. The own weights of these
  // nodes are then those of all that is left out.
  struct Hidden {
    int64_t nodes = 0;  // nearly
    Executing executing = {};  // all, not only the hidden ones
  };

  // `by_line`: as CallTree::Options has it.
  PictureTree(const Profile& profile, bool by_line);
  // Of weights that are not compared.
  PictureTree(CallTree tree, const LabelFacts& facts, std::optional<Hidden> hidden);

  static FrameLabel LabelOf(const Profile& profile, const Function& function, uint32_t line,
                            bool inlined);
  static FrameLabel LabelOfProcess(absl::string_view name);

  const CallTree& tree() const { return tree_; }
  const std::vector<CallTree::Node>& nodes() const { return tree_.nodes(); }
  // By label: shown; "" where nothing is known.
  const std::vector<std::string>& packages() const { return packages_; }
  // By label: what its function is called where it was generated, or "".
  const std::vector<std::string>& generated() const { return generated_; }

  static CodeKind KindOf(const FrameLabel& label);
  static bool IsInlined(const FrameLabel& label);
  // What native code does for the garbage collector is the collector's.
  static CodeKind KindBelow(CodeKind caller, CodeKind kind);
  std::vector<CodeKind> NodeKinds() const;  // by node

  const std::optional<Hidden>& hidden() const { return hidden_; }
  // Of all, hidden or not.
  Executing Sums(const std::vector<CodeKind>& node_kinds) const;

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
  std::optional<Hidden> hidden_;  // nullopt: no node is
  int64_t total_ = 0;
  int64_t base_total_ = 0;
};

}  // namespace jprof
