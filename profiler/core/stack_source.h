// Stacks one after another, as often as they are asked for: of a file that is too large to keep.
// What a reader of a format offers (import/) and a picture takes (export/).
//
// Neighbours share most of their stack, so of each stack only the frames are asked for in which it
// differs from the one before, and of those as many as the asker wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

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

  virtual ~StackSource() = default;

  // Goes before the first stack. Frames keep their numbers.
  virtual void Rewind() = 0;

  // Goes to the next stack; false at the end. Unimplemented: the stacks are not as simple as this
  // interface has them.
  virtual absl::StatusOr<bool> Next() = 0;

  // How many of the frames that were taken of the stack before this one has too, and in these
  // places. They count as taken.
  virtual size_t kept() const = 0;
  // Takes the next frame of the stack, outermost first; nullopt behind the leaf. Numbers are given
  // in the order of first sight.
  virtual std::optional<uint32_t> TakeFrame() = 0;
  // Above 0.
  virtual int64_t weight() const = 0;

  // Of a number, and the tables that it refers to.
  virtual Frame frame(uint32_t number) const = 0;
  virtual const Profile& tables() const = 0;
};

}  // namespace jprof
