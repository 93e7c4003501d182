#include "helpers/symbol_record.h"

#include <cstring>

#include "absl/status/status.h"

namespace jprof {
namespace {

constexpr size_t kChunkHeader = sizeof(jp_chunk);

jp_chunk ChunkAt(std::span<const uint8_t> text, size_t at) {
  jp_chunk chunk;
  std::memcpy(&chunk, text.data() + at, sizeof(chunk));
  return chunk;
}

void AppendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

constexpr uint32_t kReplacement = 0xfffd;

// Surrogates may be parted by the border of two chunks, so the first half is carried over.
class Utf16Decoder {
 public:
  void Put(std::string& out, uint16_t unit) {
    if (high_ != 0 && unit >= 0xdc00 && unit < 0xe000) {
      AppendUtf8(out, 0x10000 + ((high_ - 0xd800u) << 10) + (unit - 0xdc00u));
      high_ = 0;
      return;
    }
    Finish(out);
    if (unit >= 0xd800 && unit < 0xdc00) {
      high_ = unit;
    } else {
      AppendUtf8(out, unit >= 0xdc00 && unit < 0xe000 ? kReplacement : unit);
    }
  }
  void Finish(std::string& out) {
    if (high_ != 0) AppendUtf8(out, kReplacement);
    high_ = 0;
  }

 private:
  uint16_t high_ = 0;
};

}  // namespace

std::string SymbolRecord::Text(uint8_t field) const {
  std::string out;
  Utf16Decoder decoder;
  for (size_t at = 0; at < text.size();) {
    const jp_chunk chunk = ChunkAt(text, at);
    at += kChunkHeader;
    if (chunk.field == field) {
      const uint8_t* p = text.data() + at;
      if (chunk.encoding == JP_ENCODING_UTF16) {
        for (size_t i = 0; i + 1 < chunk.bytes; i += 2) {
          decoder.Put(out, static_cast<uint16_t>(p[i] | p[i + 1] << 8));
        }
      } else {
        decoder.Finish(out);
        for (size_t i = 0; i < chunk.bytes; ++i) {
          if (chunk.encoding == JP_ENCODING_UTF8) {
            out.push_back(static_cast<char>(p[i]));
          } else {
            AppendUtf8(out, p[i]);
          }
        }
      }
    }
    at += chunk.bytes;
  }
  decoder.Finish(out);
  if (field < 8 && (symbol.flags & JP_SYMBOL_CUT(field)) != 0) AppendUtf8(out, 0x2026);
  return out;
}

std::string Utf16ToUtf8(std::u16string_view text) {
  std::string out;
  Utf16Decoder decoder;
  for (char16_t unit : text) decoder.Put(out, unit);
  decoder.Finish(out);
  return out;
}

absl::StatusOr<SymbolRecord> ParseSymbolRecord(std::span<const uint8_t> bytes) {
  SymbolRecord record;
  if (bytes.size() < sizeof(record.symbol)) return absl::DataLossError("symbol record too short");
  std::memcpy(&record.symbol, bytes.data(), sizeof(record.symbol));
  record.text = bytes.subspan(sizeof(record.symbol));
  if (record.symbol.text_bytes > record.text.size()) {
    return absl::DataLossError("symbol record without its text");
  }
  record.text = record.text.first(record.symbol.text_bytes);
  for (size_t at = 0; at < record.text.size();) {
    if (record.text.size() - at < kChunkHeader) return absl::DataLossError("chunk header cut");
    const jp_chunk chunk = ChunkAt(record.text, at);
    at += kChunkHeader;
    if (record.text.size() - at < chunk.bytes) return absl::DataLossError("chunk cut");
    at += chunk.bytes;
  }
  return record;
}

}  // namespace jprof
