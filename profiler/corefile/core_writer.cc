#include "profiler/corefile/core_writer.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcBytes = 1 << 20;
constexpr size_t kPagesAtOnce = 256;
constexpr uint64_t kProgressBytes = 64 << 20;
constexpr uint32_t kNoteFile = 0x46494c45;

// What of a mapping is a segment of the core's own.
struct Segment {
  const CoreArea* area;
  AddressRange range;
  uint64_t file_bytes;  // of it in the core
};

bool IsDeletedOrMemory(absl::string_view path) {
  return absl::EndsWith(path, " (deleted)") || absl::StartsWith(path, "/memfd:");
}

// Of a private mapping of a file: all pages that are no longer as in it. `visit`: a run of them;
// whether to go on.
void VisitWritten(const ProcMapping& m, const PageTable& pages,
                  absl::FunctionRef<bool(AddressRange)> visit) {
  constexpr size_t kStep = 1 << 16;
  for (Address at = m.range.begin; at < m.range.end; at = at + kStep * kCorePageBytes) {
    const size_t count = std::min<uint64_t>(kStep, (m.range.end.value - at.value) / kCorePageBytes);
    const std::vector<uint64_t> words = pages.Read(at.value, count);
    for (size_t i = 0; i < count; ++i) {
      // What cannot be told counts as written.
      const size_t first = i;
      while (i < count && (i >= words.size() || PageTable::IsWritten(words[i]))) ++i;
      if (first < i && !visit({at + first * kCorePageBytes, at + i * kCorePageBytes})) return;
    }
  }
}

// How many bytes of the mapping the core has.
uint64_t BytesInCore(const CoreArea& area, const PageTable& pages) {
  const ProcMapping& m = area.mapping;
  if (area.dont_dump) return 0;
  if (!m.file.valid()) return m.range.size();
  if (m.shared) return IsDeletedOrMemory(m.path) ? m.range.size() : 0;
  bool written = false;
  VisitWritten(m, pages, [&written](AddressRange) {
    written = true;
    return false;
  });
  if (written) return m.range.size();
  return m.offset.value == 0 ? std::min(kCorePageBytes, m.range.size()) : 0;
}

// The same for a core of some pages.
std::vector<AddressRange> RunsInCore(const CoreArea& area, const PageTable& pages,
                                     const PageSet& only) {
  const ProcMapping& m = area.mapping;
  if (area.dont_dump) return {};
  if (!m.file.valid()) return m.path == "[vdso]" ? std::vector{m.range} : only.RunsIn(m.range);
  if (m.shared) {
    return IsDeletedOrMemory(m.path) ? only.RunsIn(m.range) : std::vector<AddressRange>();
  }
  PageSet kept;
  if (m.offset.value == 0) kept.Add({m.range.begin, m.range.begin + 1});
  VisitWritten(m, pages, [&kept](AddressRange run) {
    kept.Add(run);
    return true;
  });
  return kept.RunsIn(m.range);
}

std::vector<Segment> MakeSegments(const std::vector<CoreArea>& areas, const PageTable& pages,
                                  const PageSet* only) {
  std::vector<Segment> segments;
  for (const CoreArea& area : areas) {
    const AddressRange& range = area.mapping.range;
    if (area.mapping.path == "[vsyscall]") continue;
    if (only == nullptr) {
      segments.push_back({&area, range, BytesInCore(area, pages)});
      continue;
    }
    // What is not in the core is a segment of its own: it is not there, and not zeros.
    Address at = range.begin;
    for (const AddressRange& run : RunsInCore(area, pages, *only)) {
      if (at < run.begin) segments.push_back({&area, {at, run.begin}, 0});
      segments.push_back({&area, run, run.size()});
      at = run.end;
    }
    if (at < range.end) segments.push_back({&area, {at, range.end}, 0});
  }
  return segments;
}

void AddNote(std::string& notes, absl::string_view owner, uint32_t type,
             absl::string_view content) {
  const Elf64_Nhdr header = {static_cast<uint32_t>(owner.size() + 1),
                             static_cast<uint32_t>(content.size()), type};
  notes.append(reinterpret_cast<const char*>(&header), sizeof(header));
  notes.append(owner.data(), owner.size());
  notes.append(4 - owner.size() % 4, '\0');
  notes.append(content.data(), content.size());
  notes.append((4 - content.size() % 4) % 4, '\0');
}

