// The bytes of a profile that somebody else wrote: read once, front to back, from a file, a pipe or
// memory, inflated where they are gzip. Never more in memory than a reader asks for, so that text
// may be larger than it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next bytes, at most `size`; 0 at the end.
  virtual absl::StatusOr<size_t> Read(char* to, size_t size) = 0;
};

class FileSource : public ByteSource {
 public:
  explicit FileSource(UniqueFd fd) : fd_(std::move(fd)) {}
  absl::StatusOr<size_t> Read(char* to, size_t size) override;

 private:
  UniqueFd fd_;
};

// Over bytes that live longer than it.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(absl::string_view bytes) : rest_(bytes) {}
  absl::StatusOr<size_t> Read(char* to, size_t size) override;

 private:
  absl::string_view rest_;
};

// A longer line is not text.
inline constexpr size_t kMaxLineBytes = 16 << 20;
// Of a file that has to be in memory as a whole.
inline constexpr size_t kMaxWholeBytes = size_t{512} << 20;

class Input {
 public:
  explicit Input(std::unique_ptr<ByteSource> source);
  ~Input();

  // The beginning, 64 KiB of it or all; only before anything is taken.
  absl::StatusOr<absl::string_view> Head();

  // The next line without its end, valid until the next call; false at the end. The last one need
  // not be terminated. DataLoss: longer than kMaxLineBytes.
  absl::StatusOr<bool> NextLine(absl::string_view& line);

  // All that is left. ResourceExhausted: more than `max_bytes`.
  absl::StatusOr<std::string> Rest(size_t max_bytes = kMaxWholeBytes);

 private:
  class Gunzip;
  // Reads more behind what is left; false at the end.
  absl::StatusOr<bool> Fill();

  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is left in the buffer
  size_t end_ = 0;
  bool ended_ = false;
  bool looked_ = false;  // whether it is gzip
};

}  // namespace jprof
