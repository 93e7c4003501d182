#include "profiler/why/fd_holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxDescriptors = 500'000;
constexpr size_t kMaxProcBytes = 1 << 20;

}  // namespace

std::string FdLink(Pid pid, int fd) {
  char target[4096];
  const ssize_t size =
      ::readlink(absl::StrCat("/proc/", pid, "/fd/", fd).c_str(), target, sizeof(target));
  return size <= 0 ? "" : std::string(target, static_cast<size_t>(size));
}

int FdAccessMode(Pid pid, int fd) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/fdinfo/", fd), kMaxProcBytes);
  if (!text.ok()) return -1;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::StartsWith(line, "flags:")) continue;
    int flags = 0;  // octal
    for (char c : line.substr(6)) {
      if (c >= '0' && c <= '7') flags = flags * 8 + (c - '0');
    }
    return flags & O_ACCMODE;
  }
  return -1;
}

const std::vector<FdHolders::Holder>& FdHolders::Of(absl::string_view link) {
  if (!looked_) Look();
  static const std::vector<Holder>& none = *new std::vector<Holder>;
  auto found = holders_.find(link);
  return found == holders_.end() ? none : found->second;
}

void FdHolders::Look() {
  looked_ = true;
  auto processes = ListProcesses();
  if (!processes.ok()) {
    incomplete_ = true;
    return;
  }
  size_t seen = 0;
  for (Pid pid : *processes) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(
        ::opendir(absl::StrCat("/proc/", pid, "/fd").c_str()), ::closedir);
    if (folder == nullptr) {
      incomplete_ = true;
      continue;
    }
    while (const dirent* entry = ::readdir(folder.get())) {
      int fd;
      if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
      if (++seen > kMaxDescriptors) {
        incomplete_ = true;
        return;
      }
      char target[64];
      const ssize_t size =
          ::readlinkat(::dirfd(folder.get()), entry->d_name, target, sizeof(target));
      const absl::string_view link(target, size < 0 ? 0 : static_cast<size_t>(size));
      if (absl::StartsWith(link, "pipe:[") || absl::StartsWith(link, "socket:[")) {
        holders_[link].push_back({pid, fd});
      }
    }
  }
}

}  // namespace jprof
