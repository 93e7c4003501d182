#include "helpers/perfmap/growing_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/target_file.h"

namespace jprof {

bool GrowingFile::is_remote() const { return IsPathOnly(fd_); }

absl::Status GrowingFile::Begin(uint64_t offset) {
  waited_ = {};
  if (is_remote()) return FetchPart(offset);
  struct stat st;
  if (::fstat(fd_.get(), &st) != 0) return ErrnoStatus(errno, name_);
  size_ = static_cast<uint64_t>(st.st_size);
  return absl::OkStatus();
}

absl::Status GrowingFile::FetchPart(uint64_t offset) {
  part_.clear();
  if (!read_part_) return absl::FailedPreconditionError(absl::StrCat(name_, ": not open"));
  if (waited_ >= kPatience) {
    return absl::DeadlineExceededError(
        absl::StrCat(name_, ": its file system is slow, and not all of it is read yet"));
  }
  const auto began = std::chrono::steady_clock::now();
  JPROF_ASSIGN_OR_RETURN(FilePart part, read_part_(fd_, offset, name_));
  waited_ += std::chrono::steady_clock::now() - began;
  part_begin_ = offset;
  part_ = std::move(part.bytes);
  size_ = part.file_size;
  return absl::OkStatus();
}

absl::StatusOr<size_t> GrowingFile::Read(uint64_t offset, std::span<char> out) {
  if (!is_remote()) {
    ssize_t got;
    do {
      got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", name_));
    return static_cast<size_t>(got);
  }
  auto in_part = [&] { return offset >= part_begin_ && offset - part_begin_ < part_.size(); };
  const bool at_end = offset - part_begin_ == part_.size() &&
                      part_.size() < FilePart::kMinPartBytes;
  if (!in_part() && !at_end) JPROF_RETURN_IF_ERROR(FetchPart(offset));
  if (!in_part()) return 0;
  const absl::string_view bytes = absl::string_view(part_).substr(offset - part_begin_, out.size());
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return bytes.size();
}

}  // namespace jprof
