// Writes core files for tests, as the kernel lays them out.
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class CoreBuilder {
 public:
  CoreBuilder& Thread(int32_t tid, uint64_t pc, uint64_t sp) {
    elf_prstatus status = {};
    status.pr_pid = tid;
    status.pr_reg[16] = pc;
    status.pr_reg[19] = sp;
    status.pr_reg[15] = ~0ULL;  // in no system call
    return Note("CORE", NT_PRSTATUS,
                absl::string_view(reinterpret_cast<char*>(&status), sizeof(status)));
  }
  CoreBuilder& Process(int32_t pid, absl::string_view comm) {
    elf_prpsinfo info = {};
    info.pr_pid = pid;
    std::memcpy(info.pr_fname, comm.data(), comm.size());
    return Note("CORE", NT_PRPSINFO,
                absl::string_view(reinterpret_cast<char*>(&info), sizeof(info)));
  }
  // begin, end, offset in bytes.
  CoreBuilder& File(uint64_t begin, uint64_t end, uint64_t offset, absl::string_view path) {
    files_.insert(files_.end(), {begin, end, offset});
    paths_.append(path.data(), path.size());
    paths_.push_back('\0');
    return *this;
  }
  CoreBuilder& Load(uint64_t address, uint64_t memory_bytes, std::string content, uint32_t flags) {
    loads_.push_back({address, memory_bytes, std::move(content), flags});
    return *this;
  }
  CoreBuilder& Note(absl::string_view owner, uint32_t type, absl::string_view content) {
    const Elf64_Nhdr header = {static_cast<uint32_t>(owner.size() + 1),
                               static_cast<uint32_t>(content.size()), type};
    notes_.append(reinterpret_cast<const char*>(&header), sizeof(header));
    notes_.append(owner.data(), owner.size());
    notes_.append(4 - owner.size() % 4, '\0');
    notes_.append(content.data(), content.size());
    notes_.append((4 - content.size() % 4) % 4, '\0');
    return *this;
  }

  std::string Bytes() {
    if (!files_.empty()) {
      const uint64_t head[] = {files_.size() / 3, 1};
      std::string content(reinterpret_cast<const char*>(head), sizeof(head));
      content.append(reinterpret_cast<const char*>(files_.data()), files_.size() * 8);
      Note("CORE", 0x46494c45, content + paths_);
      files_.clear();
    }
    Elf64_Ehdr header = {};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_CORE;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<uint16_t>(1 + loads_.size());
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    uint64_t at = sizeof(header) + header.e_phnum * sizeof(Elf64_Phdr);
    Elf64_Phdr note = {};
    note.p_type = PT_NOTE;
    note.p_offset = at;
    note.p_filesz = notes_.size();
    bytes.append(reinterpret_cast<const char*>(&note), sizeof(note));
    std::string content = notes_;
    for (const Segment& load : loads_) {
      Elf64_Phdr h = {};
      h.p_type = PT_LOAD;
      h.p_flags = load.flags;
      h.p_offset = at + content.size();
      h.p_vaddr = load.address;
      h.p_filesz = load.content.size();
      h.p_memsz = load.memory_bytes;
      bytes.append(reinterpret_cast<const char*>(&h), sizeof(h));
      content += load.content;
    }
    return bytes + content;
  }

 private:
  struct Segment {
    uint64_t address, memory_bytes;
    std::string content;
    uint32_t flags;
  };
  std::string notes_, paths_;
  std::vector<uint64_t> files_;
  std::vector<Segment> loads_;
};

// A file without a name that holds these bytes.
inline UniqueFd FileOf(absl::string_view bytes) {
  UniqueFd fd(::memfd_create("core", MFD_CLOEXEC));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    fd.Reset();
  return fd;
}

}  // namespace jprof