template <typename T>
absl::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
absl::string_view BytesOf(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string FileNote(const std::vector<CoreArea>& areas) {
  std::vector<uint64_t> words = {0, kCorePageBytes};
  std::string names;
  for (const CoreArea& area : areas) {
    const ProcMapping& m = area.mapping;
    if (!m.file.valid()) continue;
    ++words[0];
    words.insert(words.end(),
                 {m.range.begin.value, m.range.end.value, m.offset.value / kCorePageBytes});
    names += m.path;
    names.push_back('\0');
  }
  return std::string(reinterpret_cast<const char*>(words.data()), words.size() * 8) + names;
}

std::string MakeNotes(const CoreProcess& process, const std::vector<CoreArea>& areas) {
  std::string notes;
  for (size_t i = 0; i < process.threads.size(); ++i) {
    const ThreadRegisters& thread = process.threads[i];
    elf_prstatus status = {};
    status.pr_pid = thread.tid;
    status.pr_ppid = process.parent;
    status.pr_pgrp = process.group;
    status.pr_sid = process.session;
    status.pr_fpvalid = !thread.floating_point.empty();
    static_assert(sizeof(status.pr_reg) == sizeof(thread.general));
    std::memcpy(&status.pr_reg, &thread.general, sizeof(thread.general));
    AddNote(notes, "CORE", NT_PRSTATUS, BytesOf(status));
    if (i == 0) {
      elf_prpsinfo info = {};
      info.pr_sname = process.state;
      info.pr_zomb = 0;
      info.pr_uid = process.uid;
      info.pr_gid = process.gid;
      info.pr_pid = process.pid;
      info.pr_ppid = process.parent;
      info.pr_pgrp = process.group;
      info.pr_sid = process.session;
      process.comm.copy(info.pr_fname, sizeof(info.pr_fname) - 1);
      process.arguments.copy(info.pr_psargs, sizeof(info.pr_psargs) - 1);
      AddNote(notes, "CORE", NT_PRPSINFO, BytesOf(info));
      const siginfo_t none = {};  // no signal ended it
      AddNote(notes, "CORE", NT_SIGINFO, BytesOf(none));
      AddNote(notes, "CORE", NT_AUXV, process.auxv);
      AddNote(notes, "CORE", kNoteFile, FileNote(areas));
    }
    AddNote(notes, "CORE", NT_PRFPREG, BytesOf(thread.floating_point));
    if (!thread.extended.empty()) {
      AddNote(notes, "LINUX", NT_X86_XSTATE, BytesOf(thread.extended));
    }
    for (const ThreadNote& note : process.notes) {
      if (note.tid == thread.tid) AddNote(notes, kJprofNoteOwner, kThreadNote, BytesOf(note));
    }
  }
  return notes;
}

// All that comes before memory, up to a page's boundary.
absl::Status WriteHead(const std::string& notes, const std::vector<Segment>& segments,
                       CoreSink& sink) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  // More headers than the first can count are counted in a section of their own.
  const uint64_t headers = 1 + segments.size();
  const bool many = headers >= PN_XNUM;
  header.e_phnum = many ? PN_XNUM : static_cast<uint16_t>(headers);
  header.e_phoff = sizeof(header) + (many ? sizeof(Elf64_Shdr) : 0);
  header.e_shoff = many ? sizeof(header) : 0;
  header.e_shnum = many ? 1 : 0;
  std::string head(BytesOf(header));
  if (many) {
    Elf64_Shdr count = {};
    count.sh_info = static_cast<uint32_t>(headers);
    absl::StrAppend(&head, BytesOf(count));
  }
  uint64_t offset = head.size() + headers * sizeof(Elf64_Phdr);
  Elf64_Phdr note = {};
  note.p_type = PT_NOTE;
  note.p_offset = offset;
  note.p_filesz = notes.size();
  note.p_align = 4;
  absl::StrAppend(&head, BytesOf(note));
  offset += notes.size();
  const uint64_t padding = (kCorePageBytes - offset % kCorePageBytes) % kCorePageBytes;
  offset += padding;
  for (const Segment& segment : segments) {
    const ProcMapping& m = segment.area->mapping;
    Elf64_Phdr load = {};
    load.p_type = PT_LOAD;
    load.p_flags = (m.readable ? PF_R : 0U) | (m.writable ? PF_W : 0U) | (m.executable ? PF_X : 0U);
    load.p_offset = offset;
    load.p_vaddr = segment.range.begin.value;
    load.p_filesz = segment.file_bytes;
    load.p_memsz = segment.range.size();
    load.p_align = kCorePageBytes;
    absl::StrAppend(&head, BytesOf(load));
    offset += segment.file_bytes;
  }
  JPROF_RETURN_IF_ERROR(sink.Append(head));
  JPROF_RETURN_IF_ERROR(sink.Append(notes));
  return padding > 0 ? sink.AppendHole(padding) : absl::OkStatus();
}

uint64_t RoundDown(uint64_t value) { return value / kCorePageBytes * kCorePageBytes; }
uint64_t RoundUp(uint64_t value) { return RoundDown(value + kCorePageBytes - 1); }

