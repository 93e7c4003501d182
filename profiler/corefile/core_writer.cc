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

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kMaxSmapsBytes = size_t{256} << 20;
constexpr size_t kMaxProcBytes = 1 << 20;
constexpr size_t kPagesAtOnce = 256;
constexpr uint64_t kProgressBytes = 64 << 20;
constexpr uint32_t kNoteFile = 0x46494c45;
// Bits of /proc/PID/pagemap.
constexpr uint64_t kPresent = 1ULL << 63, kSwapped = 1ULL << 62, kOfFile = 1ULL << 61;

struct Area {
  ProcMapping mapping;
  bool dont_dump = false;  // or device memory
  bool dont_fork = false;
  uint64_t file_bytes = 0;  // of it in the core
};

// The mappings with what the kernel knows of each: in smaps each is followed by lines of its own.
absl::StatusOr<std::vector<Area>> ReadAreas(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(const std::string text,
                         ReadProcFile(absl::StrCat("/proc/", pid, "/smaps"), kMaxSmapsBytes));
  std::vector<Area> areas;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "VmFlags:")) {
      for (absl::string_view flag : absl::StrSplit(line.substr(8), ' ', absl::SkipEmpty())) {
        if (!areas.empty() && (flag == "dd" || flag == "io" || flag == "pf")) {
          areas.back().dont_dump = true;
        }
        if (!areas.empty() && flag == "dc") areas.back().dont_fork = true;
      }
    } else if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
      JPROF_ASSIGN_OR_RETURN(std::vector<ProcMapping> mapping, ParseProcMaps(line));
      if (mapping.size() == 1) areas.push_back({std::move(mapping[0])});
    }
  }
  return areas;
}

class PageTable {
 public:
  explicit PageTable(Pid pid)
      : fd_(::open(absl::StrCat("/proc/", pid, "/pagemap").c_str(), O_RDONLY | O_CLOEXEC)) {}
  // One word for each page from `address` on; fewer when they cannot be read.
  std::vector<uint64_t> Read(uint64_t address, size_t pages) const {
    std::vector<uint64_t> words(pages);
    const ssize_t n = ::pread(fd_.get(), words.data(), pages * 8,
                              static_cast<off_t>(address / kPageBytes * 8));
    words.resize(n < 0 ? 0 : static_cast<size_t>(n) / 8);
    return words;
  }

 private:
  UniqueFd fd_;
};

bool IsDeletedOrMemory(absl::string_view path) {
  return absl::EndsWith(path, " (deleted)") || absl::StartsWith(path, "/memfd:");
}

// How many bytes of the mapping the core has.
uint64_t BytesInCore(const Area& area, const PageTable& pages) {
  const ProcMapping& m = area.mapping;
  if (area.dont_dump || m.path == "[vsyscall]") return 0;
  if (!m.file.valid()) return m.range.size();
  if (m.shared) return IsDeletedOrMemory(m.path) ? m.range.size() : 0;
  constexpr size_t kStep = 1 << 16;
  for (uint64_t at = m.range.begin.value; at < m.range.end.value;) {
    const size_t count = std::min<uint64_t>(kStep, (m.range.end.value - at) / kPageBytes);
    const std::vector<uint64_t> words = pages.Read(at, count);
    for (uint64_t word : words) {
      const bool there = (word & (kPresent | kSwapped)) != 0;
      if (there && (word & kOfFile) == 0) return m.range.size();
    }
    if (words.size() < count) return m.range.size();
    at += count * kPageBytes;
  }
  return m.offset.value == 0 ? std::min(kPageBytes, m.range.size()) : 0;
}

