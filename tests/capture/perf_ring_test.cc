#include "profiler/capture/perf_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "profiler/capture/perf_event.h"
#include "tests/testing/record_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The kernel's side of a ring, in our own memory.
class FakeRing {
 public:
  explicit FakeRing(size_t size, uint64_t start = 0) : data_(size, std::byte{0xcc}) {
    control_.data_head = control_.data_tail = start;
  }
  void Write(std::span<const std::byte> bytes) {
    for (std::byte b : bytes) data_[control_.data_head++ & (data_.size() - 1)] = b;
  }
  // A record of `size` bytes whose body repeats `fill`.
  void WriteRecord(size_t size, char fill) {
    std::vector<std::byte> body(size - sizeof(perf_event_header), static_cast<std::byte>(fill));
    Write(RecordBuilder().Raw(1, body).bytes());
  }
  // "size:fill" of each record.
  DrainResult Drain(std::vector<std::string>& seen) {
    return DrainRing(control_, data_, buffer_, [&](std::span<const std::byte> record) {
      perf_event_header header;
      std::memcpy(&header, record.data(), sizeof(header));
      EXPECT_EQ(header.size, record.size());
      std::string text = std::to_string(record.size()) + ":";
      for (std::byte b : record.subspan(sizeof(header))) {
        if (text.back() != static_cast<char>(b)) text.push_back(static_cast<char>(b));
      }
      seen.push_back(text);
    });
  }
  perf_event_mmap_page& control() { return control_; }
  std::span<std::byte> data() { return data_; }

 private:
  perf_event_mmap_page control_ = {};
  std::vector<std::byte> data_;
  std::vector<std::byte> buffer_;
};

TEST(PerfRingTest, AnEmptyRingHasNoRecords) {
  FakeRing ring(256);
  std::vector<std::string> seen;
  DrainResult result = ring.Drain(seen);
  EXPECT_EQ(result.records, 0u);
  EXPECT_FALSE(result.corrupt());
}

TEST(PerfRingTest, RecordsComeInOrderAndTheirRoomIsGivenBack) {
  FakeRing ring(256);
  ring.WriteRecord(16, 'a');
  ring.WriteRecord(40, 'b');
  std::vector<std::string> seen;
  EXPECT_EQ(ring.Drain(seen).records, 2u);
  EXPECT_THAT(seen, ElementsAre("16:a", "40:b"));
  EXPECT_EQ(ring.control().data_tail, ring.control().data_head);
  seen.clear();
  EXPECT_EQ(ring.Drain(seen).records, 0u);
}

TEST(PerfRingTest, ARecordThatWrapsAnywhereIsWhole) {
  for (uint64_t start = 0; start < 64; ++start) {
    FakeRing ring(64, 64 * 1000 + start);
    ring.WriteRecord(24, 'a');
    ring.WriteRecord(40, 'b');  // the ring is full
    std::vector<std::string> seen;
    EXPECT_FALSE(ring.Drain(seen).corrupt());
    EXPECT_THAT(seen, ElementsAre("24:a", "40:b")) << start;
  }
}

TEST(PerfRingTest, CountsThatWrapAreNoDamage) {
  FakeRing ring(64, UINT64_MAX - 7);
  ring.WriteRecord(24, 'a');
  std::vector<std::string> seen;
  EXPECT_FALSE(ring.Drain(seen).corrupt());
  EXPECT_THAT(seen, ElementsAre("24:a"));
}

TEST(PerfRingTest, ARecordWithoutSizeEndsTheDrain) {
  for (uint16_t size : {0, 1, 7}) {
    FakeRing ring(256);
    ring.WriteRecord(16, 'a');
    ring.Write(RecordBuilder().Raw(1, {}).ClaimSize(size).bytes());
    ring.WriteRecord(16, 'b');
    std::vector<std::string> seen;
    DrainResult result = ring.Drain(seen);
    EXPECT_TRUE(result.corrupt());
    EXPECT_EQ(result.skipped_bytes, 24u);
    EXPECT_THAT(seen, ElementsAre("16:a"));
    EXPECT_EQ(ring.control().data_tail, ring.control().data_head) << "it goes on after the damage";
    ring.WriteRecord(16, 'c');
    EXPECT_FALSE(ring.Drain(seen).corrupt());
    EXPECT_THAT(seen, ElementsAre("16:a", "16:c"));
  }
}

TEST(PerfRingTest, ARecordBeyondHeadEndsTheDrain) {
  FakeRing ring(256);
  ring.Write(RecordBuilder().Raw(1, {}).ClaimSize(9).bytes());
  std::vector<std::string> seen;
  EXPECT_EQ(ring.Drain(seen).skipped_bytes, 8u);
  EXPECT_THAT(seen, IsEmpty());
}

TEST(PerfRingTest, AHeadThatCutsAHeaderEndsTheDrain) {
  FakeRing ring(256);
  ring.WriteRecord(16, 'a');
  ring.control().data_head += 7;
  std::vector<std::string> seen;
  EXPECT_EQ(ring.Drain(seen).skipped_bytes, 7u);
  EXPECT_THAT(seen, ElementsAre("16:a"));
}

TEST(PerfRingTest, AHeadFurtherAwayThanTheRingIsLongIsDamage) {
  FakeRing ring(256);
  ring.WriteRecord(16, 'a');
  ring.control().data_head = 300;
  std::vector<std::string> seen;
  EXPECT_EQ(ring.Drain(seen).skipped_bytes, 300u);
  EXPECT_THAT(seen, IsEmpty());
}

TEST(PerfRingTest, WhatArrivesDuringADrainWaitsForTheNext) {
  FakeRing ring(256);
  ring.WriteRecord(16, 'a');
  std::vector<std::byte> buffer;
  int visits = 0;
  auto visit = [&](std::span<const std::byte>) {
    ++visits;
    ring.WriteRecord(16, 'b');
  };
  EXPECT_EQ(DrainRing(ring.control(), ring.data(), buffer, visit).records, 1u);
  EXPECT_EQ(visits, 1);
  EXPECT_EQ(DrainRing(ring.control(), ring.data(), buffer, visit).records, 1u);
}

TEST(PerfRingTest, ARecordsRoomIsGivenBackOnlyAfterItsVisit) {
  FakeRing ring(256);
  ring.WriteRecord(16, 'a');
  ring.WriteRecord(24, 'b');
  std::vector<std::byte> buffer;
  std::vector<uint64_t> tails;
  DrainRing(ring.control(), ring.data(), buffer,
            [&](std::span<const std::byte>) { tails.push_back(ring.control().data_tail); });
  EXPECT_THAT(tails, ElementsAre(0, 16));
}

TEST(PerfRingTest, OnlyPowersOfTwoOfPagesAreMapped) {
  for (size_t pages : {0, 3, 12}) {
    EXPECT_EQ(PerfRing::Map(-1, pages).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(PerfRing::Map(-1, 4).ok());
}

}  // namespace
}  // namespace jprof
