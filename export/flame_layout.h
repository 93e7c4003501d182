// Which frames of a call tree a flame graph shows, and where. What is narrower than 0.1 px, beyond
// the deepest level, or beyond the room that there is, is counted instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "export/picture_tree.h"

namespace jprof {

class FlameLayout {
 public:
  // Of positions along the width.
  static constexpr int kUnitsPerPixel = 100;
  static constexpr int kPixels = 1180;  // all samples
  static constexpr int64_t kUnits = int64_t{kPixels} * kUnitsPerPixel;

  // Whether what is so wide is too thin to be drawn, where all is `whole` wide.
  static bool IsThin(int64_t width, int64_t whole);

  // `room`: for the frames, in bytes of SVG.
  FlameLayout(const PictureTree& picture, int64_t room);

  struct Frame {
    uint32_t node;
    int64_t left;  // in units, from the left edge of node 0
    int64_t right;
  };
  // In preorder, node 0 first. A frame's caller is always among them.
  const std::vector<Frame>& frames() const { return frames_; }
  int deepest() const { return deepest_; }
  // "not drawn: 12 frames thinner than 0.1 px", or "".
  std::string LeftOut() const;

 private:
  void Choose(int64_t room, std::vector<bool>& drawn);
  void Place(const std::vector<bool>& drawn);

  const PictureTree& picture_;
  std::vector<int64_t> widths_;  // by node
  std::vector<Frame> frames_;
  int deepest_ = 0;
  int64_t thin_ = 0;
  int64_t deep_ = 0;
  int64_t crowded_ = 0;
};

// Of shown text, when it is escaped.
int64_t EscapedBytes(absl::string_view shown);

}  // namespace jprof
