#include "profiler/corefile/core_file.h"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr uint64_t kMaxHeaders = 1 << 20;
constexpr uint64_t kMaxNoteBytes = 64 << 20;
constexpr size_t kMaxFiles = 1 << 17;
constexpr size_t kMaxThreads = 1 << 17;
// As the kernel writes them; not all are in the C library's headers.
constexpr uint32_t kNoteFile = 0x46494c45, kNotePrpsinfo = 3, kNoteAuxv = 6;

template <typename T>
bool Take(const uint8_t* data, size_t size, size_t offset, T& out) {
  if (offset > size || size - offset < sizeof(T)) return false;
  std::memcpy(&out, data + offset, sizeof(T));
  return true;
}

std::string CString(const char* text, size_t size) {
  return std::string(text, ::strnlen(text, size));
}

bool ReadAt(const UniqueFd& fd, uint64_t offset, void* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd.get(), static_cast<char*>(out) + done, size - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

// Whether two segments are of one mapping: a core that does not have all of it has it in pieces.
bool GoesOn(const ProcMapping& before, const ProcMapping& m) {
  return before.range.end == m.range.begin && before.readable == m.readable &&
         before.writable == m.writable && before.executable == m.executable &&
         before.path == m.path && before.file == m.file &&
         (!m.file.valid() || before.offset.value + before.range.size() == m.offset.value);
}

}  // namespace

absl::StatusOr<CoreFile> CoreFile::Open(UniqueFd fd, absl::string_view name) {
  const auto wrong = [name](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", why));
  };
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, name);
  if (!S_ISREG(st.st_mode)) return wrong("not a regular file");
  const auto file_size = static_cast<uint64_t>(st.st_size);
  CoreFile core;
  core.fd_ = std::move(fd);
  Elf64_Ehdr header;
  if (!ReadAt(core.fd_, 0, &header, sizeof(header)) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return wrong("not a core file");
  }
  if (header.e_type != ET_CORE) return wrong("an ELF file, but not a core file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return wrong("the core of a process that is not x86-64");
  }
  uint64_t count = header.e_phnum;
  if (count == PN_XNUM) {
    Elf64_Shdr section;
    if (!ReadAt(core.fd_, header.e_shoff, &section, sizeof(section))) {
      return absl::DataLossError(absl::StrCat(name, ": cut before its number of segments"));
    }
    count = section.sh_info;
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || count > kMaxHeaders ||
      header.e_phoff > file_size || count * sizeof(Elf64_Phdr) > file_size - header.e_phoff) {
    return absl::DataLossError(absl::StrCat(name, ": cut before the end of its headers"));
  }
  std::vector<Elf64_Phdr> headers(count);
  if (!ReadAt(core.fd_, header.e_phoff, headers.data(), count * sizeof(Elf64_Phdr))) {
    return ErrnoStatus(EIO, name);
  }
  std::vector<ProcMapping> loaded;
  size_t note_bytes = 0;
  for (const Elf64_Phdr& h : headers) {
    const uint64_t present =
        h.p_offset > file_size ? 0 : std::min(h.p_filesz, file_size - h.p_offset);
    core.missing_bytes_ += h.p_filesz - present;
    if (h.p_type == PT_NOTE) {
      // Of all together: many headers may be of the same bytes.
      std::vector<uint8_t> notes(std::min(present, kMaxNoteBytes - note_bytes));
      note_bytes += notes.size();
      if (!ReadAt(core.fd_, h.p_offset, notes.data(), notes.size())) return ErrnoStatus(EIO, name);
      JPROF_RETURN_IF_ERROR(Annotate(core.ReadNotes(notes), name));
    } else if (h.p_type == PT_LOAD && h.p_memsz <= UINT64_MAX - h.p_vaddr) {
      ProcMapping m;
      m.range = {{h.p_vaddr}, {h.p_vaddr + h.p_memsz}};
      m.readable = (h.p_flags & PF_R) != 0;
      m.writable = (h.p_flags & PF_W) != 0;
      m.executable = (h.p_flags & PF_X) != 0;
      if (!m.range.empty()) loaded.push_back(std::move(m));
      const uint64_t size = std::min(present, h.p_memsz);
      const uint64_t said = std::min(h.p_filesz, h.p_memsz);
      if (size < said) core.cut_off_.push_back({{h.p_vaddr + size}, {h.p_vaddr + said}});
      if (size > 0) core.segments_.push_back({{{h.p_vaddr}, {h.p_vaddr + size}}, h.p_offset});
    }
  }
  if (core.threads_.empty()) {
    return absl::DataLossError(absl::StrCat(name, ": no thread's registers are in it"));
  }
  if (core.pid_ == 0) core.pid_ = core.threads_[0].tid;
  auto by_begin = [](const auto& a, const auto& b) { return a.range.begin < b.range.begin; };
  std::sort(core.segments_.begin(), core.segments_.end(), by_begin);
  std::sort(core.mapped_.begin(), core.mapped_.end(), by_begin);
  std::sort(loaded.begin(), loaded.end(), by_begin);
  core.MakeMappings(loaded);
  return core;
}

