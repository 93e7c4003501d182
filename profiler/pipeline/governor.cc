#include "profiler/pipeline/governor.h"

#include <algorithm>

namespace jprof {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
// So many that a burst, the tables of a program that starts or a checkpoint, is none of its
// business.
constexpr int kSeconds = 10;

}  // namespace

bool Governor::TakesTooMuch(uint64_t now_ns, absl::FunctionRef<uint64_t()> cpu_ns) {
  if (max_percent_ == 0) return false;
  if (second_ns_ != 0 && now_ns < second_ns_ + kSecondNs) return false;
  const uint64_t used_ns = cpu_ns();
  if (second_ns_ != 0) {
    // Less than before: a helper process ended.
    const uint64_t since_ns = used_ns - std::min(used_ns, cpu_ns_);
    const double percent = 100.0 * static_cast<double>(since_ns) /
                           static_cast<double>(now_ns - second_ns_);
    above_ = percent > max_percent_ ? above_ + 1 : 0;
  }
  second_ns_ = now_ns;
  cpu_ns_ = used_ns;
  if (above_ < kSeconds) return false;
  above_ = 0;
  return true;
}

}  // namespace jprof
