#include "profiler/capture/ring_sampler.h"

#include <algorithm>
#include <cstring>

#include "helpers/abi/records.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/capture/record_parser.h"
#include "profiler/capture/sample_walk.h"
#include "profiler/process/resident_memory.h"

namespace jprof {
namespace {

template <typename T>
std::unique_ptr<T, decltype(&std::free)> Reserve(size_t count) {
  return {static_cast<T*>(std::calloc(count, sizeof(T))), &std::free};
}

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

uint64_t HashOf(const StackEvent& stack) {
  uint64_t hash = static_cast<uint64_t>(stack.end);
  for (const RawFrame& f : stack.frames) {
    hash = Mix(hash, f.address);
    hash = Mix(hash, uint64_t{f.symbol} << 32 | static_cast<uint64_t>(f.kind) << 24 |
                         uint64_t{f.detail} << 16 | uint64_t{f.runtime} << 8 |
                         uint64_t{f.is_return_address} << 1 | uint64_t{f.is_async});
  }
  return hash;
}

}  // namespace

RingSampler::RingSampler(const RuntimeSet& set, TaskEvents events, uint32_t mappings,
                         FrameStepper::Find find_code)
    : events_(std::move(events)),
      pool_(Reserve<uint64_t>(kPoolWords)),
      mapping_count_(mappings),
      mappings_(Reserve<jp_mapping>(mappings)),
      stepper_(std::move(find_code)),
      runner_(set, memory_, {}),
      throttling_(events_.sample_rings().size()),
      passed_over_(events_.sample_rings().size()) {
  runner_.SetFrameObserver([this](uint64_t stack_from) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    memory_.AtFrame(stack_from);
  });
  if (!stepper_.can_find()) return;
  runner_.SetStepper([this](const WalkSoFar& walk) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return stepper_.Step(walk, memory_);
  });
}

RingSampler::~RingSampler() = default;

RingSampler::Quality RingSampler::quality() const {
  absl::MutexLock lock(&mutex_);
  return quality_;
}

absl::Status RingSampler::Drain(absl::FunctionRef<void(Event)> sink) {
  {
    absl::MutexLock lock(&mutex_);  // a CPU may have come
    throttling_.resize(events_.sample_rings().size());
    passed_over_.resize(events_.sample_rings().size());
  }
  for (size_t i = 0; i < events_.sample_rings().size(); ++i) {
    bool damaged = events_.sample_rings()[i].ring
                       .Drain([&](std::span<const std::byte> bytes) {
                         if (auto throttle = ParseThrottleRecord(bytes);
                             throttle.ok() && throttle->has_value()) {
                           absl::MutexLock lock(&mutex_);
                           throttling_[i].Take(**throttle);
                           return;
                         }
                         auto record = ParseTaskRecord(bytes, events_.kernel());
                         absl::MutexLock lock(&mutex_);
                         if (!record.ok()) {
                           CountLost(1);
                           return;
                         }
                         CountLost(record->lost);
                         lost_told_ += record->lost;
                         if (!record->sample || IsDuplicate(*record->sample)) return;
                         if (++passed_over_[i] < keep_one_of_) return;
                         passed_over_[i] = 0;
                         Take(*record->sample, sink);
                       })
                       .corrupt();
    if (damaged) return absl::DataLossError("the ring of samples is damaged");
  }
  events_.threads().Drained();
  return absl::OkStatus();
}

bool RingSampler::IsDuplicate(const TaskSample& sample) {
  return events_.threads().IsDuplicate(sample.event, sample.tid, sample.cpu);
}

void RingSampler::SetKeepOneOf(uint32_t count) {
  absl::MutexLock lock(&mutex_);
  keep_one_of_ = count;
}

void RingSampler::CountLostAtEnd() {
  const uint64_t lost = events_.LostSamples();
  absl::MutexLock lock(&mutex_);
  if (lost <= lost_told_) return;
  CountLost(lost - lost_told_);
  lost_told_ = lost;
}

