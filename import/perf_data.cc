#include "import/perf_data.h"

#include <algorithm>
#include <bit>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr absl::string_view kMagic = "PERFILE2";
constexpr size_t kRecordHeaderBytes = 8;
constexpr size_t kSmallestAttribute = 64;  // its first version
constexpr size_t kMaxAttributes = 10'000;
constexpr size_t kMaxWords = 1'000;  // of a command line

// Bits of sample_type, in the order of the fields.
constexpr uint64_t kIp = 1 << 0, kTid = 1 << 1, kTime = 1 << 2, kAddr = 1 << 3, kRead = 1 << 4,
                   kCallchain = 1 << 5, kId = 1 << 6, kCpu = 1 << 7, kPeriod = 1 << 8,
                   kStreamId = 1 << 9, kRaw = 1 << 10, kBranchStack = 1 << 11, kRegsUser = 1 << 12,
                   kStackUser = 1 << 13, kIdentifier = 1 << 16;
constexpr uint64_t kSampleIdFields = kTid | kTime | kId | kStreamId | kCpu | kIdentifier;

// Records of the tool, not of the kernel.
constexpr uint32_t kFirstToolRecord = 64, kHeaderAttribute = 64, kTracingData = 66, kBuildId = 67,
                   kAuxTrace = 71, kEventUpdate = 78, kHeaderFeature = 80, kCompressed = 81,
                   kCompressed2 = 83;

constexpr uint64_t kFeatureBuildId = 2, kFeatureHostname = 3, kFeatureRelease = 4,
                   kFeatureCommand = 11, kFeatureEvents = 12, kFeatureCompressed = 27,
                   kFeatureClockData = 29, kFeatures = 256;

constexpr uint32_t kPackedByZstd = 1;

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("damaged ", what));
}

std::string DefaultName(const PerfAttribute& a) {
  constexpr absl::string_view kHardware[] = {"cycles",       "instructions", "cache_references",
                                             "cache_misses", "branches",     "branch_misses"};
  constexpr absl::string_view kSoftware[] = {"cpu-clock", "task-clock", "page-faults",
                                             "context-switches"};
  if (a.type == 0 && a.config < std::size(kHardware)) return std::string(kHardware[a.config]);
  if (a.type == 1 && a.config < std::size(kSoftware)) return std::string(kSoftware[a.config]);
  return "event";
}

}  // namespace

uint64_t PerfCursor::Number(size_t size) {
  const absl::string_view bytes = Bytes(size);
  uint64_t number = 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}

absl::string_view PerfCursor::Bytes(uint64_t size) {
  if (size > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const absl::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

absl::string_view PerfCursor::CountedText() {
  const absl::string_view padded = Bytes(U32());
  return padded.substr(0, padded.find('\0'));
}

absl::string_view WithoutModifiers(absl::string_view event) {
  const size_t colon = event.rfind(':');
  if (colon == absl::string_view::npos || colon + 1 == event.size() ||
      event.find_first_not_of("ukhGHpPSDWe", colon + 1) != absl::string_view::npos) {
    return event;
  }
  return event.substr(0, colon);
}

absl::StatusOr<PerfDataFile> PerfDataFile::Open(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "2ELIFREP")) {
    return absl::InvalidArgumentError("a machine of the other byte order wrote it");
  }
  PerfDataFile file(bytes);
  PerfCursor head(bytes);
  if (head.Bytes(kMagic.size()) != kMagic) return Damaged("header");
  const uint64_t size = head.U64();
  if (!head.ok()) return Damaged("header");
  if (size == kMagic.size() + 8) {
    JPROF_RETURN_IF_ERROR(file.ReadRecords(head.rest(), size));
  } else {
    JPROF_RETURN_IF_ERROR(file.OpenFile());
  }
  // After all others: where a piece ends, a record need not; all is sorted by time.
  JPROF_RETURN_IF_ERROR(file.ReadRecords(file.unpacked_, bytes.size()));
  std::stable_sort(file.index_.begin(), file.index_.end(),
                   [](const Entry& a, const Entry& b) { return a.time_ns < b.time_ns; });
  return file;
}

