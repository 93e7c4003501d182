// Millions of names that are never freed one by one.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

class NameStore {
 public:
  static constexpr size_t kMaxNameBytes = 4096;

  // The copy is valid until Clear(), also when the store moves. `name`: at most kMaxNameBytes.
  absl::string_view Keep(absl::string_view name) {
    if (name.empty()) return "";
    if (name.size() > block_left_) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlockBytes));
      block_left_ = kBlockBytes;
    }
    char* copy = blocks_.back().get() + (kBlockBytes - block_left_);
    std::memcpy(copy, name.data(), name.size());
    block_left_ -= name.size();
    name_bytes_ += name.size();
    return {copy, name.size()};
  }
  void Clear() {
    blocks_.clear();
    block_left_ = 0;
    name_bytes_ = 0;
  }
  size_t name_bytes() const { return name_bytes_; }
  size_t memory_bytes() const { return blocks_.size() * kBlockBytes; }

 private:
  static constexpr size_t kBlockBytes = 64 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
  size_t name_bytes_ = 0;
};

}  // namespace jprof
