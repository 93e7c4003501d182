#include "profiler/corefile/mapped_files.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/target_file.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

constexpr size_t kMaxHeaders = 64;
constexpr size_t kMaxNoteBytes = 4096;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr size_t kMaxVdsoBytes = 1 << 20;

// The core names the path: to open a device may already do something, so it is looked at first.
absl::StatusOr<UniqueFd> OpenRegular(const std::string& path) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place.valid()) return ErrnoStatus(errno, path);
  return OpenPathOnly(place, path);
}

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

// Of an ELF file; no other file is of use, or the core's business.
absl::StatusOr<std::string> BuildIdOf(const UniqueFd& fd, const std::string& path) {
  JPROF_ASSIGN_OR_RETURN(const ElfFile elf, ElfFile::Open(Duplicate(fd), path));
  return elf.build_id();
}

// As lower-case hex, from the notes of a program header; "" when it is not among them.
std::string BuildIdIn(const std::vector<uint8_t>& notes) {
  Elf64_Nhdr note;
  for (size_t at = 0; at + sizeof(note) <= notes.size();) {
    std::memcpy(&note, notes.data() + at, sizeof(note));
    at += sizeof(note);
    const uint64_t owner = (uint64_t{note.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t content = (uint64_t{note.n_descsz} + 3) & ~uint64_t{3};
    if (owner > notes.size() - at || note.n_descsz > notes.size() - at - owner) return "";
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + at, "GNU", 4) == 0 && note.n_descsz > 0 &&
        note.n_descsz <= kMaxBuildIdBytes) {
      return absl::BytesToHexString(absl::string_view(
          reinterpret_cast<const char*>(notes.data() + at + owner), note.n_descsz));
    }
    at += std::min<uint64_t>(owner + content, notes.size() - at);
  }
  return "";
}

}  // namespace

MappedFiles::MappedFiles(const CoreFile& core, Places places)
    : core_(core), places_(std::move(places)) {
  std::vector<std::optional<Address>> begins(core_.files().size());
  for (const ProcMapping& m : core_.mappings()) {
    const uint64_t index = m.file.inode - 1;
    if (!m.file.valid() || m.offset.value != 0 || index >= begins.size()) continue;
    if (!begins[index]) begins[index] = m.range.begin;
  }
  for (uint32_t i = 0; i < begins.size(); ++i) {
    files_.push_back(Find(i, begins[i] ? BuildIdAt(*begins[i]) : ""));
  }
}

// From the first page of a file, if it is in the core: cores hold it for this end.
std::string MappedFiles::BuildIdAt(Address begin) const {
  auto header = core_.ReadValue<Elf64_Ehdr>(begin);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_phentsize != sizeof(Elf64_Phdr)) {
    return "";
  }
  for (size_t i = 0; i < std::min<size_t>(header->e_phnum, kMaxHeaders); ++i) {
    auto program =
        core_.ReadValue<Elf64_Phdr>(begin + (header->e_phoff + i * sizeof(Elf64_Phdr)));
    if (!program || program->p_type != PT_NOTE || program->p_filesz > kMaxNoteBytes) continue;
    std::vector<uint8_t> notes(program->p_filesz);
    if (!core_.ReadExactly(begin + program->p_offset, std::as_writable_bytes(std::span(notes)))) {
      continue;
    }
    std::string id = BuildIdIn(notes);
    if (!id.empty()) return id;
  }
  return "";
}

