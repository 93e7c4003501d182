#include "profiler/cli/mini_core.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/cli/stack_report.h"
#include "profiler/cli/subject.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/corefile/core_file.h"
#include "profiler/process/target_file.h"

namespace jprof {
namespace {

constexpr uint64_t kRedZoneBytes = 128;
constexpr uint64_t kMaxStackBytes = 8 << 20;        // of a thread
constexpr uint64_t kMaxOtherStackBytes = 256 << 10; // where its end is not known
constexpr uint64_t kMaxAllStacksBytes = 64 << 20;
constexpr uint64_t kThreadBytes = 8 << 10;  // what C libraries keep of a thread, above its stack
constexpr size_t kMaxHeaders = 64, kMaxDynamic = 1024, kMaxLibraries = 4096, kMaxNameBytes = 256;

// A file in memory, for a core that has none of the process's.
class MemoryFile : public CoreSink {
 public:
  MemoryFile() : fd_(::memfd_create("core", MFD_CLOEXEC)) {}
  absl::Status Append(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return ErrnoStatus(errno, "a file in memory");
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }
  absl::Status AppendHole(uint64_t bytes) override { return Append(std::string(bytes, '\0')); }
  UniqueFd Take() { return std::move(fd_); }

 private:
  UniqueFd fd_;
};

const CoreArea* AreaAt(const std::vector<CoreArea>& areas, Address address) {
  auto it = std::upper_bound(areas.begin(), areas.end(), address, [](Address a, const CoreArea& b) {
    return a < b.mapping.range.begin;
  });
  if (it == areas.begin() || !std::prev(it)->mapping.range.Contains(address)) return nullptr;
  return &*std::prev(it);
}

// What is in use of each thread's stack, and the code at its pc.
void AddStacks(const CoreProcess& process, const std::vector<CoreArea>& areas, PageSet& pages) {
  uint64_t left = kMaxAllStacksBytes;
  for (const ThreadRegisters& thread : process.threads) {
    const Address sp{thread.general.rsp}, own{thread.general.fs_base};
    if (AreaAt(areas, {thread.general.rip}) != nullptr) {
      pages.Add({{thread.general.rip}, {thread.general.rip + 1}});
    }
    const CoreArea* area = AreaAt(areas, sp);
    if (area == nullptr || area->mapping.file.valid()) continue;
    const AddressRange& range = area->mapping.range;
    Address end = range.end;
    uint64_t limit = area->mapping.path == "[stack]" ? kMaxStackBytes : kMaxOtherStackBytes;
    if (sp < own && range.Contains(own)) {
      end = std::min(end, own + kThreadBytes);
      limit = kMaxStackBytes;
    }
    const Address begin{std::max(range.begin.value, sp.value - std::min(sp.value, kRedZoneBytes))};
    const uint64_t size = std::min({end.value - begin.value, limit, left});
    pages.Add({begin, begin + size});
    left -= size;
  }
}

std::optional<uint64_t> AuxiliaryValue(const CoreProcess& process, uint64_t type) {
  Elf64_auxv_t entry;
  for (size_t at = 0; at + sizeof(entry) <= process.auxv.size(); at += sizeof(entry)) {
    std::memcpy(&entry, process.auxv.data() + at, sizeof(entry));
    if (entry.a_type == type) return entry.a_un.a_val;
  }
  return std::nullopt;
}

// Where the program's linker says what it has loaded; 0: nowhere.
uint64_t FindLinkerList(const CoreProcess& process, const MemoryReader& memory) {
  const uint64_t headers = AuxiliaryValue(process, AT_PHDR).value_or(0);
  const uint64_t count = AuxiliaryValue(process, AT_PHNUM).value_or(0);
  uint64_t bias = 0;
  std::optional<uint64_t> dynamic;
  for (uint64_t i = 0; i < std::min<uint64_t>(count, kMaxHeaders); ++i) {
    auto header = memory.ReadValue<Elf64_Phdr>(Address{headers + i * sizeof(Elf64_Phdr)});
    if (!header) return 0;
    if (header->p_type == PT_PHDR) bias = headers - header->p_vaddr;
    if (header->p_type == PT_DYNAMIC) dynamic = header->p_vaddr;
  }
  if (!dynamic) return 0;
  for (uint64_t i = 0; i < kMaxDynamic; ++i) {
    auto entry = memory.ReadValue<Elf64_Dyn>(Address{bias + *dynamic + i * sizeof(Elf64_Dyn)});
    if (!entry || entry->d_tag == DT_NULL) return 0;
    if (entry->d_tag == DT_DEBUG) return entry->d_un.d_ptr;
  }
  return 0;
}

// As debuggers will read it.
void ReadLibraries(const CoreProcess& process, const MemoryReader& memory) {
  auto list = memory.ReadValue<r_debug>(Address{FindLinkerList(process, memory)});
  if (!list) return;
  auto at = reinterpret_cast<uint64_t>(list->r_map);
  for (size_t i = 0; at != 0 && i < kMaxLibraries; ++i) {
    auto library = memory.ReadValue<link_map>(Address{at});
    if (!library) return;
    std::array<std::byte, kMaxNameBytes> name;
    static_cast<void>(memory.Read(Address{reinterpret_cast<uint64_t>(library->l_name)}, name));
    at = reinterpret_cast<uint64_t>(library->l_next);
  }
}

absl::StatusOr<UniqueFd> OpenFileAt(Pid source, const std::vector<CoreArea>& areas,
                                    const MapEvent& map) {
  const CoreArea* area = AreaAt(areas, map.range.begin);
  if (area == nullptr) return absl::NotFoundError(map.path);
  const ProcMapping& m = area->mapping;
  if (m.path == "[vdso]") return OpenVdso();
  return OpenMappedFile(source, Mapping{m.range, m.offset, m.file, m.path});
}

}  // namespace

absl::StatusOr<MiniCorePages> PagesOfMiniCore(const CoreProcess& process, Pid source,
                                              const std::vector<CoreArea>& areas,
                                              const RuntimeSet& runtimes) {
  MemoryFile file;
  JPROF_RETURN_IF_ERROR(WriteCoreWithoutMemory(process, areas, file));
  JPROF_ASSIGN_OR_RETURN(const CoreFile core, CoreFile::Open(file.Take(), "core"));
  MiniCorePages result;
  const NotedMemory memory(source, areas, result.pages);
  // The options may read different things; all are to find theirs.
  for (const StackNaming& naming :
       {StackNaming{}, StackNaming{.arguments = true},
        StackNaming{.tiers = true, .async = true, .arguments = true}}) {
    Subject subject = CoreSubject(
        core, [&](const MapEvent& map) { return OpenFileAt(source, areas, map); }, memory, "core");
    // What files say of native frames needs no memory.
    subject.world.symbolize = [](std::vector<ImageQuery>&, int, DebugFileFinder*) {};
    StackReport report;
    Profile profile;
    JPROF_RETURN_IF_ERROR(TakeStacks(std::move(subject), naming, runtimes, report, profile));
  }
  ReadLibraries(process, memory);
  result.complete = !memory.is_full();
  AddStacks(process, areas, result.pages);
  return result;
}

}  // namespace jprof
