#include "helpers/symbol_record.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

// A record, chunk by chunk.
class Record {
 public:
  Record& Latin1(uint8_t field, absl::string_view bytes) {
    return Chunk(field, JP_ENCODING_LATIN1, bytes);
  }
  Record& Utf8(uint8_t field, absl::string_view bytes) {
    return Chunk(field, JP_ENCODING_UTF8, bytes);
  }
  Record& Utf16(uint8_t field, std::u16string_view units) {
    return Chunk(field, JP_ENCODING_UTF16,
                 {reinterpret_cast<const char*>(units.data()), units.size() * 2});
  }
  Record& Chunk(uint8_t field, uint8_t encoding, absl::string_view bytes) {
    const jp_chunk chunk = {field, encoding, static_cast<uint16_t>(bytes.size())};
    Append(&chunk, sizeof(chunk));
    Append(bytes.data(), bytes.size());
    return *this;
  }
  Record& Cut(uint8_t field) {
    flags_ |= JP_SYMBOL_CUT(field);
    return *this;
  }
  std::vector<uint8_t> bytes() const {
    jp_symbol symbol = {};
    symbol.type = JP_RECORD_SYMBOL;
    symbol.flags = flags_;
    symbol.number = 7;
    symbol.text_bytes = static_cast<uint32_t>(text_.size());
    std::vector<uint8_t> result(sizeof(symbol));
    std::memcpy(result.data(), &symbol, sizeof(symbol));
    result.insert(result.end(), text_.begin(), text_.end());
    return result;
  }
  std::string Text(uint8_t field) const {
    const std::vector<uint8_t> all = bytes();
    auto record = ParseSymbolRecord(all);
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() ? record->Text(field) : "";
  }

 private:
  void Append(const void* data, size_t size) {
    const auto* p = static_cast<const uint8_t*>(data);
    text_.insert(text_.end(), p, p + size);
  }
  std::vector<uint8_t> text_;
  uint8_t flags_ = 0;
};

TEST(SymbolRecordTest, ChunksOfOneFieldAreOneText) {
  Record record;
  record.Latin1(1, "ren").Latin1(2, "/srv/app.js").Latin1(1, "der");
  EXPECT_EQ(record.Text(1), "render");
  EXPECT_EQ(record.Text(2), "/srv/app.js");
  EXPECT_EQ(record.Text(3), "");
}

TEST(SymbolRecordTest, TextBecomesUtf8) {
  EXPECT_EQ(Record().Latin1(1, "gr\xf6\xdf" "e").Text(1), "größe");
  EXPECT_EQ(Record().Utf8(1, "größe").Text(1), "größe");
  EXPECT_EQ(Record().Utf16(1, u"größe 名前 🦊").Text(1), "größe 名前 🦊");
  EXPECT_EQ(Record().Latin1(1, "gr\xf6").Utf16(1, u"ß名").Utf8(1, "前").Text(1), "größ名前");
}

TEST(SymbolRecordTest, PairOfSurrogatesMayBePartedByChunks) {
  EXPECT_EQ(Record().Utf16(1, u"a\xd83e").Utf16(1, u"\xdd8a" u"b").Text(1), "a🦊b");
  // Chunks of other fields between them do not matter, empty ones neither.
  EXPECT_EQ(Record().Utf16(1, u"\xd83e").Latin1(2, "x").Utf16(1, u"").Utf16(1, u"\xdd8a").Text(1),
            "🦊");
}

TEST(SymbolRecordTest, UnpairedSurrogatesAreReplaced) {
  EXPECT_EQ(Record().Utf16(1, u"a\xd83e").Text(1), "a\xef\xbf\xbd");
  EXPECT_EQ(Record().Utf16(1, u"\xd83e" u"b").Text(1), "\xef\xbf\xbd" "b");
  EXPECT_EQ(Record().Utf16(1, u"\xdd8a").Text(1), "\xef\xbf\xbd");
  EXPECT_EQ(Record().Utf16(1, u"\xd83e\xd83e\xdd8a").Text(1), "\xef\xbf\xbd🦊");
  // In the chunk's order, before text of another encoding.
  EXPECT_EQ(Record().Utf16(1, u"\xd83e").Latin1(1, "b").Text(1), "\xef\xbf\xbd" "b");
}

TEST(SymbolRecordTest, EveryUnitOfUtf16IsValidUtf8) {
  for (uint32_t unit = 0; unit < 0x10000; ++unit) {
    const char16_t c = static_cast<char16_t>(unit);
    const std::string text = Record().Utf16(1, {&c, 1}).Text(1);
    const size_t size = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    ASSERT_EQ(text.size(), size) << unit;
  }
}

TEST(SymbolRecordTest, ControlBytesAreKept) {
  EXPECT_EQ(Record().Latin1(1, absl::string_view("a\0b\x1b[31m\n", 9)).Text(1),
            std::string("a\0b\x1b[31m\n", 9));
}

TEST(SymbolRecordTest, OddByteAtTheEndOfUtf16IsDropped) {
  EXPECT_EQ(Record().Chunk(1, JP_ENCODING_UTF16, absl::string_view("a\0b", 3)).Text(1), "a");
}

TEST(SymbolRecordTest, CutTextSaysIt) {
  const std::string full(JP_STRING_BYTES - 2, 'x');
  EXPECT_EQ(Record().Latin1(1, full).Cut(1).Text(1), full + "…");
  EXPECT_EQ(Record().Latin1(1, full).Text(1), full);
  // What was cut was another field.
  EXPECT_EQ(Record().Latin1(1, full).Latin1(2, "short").Cut(1).Text(2), "short");
}

TEST(SymbolRecordTest, DamagedRecordsAreDataLoss) {
  const std::vector<uint8_t> whole = Record().Latin1(1, "render").Utf16(2, u"名前").bytes();
  ASSERT_TRUE(ParseSymbolRecord(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(ParseSymbolRecord(std::span(whole).first(size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  for (uint32_t text_bytes : {1u, 3u, 5u, 13u, 100u, UINT32_MAX}) {
    std::vector<uint8_t> lying = whole;
    std::memcpy(lying.data() + offsetof(jp_symbol, text_bytes), &text_bytes, sizeof(text_bytes));
    EXPECT_EQ(ParseSymbolRecord(lying).status().code(), absl::StatusCode::kDataLoss) << text_bytes;
  }
  std::vector<uint8_t> lying = whole;
  lying[sizeof(jp_symbol) + 2] = 0xff;  // the first chunk's size
  EXPECT_EQ(ParseSymbolRecord(lying).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SymbolRecordTest, BytesBehindTheTextAreIgnored) {
  std::vector<uint8_t> bytes = Record().Latin1(1, "render").bytes();
  bytes.resize(bytes.size() + 100, 0xff);
  auto record = ParseSymbolRecord(bytes);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->Text(1), "render");
}

TEST(SymbolRecordTest, RandomBytesAreReadWithinTheirBounds) {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> bytes(sizeof(jp_symbol) + random() % 40);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random() % (round % 2 == 0 ? 4 : 256));
    const uint32_t text_bytes = static_cast<uint32_t>(bytes.size() - sizeof(jp_symbol));
    std::memcpy(bytes.data() + offsetof(jp_symbol, text_bytes), &text_bytes, sizeof(text_bytes));
    auto record = ParseSymbolRecord(bytes);
    if (record.ok()) {
      for (uint8_t field = 0; field < 4; ++field) {
        EXPECT_LE(record->Text(field).size(), 3 * bytes.size());
      }
    }
  }
}

}  // namespace
}  // namespace jprof