absl::Status PerfDataFile::OpenFile() {
  PerfCursor head(bytes_);
  head.Bytes(kMagic.size() + 8);
  const uint64_t attribute_bytes = head.U64();
  auto section = [this](PerfCursor& at, absl::string_view& out) {
    const uint64_t offset = at.U64(), size = at.U64();
    if (!at.ok() || offset > bytes_.size() || size > bytes_.size() - offset) return false;
    out = bytes_.substr(offset, size);
    return true;
  };
  absl::string_view attributes, records, event_types;
  if (!section(head, attributes)) return Damaged("list of events");
  const absl::string_view records_at = head.rest();
  if (!section(head, records)) {
    // Cut short: what is there may still be read.
    const uint64_t offset = PerfCursor(records_at).U64();
    if (records_at.size() < 16 || offset > bytes_.size()) return Damaged("header");
    records = bytes_.substr(offset);
    head = PerfCursor(records_at.substr(16));
    ++damaged_;
  }
  section(head, event_types);  // of old versions, not needed
  const absl::string_view feature_bits = head.Bytes(kFeatures / 8);
  if (!head.ok()) return Damaged("header");

  const uint64_t stride = attribute_bytes;
  if (stride < kSmallestAttribute + 16 || attributes.size() / stride > kMaxAttributes) {
    return Damaged("list of events");
  }
  for (size_t at = 0; attributes.size() - at >= stride; at += stride) {
    const absl::string_view entry = attributes.substr(at, stride);
    PerfCursor ids_at(entry.substr(stride - 16));
    absl::string_view ids;
    if (!section(ids_at, ids) || !AddAttribute(entry.substr(0, stride - 16), ids)) {
      return Damaged("list of events");
    }
  }
  const auto records_begin = static_cast<uint64_t>(records.data() - bytes_.data());
  // The size is written at the end of the recording.
  if (records.empty()) records = bytes_.substr(records_begin);
  PerfCursor features(bytes_.substr(records_begin + records.size()));
  for (uint64_t feature = 0; feature < kFeatures; ++feature) {
    if ((static_cast<unsigned char>(feature_bits[feature / 8]) >> feature % 8 & 1) == 0) continue;
    absl::string_view content;
    if (!section(features, content)) {
      ++damaged_;
      break;
    }
    OnFeature(feature, content);
  }
  return ReadRecords(records, records_begin);
}

absl::Status PerfDataFile::ReadRecords(absl::string_view records, uint64_t offset) {
  const bool were_packed = offset >= bytes_.size();
  while (!records.empty()) {
    PerfCursor head(records);
    const uint32_t type = head.U32();
    const uint16_t misc = head.U16();
    uint64_t size = head.U16();
    if (!head.ok() || size < kRecordHeaderBytes || size > records.size()) {
      ++damaged_;
      break;
    }
    const absl::string_view body = records.substr(kRecordHeaderBytes, size - kRecordHeaderBytes);
    if (type < kFirstToolRecord) {
      if (attributes_.empty()) return Damaged("file: records before the first event");
      budget_.Take(sizeof(Entry));
      index_.push_back({TimeOf(type, body), offset});
    } else if (were_packed) {
      ++damaged_;  // only what the kernel wrote is packed
    } else {
      JPROF_RETURN_IF_ERROR(OnToolRecord(type, misc, body));
      // Two have data behind them that their size does not count.
      PerfCursor more(body);
      if (type == kTracingData) size += (uint64_t{more.U32()} + 7) & ~uint64_t{7};
      if (type == kAuxTrace) size += std::min<uint64_t>(more.U64(), records.size());
    }
    JPROF_RETURN_IF_ERROR(budget_.status());
    size = std::min<uint64_t>(size, records.size());
    records.remove_prefix(size);
    offset += size;
  }
  return absl::OkStatus();
}

