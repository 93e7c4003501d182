// A file that its writer goes on writing while it is read, or cuts, or writes anew. One whose file
// system may stop to answer is read by somebody else (ReadFilePart), and for a bounded time.
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// A part of a file as it is now, which ends where the file does or holds at least kMinPartBytes.
struct FilePart {
  static constexpr size_t kMinPartBytes = 64 << 10;
  std::string bytes;
  uint64_t file_size = 0;
};
// Of a file that is held by its path alone. DeadlineExceeded: its file system does not answer.
using ReadFilePart = std::function<absl::StatusOr<FilePart>(
    const UniqueFd& path_only, uint64_t offset, const std::string& name)>;

class GrowingFile {
 public:
  // That reading may wait for others from one Begin() to the next.
  static constexpr std::chrono::milliseconds kPatience{500};

  // `read_part` is for a descriptor that is path-only, and may be empty for others. `name` is for
  // messages.
  GrowingFile(UniqueFd fd, absl::string_view name, ReadFilePart read_part)
      : fd_(std::move(fd)), name_(name), read_part_(std::move(read_part)) {}

  const UniqueFd& fd() const { return fd_; }
  const std::string& name() const { return name_; }
  // It is read by somebody else.
  bool is_remote() const;

  // What follows is read of the file as it is from now on, first at `offset`.
  absl::Status Begin(uint64_t offset);
  // As of Begin().
  uint64_t size() const { return size_; }
  // How many bytes were read: 0 at the end of the file alone.
  absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> out);

 private:
  absl::Status FetchPart(uint64_t offset);

  UniqueFd fd_;
  std::string name_;
  ReadFilePart read_part_;
  uint64_t size_ = 0;
  uint64_t part_begin_ = 0;
  std::string part_;
  std::chrono::steady_clock::duration waited_{};
};

}  // namespace jprof
