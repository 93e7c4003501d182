#include "import/input.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

namespace jprof {
namespace {

// Gives one byte at a time.
class Drops : public ByteSource {
 public:
  explicit Drops(std::string bytes) : bytes_(std::move(bytes)) {}
  absl::StatusOr<size_t> Read(char* to, size_t size) override {
    const size_t n = std::min({size, size_t{1}, bytes_.size() - at_});
    std::memcpy(to, bytes_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

std::string Gzip(absl::string_view bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(bytes.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Lines(Input& input) {
  std::string out;
  absl::string_view line;
  for (;;) {
    absl::StatusOr<bool> more = input.NextLine(line);
    if (!more.ok()) return out + std::string(more.status().message());
    if (!*more) return out;
    out += std::string(line) + "|";
  }
}

std::string Lines(const std::string& bytes) {
  Input whole(std::make_unique<MemorySource>(bytes));
  Input drops(std::make_unique<Drops>(bytes));
  const std::string lines = Lines(whole);
  EXPECT_EQ(Lines(drops), lines);
  return lines;
}

TEST(InputTest, LinesEndAtNewlinesOrAtTheEnd) {
  EXPECT_EQ(Lines(""), "");
  EXPECT_EQ(Lines("a\n\nb"), "a||b|");
  EXPECT_EQ(Lines("a\r\nb\n"), "a|b|");
}

TEST(InputTest, GzipIsInflatedAllMembersOfIt) {
  EXPECT_EQ(Lines(Gzip("a\nb") + Gzip("c\nd\n")), "a|bc|d|");
}

TEST(InputTest, GzipThatIsCutOrDamagedIsAnError) {
  const std::string gzip = Gzip("a\nb\nc\n");
  EXPECT_EQ(Lines(gzip.substr(0, gzip.size() - 4)), "gzip: cut short");
  EXPECT_EQ(Lines(gzip + "junk"), "gzip: damaged");
  EXPECT_EQ(Lines(gzip.substr(0, 5) + "junk junk junk"), "gzip: damaged");
}

TEST(InputTest, TheHeadStaysToBeRead) {
  Input input(std::make_unique<Drops>(Gzip("head\nrest\n")));
  EXPECT_EQ(*input.Head(), "head\nrest\n");
  absl::string_view line;
  EXPECT_TRUE(*input.NextLine(line));
  EXPECT_EQ(line, "head");
  EXPECT_EQ(*input.Rest(), "rest\n");
}

TEST(InputTest, ALineWithoutEndIsRefused) {
  const std::string endless(kMaxLineBytes * 2, 'x');
  Input input(std::make_unique<MemorySource>(endless));
  EXPECT_EQ(Lines(input), "a line is longer than 16 MiB");
}

TEST(InputTest, MoreThanAskedForIsRefused) {
  const std::string bytes(3 << 20, 'x');
  Input input(std::make_unique<MemorySource>(bytes));
  EXPECT_EQ(input.Rest(2 << 20).status().message(), "larger than 2 MiB, inflated");
}

}  // namespace
}  // namespace jprof
