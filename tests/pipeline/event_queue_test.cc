#include "profiler/pipeline/event_queue.h"

#include <gtest/gtest.h>

#include <utility>
#include <variant>
#include <vector>

namespace jprof {
namespace {

constexpr size_t kBytes = 10 * sizeof(Event);

std::vector<Event> Samples(size_t count) { return std::vector<Event>(count, SampleEvent{}); }
std::vector<Event> Exits(size_t count) { return std::vector<Event>(count, ExitEvent{}); }

std::vector<Event> PopAll(EventQueue& queue) {
  std::vector<Event> all, batch;
  while (queue.Pop(batch, absl::ZeroDuration()) == EventQueue::Popped::kBatch) {
    for (Event& event : batch) all.push_back(std::move(event));
  }
  return all;
}

uint64_t Lost(const std::vector<Event>& events, LostEvent::What what) {
  uint64_t lost = 0;
  for (const Event& event : events) {
    const auto* e = std::get_if<LostEvent>(&event);
    if (e != nullptr && e->what == what) lost += e->count;
  }
  return lost;
}

TEST(EventQueueTest, BatchesComeOutInOrderThenTheEnd) {
  EventQueue queue;
  queue.Push(Samples(1));
  queue.Push(Exits(1));
  queue.Close(absl::DataLossError("ring"));
  std::vector<Event> batch;
  ASSERT_EQ(queue.Pop(batch, absl::InfiniteDuration()), EventQueue::Popped::kBatch);
  EXPECT_TRUE(std::holds_alternative<SampleEvent>(batch.at(0)));
  ASSERT_EQ(queue.Pop(batch, absl::InfiniteDuration()), EventQueue::Popped::kBatch);
  EXPECT_TRUE(std::holds_alternative<ExitEvent>(batch.at(0)));
  EXPECT_EQ(queue.Pop(batch, absl::InfiniteDuration()), EventQueue::Popped::kClosed);
  EXPECT_TRUE(batch.empty());
  EXPECT_TRUE(absl::IsDataLoss(queue.status()));
}

TEST(EventQueueTest, AnEmptyQueueTimesOut) {
  EventQueue queue;
  std::vector<Event> batch;
  EXPECT_EQ(queue.Pop(batch, absl::ZeroDuration()), EventQueue::Popped::kTimeout);
}

TEST(EventQueueTest, AFullQueueDropsSamplesAndCountsThem) {
  EventQueue queue(kBytes);
  queue.Push(Samples(8));
  std::vector<Event> mixed = Samples(5);
  mixed.push_back(StackEvent{});
  mixed.push_back(KernelStackEvent{});
  mixed.push_back(ExitEvent{});
  queue.Push(std::move(mixed));
  const std::vector<Event> out = PopAll(queue);
  EXPECT_EQ(Lost(out, LostEvent::What::kSamples), 5u);
  EXPECT_EQ(Lost(out, LostEvent::What::kSideband), 0u);
  EXPECT_EQ(Lost(out, LostEvent::What::kStacks), 2u);
  EXPECT_EQ(out.size(), 8u + 1 + 2);  // the samples, the exit, the losses
}

TEST(EventQueueTest, AQueueThatNobodyEmptiesDropsAllAndCountsIt) {
  EventQueue queue(kBytes);
  for (int i = 0; i < 1000; ++i) queue.Push(Exits(5));
  const std::vector<Event> out = PopAll(queue);
  EXPECT_EQ(out.size(), 20u + 1);
  EXPECT_EQ(Lost(out, LostEvent::What::kSideband), 5000u - 20);
}

TEST(EventQueueTest, RoomThatWasEmptiedIsUsedAgain) {
  EventQueue queue(kBytes);
  for (int i = 0; i < 10; ++i) {
    queue.Push(Samples(10));
    EXPECT_EQ(PopAll(queue).size(), 10u);
  }
}

TEST(EventQueueTest, BytesBehindAnEventCount) {
  EventQueue queue(kBytes);
  queue.Push({Event(SymbolEvent{.record = std::vector<uint8_t>(3 * kBytes)})});
  EXPECT_EQ(Lost(PopAll(queue), LostEvent::What::kSymbols), 1u);
}

}  // namespace
}  // namespace jprof
