#include "profiler/capture/record_parser.h"

#include <asm/perf_regs.h>
#include <linux/perf_event.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// Reads values off the front; after one that is not there, ok() is false and all values are zero.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value = {};
    if (bytes_.size() < sizeof(T)) {
      Fail();
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  // All that is left, up to a NUL, which must be there.
  std::string TakeString() {
    const void* end = bytes_.empty() ? nullptr : std::memchr(bytes_.data(), 0, bytes_.size());
    if (end == nullptr) {
      Fail();
      return {};
    }
    const char* begin = reinterpret_cast<const char*>(bytes_.data());
    return std::string(begin, static_cast<const char*>(end));
  }
  // Empty when there are fewer.
  std::span<const std::byte> TakeBytes(uint64_t size) {
    if (size > bytes_.size()) {
      Fail();
      return {};
    }
    std::span<const std::byte> taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }
  size_t size() const { return bytes_.size(); }
  bool ok() const { return ok_; }

 private:
  void Fail() {
    ok_ = false;
    bytes_ = {};
  }

  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

// 0 and -1 stand for a process that our pid namespace does not show, or that is gone.
bool Visible(Pid pid, Tid tid) { return pid > 0 && tid > 0; }

absl::Status Damaged(absl::string_view kind, size_t size) {
  return absl::DataLossError(absl::StrCat("damaged ", kind, " record of ", size, " bytes"));
}

// The kernel's numbers of the registers, in the order of DWARF's.
constexpr int kRegisterOrder[JP_REGISTERS] = {
    PERF_REG_X86_AX,  PERF_REG_X86_DX,  PERF_REG_X86_CX,  PERF_REG_X86_BX,
    PERF_REG_X86_SI,  PERF_REG_X86_DI,  PERF_REG_X86_BP,  PERF_REG_X86_SP,
    PERF_REG_X86_R8,  PERF_REG_X86_R9,  PERF_REG_X86_R10, PERF_REG_X86_R11,
    PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14, PERF_REG_X86_R15};

constexpr uint64_t RegisterMask() {
  uint64_t mask = uint64_t{1} << PERF_REG_X86_IP;
  for (int number : kRegisterOrder) mask |= uint64_t{1} << number;
  return mask;
}

// They come in the order of their bits in the mask.
Registers TakeRegisters(Cursor& body) {
  uint64_t by_bit[64] = {};
  for (int bit = 0; bit < 64; ++bit) {
    if ((RegisterMask() >> bit & 1) != 0) by_bit[bit] = body.Take<uint64_t>();
  }
  Registers registers;
  for (int i = 0; i < JP_REGISTERS; ++i) {
    registers.others[static_cast<size_t>(i)] = by_bit[kRegisterOrder[i]];
  }
  registers.pc = by_bit[PERF_REG_X86_IP];
  registers.sp = by_bit[PERF_REG_X86_SP];
  registers.fp = by_bit[PERF_REG_X86_BP];
  registers.rdi = by_bit[PERF_REG_X86_DI];
  registers.r13 = by_bit[PERF_REG_X86_R13];
  return registers;
}

std::optional<Event> Only(bool visible, Event event) {
  if (!visible) return std::nullopt;
  return event;
}

}  // namespace

