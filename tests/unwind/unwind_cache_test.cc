#include "profiler/unwind/unwind_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

UnwindTable TableOf(uint64_t begin, size_t rows = 4) {
  std::vector<UnwindRow> all;
  for (size_t i = 0; i <= rows; ++i) all.push_back({begin + i * 16, i % 2 ? 1u : 0u});
  const jp_rule rules[] = {{.kind = JP_RULE_NONE},
                           {.cfa_offset = 8, .kind = JP_RULE_OFFSET, .base = 7}};
  return UnwindTable(all, rules);
}

class UnwindCacheTest : public testing::Test {
 protected:
  UnwindCacheTest() {
    char name[] = "/tmp/unwind_cache_XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~UnwindCacheTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ + "/a/unwind"; }
  UnwindCache Open(uint64_t max_bytes = UnwindCache::kMaxBytes) {
    auto cache = UnwindCache::Open(path(), max_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    if (!cache.ok()) std::abort();
    return *std::move(cache);
  }
  static Fingerprint SourceOf(const UnwindCache& cache, uint64_t number) {
    return Fingerprinter(cache.key()).AddValue(number).Finish();
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      if (entry.path().filename() != "key") files.push_back(entry.path());
    }
    return files;
  }

  std::string directory_;
};

TEST_F(UnwindCacheTest, WhatWasPutIsFoundByTheNextOne) {
  const UnwindTable table = TableOf(0x1000);
  {
    UnwindCache cache = Open();
    EXPECT_FALSE(cache.Find(SourceOf(cache, 1)));
    cache.Put(SourceOf(cache, 1), table);
  }
  UnwindCache cache = Open();
  auto found = cache.Find(SourceOf(cache, 1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->begin(), table.begin());
  EXPECT_EQ(found->words(), table.words());
  EXPECT_FALSE(cache.Find(SourceOf(cache, 2)));
}

TEST_F(UnwindCacheTest, TheDirectoryIsTheUsersAlone) {
  Open();
  struct stat st;
  ASSERT_EQ(::stat(path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
}

TEST_F(UnwindCacheTest, ADirectoryThatOthersMayWriteToIsRefused) {
  Open();
  ASSERT_EQ(::chmod(path().c_str(), 0777), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(UnwindCache::Open(path()).status()));
}

TEST_F(UnwindCacheTest, ADirectoryThatIsALinkIsRefused) {
  std::filesystem::create_directories(directory_ + "/real");
  std::filesystem::create_directories(directory_ + "/a");
  std::filesystem::create_symlink(directory_ + "/real", path());
  EXPECT_FALSE(UnwindCache::Open(path()).ok());
}

TEST_F(UnwindCacheTest, AnyChangedByteMakesAFileUnusable) {
  UnwindCache cache = Open();
  cache.Put(SourceOf(cache, 1), TableOf(0x1000));
  const std::string file = Files().at(0);
  const size_t size = std::filesystem::file_size(file);
  for (size_t at = 0; at < size; ++at) {
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(f.get());
    f.seekp(static_cast<std::streamoff>(at));
    f.put(static_cast<char>(byte ^ 1));
    f.flush();
    EXPECT_FALSE(cache.Find(SourceOf(cache, 1))) << at;
    f.seekp(static_cast<std::streamoff>(at));
    f.put(byte);
  }
  EXPECT_TRUE(cache.Find(SourceOf(cache, 1)));
}

TEST_F(UnwindCacheTest, AFileCutAnywhereIsUnusable) {
  UnwindCache cache = Open();
  cache.Put(SourceOf(cache, 1), TableOf(0x1000));
  const std::string file = Files().at(0);
  for (size_t size = std::filesystem::file_size(file); size-- > 0;) {
    std::filesystem::resize_file(file, size);
    EXPECT_FALSE(cache.Find(SourceOf(cache, 1))) << size;
  }
}

TEST_F(UnwindCacheTest, AFileUnderAnothersNameIsUnusable) {
  UnwindCache cache = Open();
  cache.Put(SourceOf(cache, 1), TableOf(0x1000));
  std::filesystem::rename(Files().at(0), path() + "/" + ToText(SourceOf(cache, 2)));
  EXPECT_FALSE(cache.Find(SourceOf(cache, 2)));
}

TEST_F(UnwindCacheTest, AFifoIsNotWaitedFor) {
  UnwindCache cache = Open();
  ASSERT_EQ(::mkfifo((path() + "/" + ToText(SourceOf(cache, 1))).c_str(), 0600), 0);
  EXPECT_FALSE(cache.Find(SourceOf(cache, 1)));
}

TEST_F(UnwindCacheTest, WhatIsUnusedForLongestGoesWhenThereIsTooMuch) {
  constexpr uint64_t kMax = 200'000;
  UnwindCache cache = Open(kMax);
  for (uint64_t i = 0; i < 40; ++i) {
    cache.Put(SourceOf(cache, i), TableOf(0x1000, 2000));
    for (const std::string& file : Files()) {
      // Each is older than those that come after it.
      struct stat st;
      ASSERT_EQ(::stat(file.c_str(), &st), 0);
      const timespec times[2] = {{st.st_mtime - 60, 0}, {st.st_mtime - 60, 0}};
      ::utimensat(AT_FDCWD, file.c_str(), times, 0);
    }
  }
  uint64_t bytes = 0;
  for (const std::string& file : Files()) bytes += std::filesystem::file_size(file);
  EXPECT_LE(bytes, kMax);
  EXPECT_FALSE(cache.Find(SourceOf(cache, 0)));
  EXPECT_TRUE(cache.Find(SourceOf(cache, 39)));
}

TEST_F(UnwindCacheTest, WhatAnotherLeftUnfinishedGoes) {
  Open();
  const std::string old = path() + "/new-1", young = path() + "/new-2";
  std::ofstream(old) << "x";
  std::ofstream(young) << "x";
  const timespec times[2] = {{1, 0}, {1, 0}};
  ::utimensat(AT_FDCWD, old.c_str(), times, 0);
  Open();
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_TRUE(std::filesystem::exists(young));
}

TEST(FingerprintTest, ItIsOfEachByteAndOfTheKey) {
  const std::vector<std::byte> bytes(19, std::byte{5});
  auto of = [](const FingerprintKey& key, std::span<const std::byte> b) {
    return Fingerprinter(key).Add(b).Finish();
  };
  const Fingerprint whole = of({1, 2}, bytes);
  EXPECT_EQ(whole, of({1, 2}, bytes));
  EXPECT_NE(whole, of({1, 3}, bytes));
  EXPECT_NE(whole, of({2, 2}, bytes));
  EXPECT_NE(whole, of({1, 2}, std::span(bytes).first(18)));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<std::byte> other = bytes;
    other[i] = std::byte{4};
    EXPECT_NE(whole, of({1, 2}, other)) << i;
  }
  EXPECT_NE(whole, Fingerprinter({1, 2})
                       .Add(std::span(bytes).first(8))
                       .Add(std::span(bytes).subspan(8))
                       .Finish());
}

}  // namespace
}  // namespace jprof