void RingSampler::CountLost(uint64_t hits) {
  lost_hits_ += hits;
  counters_.samples += lost_hits_ / keep_one_of_;
  counters_.samples_lost += lost_hits_ / keep_one_of_;
  lost_hits_ %= keep_one_of_;
}

uint64_t RingSampler::throttled_times() const {
  absl::MutexLock lock(&mutex_);
  uint64_t sum = 0;
  for (const Throttling& t : throttling_) sum += t.times();
  return sum;
}

uint64_t RingSampler::throttled_ns() const {
  absl::MutexLock lock(&mutex_);
  uint64_t sum = 0;
  for (const Throttling& t : throttling_) sum += t.ns();
  return sum;
}

void RingSampler::Take(const TaskSample& sample, absl::FunctionRef<void(Event)> sink) {
  ++counters_.samples;
  SampleEvent event{.time_ns = sample.time_ns,
                    .pid = sample.pid,
                    .tid = sample.tid,
                    .cpu = sample.cpu,
                    .user_stack = 0,
                    .kernel_stack = 0};
  if (!sample.kernel_chain.empty()) event.kernel_stack = TakeKernelStack(sample, sink);
  if (sample.has_user) event.user_stack = TakeUserStack(sample, sink);
  sink(event);
}

std::pair<uint32_t, bool> RingSampler::NumberOf(const StackKey& key) {
  if (stacks_.size() >= kMaxStacks) stacks_.clear();
  auto [it, added] = stacks_.try_emplace(key, 0);
  if (added) it->second = runner_.TakeNumber();
  return {it->second, added};
}

const MemoryReader& RingSampler::MemoryOf(Pid pid) {
  if (memories_.size() >= kMaxMemories && !memories_.contains(pid)) memories_.clear();
  std::unique_ptr<ResidentMemory>& memory = memories_[pid];
  if (memory == nullptr) memory = std::make_unique<ResidentMemory>(pid, nullptr);
  return *memory;
}

uint32_t RingSampler::TakeKernelStack(const TaskSample& sample,
                                      absl::FunctionRef<void(Event)> sink) {
  uint64_t hash = 0;
  for (uint64_t address : sample.kernel_chain) hash = Mix(hash, address);
  const auto [number, is_new] = NumberOf({hash, sample.kernel_chain.size()});
  if (is_new) sink(KernelStackEvent{number, sample.kernel_chain});
  return number;
}

void RingSampler::OnFork(const ForkEvent& fork) {
  absl::MutexLock lock(&mutex_);
  if (forks_.size() >= kMaxForks) forks_.clear();
  forks_.insert_or_assign(fork.pid, Fork{fork.parent_pid, UINT64_MAX});
}

void RingSampler::OnExec(const CommEvent& exec) {
  absl::MutexLock lock(&mutex_);
  for (auto& [pid, fork] : forks_) {
    // Its own mappings are others from then on, and so are those that its children would be walked with.
    if (pid == exec.pid || fork.parent == exec.pid) {
      fork.until_ns = std::min(fork.until_ns, exec.time_ns);
    }
  }
}

RingSampler::Process RingSampler::ProcessOf(Pid pid, uint64_t time_ns) {
  Process process;
  for (int i = 0; i < kMaxGenerations; ++i) {
    if (auto known = processes_.find(pid); known != processes_.end()) {
      if (process.mappings.count == 0) process.mappings = known->second.mappings;
      if (process.runtimes.range_count == 0) process.runtimes = known->second.runtimes;
      if (process.mappings.count != 0 && process.runtimes.range_count != 0) break;
    }
    auto fork = forks_.find(pid);
    if (fork == forks_.end() || time_ns >= fork->second.until_ns) break;
    pid = fork->second.parent;
  }
  return process;
}

