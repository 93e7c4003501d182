// The file that `perf record` writes, and the stream that it writes into a pipe: a header, the
// events that were asked for, records, and what is known of the host ("features", behind the
// records of a file, among those of a stream).
//
//   file:    "PERFILE2", 104 bytes of header | attributes and their ids | records | features
//   stream:  "PERFILE2", 16 bytes of header  | records, of which some are attributes and features
//
// Records come from the rings of several CPUs and are sorted within rounds only; here they are
// sorted by time. `perf record -z` packs those of the kernel: a record of the tool holds a piece of
// one zstd stream, which unpacks to records that may begin in one piece and end in the next. All
// bytes are foreign: what leaves its record or its section is damage.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "import/frame_text.h"
#include "import/zstd_stream.h"

namespace jprof {

// Reads little-endian numbers one behind the other. Behind the end all are 0, see ok().
class PerfCursor {
 public:
  explicit PerfCursor(absl::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  absl::string_view rest() const { return rest_; }
  uint64_t U64() { return Number(8); }
  uint32_t U32() { return static_cast<uint32_t>(Number(4)); }
  uint16_t U16() { return static_cast<uint16_t>(Number(2)); }
  absl::string_view Bytes(uint64_t size);
  // All that is left, up to the first NUL.
  absl::string_view Text() { return rest_.substr(0, rest_.find('\0')); }
  // A length, so many bytes, text up to the first NUL.
  absl::string_view CountedText();

 private:
  uint64_t Number(size_t size);

  absl::string_view rest_;
  bool ok_ = true;
};

// One event that was asked for.
struct PerfAttribute {
  uint32_t type = 0;
  uint64_t config = 0;
  uint64_t period = 0;  // events between two samples; if is_frequency, samples a second
  uint64_t sample_type = 0;
  uint64_t read_format = 0;
  uint64_t branch_sample_type = 0;
  uint64_t user_registers = 0;  // a bit for each that a sample has
  bool is_frequency = false;
  bool has_sample_ids = false;  // all records end in what a sample begins with
  std::string name;             // "cpu-clock", without modifiers; never ""
  bool is_time() const { return type == 1 && config <= 1; }
};

// What the kernel's header linux/perf_event.h calls them.
enum class PerfRecordType : uint32_t {
  kMmap = 1,
  kLost = 2,
  kComm = 3,
  kExit = 4,
  kFork = 7,
  kSample = 9,
  kMmap2 = 10,
  kLostSamples = 13,
  kCallchainDeferred = 22,
};

struct PerfRecord {
  PerfRecordType type;
  uint16_t misc;
  uint64_t time_ns;        // 0 where it has none
  absl::string_view body;  // behind its header, without what has_sample_ids adds
};

struct PerfSample {
  uint64_t ip = 0;
  uint64_t period = 1;
  int32_t pid = 0;
  int32_t tid = 0;
  uint32_t cpu = 0;
  std::vector<uint64_t> chain;  // leaf first, with the kernel's marks among the addresses
  bool has_user_stack = false;  // as bytes, to be unwound by call-frame information
  uint64_t user_ip = 0;         // from its registers; 0: not there
};

class PerfDataFile {
 public:
  // `bytes` outlive it. InvalidArgument: of another byte order, or packed in a way that is not
  // known; DataLoss: damaged; ResourceExhausted: too much, unpacked.
  static absl::StatusOr<PerfDataFile> Open(absl::string_view bytes);

  // In time order.
  size_t size() const { return index_.size(); }
  PerfRecord Record(size_t i) const;

  // The event that a sample was taken by.
  const PerfAttribute& AttributeOf(const PerfRecord& sample) const;
  static absl::Status Parse(const PerfRecord& record, const PerfAttribute& attribute,
                            PerfSample& sample);

  struct BuildId {
    absl::string_view path;
    std::string hex;
  };
  const std::vector<BuildId>& build_ids() const { return build_ids_; }
  absl::string_view hostname() const { return hostname_; }
  absl::string_view release() const { return release_; }
  const std::string& command() const { return command_; }
  // Unix time less the time of records, in nanoseconds; 0: not known.
  int64_t wall_offset_ns() const { return wall_offset_ns_; }
  // Records behind the last whole one, and other damage that was left out.
  uint64_t damaged() const { return damaged_; }

 private:
  struct Entry {
    uint64_t time_ns;
    uint64_t offset;  // behind the end of bytes_: in unpacked_
  };

  explicit PerfDataFile(absl::string_view bytes) : bytes_(bytes), packed_(kMaxUnpackedBytes) {}
  absl::Status OpenFile();
  // `offset`: as in Entry.
  absl::Status ReadRecords(absl::string_view records, uint64_t offset);
  absl::Status Unpack(absl::string_view piece);
  absl::Status OnToolRecord(uint32_t type, uint16_t misc, absl::string_view body);
  bool AddAttribute(absl::string_view attribute, absl::string_view ids);
  void OnFeature(uint64_t feature, absl::string_view section);
  void ReadEventNames(absl::string_view section);
  void ReadBuildIds(absl::string_view section);
  void AddBuildId(uint16_t misc, absl::string_view body);
  uint64_t TimeOf(uint32_t type, absl::string_view body) const;
  size_t SampleIdBytes() const;
  size_t AttributeIndex(absl::string_view sample) const;

  static constexpr size_t kMaxUnpackedBytes = size_t{2} << 30;

  absl::string_view bytes_;
  ZstdStream packed_;
  std::string unpacked_;
  uint32_t packing_ = 0;  // as the feature names it; 0: it does not
  std::vector<PerfAttribute> attributes_;
  absl::flat_hash_map<uint64_t, size_t> attribute_of_id_;
  std::vector<Entry> index_;
  std::vector<BuildId> build_ids_;
  absl::string_view hostname_;
  absl::string_view release_;
  std::string command_;
  int64_t wall_offset_ns_ = 0;
  uint64_t damaged_ = 0;
  TableBudget budget_;
};

// "cycles:ppp" -> "cycles", but "sched:sched_switch" as it is.
absl::string_view WithoutModifiers(absl::string_view event);

}  // namespace jprof
