#include "helpers/perfmap/perf_map.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "helpers/perfmap/map_folders.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
// Two numbers with prefixes and blanks around them, then the name.
constexpr size_t kMaxLineBytes = PerfMap::kMaxNameBytes + 64;
constexpr size_t kContinuityBytes = 64;
constexpr size_t kMaxUidMapBytes = 64 * 1024;
constexpr size_t kMaxArgumentBytes = 256 * 1024;  // longer command lines are not looked at
constexpr size_t kMaxFolders = 8;
// A file counts as older than the process only by more than the kernel's clocks differ.
constexpr int64_t kAgeSlackNs = 1'000'000'000;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Consumes a hexadecimal number with or without 0x. False: none, or more than 64 bits.
bool ConsumeHex(absl::string_view* text, uint64_t* value) {
  absl::string_view rest = *text;
  if (rest.size() >= 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X')) {
    rest.remove_prefix(2);
  }
  uint64_t result = 0;
  size_t digits = 0;
  for (; digits < rest.size(); ++digits) {
    const char c = rest[digits];
    unsigned digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = static_cast<unsigned>((c | 0x20) - 'a') + 10;
    } else {
      break;
    }
    if (result >> 60 != 0) return false;
    result = result << 4 | digit;
  }
  if (digits == 0) return false;
  rest.remove_prefix(digits);
  *text = rest;
  *value = result;
  return true;
}

bool ConsumeBlanks(absl::string_view* text) {
  size_t n = 0;
  while (n < text->size() && IsBlank((*text)[n])) ++n;
  text->remove_prefix(n);
  return n > 0;
}

// Who may have written the map: as user ids in our own user namespace.
struct Owners {
  uid_t process;
  uid_t root;  // of the process's user namespace
};

uid_t NamespaceRoot(const UniqueFd& process) {
  absl::StatusOr<std::string> map = ReadProcFile(process, "uid_map", kMaxUidMapBytes);
  if (!map.ok()) return 0;
  for (absl::string_view line : absl::StrSplit(*map, '\n')) {
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint32_t inside, outside;
    if (words.size() == 3 && absl::SimpleAtoi(words[0], &inside) && inside == 0 &&
        absl::SimpleAtoi(words[1], &outside)) {
      return outside;
    }
  }
  return 0;
}

int64_t NowNs(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

absl::Status Believable(const FileFacts& file, const Owners& owners, int64_t start_time_ns,
                        absl::string_view name) {
  auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": ", why));
  };
  if (file.links != 1) return refuse(absl::StrCat("it has ", file.links, " hard links"));
  if (file.owner != owners.process && file.owner != owners.root && file.owner != 0) {
    return refuse(
        absl::StrCat("it belongs to user ", file.owner, ", the process to user ", owners.process));
  }
  if ((file.mode & (S_IWGRP | S_IWOTH)) != 0) {
    return refuse(absl::StrCat("others may write to it (mode ", absl::Hex(file.mode >> 6 & 7),
                               absl::Hex(file.mode >> 3 & 7), absl::Hex(file.mode & 7), ")"));
  }
  if (file.changed_ns < start_time_ns - kAgeSlackNs) {
    return refuse("it is older than the process");
  }
  return absl::OkStatus();
}

// Wall-clock time at which the process started.
int64_t StartTimeNs(const ProcStat& stat) {
  const int64_t since_boot =
      static_cast<int64_t>(stat.start_time_ticks) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
  return NowNs(CLOCK_REALTIME) - NowNs(CLOCK_BOOTTIME) + since_boot;
}

