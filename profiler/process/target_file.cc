#include "profiler/process/target_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

// -1 with errno set.
int OpenPathConfined(int root, const std::string& path, LinkPolicy links) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  if (links == LinkPolicy::kRefuse) how.resolve |= RESOLVE_NO_SYMLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
}

// For kernels and sandboxes without openat2: one component at a time, following no link at all.
int OpenPathByComponent(int root, const std::string& path) {
  UniqueFd at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  for (absl::string_view component : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (!at.valid()) return -1;
    if (component == "..") {
      errno = EXDEV;
      return -1;
    }
    UniqueFd next(
        ::openat(at.get(), std::string(component).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return -1;
    // An O_PATH descriptor of a link is one of the link itself: nothing lies below it.
    at = std::move(next);
  }
  return at.Release();
}

bool IsFile(const UniqueFd& fd, const FileIdentity& file) {
  struct stat st;
  return ::fstat(fd.get(), &st) == 0 && major(st.st_dev) == file.device_major &&
         minor(st.st_dev) == file.device_minor && st.st_ino == file.inode;
}

// Its "root" or "cwd". Invalid with errno set. A main thread that has ended before the others has
// none.
UniqueFd OpenFolder(const UniqueFd& process, absl::string_view name) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  UniqueFd folder(::openat(process.get(), std::string(name).c_str(), kFlags));
  if (folder.valid() || errno != ENOENT) return folder;
  const absl::StatusOr<std::vector<Tid>> threads = ListThreads(process);
  if (threads.ok()) {
    for (size_t i = 0; i < threads->size() && !folder.valid(); ++i) {
      const std::string path = absl::StrCat("task/", (*threads)[i], "/", name);
      folder = UniqueFd(::openat(process.get(), path.c_str(), kFlags));
    }
  }
  if (!folder.valid()) errno = ENOENT;
  return folder;
}

// Time stamps of files are of the last tick.
constexpr int64_t kTimeStampNs = 20'000'000;

int64_t Now(clockid_t clock) {
  timespec t;
  ::clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

absl::string_view NameIn(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

// From Linux 6.8 to 6.17 mapping events tell of an overlay's file the one behind it, by that one's
// device and path; /proc does not.
bool MayBeInFrontOf(const ProcMapping& m, const Mapping& behind) {
  const FileIdentity &front = m.file, &back = behind.file;
  return front.valid() &&
         (front.device_major != back.device_major || front.device_minor != back.device_minor) &&
         m.range.begin.value - m.offset.value ==
             behind.range.begin.value - behind.offset.value &&
         NameIn(m.path) == NameIn(behind.path);
}

bool IsOnOverlay(const UniqueFd& fd) {
  struct statfs system;
  return ::fstatfs(fd.get(), &system) == 0 && system.f_type == OVERLAYFS_SUPER_MAGIC;
}

// The kernel's own mapping of that file which covers `mapping` where it begins: ours may have been
// cut or put together since. NotFound: there is none any more.
absl::StatusOr<ProcMapping> CurrentMapping(Pid pid, const Mapping& mapping) {
  JPROF_ASSIGN_OR_RETURN(std::vector<ProcMapping> maps, ReadProcMaps(pid));
  for (ProcMapping& m : maps) {
    if (m.range.Overlaps(mapping.range) &&
        (m.file == mapping.file || MayBeInFrontOf(m, mapping))) {
      return std::move(m);
    }
  }
  return absl::NotFoundError(absl::StrCat(mapping.path, ": no longer mapped by pid ", pid));
}

absl::StatusOr<UniqueFd> OpenThroughMapFiles(Pid pid, const Mapping& mapping) {
  JPROF_ASSIGN_OR_RETURN(const ProcMapping now, CurrentMapping(pid, mapping));
  JPROF_ASSIGN_OR_RETURN(const Tid living, LivingThread(pid));
  std::string link = absl::StrCat("/proc/", living, "/map_files/", absl::Hex(now.range.begin.value),
                                  "-", absl::Hex(now.range.end.value));
  UniqueFd path_only(::open(link.c_str(), O_PATH | O_CLOEXEC));
  if (!path_only.valid()) {
    int err = errno;
    absl::Status status = ErrnoStatus(err, absl::StrCat(mapping.path, ": ", link));
    if (err == EPERM || err == EACCES) {
      return WithHint(status, "run as root, or with CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE");
    }
    return status;
  }
  JPROF_ASSIGN_OR_RETURN(UniqueFd fd, OpenPathOnly(path_only, mapping.path));
  // By stat its device need not be that of the mapping, so it is the mapping that is looked at
  // again: the same range still has the same file, so the link led to that one.
  JPROF_ASSIGN_OR_RETURN(const ProcMapping after, CurrentMapping(pid, mapping));
  if (after.range != now.range || after.file != now.file) {
    return absl::NotFoundError(absl::StrCat(mapping.path, ": mapping changed while being opened"));
  }
  if (now.file != mapping.file && !IsOnOverlay(fd)) {
    return absl::NotFoundError(absl::StrCat(mapping.path, ": another file is mapped there now"));
  }
  return fd;
}

}  // namespace

bool MayStopAnswering(const UniqueFd& file) {
  // Those that <linux/magic.h> does not have.
  constexpr uint32_t kFuse = 0x65735546;  // virtiofs as well
  constexpr uint32_t kCeph = 0x00c36400;
  constexpr uint32_t kLustre = 0x0bd00bd0;
  struct statfs system;
  if (::fstatfs(file.get(), &system) != 0) return true;
  switch (static_cast<uint32_t>(system.f_type)) {
    case kFuse:
    case kCeph:
    case kLustre:
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
    case CODA_SUPER_MAGIC:
    case V9FS_MAGIC:
      return true;
    default:
      return false;
  }
}

bool IsPathOnly(const UniqueFd& file) {
  const int flags = ::fcntl(file.get(), F_GETFL);
  return flags >= 0 && (flags & O_PATH) != 0;
}

absl::StatusOr<UniqueFd> ToPathOnly(const UniqueFd& file) {
  UniqueFd fd(::open(absl::StrCat("/proc/self/fd/", file.get()).c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "/proc/self/fd");
  return fd;
}

absl::StatusOr<UniqueFd> OpenPathOnly(const UniqueFd& path_only, absl::string_view name) {
  struct stat st;
  if (::fstat(path_only.get(), &st) != 0) return ErrnoStatus(errno, name);
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": not a regular file"));
  }
  UniqueFd fd(::open(absl::StrCat("/proc/self/fd/", path_only.get()).c_str(),
                     O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, name);
  return fd;
}

absl::Status AwaitFileSystem(const UniqueFd& file, absl::string_view name) {
  struct statx st;
  if (::statx(file.get(), "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &st) != 0) {
    return ErrnoStatus(errno, name);
  }
  return absl::OkStatus();
}

absl::StatusOr<FileFacts> FactsOf(const UniqueFd& file, absl::string_view name) {
  const int as_known = IsPathOnly(file) ? AT_STATX_DONT_SYNC : AT_STATX_SYNC_AS_STAT;
  struct statx st;
  if (::statx(file.get(), "", AT_EMPTY_PATH | as_known, STATX_BASIC_STATS, &st) != 0) {
    return ErrnoStatus(errno, name);
  }
  return FileFacts{
      .device = uint64_t{st.stx_dev_major} << 32 | st.stx_dev_minor,
      .inode = st.stx_ino,
      .mode = st.stx_mode,
      .links = st.stx_nlink,
      .owner = st.stx_uid,
      .changed_ns = int64_t{st.stx_ctime.tv_sec} * 1'000'000'000 + st.stx_ctime.tv_nsec};
}

bool WasChangedSince(const UniqueFd& fd, uint64_t monotonic_ns) {
  const absl::StatusOr<FileFacts> facts = FactsOf(fd, "");
  if (!facts.ok()) return true;
  const int64_t since_ns =
      static_cast<int64_t>(monotonic_ns) + Now(CLOCK_REALTIME) - Now(CLOCK_MONOTONIC);
  return facts->changed_ns >= since_ns - kTimeStampNs;
}

absl::StatusOr<UniqueFd> OpenInRoot(const UniqueFd& root, const std::string& path, LinkPolicy links,
                                    absl::string_view name) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not an absolute path"));
  }
  UniqueFd path_only(OpenPathConfined(root.get(), path, links));
  if (!path_only.valid() && (errno == ENOSYS || errno == EPERM)) {
    path_only = UniqueFd(OpenPathByComponent(root.get(), path));
  }
  if (!path_only.valid()) {
    if (errno == ELOOP && links == LinkPolicy::kRefuse) {
      return absl::FailedPreconditionError(absl::StrCat(name, ": a symbolic link is in the path"));
    }
    return ErrnoStatus(errno, name);
  }
  return OpenPathOnly(path_only, name);
}

absl::StatusOr<UniqueFd> OpenRootOf(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
  UniqueFd root = OpenFolder(process, "root");
  if (!root.valid()) return ErrnoStatus(errno, absl::StrCat("root of ", pid));
  return root;
}

absl::StatusOr<UniqueFd> OpenInProcessRoot(const UniqueFd& process, const std::string& path,
                                           LinkPolicy links, absl::string_view name) {
  UniqueFd root = OpenFolder(process, "root");
  if (!root.valid()) return ErrnoStatus(errno, name);
  return OpenInRoot(root, path, links, name);
}

absl::StatusOr<UniqueFd> OpenInWorkingDirectory(const UniqueFd& process, const std::string& path,
                                                LinkPolicy links, absl::string_view name) {
  UniqueFd folder = OpenFolder(process, "cwd");
  if (!folder.valid()) return ErrnoStatus(errno, name);
  return OpenInRoot(folder, absl::StrCat("/", path), links, name);
}

absl::StatusOr<UniqueFd> OpenNamedByProcess(Pid pid, const std::string& path) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
  JPROF_ASSIGN_OR_RETURN(const ProcStatus status, ReadProcStatus(process));
  JPROF_ASSIGN_OR_RETURN(UniqueFd file,
                         OpenInProcessRoot(process, path, LinkPolicy::kFollowInRoot, path));
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, path);
  const bool in_group = absl::c_linear_search(status.groups, st.st_gid);
  if (status.effective_uid != 0 && st.st_uid != status.effective_uid &&
      (st.st_mode & (in_group ? S_IRGRP : S_IROTH)) == 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        path, ": not readable to user ", status.effective_uid, ", whose process names it"));
  }
  return file;
}

