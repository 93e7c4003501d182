#include "profiler/pipeline/naming_deadline.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

std::vector<ImageQuery> TwoQueries() {
  std::vector<ImageQuery> queries(2);
  queries[0].path = "/lib/a.so";
  queries[0].offsets = {{1}, {2}};
  queries[1].path = "/lib/b.so";
  queries[1].offsets = {{3}};
  return queries;
}

TEST(NamingDeadlineTest, AnswersInTimeAreTheCallers) {
  auto queries = TwoQueries();
  WithDeadline(
      [](std::vector<ImageQuery>& asked, int threads, DebugFileFinder*) {
        for (ImageQuery& query : asked) query.names.assign(query.offsets.size(), {"f", "f", 0});
        asked[1].build_id = std::to_string(threads);
      },
      [] { return 0; })(queries, 3, nullptr);
  EXPECT_EQ(queries[0].names[1].name, "f");
  EXPECT_EQ(queries[1].build_id, "3");
  EXPECT_FALSE(queries[0].unread);
}

TEST(NamingDeadlineTest, WhatNeverAnswersIsLeftBehind) {
  const auto answered = std::make_shared<absl::Notification>();
  const auto ended = std::make_shared<absl::Notification>();
  auto queries = TwoQueries();
  WithDeadline(
      [answered, ended](std::vector<ImageQuery>& asked, int, DebugFileFinder*) {
        answered->WaitForNotification();
        asked[0].names.assign(2, {"too late", "", 0});
        ended->Notify();
      },
      [] { return 0; }, {.without_progress = absl::Milliseconds(20)})(queries, 1, nullptr);
  for (const ImageQuery& query : queries) {
    EXPECT_TRUE(query.unread);
    EXPECT_EQ(query.status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(query.names.size(), query.offsets.size());
  }
  answered->Notify();
  ended->WaitForNotification();
  EXPECT_EQ(queries[0].names[0].name, "");
}

TEST(NamingDeadlineTest, ProgressIsNoReasonToGoOnForEver) {
  const auto answered = std::make_shared<absl::Notification>();
  const auto steps = std::make_shared<std::atomic<uint64_t>>(0);
  auto queries = TwoQueries();
  const absl::Time begin = absl::Now();
  WithDeadline([answered](auto&, int, DebugFileFinder*) { answered->WaitForNotification(); },
               [steps] { return ++*steps; },
               {.without_progress = absl::Milliseconds(20), .altogether = absl::Milliseconds(100)})(
      queries, 1, nullptr);
  EXPECT_TRUE(queries[0].unread);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(99));
  EXPECT_GT(steps->load(), 0u);
  answered->Notify();
}

TEST(NamingDeadlineTest, AfterAFileThatIsNotOpenedNoneIs) {
  const auto answered = std::make_shared<absl::Notification>();
  const auto ended = std::make_shared<absl::Notification>();
  const SourceMaps::Opener answers_some =
      [answered, ended](Pid, const std::string& path) -> absl::StatusOr<UniqueFd> {
    if (path != "/hung.map") return UniqueFd();
    answered->WaitForNotification();
    ended->Notify();
    return UniqueFd();
  };
  // However long it is until another thread gets a CPU.
  EXPECT_TRUE(WithDeadline(answers_some, absl::Minutes(1))(1, "/a.map").ok());
  const SourceMaps::Opener open = WithDeadline(answers_some, absl::Milliseconds(20));
  EXPECT_TRUE(absl::IsDeadlineExceeded(open(1, "/hung.map").status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(open(1, "/b.map").status()));
  answered->Notify();
  ended->WaitForNotification();
}

}  // namespace
}  // namespace jprof
