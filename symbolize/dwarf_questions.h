// The addresses that are asked for, and which of them lie in a range of code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "profiler/core/address.h"
#include "symbolize/work_budget.h"

namespace jprof::dwarf {

// Indexes of some of the addresses, sorted, as the addresses are.
using Questions = std::vector<uint32_t>;

class AddressList {
 public:
  // Both outlive this.
  AddressList(std::span<const ElfAddress> addresses, WorkBudget& budget)
      : addresses_(addresses), budget_(budget) {}

  size_t size() const { return addresses_.size(); }
  ElfAddress operator[](size_t i) const { return addresses_[i]; }

  // Calls `visit` with the position in `questions` of each that lies in [begin, end).
  template <typename Visit>
  void ForEachIn(const Questions& questions, uint64_t begin, uint64_t end, Visit visit) const {
    auto it = std::lower_bound(
        questions.begin(), questions.end(), begin,
        [this](uint32_t q, uint64_t address) { return addresses_[q].value < address; });
    for (; it != questions.end() && addresses_[*it].value < end && budget_.Spend(); ++it) {
      visit(static_cast<size_t>(it - questions.begin()));
    }
  }

  // Sorts `taken` and removes what is in it from `open`.
  void Take(Questions& taken, Questions& open) const {
    std::sort(taken.begin(), taken.end());
    taken.erase(std::unique(taken.begin(), taken.end()), taken.end());
    budget_.Spend(open.size());
    auto next = taken.begin();
    std::erase_if(open, [&](uint32_t q) {
      if (next == taken.end() || *next != q) return false;
      ++next;
      return true;
    });
  }

 private:
  std::span<const ElfAddress> addresses_;
  WorkBudget& budget_;
};

}  // namespace jprof::dwarf