absl::Status CoreFile::ReadNotes(const std::vector<uint8_t>& notes) {
  absl::flat_hash_map<Tid, ThreadNote> own;
  size_t at = 0;
  Elf64_Nhdr note;
  while (Take(notes.data(), notes.size(), at, note)) {
    at += sizeof(note);
    const uint64_t owner_bytes = (uint64_t{note.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t content_bytes = (uint64_t{note.n_descsz} + 3) & ~uint64_t{3};
    if (owner_bytes > notes.size() - at || note.n_descsz > notes.size() - at - owner_bytes) break;
    const std::string owner = CString(reinterpret_cast<const char*>(notes.data() + at),
                                      note.n_namesz);
    const uint8_t* data = notes.data() + at + owner_bytes;
    const size_t size = note.n_descsz;
    at += std::min<uint64_t>(owner_bytes + content_bytes, notes.size() - at);
    if (owner == kJprofNoteOwner && note.n_type == kThreadNote) {
      ThreadNote thread;
      if (Take(data, size, 0, thread)) own[thread.tid] = thread;
    }
    if (owner != "CORE") continue;
    if (note.n_type == NT_PRSTATUS) {
      elf_prstatus status;
      if (!Take(data, size, 0, status) || threads_.size() >= kMaxThreads) continue;
      Thread thread;
      thread.tid = status.pr_pid;
      static_assert(sizeof(thread.registers) == sizeof(status.pr_reg));
      std::memcpy(&thread.registers, &status.pr_reg, sizeof(thread.registers));
      if (threads_.empty()) signal_ = status.pr_cursig;
      threads_.push_back(std::move(thread));
    } else if (note.n_type == NT_PRFPREG && !threads_.empty()) {
      user_fpregs_struct state;  // of the thread before it
      if (Take(data, size, 0, state)) threads_.back().vectors = VectorsOf(state);
    } else if (note.n_type == kNotePrpsinfo) {
      elf_prpsinfo process;
      if (!Take(data, size, 0, process)) continue;
      pid_ = process.pr_pid;
      comm_ = CString(process.pr_fname, sizeof(process.pr_fname));
    } else if (note.n_type == kNoteAuxv) {
      Elf64_auxv_t entry;
      for (size_t i = 0; Take(data, size, i, entry); i += sizeof(entry)) {
        if (entry.a_type == AT_ENTRY) entry_ = entry.a_un.a_val;
        if (entry.a_type == AT_SYSINFO_EHDR) vdso_ = entry.a_un.a_val;
      }
    } else if (note.n_type == kNoteFile && files_.empty()) {
      ReadFileNote(data, size);
    }
  }
  for (Thread& thread : threads_) {
    auto it = own.find(thread.tid);
    if (it == own.end()) continue;
    thread.name = CString(it->second.name, sizeof(it->second.name));
    thread.state = it->second.state;
    thread.cpu_ns = it->second.cpu_ns;
  }
  return absl::OkStatus();
}

// A count and the size of a unit, for each file mapping its begin, end and offset in units, then
// the names, each with a 0 behind.
void CoreFile::ReadFileNote(const uint8_t* data, size_t size) {
  uint64_t count, unit;
  if (!Take(data, size, 0, count) || !Take(data, size, 8, unit) || count > kMaxFiles ||
      count * 24 > size - 16) {
    return;
  }
  size_t name = 16 + count * 24;
  absl::flat_hash_map<std::string, uint32_t> known;
  for (uint64_t i = 0; i < count && name < size; ++i) {
    uint64_t words[3];
    if (!Take(data, size, 16 + i * 24, words)) return;
    std::string path = CString(reinterpret_cast<const char*>(data + name), size - name);
    name += path.size() + 1;
    if (words[0] >= words[1] || unit == 0 || words[2] > UINT64_MAX / unit) continue;
    auto [it, added] = known.try_emplace(path, static_cast<uint32_t>(files_.size()));
    if (added) files_.push_back(std::move(path));
    mapped_.push_back({{{words[0]}, {words[1]}}, words[2] * unit, it->second});
  }
}

void CoreFile::MakeMappings(const std::vector<ProcMapping>& loaded) {
  const uint64_t sp = threads_[0].registers.rsp;
  const auto main = std::find_if(threads_.begin(), threads_.end(),
                                 [this](const Thread& t) { return t.tid == pid_; });
  const Address stack{main == threads_.end() ? sp : main->registers.rsp};
  // The mapping that begins last at or before an address, if it holds it.
  const auto file_at = [this](Address address) -> const MappedFile* {
    auto it = std::upper_bound(mapped_.begin(), mapped_.end(), address,
                               [](Address a, const MappedFile& m) { return a < m.range.begin; });
    if (it == mapped_.begin() || !std::prev(it)->range.Contains(address)) return nullptr;
    return &*std::prev(it);
  };
  for (const ProcMapping& segment : loaded) {
    ProcMapping m = segment;
    if (const MappedFile* file = file_at(m.range.begin)) {
      m.offset = {file->offset + (m.range.begin.value - file->range.begin.value)};
      m.file = {0, 0, file->file + uint64_t{1}};
      m.path = files_[file->file];
      if (m.range.Contains({entry_})) program_ = m.path;
    } else if (m.range.Contains(stack)) {
      m.path = "[stack]";
    } else if (vdso_ != 0 && m.range.Contains({vdso_})) {
      m.path = "[vdso]";
    }
    if (!mappings_.empty() && m.range.begin < mappings_.back().range.end) continue;  // overlaps
    if (!mappings_.empty() && GoesOn(mappings_.back(), m)) {
      mappings_.back().range.end = m.range.end;
    } else {
      mappings_.push_back(std::move(m));
    }
  }
  // Some writers leave out what lies in files. They do not say then what of it was code.
  const std::vector<ProcMapping> in_core = mappings_;
  auto next = in_core.begin();
  Address free{0};
  for (const MappedFile& file : mapped_) {
    free = std::max(free, file.range.begin);
    while (next != in_core.end() && next->range.end <= free) ++next;
    while (free < file.range.end) {
      const bool taken = next != in_core.end() && next->range.begin < file.range.end;
      const Address end = taken ? std::max(free, next->range.begin) : file.range.end;
      if (free < end) {
        ProcMapping m;
        m.range = {free, end};
        m.offset = {file.offset + (free.value - file.range.begin.value)};
        m.file = {0, 0, file.file + uint64_t{1}};
        m.readable = m.executable = true;
        m.path = files_[file.file];
        if (m.range.Contains({entry_})) program_ = m.path;
        mappings_.push_back(std::move(m));
      }
      free = taken ? next++->range.end : file.range.end;
    }
  }
  std::sort(mappings_.begin(), mappings_.end(), [](const ProcMapping& a, const ProcMapping& b) {
    return a.range.begin < b.range.begin;
  });
}

bool CoreFile::IsCutOff(Address address) const {
  return std::any_of(cut_off_.begin(), cut_off_.end(),
                     [address](const AddressRange& range) { return range.Contains(address); });
}

size_t CoreFile::Read(Address address, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const Address at = address + done;
    if (at < address) break;
    auto it = std::upper_bound(segments_.begin(), segments_.end(), at,
                               [](Address a, const Segment& s) { return a < s.range.begin; });
    if (it == segments_.begin() || !std::prev(it)->range.Contains(at)) break;
    const Segment& segment = *std::prev(it);
    const size_t size =
        std::min<uint64_t>(out.size() - done, segment.range.end.value - at.value);
    if (!ReadAt(fd_, segment.offset + (at.value - segment.range.begin.value), out.data() + done,
                size)) {
      break;
    }
    done += size;
  }
  return done;
}

}  // namespace jprof