absl::Status PerfDataFile::Unpack(absl::string_view piece) {
  if (packing_ > kPackedByZstd) {
    return WithHint(absl::InvalidArgumentError("its records are packed otherwise than by zstd"),
                    "perf script -i FILE | jprof convert - -o OUT");
  }
  const absl::Status unpacked = packed_.Append(piece, unpacked_);
  if (!absl::IsDataLoss(unpacked)) return unpacked;
  ++damaged_;
  return absl::OkStatus();
}

absl::Status PerfDataFile::OnToolRecord(uint32_t type, uint16_t misc, absl::string_view body) {
  PerfCursor at(body);
  switch (type) {
    case kHeaderAttribute: {
      const uint32_t size = PerfCursor(body.substr(std::min<size_t>(4, body.size()))).U32();
      const absl::string_view attribute = at.Bytes(size);
      if (!at.ok() || attributes_.size() == kMaxAttributes || !AddAttribute(attribute, at.rest())) {
        return Damaged("event");
      }
      break;
    }
    case kBuildId:
      AddBuildId(misc, body);
      break;
    case kEventUpdate: {
      constexpr uint64_t kName = 2;
      const uint64_t what = at.U64();
      const auto found = attribute_of_id_.find(at.U64());
      if (what == kName && found != attribute_of_id_.end() && !at.Text().empty()) {
        attributes_[found->second].name = std::string(WithoutModifiers(at.Text()));
      }
      break;
    }
    case kHeaderFeature: {
      const uint64_t feature = at.U64();
      OnFeature(feature, at.rest());
      break;
    }
    case kCompressed:
      return Unpack(body);
    case kCompressed2: {  // padded
      const absl::string_view piece = at.Bytes(at.U64());
      if (!at.ok()) {
        ++damaged_;
        break;
      }
      return Unpack(piece);
    }
    default:
      break;
  }
  return absl::OkStatus();
}

bool PerfDataFile::AddAttribute(absl::string_view attribute, absl::string_view ids) {
  if (attribute.size() < kSmallestAttribute) return false;
  PerfAttribute a;
  PerfCursor at(attribute);
  a.type = at.U32();
  at.U32();  // its size
  a.config = at.U64();
  a.period = at.U64();
  a.sample_type = at.U64();
  a.read_format = at.U64();
  const uint64_t flags = at.U64();
  a.is_frequency = (flags >> 10 & 1) != 0;
  a.has_sample_ids = (flags >> 18 & 1) != 0;
  // Fields that later versions added.
  at.Bytes(24);
  a.branch_sample_type = at.U64();
  a.user_registers = at.U64();
  a.name = DefaultName(a);
  for (PerfCursor id(ids); id.rest().size() >= 8;) {
    attribute_of_id_.try_emplace(id.U64(), attributes_.size());
    budget_.Take(32);
  }
  attributes_.push_back(std::move(a));
  return true;
}

void PerfDataFile::OnFeature(uint64_t feature, absl::string_view section) {
  PerfCursor at(section);
  switch (feature) {
    case kFeatureBuildId:
      ReadBuildIds(section);
      break;
    case kFeatureHostname:
      hostname_ = at.CountedText();
      break;
    case kFeatureRelease:
      release_ = at.CountedText();
      break;
    case kFeatureCommand:
      command_.clear();
      for (uint32_t n = at.U32(), i = 0; i < std::min<size_t>(n, kMaxWords) && at.ok(); ++i) {
        absl::StrAppend(&command_, i == 0 ? "" : " ", at.CountedText());
      }
      break;
    case kFeatureEvents:
      ReadEventNames(section);
      break;
    case kFeatureCompressed:
      at.U32();  // version
      packing_ = at.U32();
      break;
    case kFeatureClockData: {
      at.Bytes(8);  // version, clock
      const uint64_t wall_ns = at.U64(), clock_ns = at.U64();
      if (at.ok()) wall_offset_ns_ = static_cast<int64_t>(wall_ns - clock_ns);
      break;
    }
    default:
      break;
  }
}