absl::StatusOr<std::optional<Event>> ParseSidebandRecord(std::span<const std::byte> record) {
  Cursor head(record);
  const auto header = head.Take<perf_event_header>();
  if (!head.ok() || header.size != record.size()) return Damaged("perf", record.size());
  switch (header.type) {
    case PERF_RECORD_MMAP2:
    case PERF_RECORD_COMM:
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
    case PERF_RECORD_LOST:
      break;
    default:
      return std::nullopt;
  }
  if (record.size() < sizeof(header) + kSampleIdBytes) return Damaged("short perf", record.size());
  Cursor body(record.subspan(sizeof(header), record.size() - sizeof(header) - kSampleIdBytes));
  Cursor sample_id(record.last(kSampleIdBytes));
  sample_id.Take<uint64_t>();  // pid, tid
  const auto time_ns = sample_id.Take<uint64_t>();

  switch (header.type) {
    case PERF_RECORD_MMAP2: {
      MapEvent event;
      event.time_ns = time_ns;
      event.pid = body.Take<int32_t>();
      const auto tid = body.Take<int32_t>();
      event.range.begin.value = body.Take<uint64_t>();
      const auto size = body.Take<uint64_t>();
      event.offset.value = body.Take<uint64_t>();
      if ((header.misc & PERF_RECORD_MISC_MMAP_BUILD_ID) != 0) {
        // A build ID in place of device and inode: the file stays without identity.
        body.Take<uint64_t>();
        body.Take<uint64_t>();
        body.Take<uint64_t>();
      } else {
        event.file.device_major = body.Take<uint32_t>();
        event.file.device_minor = body.Take<uint32_t>();
        event.file.inode = body.Take<uint64_t>();
        body.Take<uint64_t>();  // inode generation
        // For anonymous memory the kernel gives its page number in place of an offset.
        if (!event.file.valid()) {
          event.file = {};
          event.offset = {};
        }
      }
      const auto protection = body.Take<uint32_t>();
      body.Take<uint32_t>();  // flags
      event.path = body.TakeString();
      if (!body.ok() || size == 0 || size > UINT64_MAX - event.range.begin.value) {
        return Damaged("mmap", record.size());
      }
      event.range.end = event.range.begin + size;
      return Only(Visible(event.pid, tid) && (protection & PROT_EXEC) != 0, std::move(event));
    }
    case PERF_RECORD_COMM: {
      CommEvent event;
      event.time_ns = time_ns;
      event.pid = body.Take<int32_t>();
      event.tid = body.Take<int32_t>();
      event.exec = (header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0;
      event.comm = body.TakeString();
      if (!body.ok()) return Damaged("comm", record.size());
      return Only(Visible(event.pid, event.tid), std::move(event));
    }
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT: {
      ForkEvent event;
      event.pid = body.Take<int32_t>();
      event.parent_pid = body.Take<int32_t>();
      event.tid = body.Take<int32_t>();
      event.parent_tid = body.Take<int32_t>();
      event.time_ns = body.Take<uint64_t>();
      if (!body.ok()) return Damaged("task", record.size());
      const bool visible = Visible(event.pid, event.tid);
      if (header.type == PERF_RECORD_FORK) return Only(visible, event);
      return Only(visible, ExitEvent{event.time_ns, event.pid, event.tid});
    }
    default: {                // PERF_RECORD_LOST
      body.Take<uint64_t>();  // id of the event
      LostEvent event{LostEvent::What::kSideband, body.Take<uint64_t>()};
      if (!body.ok()) return Damaged("lost", record.size());
      return event;
    }
  }
}

absl::StatusOr<std::optional<ThrottleRecord>> ParseThrottleRecord(
    std::span<const std::byte> record) {
  Cursor body(record);
  const auto header = body.Take<perf_event_header>();
  if (!body.ok() || header.size != record.size()) return Damaged("perf", record.size());
  if (header.type != PERF_RECORD_THROTTLE && header.type != PERF_RECORD_UNTHROTTLE) {
    return std::nullopt;
  }
  const ThrottleRecord throttle{body.Take<uint64_t>(), header.type == PERF_RECORD_THROTTLE};
  if (!body.ok()) return Damaged("throttle", record.size());
  return throttle;
}

const uint64_t kTaskSampleType = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID |
                                 PERF_SAMPLE_CPU | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
const uint64_t kTaskSampleRegisters = RegisterMask();

absl::StatusOr<TaskRecord> ParseTaskRecord(std::span<const std::byte> record, bool kernel_chain) {
  Cursor body(record);
  const auto header = body.Take<perf_event_header>();
  if (!body.ok() || header.size != record.size()) return Damaged("perf", record.size());
  if (header.type == PERF_RECORD_LOST) {
    body.Take<uint64_t>();  // id of the event
    const auto lost = body.Take<uint64_t>();
    if (!body.ok()) return Damaged("lost", record.size());
    return TaskRecord{.sample = std::nullopt, .lost = lost};
  }
  if (header.type != PERF_RECORD_SAMPLE) return TaskRecord{};
  TaskSample sample;
  sample.pid = body.Take<int32_t>();
  sample.tid = body.Take<int32_t>();
  sample.time_ns = body.Take<uint64_t>();
  sample.event = body.Take<uint64_t>();
  sample.cpu = body.Take<uint32_t>();
  body.Take<uint32_t>();
  if (kernel_chain) {
    const auto count = body.Take<uint64_t>();
    if (count > body.size() / sizeof(uint64_t)) return Damaged("sample", record.size());
    for (uint64_t i = 0; i < count; ++i) {
      const auto address = body.Take<uint64_t>();
      // Beyond it there are no addresses: they say what those that follow are.
      if (address < PERF_CONTEXT_MAX && sample.kernel_chain.size() < JP_MAX_KERNEL_FRAMES) {
        sample.kernel_chain.push_back(address);
      }
    }
  }
  const auto abi = body.Take<uint64_t>();
  if (abi != PERF_SAMPLE_REGS_ABI_NONE) sample.registers = TakeRegisters(body);
  const auto size = body.Take<uint64_t>();
  if (size != 0) {
    const std::span<const std::byte> room = body.TakeBytes(size);
    const auto filled = body.Take<uint64_t>();
    if (filled > room.size()) return Damaged("sample", record.size());
    sample.stack = room.first(filled);
    sample.whole_stack = filled < room.size();
  }
  if (!body.ok()) return Damaged("sample", record.size());
  sample.has_user = abi != PERF_SAMPLE_REGS_ABI_NONE;
  sample.is_64_bit = abi == PERF_SAMPLE_REGS_ABI_64;
  if (!Visible(sample.pid, sample.tid)) return TaskRecord{};
  return TaskRecord{.sample = std::move(sample)};
}

}  // namespace jprof
