// What the HTML report shows, as numbers and names. html.cc has the essay.
//
// A stream of LEB128 numbers and of strings (bytes, then UTF-8); a table is its columns one after
// the other, which deflates better than rows and is read into typed arrays. A column is preceded by
// its size in bytes.
//
//   version, sides (2: a comparison), title, unit, start (Unix ms), duration (us), period (us)
//   comments; notes on what was left out           strings
//   look: kinds of code, packages, labels           see AppendLook
//   threads: pid, tid, process, name
//   nodes but the first, in preorder: levels closed before it, label, line
//   samples by time: us since the one before, thread, node (zigzag of the difference), weight,
//     and in a comparison the side: 0 after, 1 before
//
// A node is a call path of (function, executing line): the pictures merge the lines, and the lines
// of a function are found by the same arrays.
//
// What is left out. Nodes are taken by width, callers before callees, until names and nodes use up
// their limits; a sample below a node that is left out counts for the node above. Beyond their
// limit samples of one path and thread that are close in time become one. Notes in the report count
// it.
//
// The head is what the first sight of a large report takes: the widest functions by call path,
// lines merged. It is drawn before the rest has arrived.
//
//   version, sides, unit; look; nodes as above, all of them, without lines but with self and total
//   weight, and in a comparison both of the other side
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "export/picture_tree.h"
#include "profiler/core/profile.h"

namespace jprof {

struct ReportLimits {
  size_t nodes = 2'000'000;
  size_t samples = 2'000'000;
  size_t label_bytes = 16'000'000;
};

class ReportData {
 public:
  static constexpr size_t kMaxComments = 100;

  ReportData(const Profile& profile, const PictureTree& picture);

  std::string Whole(const ReportLimits& limits) const;
  // "" where the whole is small enough to be drawn at once.
  std::string Head() const;

 private:
  const Profile& profile_;
  const PictureTree& picture_;
  std::vector<int64_t> widths_;  // by node
};

}  // namespace jprof
