#include "profiler/cli/code_finder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/core/status.h"
#include "profiler/pipeline/debug_files.h"
#include "profiler/process/proc_status.h"
#include "symbolize/debuginfod.h"
#include "symbolize/elf_file.h"
#include "symbolize/kallsyms.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {
namespace {

constexpr int kThreads = 2;
// The recording's file is written to for a while after its last record.
constexpr int64_t kMapSlackNs = 60'000'000'000;

int64_t NowNs(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The file of the image, if it can be told that it is the one; else why not.
absl::StatusOr<UniqueFd> OpenSame(const CodeNames::Image& image) {
  if (!absl::StartsWith(image.path, "/")) return absl::NotFoundError("it is no file");
  UniqueFd fd(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat st;
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return absl::NotFoundError("it is not on this host");
  }
  if (image.build_id.empty()) {
    if (image.inode != 0 && image.inode == st.st_ino) return fd;
    return absl::NotFoundError("the recording has no build ID of it, and not this file's inode");
  }
  JPROF_ASSIGN_OR_RETURN(
      const ElfFile elf,
      ElfFile::Open(UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), image.path));
  if (elf.build_id() == image.build_id) return fd;
  return absl::NotFoundError("the file on this host has another build ID");
}

std::vector<std::vector<CodeNames::Frame>> FramesOf(const ImageQuery& query) {
  std::vector<std::vector<CodeNames::Frame>> all(query.offsets.size());
  for (size_t i = 0; i < all.size() && i < query.names.size(); ++i) {
    const SymbolName& symbol = query.names[i];
    const auto source = query.source.FramesOf(i);
    for (size_t f = 0; f < source.size(); ++f) {
      const SourceFunction& function = query.source.functions[source[f].function];
      CodeNames::Frame frame{
          function.name, function.linkage_name, query.source.files[source[f].file],
          function.line, source[f].line,        source[f].column};
      if (f + 1 == source.size() && IsBetterName(symbol, function)) {
        frame.name = symbol.name;
        frame.system_name = symbol.system_name;
      }
      if (frame.name.empty()) {
        all[i].clear();
        break;
      }
      if (frame.system_name.empty()) frame.system_name = frame.name;
      all[i].push_back(std::move(frame));
    }
    if (all[i].empty() && !symbol.name.empty()) {
      all[i].push_back({.name = symbol.name, .system_name = symbol.system_name});
    }
  }
  return all;
}

// Of the running kernel; "": it does not say.
std::string KernelBuildId() {
  std::ifstream file("/sys/kernel/notes", std::ios::binary);
  std::string notes(4096, '\0');
  file.read(notes.data(), static_cast<std::streamsize>(notes.size()));
  notes.resize(static_cast<size_t>(file.gcount()));
  // Name size 4, description size, type 3, "GNU".
  const size_t name = notes.find(absl::string_view("\3\0\0\0GNU\0", 8).data(), 0, 8);
  if (name == std::string::npos || name < 8) return "";
  const auto size = static_cast<unsigned char>(notes[name - 4]);
  return absl::BytesToHexString(notes.substr(name + 8, size));
}

// How much further `symbol` lies in this kernel than in the one that was recorded.
std::optional<uint64_t> Moved(absl::string_view symbol, uint64_t recorded) {
  std::ifstream kallsyms("/proc/kallsyms");
  for (std::string line; std::getline(kallsyms, line);) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t address = 0;
    if (words.size() == 3 && words[2] == symbol && absl::SimpleHexAtoi(words[0], &address)) {
      return address - recorded;
    }
  }
  return std::nullopt;
}

// Unix time at which a process that runs was started; nullopt: it does not run.
std::optional<int64_t> StartedNs(Pid pid) {
  const absl::StatusOr<ProcStat> stat = ReadProcStat(pid);
  if (!stat.ok()) return std::nullopt;
  const int64_t since_boot_ns =
      static_cast<int64_t>(stat->start_time_ticks) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
  return NowNs(CLOCK_REALTIME) - NowNs(CLOCK_BOOTTIME) + since_boot_ns;
}

