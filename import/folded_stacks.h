// Folded stacks as StackSources: nothing is kept of the file but the names in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "import/folded_paths.h"
#include "import/frame_text.h"
#include "import/input.h"
#include "profiler/core/key_table.h"
#include "profiler/core/profile_builder.h"
#include "profiler/core/stack_source.h"

namespace jprof {

// Some lines of a file. Of a weight of 0 and of a stack that is too deep or too long Read says that
// it is Unimplemented: ReadFolded is for them.
class FoldedStacks : public StackSource {
 public:
  // The file in at most `parts` parts of equal size; each works by itself and may have a thread.
  // Unimplemented: it cannot be read anywhere, is of another format, or a comparison.
  static absl::StatusOr<std::vector<FoldedStacks>> Open(const std::string& path, size_t parts);

  void Rewind() override;
  absl::StatusOr<std::span<const Stack>> Read() override;
  uint32_t FrameAt(size_t stack, size_t depth) override;
  Frame frame(uint32_t number) const override { return frames_[number]; }
  const Profile& tables() const override { return builder_.profile(); }

  // Lines without a stack or a weight since Rewind.
  uint64_t skipped() const { return skipped_; }

 private:
  enum Level : uint32_t { kProcess, kPhysical, kInlined };
  FoldedStacks(UniqueFd fd, uint64_t begin, uint64_t end);
  static Level LevelOf(absl::string_view text, size_t depth);
  void AddFrame(absl::string_view text, Level level);

  UniqueFd fd_;
  uint64_t begin_;  // of its lines in the file
  uint64_t end_;
  ProfileBuilder builder_;  // functions and strings
  TableBudget budget_;
  std::vector<Frame> frames_;
  KeyTable known_;  // frames, by their number in paths_ plus their level: how many they were then

  std::unique_ptr<Input> input_;
  FoldedPaths paths_;
  std::vector<Stack> stacks_;
  uint64_t skipped_ = 0;
};

}  // namespace jprof