// What of a shared mapping its file has. A page table does not tell: memory that is shared need not
// be in it, and that of a child begins without any of it; to read what nobody has written would
// take memory for it.
class SharedFile {
 public:
  SharedFile(Pid pid, const ProcMapping& m) : mapping_(m) {
    const std::string path = absl::StrFormat("/proc/%d/map_files/%x-%x", pid, m.range.begin.value,
                                             m.range.end.value);
    struct stat st;
    // A device might do something when it is opened.
    if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return;
    fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd_.valid() && ::lseek(fd_.get(), 0, SEEK_DATA) < 0 && errno != ENXIO) fd_.Reset();
  }
  bool valid() const { return fd_.valid(); }
  // The first run of it from `at` on, cut at `end`; empty, and at `end`: there is none.
  AddressRange Next(Address at, Address end) const {
    const off_t from = OffsetOf(at);
    const off_t data = ::lseek(fd_.get(), from, SEEK_DATA);
    const off_t hole = data < 0 ? data : ::lseek(fd_.get(), data, SEEK_HOLE);
    if (hole < 0) return {end, end};
    const uint64_t before = RoundDown(static_cast<uint64_t>(data - from));
    // The file may change meanwhile.
    const uint64_t behind =
        std::max(RoundUp(static_cast<uint64_t>(hole - from)), before + kCorePageBytes);
    const uint64_t most = end.value - at.value;
    return {at + std::min(before, most), at + std::min(behind, most)};
  }

 private:
  off_t OffsetOf(Address at) const {
    return static_cast<off_t>(mapping_.offset.value + (at.value - mapping_.range.begin.value));
  }
  const ProcMapping& mapping_;
  UniqueFd fd_;
};

// Copies the pages of `pid` that are there, and are not all zeros.
class MemoryCopy {
 public:
  MemoryCopy(Pid pid, CoreSink& sink, CoreFigures& figures)
      : memory_(::open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC)),
        sink_(sink),
        figures_(figures),
        buffer_(kPagesAtOnce * kCorePageBytes, '\0') {}

  bool valid() const { return memory_.valid(); }

  // `pages`: which are there; nullptr: all.
  absl::Status Copy(uint64_t begin, uint64_t end, const PageTable* pages,
                    const std::function<absl::Status(uint64_t)>& progress) {
    constexpr size_t kStep = 1 << 16;
    for (uint64_t at = begin; at < end;) {
      const size_t count =
          std::min<uint64_t>(kStep, (end - at + kCorePageBytes - 1) / kCorePageBytes);
      const std::vector<uint64_t> words =
          pages == nullptr ? std::vector<uint64_t>() : pages->Read(at, count);
      for (size_t i = 0; i < count;) {
        const auto there = [&](size_t page) {
          return page >= words.size() || PageTable::IsThere(words[page]);
        };
        size_t run = 1;
        const bool present = there(i);
        while (i + run < count && there(i + run) == present && (!present || run < kPagesAtOnce)) {
          ++run;
        }
        const uint64_t from = at + i * kCorePageBytes;
        const uint64_t size = std::min(run * kCorePageBytes, end - from);
        if (present) {
          JPROF_RETURN_IF_ERROR(CopyRun(from, size));
        } else {
          JPROF_RETURN_IF_ERROR(sink_.AppendHole(size));
        }
        JPROF_RETURN_IF_ERROR(progress(size));
        i += run;
      }
      at += count * kCorePageBytes;
    }
    return absl::OkStatus();
  }

  // Of a mapping that is shared: what its file has.
  absl::Status CopyShared(const AddressRange& range, const SharedFile& file,
                          const std::function<absl::Status(uint64_t)>& progress) {
    for (Address at = range.begin; at < range.end;) {
      const AddressRange run = file.Next(at, range.end);
      if (at < run.begin) {
        JPROF_RETURN_IF_ERROR(sink_.AppendHole(run.begin.value - at.value));
        JPROF_RETURN_IF_ERROR(progress(run.begin.value - at.value));
      }
      JPROF_RETURN_IF_ERROR(Copy(run.begin.value, run.end.value, nullptr, progress));
      at = run.end;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CopyRun(uint64_t from, uint64_t size) {
    uint64_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(memory_.get(), buffer_.data() + done, size - done,
                                static_cast<off_t>(from + done));
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) return absl::UnavailableError("the process's memory is gone");
      if (n < 0) {
        // A page that cannot be read, as one whose file has become shorter: a hole.
        const uint64_t page =
            std::min(kCorePageBytes - (from + done) % kCorePageBytes, size - done);
        std::memset(buffer_.data() + done, 0, page);
        done += page;
        continue;
      }
      done += static_cast<uint64_t>(n);
    }
    for (uint64_t at = 0; at < size;) {
      const bool zero = IsZero(at, size);
      uint64_t run = std::min(kCorePageBytes, size - at);
      while (at + run < size && IsZero(at + run, size) == zero) {
        run += std::min(kCorePageBytes, size - at - run);
      }
      if (zero) {
        JPROF_RETURN_IF_ERROR(sink_.AppendHole(run));
      } else {
        JPROF_RETURN_IF_ERROR(sink_.Append(absl::string_view(buffer_).substr(at, run)));
        figures_.written_bytes += run;
      }
      at += run;
    }
    return absl::OkStatus();
  }

  bool IsZero(uint64_t at, uint64_t size) const {
    const uint64_t length = std::min(kCorePageBytes, size - at);
    const char* bytes = buffer_.data() + at;
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, length - 1) == 0;
  }

  UniqueFd memory_;
  CoreSink& sink_;
  CoreFigures& figures_;
  std::string buffer_;
};

