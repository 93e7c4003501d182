#include "profiler/cli/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kBufferBytes = 1 << 16;
constexpr mode_t kMode = 0600;
constexpr int kMaxLinks = 40;  // as the kernel has it

std::string DirectoryOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

absl::Status CannotWrite(int err, absl::string_view path) {
  absl::Status status =
      ErrnoStatus(err, absl::StrCat("cannot write ", path.empty() ? "standard output" : path));
  // In a folder that was removed nothing can be made, for many a reason.
  struct stat folder;
  if (!path.empty() && path[0] != '/' && ::stat(".", &folder) == 0 && folder.st_nlink == 0) {
    return WithHint(absl::NotFoundError(absl::StrCat("cannot write ", path,
                                                     ": the current folder was removed")),
                    "cd to another, or name the file with its whole path: -o FILE");
  }
  // The folder is there: its file system has files of its own making, and no others.
  if (err == ENOENT && ::stat(DirectoryOf(path).c_str(), &folder) == 0) {
    return WithHint(absl::NotFoundError(absl::StrCat(
                        "cannot write ", path, ": no files can be made in ", DirectoryOf(path))),
                    "choose another directory: -o FILE");
  }
  switch (err) {
    case EACCES:
    case EPERM:
    case EROFS:
      return WithHint(status, "choose a directory that you may write to: -o FILE");
    case EISDIR:
      return WithHint(status, "name a file in it: -o FILE");
    case ENOENT:
    case ENOTDIR:
      return WithHint(status, absl::StrCat("make its directory: mkdir -p ", DirectoryOf(path)));
    case ENOSPC:
    case EDQUOT:
      return WithHint(status, "make room, or choose another file system: -o FILE");
    case EFBIG:
      return WithHint(status, "raise ulimit -f");
    case ENXIO:
      return WithHint(status, "nobody reads the pipe: start its reader first");
    case EPIPE:
      return WithHint(status, "the reader of the pipe has gone");
    case EBADF:
      return WithHint(status, "it is closed; name a file: -o FILE");
    default:
      return status;
  }
}

// The number of an open descriptor of ours that `path` names, "/dev/fd/3" and the like; else -1.
int OwnDescriptor(const std::string& path) {
  struct stat folder, own;
  int number = -1;
  if (!absl::SimpleAtoi(absl::string_view(path).substr(path.rfind('/') + 1), &number) ||
      ::stat(DirectoryOf(path).c_str(), &folder) != 0 || ::stat("/proc/self/fd", &own) != 0 ||
      folder.st_dev != own.st_dev || folder.st_ino != own.st_ino) {
    return -1;
  }
  return number;
}

// The path behind all links, or that of a descriptor, which is a link as well.
absl::StatusOr<std::string> FollowLinks(std::string path) {
  for (int links = 0; links <= kMaxLinks; ++links) {
    struct stat st;
    if (OwnDescriptor(path) >= 0 || ::lstat(path.c_str(), &st) != 0 || !S_ISLNK(st.st_mode)) {
      return path;
    }
    if (st.st_uid != ::geteuid() && st.st_uid != 0) {
      return WithHint(
          absl::PermissionDeniedError(absl::StrCat(
              "cannot write ", path, ": it is a symbolic link that user ", st.st_uid, " made")),
          "name the file itself: -o FILE");
    }
    std::string target(PATH_MAX, '\0');
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) return CannotWrite(errno, path);
    target.resize(static_cast<size_t>(size));
    path = absl::StartsWith(target, "/") ? target : absl::StrCat(DirectoryOf(path), "/", target);
  }
  return CannotWrite(ELOOP, path);
}

// Whether a file that is there may give way to ours, or be written to.
absl::Status CheckReplaceable(const std::string& path, const struct stat& file) {
  struct stat folder;
  if (file.st_uid == ::geteuid() || ::stat(DirectoryOf(path).c_str(), &folder) != 0 ||
      (folder.st_mode & S_ISVTX) == 0 || file.st_uid == folder.st_uid) {
    return absl::OkStatus();
  }
  return WithHint(
      absl::PermissionDeniedError(absl::StrCat("cannot write ", path, ": it belongs to user ",
                                               file.st_uid, ", in a folder that all may write to")),
      "remove it, or name another file: -o FILE");
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& given) {
  auto file = std::unique_ptr<OutputFile>(new OutputFile);
  JPROF_ASSIGN_OR_RETURN(const std::string path, FollowLinks(given));
  file->path_ = path;
  if (const int descriptor = OwnDescriptor(path); descriptor >= 0) {
    file->owned_ = UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    if (!file->owned_.valid()) return CannotWrite(errno, path);
    file->fd_ = file->owned_.get();
    return file;
  }
  if (path.empty()) {
    file->fd_ = STDOUT_FILENO;
    const int flags = ::fcntl(file->fd_, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return CannotWrite(EBADF, path);
    return file;
  }
  struct stat st;
  if (::stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return CannotWrite(EISDIR, path);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
      JPROF_RETURN_IF_ERROR(file->OpenInPlace());
      return file;
    }
    if (!S_ISREG(st.st_mode)) {
      return WithHint(absl::FailedPreconditionError(absl::StrCat(
                          "cannot write ", path, ": it is a block device or a socket")),
                      "name a file, a pipe or a character device: -o FILE");
    }
    JPROF_RETURN_IF_ERROR(CheckReplaceable(path, st));
  }
  JPROF_RETURN_IF_ERROR(file->CreateBeside());
  return file;
}

