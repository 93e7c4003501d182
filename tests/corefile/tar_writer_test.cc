#include "profiler/corefile/tar_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/corefile/core_builder.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FileSink : public CoreSink {
 public:
  explicit FileSink(const std::string& path) : file_(path, std::ios::binary) {}
  absl::Status Append(absl::string_view bytes) override {
    file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file_.flush();
    return absl::OkStatus();
  }
  absl::Status AppendHole(uint64_t bytes) override { return Append(std::string(bytes, '\0')); }

 private:
  std::ofstream file_;
};

// What a shell command prints.
std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(absl::StrCat("(", command, ") 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), n);
  }
  ::pclose(pipe);
  return text;
}

class TarWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/jprof-tar-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { Output(absl::StrCat("rm -r ", folder_)); }

  std::string folder_;
};

absl::Status Quiet(uint64_t) { return absl::OkStatus(); }

TEST_F(TarWriterTest, TarUnpacksWhatWasPacked) {
  const std::string deep = absl::StrCat(std::string(120, 'd'), "/", std::string(130, 'n'));
  // A page, a hole, a page, a hole up to the end.
  const UniqueFd holes(::memfd_create("holes", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(holes.get(), 1 << 20), 0);
  ASSERT_EQ(::pwrite(holes.get(), "first", 5, 0), 5);
  ASSERT_EQ(::pwrite(holes.get(), "second", 6, 500'000), 6);
  {
    FileSink sink(folder_ + "/it.tar.gz");
    TarGzWriter writer(sink);
    ASSERT_TRUE(writer.Add("it/plain", 0640, FileOf("content\n"), Quiet).ok());
    ASSERT_TRUE(writer.Add(deep, 0600, FileOf(std::string(1000, 'x')), Quiet).ok());
    ASSERT_TRUE(writer.Add("it/holes", 0600, holes, Quiet).ok());
    ASSERT_TRUE(writer.Add("it/empty", 0600, FileOf(""), Quiet).ok());
    ASSERT_TRUE(writer.Finish().ok());
  }
  EXPECT_EQ(Output(absl::StrCat("cd ", folder_, " && tar xzf it.tar.gz && cat it/plain")),
            "content\n");
  EXPECT_EQ(Output(absl::StrCat("cd ", folder_, " && stat -c '%a %s' it/plain ", deep,
                                " it/holes it/empty")),
            "640 8\n600 1000\n600 1048576\n600 0\n");
  EXPECT_EQ(Output(absl::StrCat("cd ", folder_, " && cmp it/holes /proc/", ::getpid(), "/fd/",
                                holes.get())),
            "");
  EXPECT_EQ(
      Output(absl::StrCat("cd ", folder_, " && test $(stat -c %b it/holes) -le 64 && echo sparse")),
      "sparse\n");
}

TEST_F(TarWriterTest, SizesBeyondTheHeadersFieldAreInARecord) {
  const uint64_t size = uint64_t{9} << 30;
  const std::string head =
      TarHead({.name = "big", .mode = 0600, .size = size, .pieces = {{0, size}}});
  EXPECT_THAT(head, HasSubstr(absl::StrCat("size=", size, "\n")));
  EXPECT_THAT(TarHead({.name = "small", .size = 8, .pieces = {{0, 8}}}), Not(HasSubstr("size=")));
  std::ofstream(folder_ + "/it.tar") << head;
  EXPECT_THAT(Output(absl::StrCat("tar tvf ", folder_, "/it.tar")),
              HasSubstr(absl::StrCat(" ", size, " ")));
}

TEST_F(TarWriterTest, AnErrorOfTheSinkOrTheCallerEndsIt) {
  FileSink sink(folder_ + "/it.tar.gz");
  TarGzWriter writer(sink);
  EXPECT_TRUE(absl::IsCancelled(writer.Add("it", 0600, FileOf("content"), [](uint64_t) {
    return absl::CancelledError("enough");
  })));
}

}  // namespace
}  // namespace jprof
