#include "symbolize/image_threads.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

namespace jprof {
namespace {

int64_t FileSize(const ImageQuery& query) {
  // As it is known, since its file system may not answer.
  struct statx st;
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  return ::statx(query.file.get(), "", kFlags, STATX_SIZE, &st) == 0
             ? static_cast<int64_t>(st.stx_size)
             : -1;
}

}  // namespace

void ForImagesOnThreads(const std::vector<ImageQuery>& queries, int max_threads,
                        absl::FunctionRef<void(NextImage next)> work) {
  if (queries.empty()) return;
  std::vector<std::pair<int64_t, size_t>> order;  // largest first
  for (size_t i = 0; i < queries.size(); ++i) {
    order.emplace_back(queries.size() == 1 ? 0 : -FileSize(queries[i]), i);
  }
  std::sort(order.begin(), order.end());

  std::atomic<size_t> taken = 0;
  auto next = [&]() -> std::optional<size_t> {
    const size_t i = taken.fetch_add(1, std::memory_order_relaxed);
    if (i >= order.size()) return std::nullopt;
    return order[i].second;
  };
  std::vector<std::thread> threads;
  const size_t count =
      std::min<size_t>(queries.size(), static_cast<size_t>(std::max(max_threads, 1)));
  for (size_t i = 1; i < count; ++i) {
    try {
      threads.emplace_back([&] { work(next); });
    } catch (const std::system_error&) {
      break;
    }
  }
  work(next);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace jprof
