// Writes small ELF files for tests, right ones and wrong ones.
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// Layout of the file: header, program headers, the content at kContent, then notes, symbol tables,
// strings and at the end the section headers. Sections are numbered in the order: null, those
// of Section(), the note, .symtab, .strtab, .dynsym, .dynstr, those of NamedSection(), their names.
class ElfBuilder {
 public:
  static constexpr uint64_t kContent = 0x1000;

  // Fields that Build() takes as they are; counts and offsets are filled in.
  Elf64_Ehdr header = [] {
    Elf64_Ehdr h = {};
    std::memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    h.e_ident[EI_VERSION] = EV_CURRENT;
    h.e_type = ET_DYN;
    h.e_machine = EM_X86_64;
    h.e_version = EV_CURRENT;
    h.e_ehsize = sizeof(Elf64_Ehdr);
    h.e_phentsize = sizeof(Elf64_Phdr);
    h.e_shentsize = sizeof(Elf64_Shdr);
    return h;
  }();
  bool extended_numbering = false;  // section count in the first section's header

  ElfBuilder& Segment(uint64_t offset, uint64_t address, uint64_t file_size, uint64_t memory_size,
                      uint32_t flags) {
    segments_.push_back({PT_LOAD, flags, offset, address, address, file_size, memory_size, 0x1000});
    return *this;
  }
  ElfBuilder& Content(absl::string_view bytes) {
    content_ = std::string(bytes);
    return *this;
  }
  ElfBuilder& CodeSection(uint64_t address, uint64_t size, uint64_t entry_size = 0) {
    Elf64_Shdr s = {};
    s.sh_type = SHT_PROGBITS;
    s.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
    s.sh_addr = address;
    s.sh_size = size;
    s.sh_entsize = entry_size;
    sections_.push_back(s);
    return *this;
  }
  ElfBuilder& NamedSection(absl::string_view name, uint64_t address, absl::string_view content) {
    named_.push_back({std::string(name), address, std::string(content)});
    return *this;
  }
  ElfBuilder& CompressedSection(absl::string_view name, absl::string_view content) {
    named_.push_back({std::string(name), 0, std::string(content), SHF_COMPRESSED});
    return *this;
  }
  ElfBuilder& BuildId(absl::string_view bytes) {
    build_id_ = std::string(bytes);
    return *this;
  }
  ElfBuilder& Symbol(absl::string_view name, uint64_t address, uint64_t size,
                     uint8_t type = STT_FUNC, uint8_t binding = STB_GLOBAL, uint16_t section = 1) {
    Add(name, address, size, type, binding, section, &symtab_);
    return *this;
  }
  ElfBuilder& DynamicSymbol(absl::string_view name, uint64_t address, uint64_t size,
                            uint8_t type = STT_FUNC, uint8_t binding = STB_GLOBAL,
                            uint16_t section = 1) {
    Add(name, address, size, type, binding, section, &dynsym_);
    return *this;
  }

  std::string Build() const {
    Elf64_Ehdr h = header;
    std::string file(sizeof(h), '\0');
    h.e_phoff = file.size();
    h.e_phnum = static_cast<uint16_t>(segments_.size());
    for (const Elf64_Phdr& p : segments_) Put(p, &file);
    if (!content_.empty()) {
      EXPECT_LE(file.size(), kContent);
      file.resize(kContent, '\0');
      file += content_;
    }
    file.resize((file.size() + 7) / 8 * 8, '\0');

    std::vector<Elf64_Shdr> sections(1);
    sections.insert(sections.end(), sections_.begin(), sections_.end());
    if (!build_id_.empty()) {
      Elf64_Nhdr note = {4, static_cast<uint32_t>(build_id_.size()), NT_GNU_BUILD_ID};
      std::string bytes;
      Put(note, &bytes);
      bytes.append("GNU\0", 4);
      bytes += build_id_;
      bytes.resize((bytes.size() + 3) / 4 * 4, '\0');
      PutSection(SHT_NOTE, SHF_ALLOC, bytes, 0, 0, &file, &sections);
      sections.back().sh_addralign = 4;
    }
    PutTable(SHT_SYMTAB, symtab_, &file, &sections);
    PutTable(SHT_DYNSYM, dynsym_, &file, &sections);
    std::string names(1, '\0');
    for (const Named& n : named_) {
      PutSection(SHT_PROGBITS, SHF_ALLOC | n.flags, n.content, 0, 0, &file, &sections);
      sections.back().sh_addr = n.address;
      sections.back().sh_name = static_cast<uint32_t>(names.size());
      names.append(n.name.c_str(), n.name.size() + 1);
    }
    if (!named_.empty()) {
      h.e_shstrndx = static_cast<uint16_t>(sections.size());
      PutSection(SHT_STRTAB, 0, names, 0, 0, &file, &sections);
    }

    h.e_shoff = file.size();
    h.e_shnum = static_cast<uint16_t>(sections.size());
    if (extended_numbering) {
      h.e_shnum = 0;
      sections[0].sh_size = sections.size();
    }
    for (const Elf64_Shdr& s : sections) Put(s, &file);
    std::memcpy(file.data(), &h, sizeof(h));
    return file;
  }

 private:
  struct Table {
    std::vector<Elf64_Sym> symbols;
    std::string strings;
  };

  template <typename T>
  static void Put(const T& value, std::string* out) {
    out->append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void Add(absl::string_view name, uint64_t address, uint64_t size, uint8_t type,
                  uint8_t binding, uint16_t section, Table* table) {
    if (table->strings.empty()) {
      table->strings.push_back('\0');
      table->symbols.push_back({});
    }
    Elf64_Sym s = {};
    s.st_name = static_cast<uint32_t>(table->strings.size());
    s.st_info = ELF64_ST_INFO(binding, type);
    s.st_shndx = section;
    s.st_value = address;
    s.st_size = size;
    table->symbols.push_back(s);
    table->strings.append(name.data(), name.size());
    table->strings.push_back('\0');
  }
  static void PutSection(uint32_t type, uint64_t flags, const std::string& bytes,
                         uint64_t entry_size, uint32_t link, std::string* file,
                         std::vector<Elf64_Shdr>* sections) {
    Elf64_Shdr s = {};
    s.sh_type = type;
    s.sh_flags = flags;
    s.sh_offset = file->size();
    s.sh_size = bytes.size();
    s.sh_entsize = entry_size;
    s.sh_link = link;
    sections->push_back(s);
    *file += bytes;
    file->resize((file->size() + 7) / 8 * 8, '\0');
  }
  static void PutTable(uint32_t type, const Table& table, std::string* file,
                       std::vector<Elf64_Shdr>* sections) {
    if (table.symbols.empty()) return;
    std::string bytes;
    for (const Elf64_Sym& s : table.symbols) Put(s, &bytes);
    PutSection(type, 0, bytes, sizeof(Elf64_Sym), static_cast<uint32_t>(sections->size() + 1), file,
               sections);
    PutSection(SHT_STRTAB, 0, table.strings, 0, 0, file, sections);
  }

  struct Named {
    std::string name;
    uint64_t address;
    std::string content;
    uint64_t flags = 0;
  };

  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
  std::string content_;
  std::string build_id_;
  std::vector<Named> named_;
  Table symtab_;
  Table dynsym_;
};

// A file without a name.
inline UniqueFd FileOf(absl::string_view bytes) {
  UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

}  // namespace jprof