MappedFiles::File MappedFiles::Find(uint32_t index, const std::string& wanted) const {
  const std::string& path = core_.files()[index];
  if (path.empty() || path[0] != '/') {
    return {UniqueFd(), absl::NotFoundError(absl::StrCat(path, ": memory without a file"))};
  }
  std::vector<std::string> candidates;
  if (!places_.program.empty() && path == core_.program()) candidates.push_back(places_.program);
  if (!places_.sysroot.empty()) {
    candidates.push_back(absl::StrCat(places_.sysroot, "/", path));
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) {
      candidates.push_back(absl::StrCat(places_.sysroot, path.substr(slash)));
    }
  } else {
    candidates.push_back(path);
  }
  if (wanted.size() > 2) {
    for (const std::string& root : {places_.sysroot, std::string()}) {
      candidates.push_back(absl::StrCat(root, "/usr/lib/debug/.build-id/", wanted.substr(0, 2), "/",
                                        wanted.substr(2)));
    }
  }
  absl::Status first = absl::OkStatus();
  for (const std::string& candidate : candidates) {
    absl::StatusOr<UniqueFd> fd = OpenRegular(candidate);
    if (!fd.ok()) {
      if (first.ok()) first = fd.status();
      continue;
    }
    const absl::StatusOr<std::string> id = BuildIdOf(*fd, candidate);
    if (!id.ok()) {
      if (first.ok()) first = id.status();
      continue;
    }
    const std::string& found = *id;
    if (wanted.empty() || found == wanted) return {*std::move(fd), absl::OkStatus()};
    first = absl::FailedPreconditionError(
        absl::StrCat(candidate, ": another build than the core's (build ID ",
                     found.empty() ? "none" : found, ", the core's is ", wanted, ")"));
  }
  return {UniqueFd(), first};
}

absl::StatusOr<UniqueFd> MappedFiles::OpenVdso(const MapEvent& map) const {
  if (map.range.size() > kMaxVdsoBytes) return absl::NotFoundError("[vdso]: too large");
  std::vector<std::byte> bytes(map.range.size());
  if (!core_.ReadExactly(map.range.begin, bytes)) {
    return absl::NotFoundError("[vdso]: not in the core");
  }
  UniqueFd fd(::memfd_create("vdso", MFD_CLOEXEC));
  if (!fd.valid() || ::write(fd.get(), bytes.data(), bytes.size()) !=
                         static_cast<ssize_t>(bytes.size())) {
    return ErrnoStatus(errno, "[vdso]");
  }
  return fd;
}

absl::StatusOr<UniqueFd> MappedFiles::Open(const MapEvent& map) const {
  if (!map.file.valid()) {
    if (map.path == "[vdso]") return OpenVdso(map);
    return absl::NotFoundError(absl::StrCat(map.path, ": memory without a file"));
  }
  if (map.file.inode > files_.size()) return absl::NotFoundError(map.path);
  const File& file = files_[map.file.inode - 1];
  if (!file.fd.valid()) return file.status;
  // Opened anew: users of one open file would share its position.
  UniqueFd fd(::open(absl::StrCat("/proc/self/fd/", file.fd.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, map.path);
  return fd;
}

absl::StatusOr<UniqueFd> MappedFiles::OpenSysroot() const {
  const std::string path = places_.sysroot.empty() ? "/" : places_.sysroot;
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  return fd;
}

std::vector<std::string> MappedFiles::Troubles() const {
  std::vector<std::string> troubles;
  for (const ProcMapping& m : core_.mappings()) {
    if (!m.executable || !m.file.valid()) continue;
    if (m.path.empty() || m.path[0] != '/') continue;
    const absl::Status& status = files_[m.file.inode - 1].status;
    std::string text(status.message());
    if (!status.ok() && std::find(troubles.begin(), troubles.end(), text) == troubles.end()) {
      troubles.push_back(std::move(text));
    }
  }
  return troubles;
}

size_t CoreMemory::Read(Address address, std::span<std::byte> out) const {
  size_t done = core_.Read(address, out);
  const std::vector<ProcMapping>& mappings = core_.mappings();
  while (done < out.size()) {
    const Address at = address + done;
    if (at < address) break;
    auto it = std::upper_bound(mappings.begin(), mappings.end(), at,
                               [](Address a, const ProcMapping& m) { return a < m.range.begin; });
    if (it == mappings.begin()) break;
    const ProcMapping& m = *std::prev(it);
    if (!m.range.Contains(at) || !m.file.valid() || core_.IsCutOff(at)) break;
    const UniqueFd& fd = files_.files_[m.file.inode - 1].fd;
    if (!fd.valid()) break;
    const size_t size = std::min<uint64_t>(out.size() - done, m.range.end.value - at.value);
    const ssize_t n =
        ::pread(fd.get(), out.data() + done, size,
                static_cast<off_t>(m.offset.value + (at.value - m.range.begin.value)));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
    done += core_.Read(address + done, out.subspan(done));
  }
  return done;
}

}  // namespace jprof
