#include "profiler/capture/record_parser.h"

#include <asm/perf_regs.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "profiler/capture/throttling.h"
#include "tests/testing/record_builder.h"

namespace jprof {
namespace {

absl::StatusOr<std::optional<Event>> Parse(const RecordBuilder& builder) {
  return ParseSidebandRecord(builder.bytes());
}

// The event of a record that must be one of type T.
template <typename T>
T Get(const RecordBuilder& builder) {
  auto event = Parse(builder);
  EXPECT_TRUE(event.ok()) << event.status();
  if (!event.ok() || !event->has_value() || !std::holds_alternative<T>(**event)) {
    ADD_FAILURE() << "another kind of event, or none";
    return T();
  }
  return std::get<T>(**event);
}

bool IsIgnored(const RecordBuilder& builder) {
  auto event = Parse(builder);
  return event.ok() && !event->has_value();
}

bool IsDataLoss(const RecordBuilder& builder) {
  return Parse(builder).status().code() == absl::StatusCode::kDataLoss;
}

const AddressRange kRange = {{0x7f0000001000}, {0x7f0000003000}};

TEST(RecordParserTest, AMappingOfAFile) {
  MapEvent e = Get<MapEvent>(RecordBuilder().Time(42).Mmap2(
      11, 12, kRange, "/usr/bin/a b", {.offset = {0x2000}, .file = {8, 1, 77}}));
  EXPECT_EQ(e.time_ns, 42u);
  EXPECT_EQ(e.pid, 11);
  EXPECT_EQ(e.range, kRange);
  EXPECT_EQ(e.offset.value, 0x2000u);
  EXPECT_EQ(e.file, (FileIdentity{8, 1, 77}));
  EXPECT_EQ(e.path, "/usr/bin/a b");
}

TEST(RecordParserTest, PathsOfEveryLengthEndWhereTheyEnd) {
  for (size_t length = 0; length < 40; ++length) {
    const std::string path(length, 'x');
    EXPECT_EQ(
        Get<MapEvent>(RecordBuilder().Time(9).Mmap2(1, 1, kRange, path, {.file = {8, 1, 77}})).path,
        path);
  }
}

TEST(RecordParserTest, AnonymousMemoryHasNoOffset) {
  MapEvent e = Get<MapEvent>(
      RecordBuilder().Mmap2(1, 1, kRange, "//anon", {.offset = {kRange.begin.value}}));
  EXPECT_EQ(e.offset.value, 0u);
  EXPECT_FALSE(e.file.valid());
}

TEST(RecordParserTest, AMappingThatIsNotExecutableIsIgnored) {
  EXPECT_TRUE(IsIgnored(RecordBuilder().Mmap2(1, 1, kRange, "/a", {.protection = PROT_READ})));
}

TEST(RecordParserTest, ABuildIdInPlaceOfTheInodeLeavesTheFileUnknown) {
  MapEvent e = Get<MapEvent>(RecordBuilder().Time(3).Mmap2(1, 1, kRange, "/lib/x",
                                                           {.offset = {0x5000}, .build_id = true}));
  EXPECT_FALSE(e.file.valid());
  EXPECT_EQ(e.offset.value, 0x5000u);
  EXPECT_EQ(e.path, "/lib/x");
  EXPECT_EQ(e.time_ns, 3u);
}

TEST(RecordParserTest, AMappingWithoutSizeOrPastTheTopIsDataLoss) {
  EXPECT_TRUE(IsDataLoss(RecordBuilder().Mmap2(1, 1, {{5}, {5}}, "/a")));
  EXPECT_TRUE(IsDataLoss(RecordBuilder().Mmap2(1, 1, {{UINT64_MAX - 10}, {5}}, "/a")));
}

TEST(RecordParserTest, ANameAndAnExecAreToldApart) {
  CommEvent name = Get<CommEvent>(RecordBuilder().Time(7).Comm(11, 12, "worker"));
  EXPECT_EQ(name.time_ns, 7u);
  EXPECT_EQ(name.pid, 11);
  EXPECT_EQ(name.tid, 12);
  EXPECT_EQ(name.comm, "worker");
  EXPECT_FALSE(name.exec);
  EXPECT_TRUE(Get<CommEvent>(RecordBuilder().Comm(11, 11, "node", true)).exec);
}

TEST(RecordParserTest, AForkNamesItsParent) {
  ForkEvent e = Get<ForkEvent>(RecordBuilder().Time(8).Fork(20, 21, 10, 11));
  EXPECT_EQ(e.time_ns, 8u);
  EXPECT_EQ(e.pid, 20);
  EXPECT_EQ(e.tid, 21);
  EXPECT_EQ(e.parent_pid, 10);
  EXPECT_EQ(e.parent_tid, 11);
}

TEST(RecordParserTest, AnExit) {
  ExitEvent e = Get<ExitEvent>(RecordBuilder().Time(8).Exit(20, 21));
  EXPECT_EQ(e.time_ns, 8u);
  EXPECT_EQ(e.pid, 20);
  EXPECT_EQ(e.tid, 21);
}

TEST(RecordParserTest, LostRecordsAreCounted) {
  LostEvent e = Get<LostEvent>(RecordBuilder().Lost(17));
  EXPECT_EQ(e.what, LostEvent::What::kSideband);
  EXPECT_EQ(e.count, 17u);
}

TEST(RecordParserTest, ProcessesThatOurNamespaceDoesNotShowAreIgnored) {
  EXPECT_TRUE(IsIgnored(RecordBuilder().Comm(0, 0, "x")));
  EXPECT_TRUE(IsIgnored(RecordBuilder().Exit(-1, -1)));
  EXPECT_TRUE(IsIgnored(RecordBuilder().Mmap2(0, 0, kRange, "/a")));
}

TEST(RecordParserTest, OtherKindsAreIgnored) {
  EXPECT_TRUE(IsIgnored(RecordBuilder().Raw(PERF_RECORD_THROTTLE, {})));
  EXPECT_TRUE(IsIgnored(RecordBuilder().Raw(0xffffffff, {})));
}

TEST(ThrottleRecordTest, TellsWhenTheKernelStoppedAnEventAndLetItGoOn) {
  auto stopped = ParseThrottleRecord(RecordBuilder().Time(8).Throttle(true).bytes());
  ASSERT_TRUE(stopped.ok() && stopped->has_value());
  EXPECT_EQ((*stopped)->time_ns, 8u);
  EXPECT_TRUE((*stopped)->stopped);
  auto goes_on = ParseThrottleRecord(RecordBuilder().Time(9).Throttle(false).bytes());
  ASSERT_TRUE(goes_on.ok() && goes_on->has_value());
  EXPECT_FALSE((*goes_on)->stopped);
  auto other = ParseThrottleRecord(RecordBuilder().Lost(1).bytes());
  EXPECT_TRUE(other.ok() && !other->has_value());
  EXPECT_TRUE(absl::IsDataLoss(
      ParseThrottleRecord(RecordBuilder().Raw(PERF_RECORD_THROTTLE, {}).bytes()).status()));
}

TEST(ThrottlingTest, TimesBetweenStopAndGoAreSummed) {
  Throttling throttling;
  throttling.Take({.time_ns = 5, .stopped = false});  // stopped before we looked
  throttling.Take({.time_ns = 10, .stopped = true});
  throttling.Take({.time_ns = 14, .stopped = false});
  throttling.Take({.time_ns = 20, .stopped = true});
  throttling.Take({.time_ns = 21, .stopped = false});
  throttling.Take({.time_ns = 30, .stopped = true});
  EXPECT_EQ(throttling.times(), 3u);
  EXPECT_EQ(throttling.ns(), 5u);
}

TEST(RecordParserTest, ARecordThatIsCutAnywhereIsDataLoss) {
  const RecordBuilder records[] = {
      RecordBuilder().Mmap2(1, 1, kRange, "/usr/lib/libx.so", {.file = {8, 1, 77}}),
      RecordBuilder().Comm(1, 1, "node"),
      RecordBuilder().Fork(2, 2, 1, 1),
      RecordBuilder().Exit(2, 2),
      RecordBuilder().Lost(1),
  };
  for (const RecordBuilder& whole : records) {
    const auto* header = reinterpret_cast<const perf_event_header*>(whole.bytes().data());
    // Up to where the cut bytes are only the padding of a name, whose end then looks like a
    // trailer.
    const bool has_name = header->type == PERF_RECORD_MMAP2 || header->type == PERF_RECORD_COMM;
    const size_t end = whole.bytes().size() - (has_name ? 8 : 0);
    for (size_t size = 0; size < end; ++size) {
      std::vector<std::byte> cut(whole.bytes().begin(),
                                 whole.bytes().begin() + static_cast<ptrdiff_t>(size));
      if (size >= sizeof(perf_event_header)) {
        const uint16_t claimed = static_cast<uint16_t>(size);
        std::memcpy(cut.data() + offsetof(perf_event_header, size), &claimed, sizeof(claimed));
      }
      EXPECT_EQ(ParseSidebandRecord(cut).status().code(), absl::StatusCode::kDataLoss)
          << "type " << header->type << " cut to " << size;
    }
  }
}

TEST(RecordParserTest, AClaimedSizeOtherThanTheRealOneIsDataLoss) {
  EXPECT_TRUE(IsDataLoss(RecordBuilder().Exit(2, 2).ClaimSize(0)));
  EXPECT_TRUE(IsDataLoss(RecordBuilder().Exit(2, 2).ClaimSize(0xffff)));
}

// Each register's value is 100 and its place among the kernel's numbers.
RecordBuilder::SampleFields AnySample() {
  RecordBuilder::SampleFields fields;
  fields.event = 77;
  for (uint64_t bit = 0; bit < 64; ++bit) {
    if ((kTaskSampleRegisters >> bit & 1) != 0) fields.registers.push_back(100 + bit);
  }
  fields.stack.assign(32, std::byte{0xaa});
  fields.filled = 32;
  return fields;
}

TaskRecord ParseTask(const RecordBuilder& builder, bool kernel_chain = false) {
  absl::StatusOr<TaskRecord> record = ParseTaskRecord(builder.bytes(), kernel_chain);
  EXPECT_TRUE(record.ok()) << record.status();
  return record.ok() ? *std::move(record) : TaskRecord{};
}

TEST(TaskRecordTest, ASampleHasItsThreadRegistersAndStack) {
  const RecordBuilder builder = RecordBuilder().Time(42).Cpu(3).Sample(11, 12, AnySample());
  const TaskRecord record = ParseTask(builder);
  ASSERT_TRUE(record.sample.has_value());
  const TaskSample& sample = *record.sample;
  EXPECT_EQ(sample.time_ns, 42u);
  EXPECT_EQ(sample.pid, 11);
  EXPECT_EQ(sample.tid, 12);
  EXPECT_EQ(sample.event, 77u);
  EXPECT_EQ(sample.cpu, 3u);
  EXPECT_TRUE(sample.has_user && sample.is_64_bit);
  EXPECT_EQ(sample.registers.pc, 100u + PERF_REG_X86_IP);
  EXPECT_EQ(sample.registers.sp, 100u + PERF_REG_X86_SP);
  EXPECT_EQ(sample.registers.fp, 100u + PERF_REG_X86_BP);
  EXPECT_EQ(sample.registers.rdi, 100u + PERF_REG_X86_DI);
  EXPECT_EQ(sample.registers.others[0], 100u + PERF_REG_X86_AX);
  EXPECT_EQ(sample.registers.others[1], 100u + PERF_REG_X86_DX);
  EXPECT_EQ(sample.registers.others[15], 100u + PERF_REG_X86_R15);
  EXPECT_EQ(sample.stack.size(), 32u);
  EXPECT_FALSE(sample.whole_stack);
}

TEST(TaskRecordTest, AStackThatFillsLessThanItsRoomIsWhole) {
  RecordBuilder::SampleFields fields = AnySample();
  fields.filled = 24;
  const RecordBuilder builder = RecordBuilder().Sample(1, 1, fields);
  const TaskRecord record = ParseTask(builder);
  ASSERT_TRUE(record.sample.has_value());
  EXPECT_EQ(record.sample->stack.size(), 24u);
  EXPECT_TRUE(record.sample->whole_stack);
}

TEST(TaskRecordTest, AKernelChainIsItsAddressesWithoutTheMarkers) {
  const std::vector<uint64_t> chain = {PERF_CONTEXT_KERNEL, 0xffffffff81000001, 0xffffffff81000002};
  RecordBuilder::SampleFields fields = AnySample();
  fields.kernel_chain = &chain;
  const RecordBuilder builder = RecordBuilder().Sample(1, 1, fields);
  const TaskRecord record = ParseTask(builder, /*kernel_chain=*/true);
  ASSERT_TRUE(record.sample.has_value());
  EXPECT_EQ(record.sample->kernel_chain,
            (std::vector<uint64_t>{0xffffffff81000001, 0xffffffff81000002}));
  EXPECT_EQ(record.sample->stack.size(), 32u);
}

TEST(TaskRecordTest, WithoutRegistersThereIsNoUserStackAnd32BitCodeIsToldApart) {
  RecordBuilder::SampleFields fields = AnySample();
  fields.abi = PERF_SAMPLE_REGS_ABI_32;
  const RecordBuilder of_32_bits = RecordBuilder().Sample(1, 1, fields);
  EXPECT_FALSE(ParseTask(of_32_bits).sample.value().is_64_bit);
  fields = {.event = 1, .abi = PERF_SAMPLE_REGS_ABI_NONE};
  const RecordBuilder none = RecordBuilder().Sample(1, 1, fields);
  EXPECT_FALSE(ParseTask(none).sample.value().has_user);
}

TEST(TaskRecordTest, LostSamplesAreCountedAndOtherRecordsIgnored) {
  EXPECT_EQ(ParseTask(RecordBuilder().Lost(9)).lost, 9u);
  const TaskRecord other = ParseTask(RecordBuilder().Comm(1, 1, "x"));
  EXPECT_FALSE(other.sample.has_value());
  EXPECT_EQ(other.lost, 0u);
}

TEST(TaskRecordTest, WhatIsShorterThanItSaysIsDataLoss) {
  const std::vector<std::byte> whole = RecordBuilder().Sample(1, 1, AnySample()).bytes();
  for (size_t size = sizeof(perf_event_header); size < whole.size(); size += 8) {
    RecordBuilder cut;
    cut.Raw(PERF_RECORD_SAMPLE,
            std::span(whole).subspan(sizeof(perf_event_header), size - sizeof(perf_event_header)));
    EXPECT_TRUE(absl::IsDataLoss(ParseTaskRecord(cut.bytes(), false).status())) << size;
  }
  RecordBuilder::SampleFields fields = AnySample();
  fields.filled = 33;
  EXPECT_TRUE(absl::IsDataLoss(
      ParseTaskRecord(RecordBuilder().Sample(1, 1, fields).bytes(), false).status()));
  EXPECT_TRUE(absl::IsDataLoss(
      ParseTaskRecord(RecordBuilder().Sample(1, 1, AnySample()).bytes(), true).status()));
}

}  // namespace
}  // namespace jprof
