// The paths in folded stacks: the first frame of a stack, its first two, and so on. For each there
// is a number that stands for it, so that a stack whose beginning is known need not be taken apart
// into frames.
//
// A number is a multilinear hash: the sum of the words of the text, and its length, each times a
// key of its own, of which the upper half is taken. Whatever two texts are, they have the same
// number with a probability of 2^-64 (Dietzfelbinger, "Universal hashing and k-wise independent
// random variables via integer arithmetic without primes", 1996), because the keys are drawn when
// the file is opened: whoever wrote it did not know them. So texts need not be compared. The sums
// up to each word are those of all paths: one pass over a stack finds all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace jprof {

// Some stacks at a time.
class FoldedPaths {
 public:
  static constexpr size_t kMaxStackBytes = 1 << 20;

  // Without any stacks again. Equal texts keep their numbers.
  void Clear();
  // Finds the frames of one more stack, at most so many. Unimplemented: longer than kMaxStackBytes.
  absl::Status Add(absl::string_view stack, size_t max_frames);

  size_t size() const { return stacks_.size(); }  // in stacks
  size_t bytes() const { return text_end_; }
  // By frame, outermost first, of the path down to it; valid until the next call of Add.
  std::span<const uint64_t> numbers(size_t stack) const {
    const size_t first = stacks_[stack].first_frame;
    const size_t end = stack + 1 < stacks_.size() ? stacks_[stack + 1].first_frame : frames_;
    return {&numbers_[first], end - first};
  }
  absl::string_view frame(size_t stack, size_t i) const {
    const size_t at = stacks_[stack].first_frame + i;
    const size_t begin = i == 0 ? 0 : ends_[at - 1] + 1;
    return {&text_[stacks_[stack].begin + begin], ends_[at] - begin};
  }
  // Of the text of the frame alone. To be compared with those of frames only.
  uint64_t FrameNumber(size_t stack, size_t i) const;

 private:
  using Sum = unsigned __int128;
  struct Key {
    uint64_t high, low;
    Sum Times(uint64_t word) const { return Sum{low} * word + (Sum{high * word} << 64); }
  };
  struct Stack {
    size_t begin;  // in text_
    size_t bytes;
    size_t first_frame;  // in ends_ and numbers_
  };
  size_t KeepFrames(absl::string_view stack);
  absl::Status MakeRoom(size_t bytes);
  void MakeRoomForFrames(size_t more);
  void Find(const Stack& stack, size_t max_frames);

  std::string text_;  // the stacks, with a semicolon behind each, and what may be read behind them
  size_t text_end_ = 0;
  std::vector<Stack> stacks_;
  size_t frames_ = 0;
  std::vector<size_t> ends_;       // of frames, in the text of their stack; and room for more
  std::vector<uint64_t> numbers_;  // of the paths to them; likewise
  // By word of the stack that was found last: the sum of the words before it.
  std::vector<Sum> sums_;
  std::vector<Key> keys_;  // the length's, then by word
};

}  // namespace jprof