// A pipe or a device. Who waits for a reader that never comes cannot be told from one that hangs.
absl::Status OutputFile::OpenInPlace() {
  owned_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat st;
  if (!owned_.valid() || ::fstat(owned_.get(), &st) != 0) return CannotWrite(errno, path_);
  JPROF_RETURN_IF_ERROR(CheckReplaceable(path_, st));
  if (::fcntl(owned_.get(), F_SETFL, 0) != 0) return CannotWrite(errno, path_);
  fd_ = owned_.get();
  return absl::OkStatus();
}

absl::Status OutputFile::CreateBeside() {
  if (absl::EndsWith(path_, "/")) return CannotWrite(EISDIR, path_);
  is_regular_ = true;
  directory_ = DirectoryOf(path_);
  // Without a name there is nothing to be left behind, whatever ends this process.
  owned_ = UniqueFd(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kMode));
  if (!owned_.valid() && (errno == EOPNOTSUPP || errno == EISDIR)) {
    temporary_ = absl::StrCat(path_, ".jprof-XXXXXX");
    owned_ = UniqueFd(::mkostemp(temporary_.data(), O_CLOEXEC));
    if (!owned_.valid()) temporary_.clear();
  }
  if (!owned_.valid()) return CannotWrite(errno, path_);
  fd_ = owned_.get();
  return absl::OkStatus();
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

bool OutputFile::is_terminal() const { return ::isatty(fd_) == 1; }

absl::Status OutputFile::Append(absl::string_view bytes) {
  buffer_.append(bytes.data(), bytes.size());
  return buffer_.size() >= kBufferBytes ? Flush() : absl::OkStatus();
}

absl::Status OutputFile::AppendHole(uint64_t bytes) {
  if (is_regular_) {
    JPROF_RETURN_IF_ERROR(Flush());
    const off_t end = ::lseek(fd_, static_cast<off_t>(bytes), SEEK_CUR);
    // The size too, or a hole at the end would be missing.
    if (end < 0 || ::ftruncate(fd_, end) != 0) return CannotWrite(errno, path_);
    return absl::OkStatus();
  }
  const std::string zeros(std::min<uint64_t>(bytes, kBufferBytes), '\0');
  for (; bytes > 0; bytes -= std::min<uint64_t>(bytes, zeros.size())) {
    JPROF_RETURN_IF_ERROR(
        Append(absl::string_view(zeros).substr(0, std::min<uint64_t>(bytes, zeros.size()))));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {  // whom we share it with wants it so
        pollfd writable = {fd_, POLLOUT, 0};
        ::poll(&writable, 1, -1);
        continue;
      }
      return CannotWrite(errno, path_);
    }
    written += static_cast<size_t>(n);
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Scratch() const {
  auto file = std::unique_ptr<OutputFile>(new OutputFile);
  file->path_ = is_regular_ ? path_ : "/var/tmp/jprof";
  JPROF_RETURN_IF_ERROR(file->CreateBeside());
  return file;
}

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Another() const {
  auto file = std::unique_ptr<OutputFile>(new OutputFile);
  file->path_ = path_;
  JPROF_RETURN_IF_ERROR(file->CreateBeside());
  return file;
}

absl::StatusOr<UniqueFd> OutputFile::Reopen() {
  JPROF_RETURN_IF_ERROR(Flush());
  UniqueFd fd(::open(absl::StrCat("/proc/self/fd/", fd_).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot read ", path_));
  return fd;
}

// Gives the new file the old one's owner and mode. Only root can give a file away; a group that it
// cannot be given to is not let in.
absl::Status OutputFile::TakeOver(const struct stat& replaced) {
  JPROF_RETURN_IF_ERROR(CheckReplaceable(path_, replaced));
  if (is_private_) return absl::OkStatus();
  mode_t mode = replaced.st_mode & 0777;
  if (::fchown(fd_, replaced.st_uid, replaced.st_gid) != 0) mode &= ~mode_t{S_IRWXG};
  if (::fchmod(fd_, mode) != 0) return CannotWrite(errno, path_);
  return absl::OkStatus();
}

absl::Status OutputFile::GiveName() {
  struct stat replaced;
  if (::lstat(path_.c_str(), &replaced) == 0 && S_ISREG(replaced.st_mode)) {
    JPROF_RETURN_IF_ERROR(TakeOver(replaced));
  }
  if (temporary_.empty()) {
    // A link cannot replace a file as a rename can, so it may take two steps.
    const std::string self = absl::StrCat("/proc/self/fd/", fd_);
    auto link_to = [&](const std::string& name) {
      return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (link_to(path_)) return absl::OkStatus();
    if (errno != EEXIST) return CannotWrite(errno, path_);
    std::string beside = absl::StrCat(path_, ".jprof-", ::getpid());
    if (!link_to(beside)) return CannotWrite(errno, path_);
    temporary_ = std::move(beside);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return CannotWrite(errno, path_);
  temporary_.clear();
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  JPROF_RETURN_IF_ERROR(Flush());
  if (!owned_.valid()) return absl::OkStatus();
  if (is_regular_) {
    // Some file systems report a full disk only here.
    if (::fsync(fd_) != 0) return CannotWrite(errno, path_);
    JPROF_RETURN_IF_ERROR(GiveName());
  }
  if (::close(owned_.Release()) != 0) return CannotWrite(errno, path_);
  return absl::OkStatus();
}

}  // namespace jprof