absl::StatusOr<UniqueFd> OpenBelieved(const UniqueFd& process, const std::string& path,
                                      absl::string_view name, const PerfMapOptions& options) {
  JPROF_ASSIGN_OR_RETURN(ProcStatus status, ReadProcStatus(process));
  JPROF_ASSIGN_OR_RETURN(ProcStat stat, ReadProcStat(process));
  absl::StatusOr<UniqueFd> opened =
      options.open     ? options.open(process, path, LinkPolicy::kRefuse, name)
      : path[0] == '/' ? OpenInProcessRoot(process, path, LinkPolicy::kRefuse, name)
                       : OpenInWorkingDirectory(process, path, LinkPolicy::kRefuse, name);
  JPROF_ASSIGN_OR_RETURN(UniqueFd fd, std::move(opened));
  JPROF_ASSIGN_OR_RETURN(const FileFacts facts, FactsOf(fd, name));
  JPROF_RETURN_IF_ERROR(
      Believable(facts, {status.effective_uid, NamespaceRoot(process)}, StartTimeNs(stat), name));
  return fd;
}

// Where to look, in this order.
std::vector<std::string> FoldersOf(const UniqueFd& process, const std::string& first) {
  // What of these lies in a mapped file, or behind a userfaultfd, the kernel does not wait for.
  auto read = [&process](const char* file) {
    return ReadProcFile(process, file, kMaxArgumentBytes).value_or("");
  };
  std::vector<std::string> folders = PerfMapFoldersOf(read("cmdline"), read("environ"));
  if (!first.empty()) folders.insert(folders.begin(), first);
  if (folders.size() >= kMaxFolders) folders.resize(kMaxFolders - 1);
  folders.push_back("/tmp");
  return folders;
}

}  // namespace

PerfMap::PerfMap(UniqueFd fd, absl::string_view name, const PerfMapOptions& options)
    : file_(std::move(fd), name, options.read_part), options_(options) {}

absl::StatusOr<PerfMap> PerfMap::Open(Pid pid, const PerfMapOptions& options) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
  JPROF_ASSIGN_OR_RETURN(ProcStatus status, ReadProcStatus(process));
  const std::vector<std::string> folders = FoldersOf(process, options.folder);
  for (const std::string& folder : folders) {
    // The process names its map by the innermost of its numbers.
    std::string path = absl::StrCat(folder, "/perf-", status.innermost_pid, ".map");
    std::string name = absl::StrCat("process ", pid, ": ", path);
    absl::StatusOr<UniqueFd> fd = OpenBelieved(process, path, name, options);
    if (absl::IsNotFound(fd.status())) continue;
    JPROF_RETURN_IF_ERROR(fd.status());
    PerfMap map(*std::move(fd), name, options);
    map.process_ = std::move(process);
    map.path_ = std::move(path);
    return map;
  }
  return absl::NotFoundError(folders.size() == 1 ? "there is no /tmp/perf-PID.map"
                                                 : absl::StrCat("there is no perf-PID.map in ",
                                                                absl::StrJoin(folders, ", ")));
}

absl::StatusOr<PerfMap> PerfMap::OpenFile(UniqueFd fd, absl::string_view name,
                                          const PerfMapOptions& options) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, name);
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": not a regular file"));
  }
  return PerfMap(std::move(fd), name, options);
}

absl::Status PerfMap::Update() {
  changed_ = false;
  JPROF_RETURN_IF_ERROR(FollowReplacement());
  JPROF_RETURN_IF_ERROR(file_.Begin(offset_ - before_offset_.size()));
  JPROF_RETURN_IF_ERROR(CheckContinuity());

  std::string buffer(kReadBytes, '\0');
  size_t used = 0;  // bytes of an unfinished line at the start of the buffer; they follow offset_
  absl::Status status;
  while (!exhausted_) {
    const absl::StatusOr<size_t> got =
        file_.Read(offset_ + used, std::span(buffer).subspan(used));
    status = got.status();
    if (!got.ok() || *got == 0) break;
    bytes_read_ += *got;
    absl::string_view rest(buffer.data(), used + *got);
    const absl::string_view all = rest;
    while (!exhausted_) {
      const size_t newline = rest.find('\n');
      if (newline == absl::string_view::npos) break;
      if (!in_long_line_) AddLine(rest.substr(0, newline));
      in_long_line_ = false;
      rest.remove_prefix(newline + 1);
    }
    if (rest.size() > kMaxLineBytes && !exhausted_) {
      // A line without an end in sight: its name is full already, the rest of it goes.
      if (!in_long_line_) AddLine(rest);
      in_long_line_ = true;
    }
    if (in_long_line_) rest = "";
    const absl::string_view parsed = all.substr(0, all.size() - rest.size());
    offset_ += parsed.size();
    const size_t tail = std::min(parsed.size(), kContinuityBytes);
    before_offset_.append(parsed.data() + parsed.size() - tail, tail);
    before_offset_.erase(0,
                         before_offset_.size() - std::min(before_offset_.size(), kContinuityBytes));
    used = rest.size();
    std::memmove(buffer.data(), rest.data(), used);
    if (bytes_read_ >= options_.max_bytes) exhausted_ = true;
  }
  if (changed_) ++generation_;
  return status;
}

