// Frames and user stacks of a recording, interned before they have names.
//
// A frame leaves its process as soon as it is seen: a native one becomes (image, file offset),
// which survives exit, exec and address randomisation; a runtime's function has its name already.
// What is left for the end of the recording is to open each image once and name its offsets.
//
// The tables only grow, and up to a limit: what is new beyond it is left out, which ends the stack
// that it is in at the caller with a frame that says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "helpers/runtime.h"
#include "profiler/core/address.h"
#include "profiler/core/frame.h"
#include "profiler/core/ids.h"
#include "profiler/pipeline/source_maps.h"

namespace jprof {

// A frame whose name is still to come, or has come.
struct PendingFrame {
  enum class Kind : uint8_t {
    kImage,    // index: of the image; value: file offset to look up
    kKernel,   // value: address to look up
    kNamed,    // index: into FrameTable::names; value: for distinct frames of one function: 0
    kUnknown,  // index: into FrameTable::names, which holds what is known
    kLocated,  // index: into FrameTable::lines: a function with its line, and those inlined there
    kBuiltin,  // as kImage, in the code of runtime `runtime`
    kDumped,   // index: into FrameTable::dumped; its name depends on the time of the sample
    kTruncation,  // the marker where callers are missing; value: WalkEnd
  };
  Kind kind = Kind::kUnknown;
  uint8_t runtime = 0;
  uint32_t index = 0;
  uint64_t value = 0;

  friend bool operator==(const PendingFrame&, const PendingFrame&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PendingFrame& f) {
    return H::combine(std::move(h), f.kind, f.runtime, f.index, f.value);
  }
};

// Why a runtime's frame has no name, as far as it is counted.
enum class ScriptLoss : uint8_t { kNone, kUnreadable, kCorrupt, kStale };

// The name of a frame that the symbol tables have no part in.
struct PendingName {
  std::string name;
  std::string file;
  uint32_t start_line = 0;
  FrameKind kind = FrameKind::kUnknown;
  std::string image;  // "[v8]", "[jit]": what the profile shows as its mapping; "" for none
  std::string why;    // of kUnknown: UnnamedFrames::why
  ScriptLoss loss = ScriptLoss::kNone;
  // Of a script with a source map: its number in SourceMaps, and where in the script the function
  // is.
  uint32_t map = SourceMaps::kNone;
  ScriptPlace place;
  uint32_t prefix_bytes = 0;  // of `name`, that are put before it: "async "

  friend bool operator==(const PendingName&, const PendingName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PendingName& n) {
    return H::combine(std::move(h), n.name, n.file, n.start_line, n.kind, n.image, n.why, n.loss,
                      n.map, n.place, n.prefix_bytes);
  }
  void Prefix(absl::string_view text) {
    name.insert(0, text.data(), text.size());
    prefix_bytes += static_cast<uint32_t>(text.size());
  }
};

// One function of a kLocated frame.
struct PendingLine {
  uint32_t name = 0;  // into FrameTable::names
  uint32_t line = 0;
  uint32_t column = 0;

  friend bool operator==(const PendingLine&, const PendingLine&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PendingLine& l) {
    return H::combine(std::move(h), l.name, l.line, l.column);
  }
};

// A kDumped frame: code of a process that writes a jitdump.
struct PendingDumped {
  uint32_t dump = 0;
  uint64_t address = 0;
  uint32_t otherwise = 0;  // the frame to show where the dump has no code

  friend bool operator==(const PendingDumped&, const PendingDumped&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const PendingDumped& d) {
    return H::combine(std::move(h), d.dump, d.address, d.otherwise);
  }
};

class FrameTable {
 public:
  // `max_bytes`: estimated, of all tables together; exceeded twice at most.
  explicit FrameTable(size_t max_bytes = SIZE_MAX) : max_bytes_(max_bytes) {}

  // Innermost first, not empty.
  uint32_t InternLines(std::vector<PendingLine> lines);
  uint32_t InternName(PendingName name);
  uint32_t InternFrame(const PendingFrame& frame);
  // A frame below `caller` in the tree of stacks; kNoStack: the outermost. Below one that was left
  // out there is nothing: then it is `caller`.
  uint32_t InternStack(uint32_t caller, uint32_t frame);

  // A kDumped frame; where there is no room, `dumped.otherwise`.
  uint32_t InternDumped(const PendingDumped& dumped);

  // The stack of a sample of which nothing is kept.
  uint32_t LeftOutStack() { return InternStack(kNoStack, LeftOutFrame()); }
  bool IsLeftOut(uint32_t stack) const {
    return stack != kNoStack && stacks_[stack].frame == left_out_frame_;
  }

  static constexpr uint32_t kNoStack = UINT32_MAX;
  struct Node {
    uint32_t caller;
    uint32_t frame;
  };

  const std::vector<PendingFrame>& frames() const { return frames_; }
  const std::vector<PendingName>& names() const { return names_; }
  const std::vector<std::vector<PendingLine>>& lines() const { return lines_; }
  const std::vector<PendingDumped>& dumped() const { return dumped_; }
  const std::vector<Node>& stacks() const { return stacks_; }

  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  bool full() const { return bytes_ >= max_bytes_; }
  // Made when they are needed first.
  uint32_t LeftOutName();
  uint32_t LeftOutLines();
  uint32_t LeftOutFrame();

  size_t max_bytes_;
  size_t bytes_ = 0;
  uint32_t left_out_name_ = kNone;
  uint32_t left_out_lines_ = kNone;
  uint32_t left_out_frame_ = kNone;
  std::vector<PendingFrame> frames_;
  std::vector<PendingName> names_;
  std::vector<std::vector<PendingLine>> lines_;
  std::vector<PendingDumped> dumped_;
  std::vector<Node> stacks_;
  absl::flat_hash_map<PendingFrame, uint32_t> frame_ids_;
  absl::flat_hash_map<PendingName, uint32_t> name_ids_;
  absl::flat_hash_map<std::vector<PendingLine>, uint32_t> line_ids_;
  absl::flat_hash_map<PendingDumped, uint32_t> dumped_ids_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> stack_ids_;
};

}  // namespace jprof
