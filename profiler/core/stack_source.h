// Stacks one after another, as often as they are asked for: of a file that is too large to keep.
// What a reader of a format offers (import/) and a picture takes (export/).
//
// They come some at a time, so that what is known of them can be looked for side by side. Most of a
// stack is in others before it, so its frames are asked for where a path to them is not known yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/core/profile.h"

namespace jprof {

// For one thread at a time.
class StackSource {
 public:
  // A level of a stack: outermost the process, below it functions.
  struct Frame {
    StringId process;     // of a process, else invalid
    FunctionId function;  // of a function, else invalid
    bool inlined = false;
  };

  struct Stack {
    // By frame, outermost first: a number that stands for the path down to it. Different paths have
    // different numbers, in all of a source's stacks and readings, but for a chance of 2^-64 for
    // each two, whatever the source is made of. There is a frame, at least.
    std::span<const uint64_t> paths;
    int64_t weight;  // above 0
  };

  virtual ~StackSource() = default;

  // Goes before the first stack. Frames keep their numbers.
  virtual void Rewind() = 0;

  // The next stacks, at most kMaxRead, valid until the next call; none at the end. Unimplemented:
  // they are not as simple as this interface has them.
  static constexpr size_t kMaxRead = 32;
  virtual absl::StatusOr<std::span<const Stack>> Read() = 0;

  // The number of a frame of a stack that was read last. Numbers are given in the order of first
  // sight.
  virtual uint32_t FrameAt(size_t stack, size_t depth) = 0;

  // Of a number, and the tables that it refers to.
  virtual Frame frame(uint32_t number) const = 0;
  virtual const Profile& tables() const = 0;
};

}  // namespace jprof
