#include "profiler/unwind/call_frame_entry.h"

#include <string>

#include "absl/container/flat_hash_map.h"

namespace jprof::cfi {
namespace {

constexpr uint8_t kEncodingOmit = 0xff;
constexpr uint8_t kEncodingPcRelative = 0x10;

}  // namespace

std::optional<Entry> TakeEntry(std::span<const uint8_t> bytes, size_t at, bool is_eh_frame,
                               size_t& next) {
  next = 0;
  if (at >= bytes.size()) return std::nullopt;
  Reader head(bytes.subspan(at));
  uint64_t length = head.Take<uint32_t>();
  const bool wide = length == 0xffffffff;
  if (wide) length = head.Take<uint64_t>();
  if (length == 0) {
    if (!is_eh_frame) next = at + 4;
    return std::nullopt;
  }
  Entry entry;
  entry.body = at + head.at();
  if (!head.ok() || length > bytes.size() - entry.body) return std::nullopt;
  next = entry.body + length;
  entry.content = Reader(bytes.subspan(entry.body, length));
  Reader& in = entry.content;
  const uint64_t id = wide && !is_eh_frame ? in.Take<uint64_t>() : in.Take<uint32_t>();
  if (!in.ok()) return std::nullopt;
  entry.is_cie = id == (is_eh_frame ? 0 : wide ? ~uint64_t{0} : 0xffffffff);
  entry.cie = is_eh_frame ? entry.body - id : id;
  return entry;
}

uint64_t TakePointer(Reader& in, uint8_t encoding, uint64_t address) {
  if (encoding == kEncodingOmit) return 0;
  uint64_t value = 0;
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
      value = in.Take<uint64_t>();
      break;
    case 0x01:
      value = in.TakeUleb();
      break;
    case 0x02:
      value = in.Take<uint16_t>();
      break;
    case 0x03:
      value = in.Take<uint32_t>();
      break;
    case 0x09:
      value = static_cast<uint64_t>(in.TakeSleb());
      break;
    case 0x0a:
      value = static_cast<uint64_t>(int64_t{in.Take<int16_t>()});
      break;
    case 0x0b:
      value = static_cast<uint64_t>(int64_t{in.Take<int32_t>()});
      break;
    default:
      in.Fail();
  }
  if ((encoding & 0x70) == kEncodingPcRelative) value += address;
  return value;
}

std::optional<CieHead> TakeCieHead(Reader& in) {
  CieHead cie;
  const uint8_t version = in.Take<uint8_t>();
  const std::string augmentation = in.TakeString();
  if (version != 1 && version != 3 && version != 4) return std::nullopt;
  if (version == 4 && (in.Take<uint8_t>() != 8 || in.Take<uint8_t>() != 0)) return std::nullopt;
  cie.code_align = in.TakeUleb();
  cie.data_align = in.TakeSleb();
  const uint64_t ra = version == 1 ? in.Take<uint8_t>() : in.TakeUleb();
  if (!in.ok() || ra != kRaColumn) return std::nullopt;
  if (augmentation.empty()) return cie;
  if (augmentation[0] != 'z') return std::nullopt;
  cie.has_augmentation_data = true;
  Reader data(in.TakeBytes(in.TakeUleb()));
  for (char c : augmentation.substr(1)) {
    if (c == 'R') {
      cie.encoding = data.Take<uint8_t>();
    } else if (c == 'L') {
      data.Take<uint8_t>();
    } else if (c == 'P') {
      TakePointer(data, data.Take<uint8_t>(), 0);
    } else if (c == 'S') {
      cie.is_signal = true;
    } else {
      return std::nullopt;
    }
  }
  if (!data.ok() || !in.ok()) return std::nullopt;
  return cie;
}

std::optional<CodeSpan> TakeFdeHead(const CieHead& cie, Reader& in, uint64_t address,
                                    bool is_eh_frame) {
  const uint8_t encoding = is_eh_frame ? cie.encoding : 0;
  // Absolute or relative to itself, and not the address of a pointer.
  if ((encoding & 0xf0) != 0 && (encoding & 0xf0) != kEncodingPcRelative) return std::nullopt;
  const uint64_t begin = TakePointer(in, encoding, address + in.at());
  const uint64_t size = TakePointer(in, encoding & 0x0f, 0);
  if (cie.has_augmentation_data) in.TakeBytes(in.TakeUleb());
  // Functions that the linker dropped are at 0.
  if (!in.ok() || begin == 0 || size == 0 || begin + size < begin) return std::nullopt;
  return CodeSpan{begin, begin + size};
}

uint64_t DescribedBytes(std::span<const uint8_t> bytes, uint64_t address, bool is_eh_frame) {
  uint64_t sum = 0;
  absl::flat_hash_map<uint64_t, std::optional<CieHead>> cies;
  CieBudget budget(bytes.size());
  size_t next;
  for (size_t at = 0; at < bytes.size(); at = next) {
    std::optional<Entry> entry = TakeEntry(bytes, at, is_eh_frame, next);
    if (entry && !entry->is_cie && (cies.size() < kMaxCies || cies.contains(entry->cie))) {
      auto [cie, is_new] = cies.try_emplace(entry->cie);
      if (is_new) {
        size_t unused;
        std::optional<Entry> head = TakeEntry(bytes, entry->cie, is_eh_frame, unused);
        if (head && head->is_cie && budget.Spend(*head)) cie->second = TakeCieHead(head->content);
      }
      std::optional<CodeSpan> code;
      if (cie->second) {
        code = TakeFdeHead(*cie->second, entry->content, address + entry->body, is_eh_frame);
      }
      if (code) sum += code->end - code->begin;
    }
    if (next <= at) break;
  }
  return sum;
}

}  // namespace jprof::cfi
