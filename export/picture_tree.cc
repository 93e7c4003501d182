#include "export/picture_tree.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "export/figures.h"
#include "export/text.h"
#include "export/tracks.h"

namespace jprof {
namespace {

constexpr uint8_t kInlinedBit = 0x80;  // in FrameLabel::category, beside the kind

}  // namespace

PictureTree::PictureTree(const Profile& profile, bool by_line) {
  const Packages packages(profile);
  absl::flat_hash_map<std::string, std::string> package_of_name, generated_of_name;
  auto frame_label = [&](const Function& function, uint32_t line, bool inlined) {
    FrameLabel label{ShownName(profile, function, line),
                     static_cast<uint8_t>(jprof::KindOf(profile, function))};
    package_of_name.try_emplace(label.text, ShownText(packages.Of(function), kMaxPackageBytes));
    if (std::string generated = GeneratedName(profile, function); !generated.empty()) {
      generated_of_name.try_emplace(label.text, std::move(generated));
    }
    if (inlined) label.category |= kInlinedBit;
    return label;
  };
  auto process_label = [](absl::string_view name) {
    std::string shown = ShownText(name);
    return FrameLabel{shown.empty() ? "[unknown]" : std::move(shown),
                      static_cast<uint8_t>(CodeKind::kBase)};
  };
  CallTree::Options options{.sample_type = SummedType(profile),
                            .frame_label = frame_label, .process_label = process_label};
  options.base_type = BaseType(profile);
  options.by_line = by_line;
  tree_ = CallTree::Build(profile, options);
  for (const FrameLabel& label : tree_.labels()) {
    packages_.push_back(package_of_name[label.text]);
    const auto generated = generated_of_name.find(label.text);
    generated_.push_back(generated == generated_of_name.end() ? "" : generated->second);
  }
  total_ = tree_.nodes()[0].total;
  base_total_ = tree_.nodes()[0].base;
}

CodeKind PictureTree::KindOf(const FrameLabel& label) {
  return static_cast<CodeKind>(label.category & ~kInlinedBit);
}

bool PictureTree::IsInlined(const FrameLabel& label) {
  return (label.category & kInlinedBit) != 0;
}

std::vector<CodeKind> PictureTree::NodeKinds() const {
  std::vector<CodeKind> kinds(nodes().size(), CodeKind::kBase);
  for (size_t i = 1; i < kinds.size(); ++i) {
    kinds[i] = KindOf(tree_.label(nodes()[i]));
    if (kinds[i] == CodeKind::kNative && kinds[nodes()[i].parent] == CodeKind::kGc) {
      kinds[i] = CodeKind::kGc;
    }
  }
  return kinds;
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
