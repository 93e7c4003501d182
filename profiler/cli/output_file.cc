#include "profiler/cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kBufferBytes = 1 << 16;

absl::Status CannotWrite(int err, absl::string_view path) {
  absl::Status status =
      ErrnoStatus(err, absl::StrCat("cannot write ", path.empty() ? "standard output" : path));
  switch (err) {
    case EACCES:
    case EPERM:
    case EROFS:
      return WithHint(status, "choose a directory that you may write to: -o FILE");
    case ENOENT:
      return WithHint(status, "the directory does not exist");
    case ENOSPC:
    case EDQUOT:
      return WithHint(status, "make room, or choose another file system: -o FILE");
    case EPIPE:
      return WithHint(status, "the reader of the pipe has gone");
    default:
      return status;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& path) {
  auto file = std::unique_ptr<OutputFile>(new OutputFile);
  file->path_ = path;
  if (path.empty()) {
    file->fd_ = STDOUT_FILENO;
    if (::fcntl(file->fd_, F_GETFD) < 0) return CannotWrite(errno, path);
    return file;
  }
  struct stat st;
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) {
    if (S_ISDIR(st.st_mode)) return CannotWrite(EISDIR, path);
    // A pipe or device: there is nothing to rename onto.
    file->owned_ = UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!file->owned_.valid()) return CannotWrite(errno, path);
    file->fd_ = file->owned_.get();
    return file;
  }
  file->is_regular_ = true;
  file->temporary_ = absl::StrCat(path, ".jprof-XXXXXX");
  file->owned_ = UniqueFd(::mkostemp(file->temporary_.data(), O_CLOEXEC));
  if (!file->owned_.valid()) {
    const int err = errno;
    file->temporary_.clear();
    return CannotWrite(err, path);
  }
  file->fd_ = file->owned_.get();
  return file;
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

absl::Status OutputFile::Append(absl::string_view bytes) {
  buffer_.append(bytes.data(), bytes.size());
  return buffer_.size() >= kBufferBytes ? Flush() : absl::OkStatus();
}

absl::Status OutputFile::Flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      return CannotWrite(errno, path_);
    }
    written += static_cast<size_t>(n);
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  JPROF_RETURN_IF_ERROR(Flush());
  if (!owned_.valid()) return absl::OkStatus();
  // Some file systems report a full disk only here.
  if (is_regular_ && ::fsync(fd_) != 0) return CannotWrite(errno, path_);
  if (::close(owned_.Release()) != 0) return CannotWrite(errno, path_);
  if (!temporary_.empty()) {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return CannotWrite(errno, path_);
    temporary_.clear();
  }
  return absl::OkStatus();
}

}  // namespace jprof
