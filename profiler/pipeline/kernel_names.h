// The kernel's symbols. Where it answers for single addresses (kernel_lookup.h) it is asked; else
// its list is read while the recording goes on: at its end that would take longer than all other
// naming together, most of it in the kernel, which prints them line by line.
//
// Modules and BPF programs come and go meanwhile. So at the end an early table is believed only
// where nothing can have changed: between two symbols of the kernel proper, or between two of one
// module while the list of modules is still the same. Otherwise it is read once more.
//
// One who asks again and again has it read no oftener than he says: meanwhile modules and BPF
// programs that came are named as before.
//
// One thread calls Begin(), and one Learn() and Find(), behind the first Begin(); the reading has a
// thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/capture/kernel_lookup.h"
#include "profiler/capture/priority.h"
#include "symbolize/kallsyms.h"

namespace jprof {

class KernelNames {
 public:
  using Asker = std::function<absl::StatusOr<std::optional<KernelSymbol>>(uint64_t address)>;
  using MakeAsker = std::function<Asker()>;

  // Paths of the kernel's lists: /proc/kallsyms, /proc/modules. `make_asker` is called by the first
  // Begin(); with what it returns, unless that is empty, the lists are not read.
  KernelNames(std::string kallsyms, std::string modules, uint64_t reload_after_ns = 0,
              MakeAsker make_asker = nullptr)
      : kallsyms_(std::move(kallsyms)),
        modules_(std::move(modules)),
        reload_after_ns_(reload_after_ns),
        make_asker_(std::move(make_asker)) {}
  ~KernelNames();
  KernelNames(const KernelNames&) = delete;
  KernelNames& operator=(const KernelNames&) = delete;

  // Makes ready to ask, or reads the lists in the background. To be called when the first kernel
  // stack is seen, again at will.
  void Begin();

  // Learns what is right about `addresses` as of `now_ns`, of any clock; waits for it. An error:
  // the kernel gives no symbols.
  const absl::Status& Learn(std::span<const uint64_t> addresses, uint64_t now_ns = 0);
  // Of one of the addresses that were learnt last; an empty name when there is none. Valid until
  // the next Learn().
  Kallsyms::Match Find(uint64_t address) const;

 private:
  void Load();
  void Ask(std::span<const uint64_t> addresses);
  bool IsCurrent(std::span<const uint64_t> addresses) const;

  const std::string kallsyms_;
  const std::string modules_;
  const uint64_t reload_after_ns_;
  const MakeAsker make_asker_;
  absl::flat_hash_map<uint64_t, KernelSymbol> asked_;  // by address
  uint64_t reloaded_ns_ = 0;  // 0: never
  std::thread loader_;
  AwaitedThread loading_;
  std::atomic<bool> begun_{false};
  Asker ask_;  // written by the first Begin(); empty: by the lists
  // Written by loader_, read after it has ended.
  std::optional<Kallsyms> symbols_;
  absl::Status status_;
  std::string modules_text_;  // as of before the reading
};

}  // namespace jprof