void AddNote(std::string& notes, absl::string_view owner, uint32_t type, absl::string_view content) {
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

std::string FileNote(const std::vector<Area>& areas) {
  std::vector<uint64_t> words = {0, kPageBytes};
  std::string names;
  for (const Area& area : areas) {
    const ProcMapping& m = area.mapping;
    if (!m.file.valid()) continue;
    ++words[0];
    words.insert(words.end(),
                 {m.range.begin.value, m.range.end.value, m.offset.value / kPageBytes});
    names += m.path;
    names.push_back('\0');
  }
  return std::string(reinterpret_cast<const char*>(words.data()), words.size() * 8) + names;
}

std::string MakeNotes(const CoreSubject& subject, const std::vector<Area>& areas) {
  std::string notes;
  for (size_t i = 0; i < subject.threads.size(); ++i) {
    const ThreadRegisters& thread = subject.threads[i];
    elf_prstatus status = {};
    status.pr_pid = thread.tid;
    status.pr_ppid = subject.parent;
    status.pr_pgrp = subject.group;
    status.pr_sid = subject.session;
    status.pr_fpvalid = !thread.floating_point.empty();
    static_assert(sizeof(status.pr_reg) == sizeof(thread.general));
    std::memcpy(&status.pr_reg, &thread.general, sizeof(thread.general));
    AddNote(notes, "CORE", NT_PRSTATUS, BytesOf(status));
    if (i == 0) {
      elf_prpsinfo info = {};
      info.pr_sname = subject.state;
      info.pr_zomb = 0;
      info.pr_uid = subject.uid;
      info.pr_gid = subject.gid;
      info.pr_pid = subject.pid;
      info.pr_ppid = subject.parent;
      info.pr_pgrp = subject.group;
      info.pr_sid = subject.session;
      subject.comm.copy(info.pr_fname, sizeof(info.pr_fname) - 1);
      subject.arguments.copy(info.pr_psargs, sizeof(info.pr_psargs) - 1);
      AddNote(notes, "CORE", NT_PRPSINFO, BytesOf(info));
      const siginfo_t none = {};  // no signal ended it
      AddNote(notes, "CORE", NT_SIGINFO, BytesOf(none));
      AddNote(notes, "CORE", NT_AUXV, subject.auxv);
      AddNote(notes, "CORE", kNoteFile, FileNote(areas));
    }
    AddNote(notes, "CORE", NT_PRFPREG, BytesOf(thread.floating_point));
    if (!thread.extended.empty()) {
      AddNote(notes, "LINUX", NT_X86_XSTATE, BytesOf(thread.extended));
    }
    for (const ThreadNote& note : subject.notes) {
      if (note.tid == thread.tid) AddNote(notes, kJprofNoteOwner, kThreadNote, BytesOf(note));
    }
  }
  return notes;
}

// Copies the pages of `pid` that are there, and are not all zeros.
class MemoryCopy {
 public:
  MemoryCopy(Pid pid, const PageTable& pages, CoreSink& sink, CoreFigures& figures)
      : memory_(::open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC)),
        pages_(pages),
        sink_(sink),
        figures_(figures),
        buffer_(kPagesAtOnce * kPageBytes, '\0') {}

  bool valid() const { return memory_.valid(); }

  absl::Status Copy(uint64_t begin, uint64_t end, bool skip_absent,
                    const std::function<absl::Status(uint64_t)>& progress) {
    constexpr size_t kStep = 1 << 16;
    for (uint64_t at = begin; at < end;) {
      const size_t count = std::min<uint64_t>(kStep, (end - at + kPageBytes - 1) / kPageBytes);
      const std::vector<uint64_t> words = pages_.Read(at, count);
      for (size_t i = 0; i < count;) {
        const auto there = [&](size_t page) {
          return !skip_absent || page >= words.size() || (words[page] & (kPresent | kSwapped)) != 0;
        };
        size_t run = 1;
        const bool present = there(i);
        while (i + run < count && there(i + run) == present && (!present || run < kPagesAtOnce)) {
          ++run;
        }
        const uint64_t from = at + i * kPageBytes;
        const uint64_t size = std::min(run * kPageBytes, end - from);
        if (present) {
          JPROF_RETURN_IF_ERROR(CopyRun(from, size));
        } else {
          JPROF_RETURN_IF_ERROR(sink_.AppendHole(size));
        }
        JPROF_RETURN_IF_ERROR(progress(size));
        i += run;
      }
      at += count * kPageBytes;
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
        const uint64_t page = std::min(kPageBytes - (from + done) % kPageBytes, size - done);
        std::memset(buffer_.data() + done, 0, page);
        done += page;
        continue;
      }
      done += static_cast<uint64_t>(n);
    }
    for (uint64_t at = 0; at < size;) {
      const bool zero = IsZero(at, size);
      uint64_t run = std::min(kPageBytes, size - at);
      while (at + run < size && IsZero(at + run, size) == zero) {
        run += std::min(kPageBytes, size - at - run);
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
    const uint64_t length = std::min(kPageBytes, size - at);
    const char* bytes = buffer_.data() + at;
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, length - 1) == 0;
  }

  UniqueFd memory_;
  const PageTable& pages_;
  CoreSink& sink_;
  CoreFigures& figures_;
  std::string buffer_;
};

std::string ProcText(Pid pid, absl::string_view name) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/", name), kMaxProcBytes);
  return text.ok() ? *std::move(text) : "";
}

}  // namespace