// Takes the file that is at the path now, if it is another one.
absl::Status PerfMap::FollowReplacement() {
  if (!process_.valid()) return absl::OkStatus();
  const std::string name = file_.name();
  absl::StatusOr<UniqueFd> fd = OpenBelieved(process_, path_, name, options_);
  if (absl::IsNotFound(fd.status())) return absl::OkStatus();
  JPROF_RETURN_IF_ERROR(fd.status());
  JPROF_ASSIGN_OR_RETURN(const FileFacts now, FactsOf(*fd, name));
  JPROF_ASSIGN_OR_RETURN(const FileFacts before, FactsOf(file_.fd(), name));
  // Our descriptor keeps the old inode in use, so its number cannot be given to another file.
  if (now.device == before.device && now.inode == before.inode) return absl::OkStatus();
  file_ = GrowingFile(*std::move(fd), name, options_.read_part);
  StartOver();
  return absl::OkStatus();
}

// Starts over if the bytes before offset_ are no longer those that were read.
absl::Status PerfMap::CheckContinuity() {
  if (offset_ == 0) return absl::OkStatus();
  char now[kContinuityBytes];
  const size_t size = before_offset_.size();
  JPROF_ASSIGN_OR_RETURN(const size_t got, file_.Read(offset_ - size, std::span(now, size)));
  if (absl::string_view(now, got) != before_offset_) StartOver();
  return absl::OkStatus();
}

void PerfMap::StartOver() {
  changed_ = changed_ || !code_.empty();
  ++counters_.restarts;
  code_.Reset();
  names_.Clear();
  offset_ = 0;
  in_long_line_ = false;
  before_offset_.clear();
  exhausted_ = bytes_read_ >= options_.max_bytes;
}

void PerfMap::AddLine(absl::string_view line) {
  ++counters_.lines;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  uint64_t begin, size;
  if (!ConsumeHex(&line, &begin) || !ConsumeBlanks(&line) || !ConsumeHex(&line, &size) ||
      line.size() < 2 || !IsBlank(line[0])) {
    ++counters_.skipped_malformed;
    return;
  }
  line.remove_prefix(1);
  if (size == 0) {
    ++counters_.skipped_empty;
    return;
  }
  if (begin + size < begin) {
    ++counters_.skipped_wrapping;
    return;
  }
  if (line.size() > kMaxNameBytes) {
    ++counters_.names_cut;
    line = line.substr(0, kMaxNameBytes);
  }
  Insert(begin, begin + size, line);
}

void PerfMap::Insert(uint64_t begin, uint64_t end, absl::string_view name) {
  // One line adds two entries at most: itself and the second half of one that it splits.
  if (code_.size() + 2 > options_.max_entries ||
      names_.name_bytes() + name.size() > options_.max_name_bytes) {
    exhausted_ = true;
    return;
  }
  changed_ = true;
  code_.Paint(begin, end, names_.Keep(name));
}

std::optional<absl::string_view> PerfMap::Find(Address address) const {
  const absl::string_view* name = code_.Find(address.value);
  if (name == nullptr) return std::nullopt;
  return *name;
}

}  // namespace jprof
