#include "profiler/pipeline/kernel_names.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxModulesBytes = 4 << 20;

// One line for each module, with its address and size. "": the kernel has no modules.
std::string ReadModules(const std::string& path) {
  return ReadProcFile(path, kMaxModulesBytes).value_or("");
}

// kallsyms has names in brackets that are no modules: BPF programs, trampolines.
bool IsModule(absl::string_view name, absl::string_view modules) {
  return absl::StartsWith(modules, absl::StrCat(name, " ")) ||
         absl::StrContains(modules, absl::StrCat("\n", name, " "));
}

}  // namespace

KernelNames::~KernelNames() {
  if (loader_.joinable()) loader_.join();
}

void KernelNames::Begin() {
  if (begun_.exchange(true)) return;
  if (make_asker_) ask_ = make_asker_();
  if (ask_) return;
  loader_ = std::thread([this] {
    loading_.Begin();
    Load();
    loading_.End();
  });
}

void KernelNames::Load() {
  modules_text_ = ReadModules(modules_);
  absl::StatusOr<Kallsyms> loaded = Kallsyms::Load(kallsyms_);
  status_ = loaded.status();
  if (loaded.ok()) symbols_ = *std::move(loaded);
}

bool KernelNames::IsCurrent(std::span<const uint64_t> addresses) const {
  const bool same_modules = ReadModules(modules_) == modules_text_;
  for (uint64_t address : addresses) {
    const Kallsyms::Match match = symbols_->Find(address);
    if (!match.enclosed) return false;
    if (match.module.empty()) continue;
    if (!same_modules || !IsModule(match.module, modules_text_)) return false;
  }
  return true;
}

// All anew: where a BPF program was is soon another.
void KernelNames::Ask(std::span<const uint64_t> addresses) {
  asked_.clear();
  status_ = absl::OkStatus();
  for (uint64_t address : addresses) {
    auto [known, is_new] = asked_.try_emplace(address);
    if (!is_new) continue;
    absl::StatusOr<std::optional<KernelSymbol>> symbol = ask_(address);
    status_.Update(symbol.status());
    if (symbol.ok() && *symbol) known->second = **std::move(symbol);
  }
}

const absl::Status& KernelNames::Learn(std::span<const uint64_t> addresses, uint64_t now_ns) {
  Begin();
  if (ask_) {
    Ask(addresses);
    return status_;
  }
  loading_.LendPriority();
  if (loader_.joinable()) loader_.join();
  const bool may_reload = reloaded_ns_ == 0 || now_ns >= reloaded_ns_ + reload_after_ns_;
  if (symbols_ && may_reload && !IsCurrent(addresses)) {
    Load();
    reloaded_ns_ = now_ns;
  }
  return status_;
}

Kallsyms::Match KernelNames::Find(uint64_t address) const {
  if (!ask_) return symbols_ ? symbols_->Find(address) : Kallsyms::Match{};
  const auto known = asked_.find(address);
  if (known == asked_.end()) return {};
  const KernelSymbol& symbol = known->second;
  return {symbol.name, symbol.module, symbol.offset, true};
}

}  // namespace jprof
