#include "profiler/cli/stack_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLowestAddress = 0x10000;
constexpr uint64_t kUserLimit = uint64_t{1} << 47;
constexpr size_t kMaxStackPages = 64;
constexpr size_t kMaxPages = 512;       // of one copy
constexpr size_t kMaxAllPages = 16384;  // of all: 64 MiB
constexpr uint64_t kRedZoneBytes = 128;
constexpr uint64_t kAboveLastFrame = 512;
constexpr uint64_t kMaxTextBytes = 64;  // that are shown of a text
constexpr size_t kWordsFollowed = 2;    // of what a word of the stack points at

class PageCopy : public MemoryReader {
 public:
  explicit PageCopy(std::shared_ptr<size_t> all_pages) : all_pages_(std::move(all_pages)) {}
  ~PageCopy() override { *all_pages_ -= pages_.size(); }
  PageCopy(const PageCopy&) = delete;
  PageCopy& operator=(const PageCopy&) = delete;

  size_t Read(Address address, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const uint64_t at = address.value + done;
      const auto page = pages_.find(at / kPageBytes);
      const size_t offset = at % kPageBytes;
      if (page == pages_.end() || offset >= page->second.size()) break;
      const size_t size = std::min(out.size() - done, page->second.size() - offset);
      std::memcpy(out.data() + done, page->second.data() + offset, size);
      done += size;
      if (offset + size < kPageBytes) break;
    }
    return done;
  }

  size_t size() const { return pages_.size(); }
  void Add(uint64_t page, const MemoryReader& memory) {
    std::vector<std::byte> bytes(kPageBytes);
    bytes.resize(memory.Read(Address{page * kPageBytes}, bytes));
    *all_pages_ += pages_.emplace(page, std::move(bytes)).second;
  }

 private:
  const std::shared_ptr<size_t> all_pages_;  // of all copies
  absl::flat_hash_map<uint64_t, std::vector<std::byte>> pages_;  // by number
};

class StackBytes : public MemoryReader {
 public:
  StackBytes(uint64_t sp, std::span<const std::byte> stack)
      : sp_(sp), bytes_(stack.begin(), stack.end()) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    if (address.value < sp_ || address.value - sp_ >= bytes_.size()) return 0;
    const size_t at = address.value - sp_;
    const size_t size = std::min(out.size(), bytes_.size() - at);
    std::memcpy(out.data(), bytes_.data() + at, size);
    return size;
  }

 private:
  const uint64_t sp_;
  const std::vector<std::byte> bytes_;
};

}  // namespace

std::shared_ptr<const MemoryReader> CopyOfSample(uint64_t sp, std::span<const std::byte> stack) {
  return std::make_shared<StackBytes>(sp, stack);
}

StackCopier::StackCopier(const MemoryReader& memory, Pid pid)
    : memory_(memory),
      all_resident_(pid == 0),
      pagemap_(pid == 0 ? -1
                        : ::open(absl::StrCat("/proc/", pid, "/pagemap").c_str(),
                                 O_RDONLY | O_CLOEXEC)) {}

bool StackCopier::IsResident(uint64_t page) const {
  if (all_resident_) return true;
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  uint64_t entry = 0;
  const auto offset = static_cast<off_t>(page * sizeof(entry));
  return ::pread(pagemap_.get(), &entry, sizeof(entry), offset) == sizeof(entry) &&
         (entry & kPresent) != 0;
}

std::vector<std::byte> StackCopier::CopyStack(uint64_t sp) const {
  uint64_t end = sp / kPageBytes * kPageBytes;
  while (end < sp + kStackBytes && IsResident(end / kPageBytes)) end += kPageBytes;
  std::vector<std::byte> bytes(end <= sp ? 0 : end - sp);
  bytes.resize(memory_.Read(Address{sp}, bytes));
  return bytes;
}

std::shared_ptr<const MemoryReader> StackCopier::Copy(const Registers& registers,
                                                      const std::vector<FramePlace>& places) {
  auto copy = std::make_shared<PageCopy>(pages_);
  const size_t limit = std::min(kMaxPages, kMaxAllPages - *pages_);
  absl::flat_hash_set<uint64_t> asked;
  auto add = [&](uint64_t page) {
    if (copy->size() < limit && asked.insert(page).second && IsResident(page)) {
      copy->Add(page, memory_);
    }
  };
  auto follow = [&](uint64_t word) {
    if (word < kLowestAddress || word >= kUserLimit) return;
    add(word / kPageBytes);
    if (word % kPageBytes > kPageBytes - kMaxTextBytes) add(word / kPageBytes + 1);
  };
  const uint64_t begin = registers.sp - kRedZoneBytes;
  const uint64_t last = places.empty() ? registers.sp : places.back().sp;
  const uint64_t end = std::min(last + kAboveLastFrame, begin + kMaxStackPages * kPageBytes);
  for (uint64_t page = begin / kPageBytes; page * kPageBytes < end; ++page) add(page);
  std::vector<uint64_t> words(registers.others.begin(), registers.others.end());
  if (!registers.all_known) words.clear();
  for (uint64_t at = begin & ~uint64_t{7}; at < end; at += sizeof(uint64_t)) {
    if (auto word = copy->ReadValue<uint64_t>(Address{at})) words.push_back(*word);
  }
  for (uint64_t word : words) follow(word);
  // What a reference leads to may begin with a pointer to its text.
  for (uint64_t word : words) {
    for (size_t i = 0; i < kWordsFollowed; ++i) {
      if (auto next = copy->ReadValue<uint64_t>(Address{word + i * sizeof(word)})) follow(*next);
    }
  }
  return copy;
}

}  // namespace jprof
