// Writes perf records byte for byte as the kernel does, and damaged ones on request.
//   RecordBuilder().Time(5).Mmap2(1, 1, {{0x1000}, {0x2000}}, "/bin/x").bytes()
#pragma once

#include <linux/perf_event.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/image.h"

namespace jprof {

class RecordBuilder {
 public:
  // What the trailers of the records that follow say.
  RecordBuilder& Time(uint64_t time_ns) {
    time_ns_ = time_ns;
    return *this;
  }
  RecordBuilder& Cpu(uint32_t cpu) {
    cpu_ = cpu;
    return *this;
  }

  struct MmapFields {
    FileOffset offset;
    FileIdentity file;
    uint32_t protection = PROT_READ | PROT_EXEC;
    bool build_id = false;  // in place of the identity
  };
  RecordBuilder& Mmap2(Pid pid, Tid tid, AddressRange range, absl::string_view path,
                       const MmapFields& fields) {
    Begin(PERF_RECORD_MMAP2,
          PERF_RECORD_MISC_USER | (fields.build_id ? PERF_RECORD_MISC_MMAP_BUILD_ID : 0));
    Put(pid).Put(tid).Put(range.begin.value).Put(range.end.value - range.begin.value);
    Put(fields.offset.value);
    if (fields.build_id) {
      Put(uint8_t{20}).Put(uint8_t{0}).Put(uint16_t{0});
      for (int i = 0; i < 20; ++i) Put(static_cast<uint8_t>(i));
    } else {
      Put(fields.file.device_major).Put(fields.file.device_minor).Put(fields.file.inode);
      Put(uint64_t{0});  // inode generation
    }
    Put(fields.protection).Put(uint32_t{MAP_PRIVATE});
    return Text(path).End(pid, tid);
  }
  RecordBuilder& Mmap2(Pid pid, Tid tid, AddressRange range, absl::string_view path) {
    return Mmap2(pid, tid, range, path, MmapFields());
  }
  RecordBuilder& Comm(Pid pid, Tid tid, absl::string_view comm, bool exec = false) {
    Begin(PERF_RECORD_COMM, exec ? PERF_RECORD_MISC_COMM_EXEC : 0);
    return Put(pid).Put(tid).Text(comm).End(pid, tid);
  }
  RecordBuilder& Fork(Pid pid, Tid tid, Pid parent_pid, Tid parent_tid) {
    return Task(PERF_RECORD_FORK, pid, tid, parent_pid, parent_tid);
  }
  RecordBuilder& Exit(Pid pid, Tid tid) { return Task(PERF_RECORD_EXIT, pid, tid, pid, pid); }
  RecordBuilder& Lost(uint64_t count) {
    Begin(PERF_RECORD_LOST, 0);
    return Put(uint64_t{1}).Put(count).End(0, 0);
  }
  RecordBuilder& Throttle(bool stopped) {
    Begin(stopped ? PERF_RECORD_THROTTLE : PERF_RECORD_UNTHROTTLE, 0);
    return Put(time_ns_).Put(uint64_t{1}).Put(uint64_t{1}).End(0, 0);
  }
  // A sample of a task event: the registers by their bits, then the stack, of which `filled` bytes
  // were copied. No trailer.
  struct SampleFields {
    uint64_t event = 0;
    const std::vector<uint64_t>* kernel_chain = nullptr;  // nullptr: the event has none
    uint64_t abi = PERF_SAMPLE_REGS_ABI_64;
    std::vector<uint64_t> registers;
    std::vector<std::byte> stack;
    uint64_t filled = 0;
  };
  RecordBuilder& Sample(Pid pid, Tid tid, const SampleFields& fields) {
    Begin(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
    Put(pid).Put(tid).Put(time_ns_).Put(fields.event).Put(cpu_).Put(uint32_t{0});
    if (fields.kernel_chain != nullptr) {
      Put(uint64_t{fields.kernel_chain->size()});
      for (uint64_t address : *fields.kernel_chain) Put(address);
    }
    Put(fields.abi);
    for (uint64_t value : fields.registers) Put(value);
    Put(uint64_t{fields.stack.size()});
    bytes_.insert(bytes_.end(), fields.stack.begin(), fields.stack.end());
    if (!fields.stack.empty()) Put(fields.filled);
    return Close();
  }
  // A record of any type with any body; no trailer.
  RecordBuilder& Raw(uint32_t type, std::span<const std::byte> body) {
    Begin(type, 0);
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    return Close();
  }
  // Changes the size that the last record claims, not the bytes.
  RecordBuilder& ClaimSize(uint16_t size) {
    std::memcpy(bytes_.data() + begin_ + offsetof(perf_event_header, size), &size, sizeof(size));
    return *this;
  }

  // All records so far, one after the other.
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  RecordBuilder& Task(uint32_t type, Pid pid, Tid tid, Pid parent_pid, Tid parent_tid) {
    Begin(type, 0);
    return Put(pid).Put(parent_pid).Put(tid).Put(parent_tid).Put(time_ns_).End(pid, tid);
  }
  template <typename T>
  RecordBuilder& Put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), p, p + sizeof(T));
    return *this;
  }
  // With its NUL, filled up with NULs to a multiple of 8.
  RecordBuilder& Text(absl::string_view text) {
    for (char c : text) bytes_.push_back(static_cast<std::byte>(c));
    do bytes_.push_back(std::byte{0});
    while ((bytes_.size() - begin_) % 8 != 0);
    return *this;
  }
  void Begin(uint32_t type, uint16_t misc) {
    begin_ = bytes_.size();
    Put(perf_event_header{type, misc, 0});
  }
  RecordBuilder& End(Pid pid, Tid tid) {
    Put(pid).Put(tid).Put(time_ns_).Put(cpu_).Put(uint32_t{0});
    return Close();
  }
  RecordBuilder& Close() { return ClaimSize(static_cast<uint16_t>(bytes_.size() - begin_)); }

  std::vector<std::byte> bytes_;
  size_t begin_ = 0;  // of the last record
  uint64_t time_ns_ = 0;
  uint32_t cpu_ = 0;
};

}  // namespace jprof
