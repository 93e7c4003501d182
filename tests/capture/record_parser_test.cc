#include "profiler/capture/record_parser.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <variant>
#include <vector>

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

}  // namespace
}  // namespace jprof