absl::StatusOr<UniqueFd> OpenVdso() {
  JPROF_ASSIGN_OR_RETURN(std::vector<ProcMapping> maps, ReadProcMaps(::getpid()));
  for (const ProcMapping& m : maps) {
    if (m.file.valid() || m.path != "[vdso]") continue;
    UniqueFd fd(::memfd_create("vdso", MFD_CLOEXEC));
    if (!fd.valid()) return ErrnoStatus(errno, "[vdso]");
    const auto* image = reinterpret_cast<const void*>(m.range.begin.value);
    if (::write(fd.get(), image, m.range.size()) != static_cast<ssize_t>(m.range.size())) {
      return ErrnoStatus(errno, "[vdso]");
    }
    return fd;
  }
  return absl::NotFoundError("[vdso]: the kernel gives none");
}

absl::StatusOr<UniqueFd> OpenFileOfGoneProcess(Pid root_of, const Mapping& mapping,
                                               uint64_t mapped_ns) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(root_of));
  JPROF_ASSIGN_OR_RETURN(
      UniqueFd fd,
      OpenInProcessRoot(process, mapping.path, LinkPolicy::kFollowInRoot, mapping.path));
  if (!mapping.file.valid() || !IsFile(fd, mapping.file) || WasChangedSince(fd, mapped_ns)) {
    return absl::NotFoundError(
        absl::StrCat(mapping.path, ": perhaps not the file that was mapped"));
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenMappedFile(Pid pid, const Mapping& mapping) {
  if (!mapping.file.valid()) {
    return absl::NotFoundError(absl::StrCat(mapping.path, ": memory without a file"));
  }
  absl::Status by_path = absl::OkStatus();
  if (!mapping.path.empty() && mapping.path[0] == '/') {
    JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
    absl::StatusOr<UniqueFd> fd =
        OpenInProcessRoot(process, mapping.path, LinkPolicy::kFollowInRoot, mapping.path);
    if (fd.ok() && IsFile(*fd, mapping.file)) return fd;
    by_path = fd.status();
  }
  absl::StatusOr<UniqueFd> fd = OpenThroughMapFiles(pid, mapping);
  if (fd.ok() || by_path.ok()) return fd;
  // Both failed. That the file lies open at its path, but not to us, is the better reason.
  return absl::IsPermissionDenied(by_path) ? by_path : fd.status();
}

}  // namespace jprof