std::string ProcText(Pid pid, absl::string_view name) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/", name), kMaxProcBytes);
  return text.ok() ? *std::move(text) : "";
}

}  // namespace

absl::StatusOr<CoreProcess> DescribeProcess(Pid pid) {
  CoreProcess process;
  process.pid = pid;
  JPROF_ASSIGN_OR_RETURN(const ProcStat stat, ReadProcStat(pid));
  process.comm = stat.comm;
  process.state = stat.state;
  process.parent = stat.parent;
  process.group = ::getpgid(pid);
  process.session = ::getsid(pid);
  process.auxv = ProcText(pid, "auxv");
  process.arguments = ProcText(pid, "cmdline");
  std::replace(process.arguments.begin(), process.arguments.end(), '\0', ' ');
  struct stat owner;
  if (::stat(absl::StrCat("/proc/", pid).c_str(), &owner) == 0) {
    process.uid = owner.st_uid;
    process.gid = owner.st_gid;
  }
  JPROF_ASSIGN_OR_RETURN(const std::vector<Tid> threads, ListThreads(pid));
  for (Tid tid : threads) {
    ThreadNote note = {};
    note.tid = tid;
    auto of_thread = ParseProcStat(ProcText(pid, absl::StrCat("task/", tid, "/stat")));
    if (!of_thread.ok()) continue;
    note.state = of_thread->state;
    of_thread->comm.copy(note.name, sizeof(note.name) - 1);
    const std::string times = ProcText(pid, absl::StrCat("task/", tid, "/schedstat"));
    static_cast<void>(
        absl::SimpleAtoi(absl::string_view(times).substr(0, times.find(' ')), &note.cpu_ns));
    process.notes.push_back(note);
  }
  return process;
}

absl::StatusOr<CoreFigures> WriteCore(
    const CoreProcess& process, Pid source, const std::vector<CoreArea>& areas, const PageSet* only,
    CoreSink& sink, const std::function<absl::Status(uint64_t done, uint64_t all)>& progress) {
  const PageTable pages(source);
  const std::vector<Segment> segments = MakeSegments(areas, pages, only);
  JPROF_RETURN_IF_ERROR(WriteHead(MakeNotes(process, areas), segments, sink));
  uint64_t all = 0;
  for (const Segment& segment : segments) all += segment.file_bytes;
  CoreFigures figures;
  MemoryCopy copy(source, sink, figures);
  if (!copy.valid()) return absl::UnavailableError("the process's memory cannot be read");
  const PageTable own_pages(process.pid);
  uint64_t done = 0, told = 0;
  const auto tell = [&](uint64_t bytes) -> absl::Status {
    done += bytes;
    if (done - told < kProgressBytes) return absl::OkStatus();
    told = done;
    return progress(done, all);
  };
  for (const Segment& segment : segments) {
    const AddressRange range = {segment.range.begin, segment.range.begin + segment.file_bytes};
    const ProcMapping& m = segment.area->mapping;
    if (m.shared && !range.empty()) {
      const SharedFile file(source, m);
      if (file.valid()) {
        JPROF_RETURN_IF_ERROR(copy.CopyShared(range, file, tell));
        continue;
      }
      // What only others have touched is missing then.
      figures.untold_bytes += range.size();
    }
    // Of a file's pages, and of the kernel's own, those count too that are not in memory.
    const bool all_count = m.file.valid() || m.path == "[vdso]";
    const PageTable* there = m.shared ? &own_pages : all_count ? nullptr : &pages;
    JPROF_RETURN_IF_ERROR(copy.Copy(range.begin.value, range.end.value, there, tell));
  }
  return figures;
}

absl::Status WriteCoreWithoutMemory(const CoreProcess& process, const std::vector<CoreArea>& areas,
                                    CoreSink& sink) {
  std::vector<Segment> segments;
  for (const CoreArea& area : areas) {
    if (area.mapping.path != "[vsyscall]") segments.push_back({&area, area.mapping.range, 0});
  }
  return WriteHead(MakeNotes(process, areas), segments, sink);
}

}  // namespace jprof
