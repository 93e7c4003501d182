#include "profiler/capture/record_parser.h"

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

}  // namespace jprof
