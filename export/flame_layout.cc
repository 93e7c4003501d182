#include "export/flame_layout.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "export/figures.h"
#include "export/svg.h"

namespace jprof {
namespace {

constexpr int64_t kMinUnits = FlameLayout::kUnitsPerPixel / 10;  // 0.1 px
constexpr int64_t kMarkupBytes = 275;                            // of one frame, numbers included

int64_t RoundedTo2Digits(int64_t n) {
  int64_t step = 1;
  while (n / step >= 100) step *= 10;
  return (n + step / 2) / step * step;
}

}  // namespace

bool FlameLayout::IsThin(int64_t width, int64_t whole) {
  return static_cast<__int128>(width) * kUnits < static_cast<__int128>(whole) * kMinUnits;
}

FlameLayout::FlameLayout(const PictureTree& picture, int64_t room) : picture_(picture) {
  for (const CallTree::Node& node : picture.nodes()) widths_.push_back(picture.Width(node));
  std::vector<bool> drawn(picture.nodes().size(), false);
  Choose(room, drawn);
  Place(drawn);
}

void FlameLayout::Choose(int64_t room, std::vector<bool>& drawn) {
  const std::vector<CallTree::Node>& nodes = picture_.nodes();
  drawn[0] = true;
  if (picture_.hidden()) thin_ = picture_.hidden()->nodes;
  // All that is wide enough, in preorder.
  std::vector<uint32_t> chosen;
  for (uint32_t i = 1; i < nodes.size();) {
    const bool thin = IsThin(widths_[i], widths_[0]);
    if (thin || nodes[i].depth > kMaxSvgDepth) {
      (thin ? thin_ : deep_) += nodes[i].end - i;
      i = nodes[i].end;
      continue;
    }
    chosen.push_back(i++);
  }
  // Of these, the widest that fit; a caller is never narrower than its callees, nor deeper.
  std::stable_sort(chosen.begin(), chosen.end(), [&](uint32_t a, uint32_t b) {
    return widths_[a] != widths_[b] ? widths_[a] > widths_[b] : nodes[a].depth < nodes[b].depth;
  });
  size_t taken = 0;
  for (; taken < chosen.size(); ++taken) {
    const uint32_t i = chosen[taken];
    const int64_t name = EscapedBytes(picture_.tree().label(nodes[i]).text);
    const int64_t generated = 1 + EscapedBytes(picture_.generated()[nodes[i].label]);
    // The label is a part of the name and two dots; a character of 7 px has 6 bytes at most.
    const int64_t pixels = Scale(widths_[i], widths_[0], kPixels);
    room -= kMarkupBytes + name + generated + std::min(name, pixels + 3);
    if (room < 0) break;
    drawn[i] = true;
    deepest_ = std::max(deepest_, static_cast<int>(nodes[i].depth));
  }
  crowded_ = static_cast<int64_t>(chosen.size() - taken);
}

void FlameLayout::Place(const std::vector<bool>& drawn) {
  const std::vector<CallTree::Node>& nodes = picture_.nodes();
  frames_.push_back({0, 0, kUnits});
  // Where each open caller's next callee begins, by depth. What is not drawn takes its room too.
  std::vector<int64_t> next_start = {0};
  for (uint32_t i = 1; i < nodes.size();) {
    next_start.resize(nodes[i].depth);
    const int64_t start = next_start.back();
    const int64_t end = SaturatingAdd(start, widths_[i]);
    next_start.back() = end;
    if (!drawn[i]) {
      i = nodes[i].end;
      continue;
    }
    frames_.push_back({i, Scale(start, widths_[0], kUnits), Scale(end, widths_[0], kUnits)});
    next_start.push_back(start);
    ++i;
  }
}

std::string FlameLayout::LeftOut() const {
  std::vector<std::string> parts;
  if (thin_ > 0) {
    const std::string count = picture_.hidden()
                                  ? absl::StrCat("about ", Grouped(RoundedTo2Digits(thin_)))
                                  : Grouped(thin_);
    parts.push_back(absl::StrCat(count, " frames thinner than 0.1 px"));
  }
  if (deep_ > 0) {
    parts.push_back(absl::StrCat(Grouped(deep_), " frames above level ", kMaxSvgDepth));
  }
  if (crowded_ > 0) {
    parts.push_back(absl::StrCat(Grouped(crowded_), " thin frames for the file's size"));
  }
  if (parts.empty()) return "";
  return absl::StrCat("not drawn: ", absl::StrJoin(parts, ", "));
}

int64_t EscapedBytes(absl::string_view shown) {
  size_t bytes = shown.size();
  for (char c : shown) {
    if (c == '&' || c == '\'') bytes += 4;
    if (c == '<' || c == '>') bytes += 3;
    if (c == '"') bytes += 5;
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace jprof