uint32_t RingSampler::TakeUserStack(const TaskSample& sample,
                                    absl::FunctionRef<void(Event)> sink) {
  if (!sample.is_64_bit) {
    return Tell({.pid = sample.pid,
                 .end = WalkEnd::kNot64Bit,
                 .frames = {{.address = sample.registers.pc}}},
                sink);
  }
  const Process process = ProcessOf(sample.pid, sample.time_ns);
  runner_.SetTables({pool_.get(), kPoolWords},
                    {mappings_.get() + process.mappings.first, process.mappings.count});
  SampleWalk walk = WalkSample(runner_, memory_, MemoryOf(sample.pid), process.runtimes, sample);
  NativeRunner::Result& result = walk.result;
  counters_.symbols += result.symbols.size();
  for (SymbolEvent& symbol : result.symbols) sink(std::move(symbol));
  quality_.beyond += walk.beyond;
  quality_.cut += walk.cut;
  quality_.late += walk.late;
  counters_.helper_unreadable += result.unreadable;
  counters_.helper_corrupt += result.corrupt;
  counters_.no_rule += result.no_rule;
  const auto delay_us = static_cast<uint32_t>((MonotonicNow() - sample.time_ns) / 1000);
  if (quality_.delays_us.size() < kDelays) {
    quality_.delays_us.push_back(delay_us);
  } else {
    quality_.delays_us[walks_ % kDelays] = delay_us;
  }
  ++walks_;
  return Tell(std::move(result.stack), sink);
}

uint32_t RingSampler::Tell(StackEvent stack, absl::FunctionRef<void(Event)> sink) {
  const auto [number, is_new] =
      NumberOf({HashOf(stack), static_cast<uint64_t>(stack.pid) << 32 | stack.frames.size()});
  if (is_new) {
    stack.number = number;
    sink(std::move(stack));
  }
  return number;
}

absl::StatusOr<jp_counters> RingSampler::ReadCounters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

bool RingSampler::SetLayout(uint32_t index, std::span<const std::byte> layout) {
  absl::MutexLock lock(&mutex_);
  if (index >= JP_MAX_LAYOUTS) return false;
  runner_.SetLayout(index, layout);
  return true;
}

bool RingSampler::SetProcess(Pid pid, const jp_process& process) {
  absl::MutexLock lock(&mutex_);
  if (processes_.size() >= kMaxProcesses && !processes_.contains(pid)) return false;
  processes_[pid].runtimes = process;
  return true;
}

void RingSampler::RemoveProcess(Pid pid) {
  absl::MutexLock lock(&mutex_);
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  it->second.runtimes = {};
  if (it->second.mappings.count == 0) processes_.erase(it);
}

void RingSampler::ForgetSymbols() {
  absl::MutexLock lock(&mutex_);
  runner_.ForgetSymbols();
}

void RingSampler::ForgetStacks() {
  absl::MutexLock lock(&mutex_);
  stacks_.clear();
}

// Nothing refers to them yet, so that no walk reads them.
bool RingSampler::WriteWords(uint32_t first, std::span<const uint64_t> words) {
  if (pool_ == nullptr || first > kPoolWords || words.size() > kPoolWords - first) return false;
  std::memcpy(pool_.get() + first, words.data(), words.size_bytes());
  return true;
}

bool RingSampler::WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) {
  if (mappings_ == nullptr || first > mapping_count_ || mappings.size() > mapping_count_ - first) {
    return false;
  }
  std::memcpy(mappings_.get() + first, mappings.data(), mappings.size_bytes());
  return true;
}

bool RingSampler::SetMappings(Pid pid, jp_mapping_slice slice) {
  absl::MutexLock lock(&mutex_);
  if (processes_.size() >= kMaxProcesses && !processes_.contains(pid)) return false;
  processes_[pid].mappings = slice;
  stepper_.Forget(pid);
  memories_.erase(pid);  // it may be that of the program before
  return true;
}

void RingSampler::RemoveMappings(Pid pid) {
  absl::MutexLock lock(&mutex_);
  stepper_.Forget(pid);
  memories_.erase(pid);
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  it->second.mappings = {};
  if (it->second.runtimes.range_count == 0) processes_.erase(it);
}

}  // namespace jprof
