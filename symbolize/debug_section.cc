#include "symbolize/debug_section.h"

#include <elf.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace jprof {
namespace {

constexpr size_t kPackedPiece = 64 * 1024;

// `out.size()` bytes, no more and no fewer.
bool Inflate(const ElfFile& file, FileOffset at, uint64_t packed_size, std::span<uint8_t> out,
             WorkBudget& budget) {
  z_stream stream = {};
  if (::inflateInit(&stream) != Z_OK) return false;
  std::vector<uint8_t> packed(kPackedPiece);
  uint64_t written = 0;
  int result = Z_OK;
  while (result == Z_OK && budget.Spend(kPackedPiece >> 6)) {
    if (stream.avail_in == 0) {
      const size_t size = std::min<uint64_t>(packed_size, packed.size());
      if (size == 0 || !file.ReadFile(at, std::span(packed).first(size))) break;
      at.value += size;
      packed_size -= size;
      stream.next_in = packed.data();
      stream.avail_in = static_cast<uInt>(size);
    }
    // zlib counts in 32 bits.
    const size_t room = std::min<uint64_t>(out.size() - written, 1 << 20);
    stream.next_out = out.data() + written;
    stream.avail_out = static_cast<uInt>(room);
    result = ::inflate(&stream, Z_NO_FLUSH);
    written += room - stream.avail_out;
    if (room == 0 && result == Z_BUF_ERROR) break;
  }
  ::inflateEnd(&stream);
  return result == Z_STREAM_END && written == out.size();
}

}  // namespace

DebugSection::DebugSection(const ElfFile& file, const ElfFile::SectionPlace& place,
                           WorkBudget& budget) {
  if (!place.compressed) {
    file_ = &file;
    place_ = place.offset;
    size_ = place.size;
    return;
  }
  Elf64_Chdr header;
  if (place.size < sizeof(header) ||
      !file.ReadFile(place.offset, {reinterpret_cast<uint8_t*>(&header), sizeof(header)}) ||
      header.ch_type != ELFCOMPRESS_ZLIB || !budget.Reserve(header.ch_size)) {
    return;
  }
  unpacked_.resize(header.ch_size);
  if (!Inflate(file, {place.offset.value + sizeof(header)}, place.size - sizeof(header), unpacked_,
               budget)) {
    unpacked_.clear();
    budget.Release(header.ch_size);
  }
  size_ = unpacked_.size();
}

std::span<const uint8_t> DebugSection::Read(uint64_t offset, uint64_t size,
                                            std::vector<uint8_t>& buffer) const {
  if (offset >= size_) return {};
  size = std::min(size, size_ - offset);
  if (file_ == nullptr) return std::span(unpacked_).subspan(offset, size);
  buffer.resize(size);
  if (!file_->ReadFile({place_.value + offset}, buffer)) return {};
  return buffer;
}

std::string DebugSection::ReadString(uint64_t offset) const {
  std::string result;
  std::vector<uint8_t> buffer;
  for (size_t piece = 128; result.size() < kMaxStringBytes; piece = 1024) {
    const std::span<const uint8_t> bytes =
        Read(offset + result.size(), std::min(piece, kMaxStringBytes - result.size()), buffer);
    if (bytes.empty()) break;
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    const size_t length = ::strnlen(text, bytes.size());
    result.append(text, length);
    if (length < bytes.size()) break;
  }
  return result;
}

}  // namespace jprof