absl::StatusOr<CoreSubject> DescribeProcess(Pid pid) {
  CoreSubject subject;
  subject.pid = pid;
  JPROF_ASSIGN_OR_RETURN(const ProcStat stat, ReadProcStat(pid));
  subject.comm = stat.comm;
  subject.state = stat.state;
  subject.parent = stat.parent;
  subject.group = ::getpgid(pid);
  subject.session = ::getsid(pid);
  subject.auxv = ProcText(pid, "auxv");
  subject.arguments = ProcText(pid, "cmdline");
  std::replace(subject.arguments.begin(), subject.arguments.end(), '\0', ' ');
  struct stat owner;
  if (::stat(absl::StrCat("/proc/", pid).c_str(), &owner) == 0) {
    subject.uid = owner.st_uid;
    subject.gid = owner.st_gid;
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
    subject.notes.push_back(note);
  }
  return subject;
}

absl::StatusOr<std::vector<AddressRange>> NotForkedRanges(Pid pid) {
  JPROF_ASSIGN_OR_RETURN(const std::vector<Area> areas, ReadAreas(pid));
  std::vector<AddressRange> ranges;
  bool go_on = false;
  for (const Area& area : areas) {
    const bool wanted = area.dont_fork && !area.dont_dump;
    if (wanted && go_on) {
      ranges.back().end = area.mapping.range.end;
    } else if (wanted) {
      ranges.push_back(area.mapping.range);
    }
    go_on = wanted;
  }
  return ranges;
}

absl::StatusOr<CoreFigures> WriteCore(
    const CoreSubject& subject, Pid source, CoreSink& sink,
    const std::function<absl::Status(uint64_t done, uint64_t all)>& progress) {
  CoreFigures figures;
  const PageTable pages(source);
  JPROF_ASSIGN_OR_RETURN(std::vector<Area> areas, ReadAreas(source));
  uint64_t all = 0;
  for (Area& area : areas) {
    area.file_bytes = BytesInCore(area, pages);
    all += area.file_bytes;
    if (area.dont_dump) figures.left_out_bytes += area.mapping.range.size();
  }
  std::erase_if(areas, [](const Area& area) { return area.mapping.path == "[vsyscall]"; });

  const std::string notes = MakeNotes(subject, areas);
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
  // More segments than the header can count are counted in a section of their own.
  const uint64_t segments = 1 + areas.size();
  const bool many = segments >= PN_XNUM;
  header.e_phnum = many ? PN_XNUM : static_cast<uint16_t>(segments);
  header.e_phoff = sizeof(header) + (many ? sizeof(Elf64_Shdr) : 0);
  header.e_shoff = many ? sizeof(header) : 0;
  header.e_shnum = many ? 1 : 0;
  std::string head(BytesOf(header));
  if (many) {
    Elf64_Shdr count = {};
    count.sh_info = static_cast<uint32_t>(segments);
    absl::StrAppend(&head, BytesOf(count));
  }
  uint64_t offset = head.size() + segments * sizeof(Elf64_Phdr);
  Elf64_Phdr note = {};
  note.p_type = PT_NOTE;
  note.p_offset = offset;
  note.p_filesz = notes.size();
  note.p_align = 4;
  absl::StrAppend(&head, BytesOf(note));
  offset += notes.size();
  const uint64_t padding = (kPageBytes - offset % kPageBytes) % kPageBytes;
  offset += padding;
  for (const Area& area : areas) {
    const ProcMapping& m = area.mapping;
    Elf64_Phdr load = {};
    load.p_type = PT_LOAD;
    load.p_flags = (m.readable ? PF_R : 0U) | (m.writable ? PF_W : 0U) | (m.executable ? PF_X : 0U);
    load.p_offset = offset;
    load.p_vaddr = m.range.begin.value;
    load.p_filesz = area.file_bytes;
    load.p_memsz = m.range.size();
    load.p_align = kPageBytes;
    absl::StrAppend(&head, BytesOf(load));
    offset += area.file_bytes;
  }
  JPROF_RETURN_IF_ERROR(sink.Append(head));
  JPROF_RETURN_IF_ERROR(sink.Append(notes));
  if (padding > 0) JPROF_RETURN_IF_ERROR(sink.AppendHole(padding));

  MemoryCopy copy(source, pages, sink, figures);
  if (!copy.valid()) return absl::UnavailableError("the process's memory cannot be read");
  uint64_t done = 0, told = 0;
  for (const Area& area : areas) {
    const uint64_t begin = area.mapping.range.begin.value;
    // Of a file's pages those count too that are not in memory.
    const bool skip_absent = !area.mapping.file.valid() || area.mapping.shared;
    JPROF_RETURN_IF_ERROR(
        copy.Copy(begin, begin + area.file_bytes, skip_absent, [&](uint64_t bytes) -> absl::Status {
          done += bytes;
          if (done - told < kProgressBytes) return absl::OkStatus();
          told = done;
          return progress(done, all);
        }));
  }
  return figures;
}

}  // namespace jprof