void PerfDataFile::ReadEventNames(absl::string_view section) {
  PerfCursor at(section);
  const uint32_t events = at.U32(), attribute_bytes = at.U32();
  for (uint32_t i = 0; i < events && at.ok(); ++i) {
    at.Bytes(attribute_bytes);
    const uint32_t ids = at.U32();
    const absl::string_view name = WithoutModifiers(at.CountedText());
    size_t index = i;
    for (uint32_t id = 0; id < ids && at.ok(); ++id) {
      const auto found = attribute_of_id_.find(at.U64());
      if (found != attribute_of_id_.end()) index = found->second;
    }
    if (at.ok() && index < attributes_.size() && !name.empty()) {
      attributes_[index].name = std::string(name);
    }
  }
}

void PerfDataFile::ReadBuildIds(absl::string_view section) {
  while (!section.empty()) {
    PerfCursor head(section);
    head.U32();
    const uint16_t misc = head.U16(), size = head.U16();
    if (!head.ok() || size < kRecordHeaderBytes || size > section.size()) {
      ++damaged_;
      return;
    }
    AddBuildId(misc, section.substr(kRecordHeaderBytes, size - kRecordHeaderBytes));
    section.remove_prefix(size);
  }
}

void PerfDataFile::AddBuildId(uint16_t misc, absl::string_view body) {
  constexpr size_t kBytes = 20;
  PerfCursor at(body);
  at.U32();  // process
  const absl::string_view field = at.Bytes(24);
  size_t size = kBytes;
  if ((misc & 1 << 15) != 0 && !field.empty()) {
    size = std::min<size_t>(static_cast<unsigned char>(field[kBytes]), kBytes);
  }
  if (!at.ok() || at.Text().empty()) {
    ++damaged_;
    return;
  }
  budget_.Take(sizeof(BuildId) + 2 * size);
  build_ids_.push_back({at.Text(), absl::BytesToHexString(field.substr(0, size))});
}

size_t PerfDataFile::SampleIdBytes() const {
  const PerfAttribute& a = attributes_[0];
  return a.has_sample_ids ? 8 * static_cast<size_t>(std::popcount(a.sample_type & kSampleIdFields))
                          : 0;
}

// perf sees to it that the time is at one place in all its events.
uint64_t PerfDataFile::TimeOf(uint32_t type, absl::string_view body) const {
  const uint64_t bits = attributes_[0].sample_type;
  if ((bits & kTime) == 0) return 0;
  if (type == static_cast<uint32_t>(PerfRecordType::kSample)) {
    PerfCursor at(body);
    at.Bytes(8 * static_cast<size_t>(std::popcount(bits & (kIdentifier | kIp | kTid))));
    return at.U64();
  }
  const size_t size = SampleIdBytes();
  if (size == 0 || size > body.size()) return 0;
  return PerfCursor(body.substr(body.size() - size + ((bits & kTid) != 0 ? 8 : 0))).U64();
}

PerfRecord PerfDataFile::Record(size_t i) const {
  const Entry& entry = index_[i];
  PerfCursor at(entry.offset < bytes_.size()
                    ? bytes_.substr(entry.offset)
                    : absl::string_view(unpacked_).substr(entry.offset - bytes_.size()));
  PerfRecord record;
  record.type = static_cast<PerfRecordType>(at.U32());
  record.misc = at.U16();
  record.time_ns = entry.time_ns;
  const uint16_t size = at.U16();
  record.body = at.rest().substr(0, size - kRecordHeaderBytes);
  if (record.type != PerfRecordType::kSample) {
    record.body.remove_suffix(std::min(SampleIdBytes(), record.body.size()));
  }
  return record;
}

