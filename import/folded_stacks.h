// Folded stacks as StackSources: nothing is kept of the file but the names in it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "import/frame_text.h"
#include "import/input.h"
#include "profiler/core/index_table.h"
#include "profiler/core/profile_builder.h"
#include "profiler/core/stack_source.h"

namespace jprof {

// Some lines of a file. Of a weight of 0 and of a stack that is too deep Next says that it is
// Unimplemented: ReadFolded is for them.
class FoldedStacks : public StackSource {
 public:
  // The file in at most `parts` parts of equal size; each works by itself and may have a thread.
  // Unimplemented: it cannot be read anywhere, is of another format, or a comparison.
  static absl::StatusOr<std::vector<FoldedStacks>> Open(const std::string& path, size_t parts);

  void Rewind() override;
  absl::StatusOr<bool> Next() override;
  size_t kept() const override { return kept_; }
  std::optional<uint32_t> TakeFrame() override;
  int64_t weight() const override { return weight_; }
  Frame frame(uint32_t number) const override { return frames_[number]; }
  const Profile& tables() const override { return builder_.profile(); }

  // Lines without a stack or a weight since Rewind.
  uint64_t skipped() const { return skipped_; }

 private:
  enum Level : uint32_t { kProcess, kPhysical, kInlined };
  // In front of each text in texts_: each frame of the file is looked up, and what is in one place
  // is in the processor's cache at once.
  struct Text {
    uint32_t number;  // into frames_
    uint32_t size;
    Level level;
  };
  struct Scanned {
    size_t end;  // in stack_
    Level level;
    uint64_t hash;
  };
  FoldedStacks(UniqueFd fd, uint64_t begin, uint64_t end);
  void ScanAhead();
  uint32_t Add(absl::string_view text, Level level);

  UniqueFd fd_;
  uint64_t begin_;  // of its lines in the file
  uint64_t end_;
  ProfileBuilder builder_;  // functions and strings
  TableBudget budget_;
  std::vector<Frame> frames_;
  std::string texts_;  // padded
  uint64_t seed_;
  IndexTable known_;  // of texts_

  std::unique_ptr<Input> input_;
  std::string stack_;         // the line without its weight, a semicolon, padded
  size_t stack_bytes_ = 0;    // without the semicolon
  std::vector<size_t> ends_;  // in it, of the frames that were taken
  // Frames behind those, of which next_ is the next to be taken.
  std::array<Scanned, 4> scanned_;
  size_t scanned_count_ = 0;
  size_t next_ = 0;
  size_t kept_ = 0;
  int64_t weight_ = 0;
  uint64_t skipped_ = 0;
};

}  // namespace jprof
