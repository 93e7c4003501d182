#include "export/picture_tree.h"

#include <algorithm>
#include <utility>

#include "export/figures.h"
#include "export/text.h"
#include "export/tracks.h"

namespace jprof {
namespace {

constexpr uint8_t kInlinedBit = 0x80;  // in FrameLabel::category, beside the kind

}  // namespace

void LabelFacts::Add(const FrameLabel& label, const Profile& profile, const Function& function,
                     const Packages& packages) {
  const std::string package = ShownText(packages.Of(function), kMaxPackageBytes);
  const auto [it, added] = package_of_.try_emplace(label, package);
  if (!added) it->second = std::min(it->second, package);
  if (std::string generated = GeneratedName(profile, function); !generated.empty()) {
    generated_of_.try_emplace(label.text, std::move(generated));
  }
}

std::string LabelFacts::Package(const FrameLabel& label) const {
  const auto it = package_of_.find(label);
  return it == package_of_.end() ? "" : it->second;
}

std::string LabelFacts::Generated(const FrameLabel& label) const {
  const auto it = generated_of_.find(label.text);
  return it == generated_of_.end() ? "" : it->second;
}

void PictureTree::Executing::Meet(CodeKind kind) {
  if (kind != CodeKind::kBase) of_kind[static_cast<size_t>(kind)].present = true;
}

void PictureTree::Executing::Add(uint32_t label, bool is_inlined, CodeKind kind, int64_t self) {
  if (label >= of_label.size()) of_label.resize(label + 1);
  of_label[label] = SaturatingAdd(of_label[label], self);
  Kind& sums = of_kind[static_cast<size_t>(kind)];
  sums.present = sums.present || self > 0;
  sums.self = SaturatingAdd(sums.self, self);
  if (is_inlined) sums.inlined = SaturatingAdd(sums.inlined, self);
}

void PictureTree::Executing::Add(const Executing& other, const std::vector<uint32_t>& labels) {
  for (size_t i = 0; i < other.of_label.size(); ++i) {
    if (labels[i] >= of_label.size()) of_label.resize(labels[i] + 1);
    of_label[labels[i]] = SaturatingAdd(of_label[labels[i]], other.of_label[i]);
  }
  for (size_t i = 0; i < kCodeKinds; ++i) {
    of_kind[i].present = of_kind[i].present || other.of_kind[i].present;
    of_kind[i].self = SaturatingAdd(of_kind[i].self, other.of_kind[i].self);
    of_kind[i].inlined = SaturatingAdd(of_kind[i].inlined, other.of_kind[i].inlined);
  }
}

PictureTree::PictureTree(const Profile& profile, bool by_line) {
  const Packages packages(profile);
  LabelFacts facts;
  auto frame_label = [&](const Function& function, uint32_t line, bool inlined) {
    FrameLabel label = LabelOf(profile, function, line, inlined);
    facts.Add(label, profile, function, packages);
    return label;
  };
  CallTree::Options options{.sample_type = SummedType(profile),
                            .frame_label = frame_label, .process_label = LabelOfProcess};
  options.base_type = BaseType(profile);
  options.by_line = by_line;
  *this = PictureTree(CallTree::Build(profile, options), facts, std::nullopt);
}

PictureTree::PictureTree(CallTree tree, const LabelFacts& facts,
                         std::optional<Hidden> hidden)
    : tree_(std::move(tree)),
      hidden_(std::move(hidden)),
      total_(tree_.nodes()[0].total),
      base_total_(tree_.nodes()[0].base) {
  for (const FrameLabel& label : tree_.labels()) {
    packages_.push_back(facts.Package(label));
    generated_.push_back(facts.Generated(label));
  }
}

FrameLabel PictureTree::LabelOf(const Profile& profile, const Function& function, uint32_t line,
                                bool inlined) {
  const uint8_t kind = static_cast<uint8_t>(jprof::KindOf(profile, function));
  return {ShownName(profile, function, line),
          static_cast<uint8_t>(kind | (inlined ? kInlinedBit : 0))};
}

FrameLabel PictureTree::LabelOfProcess(absl::string_view name) {
  std::string shown = ShownText(name);
  return {shown.empty() ? "[unknown]" : std::move(shown), static_cast<uint8_t>(CodeKind::kBase)};
}

CodeKind PictureTree::KindOf(const FrameLabel& label) {
  return static_cast<CodeKind>(label.category & ~kInlinedBit);
}

bool PictureTree::IsInlined(const FrameLabel& label) {
  return (label.category & kInlinedBit) != 0;
}

CodeKind PictureTree::KindBelow(CodeKind caller, CodeKind kind) {
  return kind == CodeKind::kNative && caller == CodeKind::kGc ? CodeKind::kGc : kind;
}

std::vector<CodeKind> PictureTree::NodeKinds() const {
  std::vector<CodeKind> kinds(nodes().size(), CodeKind::kBase);
  for (size_t i = 1; i < kinds.size(); ++i) {
    kinds[i] = KindBelow(kinds[nodes()[i].parent], KindOf(tree_.label(nodes()[i])));
  }
  return kinds;
}

PictureTree::Executing PictureTree::Sums(const std::vector<CodeKind>& node_kinds) const {
  Executing sums = hidden_ ? hidden_->executing : Executing();
  sums.of_label.resize(tree_.labels().size());
  for (size_t i = 1; i < nodes().size() && !hidden_; ++i) {
    sums.Meet(node_kinds[i]);
    sums.Add(nodes()[i].label, IsInlined(tree_.label(nodes()[i])), node_kinds[i], nodes()[i].self);
  }
  return sums;
}

int64_t PictureTree::Width(const CallTree::Node& node) const {
  constexpr int64_t kWhole = int64_t{1} << 40;
  if (!compares()) return node.total;
  return Scale(node.total, total_, kWhole) + Scale(node.base, base_total_, kWhole);
}

int64_t PictureTree::Change(const CallTree::Node& node) const {
  if (!compares()) return 0;
  return Scale(node.total, total_, 10000) - Scale(node.base, base_total_, 10000);
}

}  // namespace jprof
