#include "import/folded_stacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pthread.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "export/pruned_tree.h"
#include "export/svg.h"
#include "tests/import/read.h"

namespace jprof {
namespace {

using testing::ElementsAre;

// Of two pictures of the same stacks only the number of thin frames may differ: of a tree that is
// not kept it is an estimate.
struct Picture {
  std::string text;         // without that number
  int64_t thin_frames = 0;  // 0: none
};

Picture Split(std::string svg) {
  const std::string kEnd = " frames thinner than 0.1 px";
  const size_t end = svg.find(kEnd);
  if (end == std::string::npos) return {std::move(svg), 0};
  const std::string kBegin = "not drawn: ";
  const size_t begin = svg.rfind(kBegin, end) + kBegin.size();
  const std::string number =
      absl::StrReplaceAll(svg.substr(begin, end - begin), {{"about ", ""}, {",", ""}});
  Picture picture;
  EXPECT_TRUE(absl::SimpleAtoi(number, &picture.thin_frames)) << number;
  picture.text = svg.erase(begin, end - begin);
  return picture;
}

std::string ScratchPath() {
  return absl::StrCat(testing::TempDir(), "/folded_stacks_test.", ::getpid());
}

absl::StatusOr<std::vector<FoldedStacks>> PartsOf(const std::string& folded, size_t count) {
  std::ofstream(ScratchPath(), std::ios::binary) << folded;
  absl::StatusOr<std::vector<FoldedStacks>> parts = FoldedStacks::Open(ScratchPath(), count);
  ::unlink(ScratchPath().c_str());
  return parts;
}

absl::StatusOr<std::string> DrawnFromParts(const std::string& folded, size_t count,
                                           size_t max_nodes = kMaxPrunedNodes) {
  absl::StatusOr<std::vector<FoldedStacks>> parts = PartsOf(folded, count);
  if (!parts.ok()) return parts.status();
  std::vector<StackSource*> sources;
  for (FoldedStacks& part : *parts) sources.push_back(&part);
  const absl::StatusOr<PictureTree> tree = PruneStacks(sources, max_nodes);
  if (!tree.ok()) return tree.status();
  StringSink sink;
  EXPECT_TRUE(WriteSvg(sources[0]->tables(), *tree, sink).ok());
  return sink.text();
}

void ExpectTheSamePicture(const std::string& folded,
                          const std::vector<size_t>& counts = {1, 3}) {
  const Picture whole = Split(Write(Read(folded), "svg"));
  for (size_t parts : counts) {
    const absl::StatusOr<std::string> drawn = DrawnFromParts(folded, parts);
    ASSERT_TRUE(drawn.ok()) << drawn.status();
    const Picture picture = Split(*drawn);
    EXPECT_EQ(picture.text, whole.text) << parts << " parts of " << folded.substr(0, 1000);
    EXPECT_NEAR(static_cast<double>(picture.thin_frames), static_cast<double>(whole.thin_frames),
                static_cast<double>(whole.thin_frames) * 0.1 + 2);
  }
}

TEST(FoldedStacksTest, OneStackIsDrawnAsByTheReaderOfAll) {
  ExpectTheSamePicture("app 1\n");
  ExpectTheSamePicture("app;main;run 3");
  ExpectTheSamePicture("app; 1\napp;;b 2\n;x 3\n");
  ExpectTheSamePicture("# comment\n\napp;a 2\nno weight\napp;a\t3\r\napp;a  4.6\n");
}

TEST(FoldedStacksTest, WhatNamesSayIsThere) {
  ExpectTheSamePicture(
      "node;main /srv/app.js:3_[j];render /srv/node_modules/x/i.js:7_[j];in_[i];in2_[i] 5\n"
      "node;first_[i];b_[i] 2\nnode;read;entry_[k];sys_read_[k] 3\n"
      "node;v8::internal::Heap::CollectGarbage;mark;[unknown] 4\n"
      "node;[unknown] libz.so;--;f node:fs:3;Array.map_[j] 6\nnode;wait;\\--;a_\\[k] 1\n"
      "other;main;f node:fs:3;main 7\nnode;main 2\nother 1\n");
}

TEST(FoldedStacksTest, HostileNamesAreDrawnAlike) {
  ExpectTheSamePicture(absl::StrCat(
      "a<b>&\"';x\x01\x1b[2J;\xff\xfe;\xe2\x80\xae;", std::string(5000, 'y'), ";",
      std::string(5000, 'y'), "z 12\na<b>;", std::string(100'000, 'q'), " 3\n"));
}

TEST(FoldedStacksTest, FramesOfOneLabelAreOneNode) {
  // The control character and its spelling look alike.
  std::string folded;
  for (int i = 0; i < 14'000; ++i) {
    absl::StrAppend(&folded, "p;", i % 2 == 0 ? "a\x01" : "a\\x01", ";f", i, " 1\n");
  }
  ExpectTheSamePicture(folded);
}

// More paths than are known at a time.
TEST(FoldedStacksTest, ManyPathsAreDrawnAlike) {
  std::mt19937 random(3);
  std::string folded;
  for (int i = 0; i < 100'000; ++i) {
    absl::StrAppend(&folded, "p;f", random() % 5, ";g", random() % 9, ";h", random(), ";i 1\n");
  }
  ExpectTheSamePicture(folded);
}

// What is too thin is left out, but takes its room between its neighbours.
TEST(FoldedStacksTest, ThinFramesKeepTheirPlaces) {
  std::mt19937 random(1);
  std::vector<std::string> lines;
  for (int i = 0; i < 16'000; ++i) {
    std::string line = absl::StrCat("p", random() % 3);
    for (int depth = static_cast<int>(random() % 12); depth >= 0; --depth) {
      // A few functions take most.
      const double share = static_cast<double>(random() % 1000) / 1000;
      absl::StrAppend(&line, ";f", static_cast<int>(50 * share * share * share * share),
                      random() % 5 == 0 ? "_[i]" : "");
    }
    lines.push_back(absl::StrCat(line, " ", 1 + random() % (random() % 50 == 0 ? 1000 : 3), "\n"));
  }
  ExpectTheSamePicture(absl::StrJoin(lines, ""));
  std::sort(lines.begin(), lines.end());
  ExpectTheSamePicture(absl::StrJoin(lines, ""));
}

TEST(FoldedStacksTest, DeepStacksAreCountedAlike) {
  std::string folded, path = "p";
  for (int depth = 0; depth < 1500; ++depth) {
    absl::StrAppend(&path, ";r");
    if (depth % 100 != 50) continue;
    absl::StrAppend(&folded, path, " 100000\n", path, ";x;y 3\n", path, ";x;z 1\n");
  }
  ExpectTheSamePicture(folded);
}

TEST(FoldedStacksTest, WhatIsNotPlainIsLeftToTheReaderOfAll) {
  const std::string deep = absl::StrReplaceAll(std::string(2100, 'x'), {{"x", ";x"}});
  for (const std::string& text :
       {std::string("a;b 1 2\na;c 3 4\n"), std::string("{\"a\": 1}"), std::string(""),
        std::string("\x1f\x8b"), std::string("a;b 1\na;c 0\n"), absl::StrCat("a", deep, " 1\n"),
        std::string("a;b 9000000000000000000\n"),
        absl::StrCat("a;b 1\n", std::string(FoldedPaths::kMaxStackBytes + 1, 'x'), ";b 1\n"),
        absl::StrCat("a;b 1\n", std::string(17 << 20, 'x'))}) {
    EXPECT_FALSE(DrawnFromParts(text, 2).ok()) << text.substr(0, 100);
  }
}

TEST(FoldedStacksTest, EqualFramesHaveOneNumberWhereverTheyAre) {
  absl::StatusOr<std::vector<FoldedStacks>> parts =
      PartsOf("a;b;a;c_[i] 1\nb;c_[i];a;b;c 2\na;b;a 3\n", 1);
  ASSERT_TRUE(parts.ok()) << parts.status();
  FoldedStacks& stacks = parts->front();
  for (int reading = 0; reading < 2; ++reading) {
    stacks.Rewind();
    std::vector<std::vector<uint32_t>> numbers;
    const std::span<const StackSource::Stack> read = stacks.Read().value();
    for (size_t i = 0; i < read.size(); ++i) {
      numbers.emplace_back();
      for (size_t depth = 0; depth < read[i].paths.size(); ++depth) {
        numbers.back().push_back(stacks.FrameAt(i, depth));
      }
    }
    EXPECT_TRUE(stacks.Read().value().empty());
    // A process is not a function, nor what is inlined, where it can be.
    EXPECT_THAT(numbers, ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(4, 5, 2, 1, 6),
                                     ElementsAre(0, 1, 2)));
  }
}

TEST(FoldedStacksTest, GzipIsLeftToTheReaderOfAll) {
  const std::string path = ScratchPath();
  gzFile file = ::gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_GT(::gzputs(file, "app;main;run 3\napp;main 2\n"), 0);
  ASSERT_EQ(::gzclose(file), Z_OK);
  EXPECT_EQ(FoldedStacks::Open(path, 1).status().code(), absl::StatusCode::kUnimplemented);
  ::unlink(path.c_str());
}

TEST(FoldedStacksTest, ATreeOfMoreNodesThanAllowedIsLeftToTheReaderOfAll) {
  std::string folded;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&folded, "app;f", i, ";g 1\n");
  EXPECT_TRUE(DrawnFromParts(folded, 1, 201).ok());
  EXPECT_EQ(DrawnFromParts(folded, 1, 200).status().code(), absl::StatusCode::kUnimplemented);
  // Two that fit make one that does not.
  EXPECT_EQ(DrawnFromParts(folded, 2, 200).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(FoldedStacksTest, WithoutThreadsThePartsAreReadOneAfterAnother) {
  // The stack of a thread that is larger than the address space.
  pthread_attr_t before, huge;
  ASSERT_EQ(::pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(::pthread_attr_init(&huge), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&huge, size_t{1} << 47), 0);
  ASSERT_EQ(::pthread_setattr_default_np(&huge), 0);
  ExpectTheSamePicture("app;main;run 3\napp;main 2\napp;other 4\n");
  EXPECT_EQ(::pthread_setattr_default_np(&before), 0);
  ::pthread_attr_destroy(&huge);
  ::pthread_attr_destroy(&before);
}

TEST(FoldedStacksTest, AnyBytesAreDrawnAlike) {
  std::mt19937 random(7);
  const std::string alphabet = "aab;;; 12\n\n\t#._[i]k\\-\xff\r";
  for (int i = 0; i < 8; ++i) {
    std::string folded = "p;a;b 5\n";
    for (size_t n = 3000; n > 0; --n) folded += alphabet[random() % alphabet.size()];
    ExpectTheSamePicture(folded, {3});
  }
}

}  // namespace
}  // namespace jprof
