#include "profiler/process/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMinIdDigits = 12;
constexpr size_t kMaxTextBytes = 1 << 20;
constexpr int kMaxDepth = 64;
constexpr int kMaxGroups = 1 << 17;

absl::StatusOr<std::string> MountPoint() {
  JPROF_ASSIGN_OR_RETURN(std::string text, ReadProcFile("/proc/self/mountinfo", kMaxTextBytes));
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (!absl::StrContains(line, " - cgroup2 ")) continue;
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() > 4) return std::string(words[4]);
  }
  return absl::FailedPreconditionError("no cgroup v2 is mounted on this host");
}

UniqueFd OpenDirectory(int at, const std::string& path) {
  return UniqueFd(::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

// Calls visit(path below the first, directory) for a group and all below it.
void VisitGroups(int first, const std::function<void(const std::string&, int)>& visit) {
  int left = kMaxGroups;
  std::function<void(int, const std::string&, int)> go = [&](int at, const std::string& path,
                                                             int depth) {
    if (--left < 0 || depth > kMaxDepth) return;
    visit(path, at);
    const int copy = ::fcntl(at, F_DUPFD_CLOEXEC, 0);
    DIR* entries = copy < 0 ? nullptr : ::fdopendir(copy);
    if (entries == nullptr) {
      if (copy >= 0) ::close(copy);
      return;
    }
    ::rewinddir(entries);
    while (const dirent* entry = ::readdir(entries)) {
      const std::string name = entry->d_name;
      if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
      UniqueFd below = OpenDirectory(at, name);
      if (below.valid()) go(below.get(), absl::StrCat(path, "/", name), depth + 1);
    }
    ::closedir(entries);
  };
  go(first, "", 0);
}

absl::StatusOr<Cgroup> OpenGroup(const std::string& mount, const std::string& path) {
  UniqueFd fd = OpenDirectory(AT_FDCWD, absl::StrCat(mount, path));
  struct statfs fs;
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat(mount, path));
  if (::fstatfs(fd.get(), &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
    return absl::NotFoundError(absl::StrCat(mount, path, ": no group of cgroup v2"));
  }
  return Cgroup{path, std::move(fd)};
}

absl::StatusOr<Cgroup> FindContainer(const std::string& mount, absl::string_view digits) {
  UniqueFd root = OpenDirectory(AT_FDCWD, mount);
  if (!root.valid()) return ErrnoStatus(errno, mount);
  std::string found;
  bool several = false;
  VisitGroups(root.get(), [&](const std::string& path, int) {
    const absl::string_view id = ContainerId(absl::string_view(path).substr(path.rfind('/') + 1));
    if (!absl::StartsWith(id, digits)) return;
    // A group below that has the same id belongs to the one above.
    several |= !found.empty() && ContainerId(found) != id;
    if (found.empty()) found = path;
  });
  if (several) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ids of several containers begin with ", digits));
  }
  if (found.empty())
    return absl::NotFoundError(absl::StrCat("no container ", digits, " runs here"));
  return OpenGroup(mount, found);
}

}  // namespace

std::string ParseProcCgroup(absl::string_view text) {
  std::string result;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    // hierarchy : controllers : path; the path may have any character
    std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool of_v2 = fields[0] == "0" && fields[1].empty();
    const bool tells_container = !ContainerId(fields[2]).empty();
    if ((of_v2 && (fields[2] != "/" || result.empty())) ||
        (result.size() <= 1 && tells_container)) {
      result = std::string(fields[2]);
    }
  }
  return result;
}

absl::StatusOr<std::string> ReadCgroup(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(std::string text,
                         ReadProcFile(absl::StrCat("/proc/", pid, "/cgroup"), kMaxTextBytes));
  return ParseProcCgroup(text);
}

absl::StatusOr<Cgroup> FindCgroup(const std::string& name) {
  JPROF_ASSIGN_OR_RETURN(const std::string mount, MountPoint());
  if (name.size() >= kMinIdDigits && name.size() <= kContainerIdDigits && IsHexText(name)) {
    return FindContainer(mount, name);
  }
  std::string path = name;
  if (absl::StartsWith(name, absl::StrCat(mount, "/"))) path = name.substr(mount.size());
  if (path.empty() || path[0] != '/') path = absl::StrCat("/", path);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return absl::InvalidArgumentError(absl::StrCat(name, ": leads upwards"));
  }
  return OpenGroup(mount, path);
}

std::vector<Pid> ListCgroup(const Cgroup& cgroup) {
  std::vector<Pid> pids;
  VisitGroups(cgroup.directory.get(), [&pids](const std::string&, int directory) {
    absl::StatusOr<std::string> text =
        ReadProcFile(absl::StrCat("/proc/self/fd/", directory, "/cgroup.procs"), kMaxTextBytes);
    if (!text.ok()) return;
    for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
      Pid pid = 0;  // 0 as well for those outside of our pid namespace
      if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
    }
  });
  return pids;
}

}  // namespace jprof
