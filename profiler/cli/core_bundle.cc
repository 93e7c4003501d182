#include "profiler/cli/core_bundle.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "profiler/corefile/tar_writer.h"
#include "profiler/pipeline/debug_files.h"
#include "profiler/process/target_file.h"
#include "symbolize/dwarf.h"

namespace jprof {
namespace {

constexpr uint32_t kCoreMode = 0600, kFileMode = 0644;
constexpr char kByBuildId[] = "/usr/lib/debug/.build-id/";

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

uint64_t SizeOf(const UniqueFd& fd) {
  struct stat st;
  return ::fstat(fd.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

std::string PathByBuildId(const std::string& id, absl::string_view suffix) {
  return absl::StrCat(kByBuildId, id.substr(0, 2), "/", id.substr(2), suffix);
}

// The first of these that is an ELF file of a build.
UniqueFd OfBuild(std::vector<UniqueFd> candidates, const std::string& build_id) {
  for (UniqueFd& fd : candidates) {
    const absl::StatusOr<ElfFile> file = ElfFile::Open(Duplicate(fd), "a debug file");
    if (file.ok() && file->build_id() == build_id) return std::move(fd);
  }
  return UniqueFd();
}

}  // namespace

CoreBundle::CoreBundle(Pid source, const std::vector<CoreArea>& areas) {
  std::set<std::pair<std::string, uint64_t>> seen;
  for (const CoreArea& area : areas) {
    const ProcMapping& m = area.mapping;
    if (area.dont_dump || !m.file.valid()) continue;
    if (seen.insert({m.path, m.file.inode}).second) AddMapped(source, m);
  }
}

void CoreBundle::AddMapped(Pid source, const ProcMapping& m) {
  const absl::StatusOr<UniqueFd> fd =
      OpenMappedFile(source, Mapping{m.range, m.offset, m.file, m.path});
  if (!fd.ok()) {
    if (m.executable) troubles_.emplace_back(fd.status().message());
    return;
  }
  // Of no other file the core's readers ask for.
  const absl::StatusOr<ElfFile> file = ElfFile::Open(Duplicate(*fd), m.path);
  if (!file.ok()) return;
  const std::string& id = file->build_id();
  if (!Add(m.path, *fd) && id.size() > 2) Add(PathByBuildId(id, ""), *fd);
  AddDebugFiles(source, m.path, *file);
}

void CoreBundle::AddDebugFiles(Pid source, const std::string& path, const ElfFile& file) {
  const std::string& id = file.build_id();
  if (id.size() <= 2) return;
  const absl::StatusOr<UniqueFd> root = OpenRootOf(source);
  DebugFiles finder({{.path = path, .root = root.ok() ? &*root : nullptr}}, nullptr);
  const UniqueFd fd = OfBuild(finder.Find(0, {.build_id = id, .link = ReadDebugLink(file)}), id);
  if (!fd.valid() || !Add(PathByBuildId(id, ".debug"), fd)) return;
  const absl::StatusOr<ElfFile> debug = ElfFile::Open(Duplicate(fd), path);
  if (!debug.ok()) return;
  const SupplementaryLink common = ReadSupplementaryLink(*debug);
  if (common.name.empty()) return;
  const UniqueFd shared = OfBuild(finder.Find(0, {.common = common.name}), common.build_id);
  if (shared.valid()) Add(absl::StrCat("/usr/lib/debug/.dwz/", common.name), shared);
}

bool CoreBundle::Add(const std::string& path, const UniqueFd& fd) {
  if (!absl::StartsWith(path, "/")) return false;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return false;
  }
  if (!paths_.insert(path).second) return false;
  files_.push_back({path, Duplicate(fd)});
  return files_.back().fd.valid();
}

absl::Status CoreBundle::Write(
    const std::string& folder, const UniqueFd& core, CoreSink& sink,
    const std::function<absl::Status(uint64_t done, uint64_t all)>& progress) const {
  struct stat st = {};
  ::fstat(core.get(), &st);
  uint64_t all = static_cast<uint64_t>(st.st_blocks) * 512, done = 0;  // without holes
  for (const File& file : files_) all += SizeOf(file.fd);
  const auto count = [&](uint64_t bytes) { return progress(done += bytes, all); };
  TarGzWriter writer(sink);
  JPROF_RETURN_IF_ERROR(writer.Add(absl::StrCat(folder, "/core"), kCoreMode, core, count));
  for (const File& file : files_) {
    JPROF_RETURN_IF_ERROR(
        writer.Add(absl::StrCat(folder, "/root", file.path), kFileMode, file.fd, count));
  }
  return writer.Finish();
}

}  // namespace jprof