size_t PerfDataFile::AttributeIndex(absl::string_view sample) const {
  const uint64_t bits = attributes_[0].sample_type;
  PerfCursor at(sample);
  if ((bits & kIdentifier) == 0) {
    if ((bits & kId) == 0) return 0;
    at.Bytes(8 * static_cast<size_t>(std::popcount(bits & (kIp | kTid | kTime | kAddr))));
  }
  const auto found = attribute_of_id_.find(at.U64());
  return found == attribute_of_id_.end() ? 0 : found->second;
}

const PerfAttribute& PerfDataFile::AttributeOf(const PerfRecord& sample) const {
  return attributes_[AttributeIndex(sample.body)];
}

namespace {

// Counters that a sample read along.
void SkipRead(uint64_t format, PerfCursor& at) {
  constexpr uint64_t kGroup = 1 << 3, kTimes = 1 << 0 | 1 << 1, kPerValue = 1 << 2 | 1 << 4;
  const uint64_t of_value = 8 * (1 + static_cast<uint64_t>(std::popcount(format & kPerValue)));
  const uint64_t values = (format & kGroup) != 0 ? at.U64() : 1;
  at.Bytes(8 * static_cast<uint64_t>(std::popcount(format & kTimes)));
  at.Bytes(values > at.rest().size() ? UINT64_MAX : values * of_value);
}

// The instruction pointer among x86-64's registers.
uint64_t UserIp(uint64_t mask, PerfCursor& at) {
  constexpr int kIpRegister = 8;
  if (at.U64() == 0) return 0;  // of no thread
  const uint64_t below = mask & ((uint64_t{1} << kIpRegister) - 1);
  if ((mask >> kIpRegister & 1) == 0) return 0;
  at.Bytes(8 * static_cast<uint64_t>(std::popcount(below)));
  return at.U64();
}

}  // namespace

absl::Status PerfDataFile::Parse(const PerfRecord& record, const PerfAttribute& attribute,
                                 PerfSample& sample) {
  const uint64_t bits = attribute.sample_type;
  PerfCursor at(record.body);
  if ((bits & kIdentifier) != 0) at.U64();
  sample.ip = (bits & kIp) != 0 ? at.U64() : 0;
  sample.pid = (bits & kTid) != 0 ? static_cast<int32_t>(at.U32()) : 0;
  sample.tid = (bits & kTid) != 0 ? static_cast<int32_t>(at.U32()) : 0;
  for (uint64_t bit : {kTime, kAddr, kId, kStreamId}) {
    if ((bits & bit) != 0) at.U64();
  }
  sample.cpu = (bits & kCpu) != 0 ? static_cast<uint32_t>(at.U64()) : kUnknownCpu;
  sample.period = (bits & kPeriod) != 0 ? at.U64() : attribute.is_frequency ? 1 : attribute.period;
  if ((bits & kRead) != 0) SkipRead(attribute.read_format, at);
  sample.chain.clear();
  if ((bits & kCallchain) != 0) {
    const uint64_t depth = at.U64();
    if (depth > at.rest().size() / 8) return Damaged("sample: its call chain leaves it");
    sample.chain.reserve(depth);
    for (uint64_t i = 0; i < depth; ++i) sample.chain.push_back(at.U64());
  }
  sample.has_user_stack = (bits & kStackUser) != 0;
  sample.user_ip = 0;
  if (!at.ok()) return Damaged("sample");
  if ((bits & kRegsUser) == 0) return absl::OkStatus();
  if ((bits & kRaw) != 0) at.Bytes(at.U32());
  if ((bits & kBranchStack) != 0) {
    constexpr uint64_t kHardwareIndex = 1 << 17;
    const uint64_t branches = at.U64();
    if ((attribute.branch_sample_type & kHardwareIndex) != 0) at.U64();
    at.Bytes(branches > at.rest().size() ? UINT64_MAX : 24 * branches);
  }
  sample.user_ip = UserIp(attribute.user_registers, at);
  return at.ok() ? absl::OkStatus() : Damaged("sample");
}

}  // namespace jprof