// The map of a process that is gone, most likely: its owner and its times are all that says whose
// it is. Root's and the user's own are believed, as perf does.
absl::StatusOr<UniqueFd> OpenMap(const std::string& path, Pid pid, int64_t began_ns,
                                 int64_t recorded_ns) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW));
  struct stat st;
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return absl::NotFoundError(absl::StrCat("there is no ", path));
  }
  const char* sudo_uid = std::getenv("SUDO_UID");
  uid_t user = ::geteuid();
  if (user == 0 && sudo_uid != nullptr && !absl::SimpleAtoi(sudo_uid, &user)) user = 0;
  if (st.st_nlink != 1 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
      (st.st_uid != 0 && st.st_uid != user && st.st_uid != ::geteuid())) {
    return absl::NotFoundError(absl::StrCat("others may write to ", path));
  }
  const int64_t written_ns = int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  if (written_ns < began_ns - kMapSlackNs) {
    return absl::NotFoundError(absl::StrCat(path, " is older than the process"));
  }
  if (written_ns > recorded_ns + kMapSlackNs) {
    const std::optional<int64_t> started_ns = StartedNs(pid);
    if (!started_ns || *started_ns > recorded_ns) {
      return absl::NotFoundError(absl::StrCat(path, " is younger than the recording"));
    }
  }
  return fd;
}

}  // namespace

void CodeFinder::Name(std::vector<Image>& images) {
  std::vector<ImageQuery> queries;
  std::vector<DebugFiles::Place> places;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < images.size(); ++i) {
    if (images[i].offsets.empty()) continue;
    absl::StatusOr<UniqueFd> file = OpenSame(images[i]);
    if (!file.ok()) {
      images[i].why = std::string(file.status().message());
      continue;
    }
    ImageQuery query;
    query.file = *std::move(file);
    query.path = images[i].path;
    for (uint64_t offset : images[i].offsets) query.offsets.push_back({offset});
    query.want_source = true;
    queries.push_back(std::move(query));
    places.push_back({.path = images[i].path, .root = nullptr, .on_host = true});
    numbers.push_back(i);
  }
  if (queries.empty()) return;
  const auto symbolizer = SymbolizerProcess::Start();
  if (!symbolizer.ok()) {
    for (size_t number : numbers) images[number].why = std::string(symbolizer.status().message());
    return;
  }
  const std::unique_ptr<Debuginfod> debuginfod = Debuginfod::FromEnvironment();
  DebugFiles finder(std::move(places), debuginfod.get());
  (*symbolizer)->Symbolize(queries, kThreads, &finder);
  for (size_t i = 0; i < queries.size(); ++i) {
    images[numbers[i]].frames = FramesOf(queries[i]);
    images[numbers[i]].why = std::string(queries[i].status.message());
  }
}

void CodeFinder::Name(Kernel& kernel) {
  auto unnamed = [&kernel](absl::string_view why) {
    kernel.why = absl::StrCat("no names in the kernel: ", why);
  };
  if (kernel.build_id.empty()) return unnamed("the recording does not say which it is");
  if (kernel.build_id != KernelBuildId()) return unnamed("another one runs here");
  const std::optional<uint64_t> moved = Moved(kernel.symbol, kernel.symbol_address);
  if (!moved) return unnamed("where it was is not known");
  const absl::StatusOr<Kallsyms> symbols = Kallsyms::Load();
  if (!symbols.ok()) return unnamed(symbols.status().message());
  for (size_t i = 0; i < kernel.addresses.size(); ++i) {
    const Kallsyms::Match match = symbols->Find(kernel.addresses[i] + *moved);
    if (*moved != 0 && !match.module.empty()) continue;
    kernel.names[i] = std::string(match.name);
    kernel.modules[i] = std::string(match.module);
  }
}

void CodeFinder::Name(Jit& code) {
  if (recorded_ns_ == 0) {
    code.why = "when it was recorded is not known";
    return;
  }
  const std::string path = absl::StrCat("/tmp/perf-", code.pid, ".map");
  const int64_t began_ns =
      code.age_ns == 0 ? 0 : recorded_ns_ - static_cast<int64_t>(code.age_ns);
  absl::StatusOr<UniqueFd> fd = OpenMap(path, code.pid, began_ns, recorded_ns_);
  absl::StatusOr<PerfMap> map =
      fd.ok() ? PerfMap::OpenFile(*std::move(fd), path) : absl::StatusOr<PerfMap>(fd.status());
  const absl::Status read = map.ok() ? map->Update() : map.status();
  if (!read.ok()) {
    code.why = std::string(read.message());
    return;
  }
  for (size_t i = 0; i < code.addresses.size(); ++i) {
    code.names[i] = std::string(map->Find({code.addresses[i]}).value_or(""));
  }
}

}  // namespace jprof
