#include "profiler/capture/sampled_memory.h"

#include <algorithm>
#include <cstring>

namespace jprof {
namespace {

// What the walk reads together with the frame of a function that is about to return.
constexpr uint64_t kBelowStackBytes = 128;

}  // namespace

SampledMemory::SampledMemory() : pages_(std::make_unique<std::array<Page, kPages>>()) {}

void SampledMemory::Begin(const MemoryReader& live, uint64_t sp, std::span<const std::byte> copy,
                          bool whole) {
  live_ = &live;
  sp_ = sp;
  copy_ = copy;
  whole_ = whole;
  beyond_closed_ = false;
  believed_from_ = 0;
  stack_from_ = 0;
  went_beyond_ = false;
  ++reading_;
}

size_t SampledMemory::Read(Address address, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = address.value + done;
    const std::span<std::byte> rest = out.subspan(done);
    const uint64_t offset = at - sp_;  // wraps below
    size_t n;
    if (offset < copy_.size()) {
      n = std::min(rest.size(), copy_.size() - offset);
      std::memcpy(rest.data(), copy_.data() + offset, n);
    } else {
      if (!whole_ && offset < kMaxStackBytes) {
        if (beyond_closed_) return done;
        went_beyond_ = true;
      } else if (stack_from_ < believed_from_ && sp_ - at > kBelowStackBytes) {
        return done;
      }
      // Up to the copy; above it this is no bound.
      n = ReadLive(at, rest.first(std::min<uint64_t>(rest.size(), sp_ - at)));
      if (n == 0) return done;
    }
    done += n;
  }
  return done;
}

bool SampledMemory::IsUnchangedBeyond() const {
  std::array<std::byte, kComparedBytes> now;
  const size_t bytes = std::min(kComparedBytes, copy_.size());
  const std::span<const std::byte> end = copy_.last(bytes);
  return live_->ReadExactly(Address{sp_ + copy_.size() - bytes}, std::span(now).first(bytes)) &&
         std::equal(end.begin(), end.end(), now.begin());
}

void SampledMemory::BelieveUnchangedFrames() {
  ++reading_;
  now_.resize(copy_.size());
  believed_from_ = UINT64_MAX;
  if (!live_->ReadExactly(Address{sp_}, now_)) return;
  const auto [copied, now] = std::mismatch(copy_.rbegin(), copy_.rend(), now_.rbegin());
  // The word that differs, and all below it.
  const uint64_t differing = static_cast<uint64_t>(copy_.rend() - copied);
  believed_from_ = differing == 0 ? 0 : sp_ + differing;
}

// At most up to the end of the page.
size_t SampledMemory::ReadLive(uint64_t address, std::span<std::byte> out) const {
  const uint64_t number = address / kPageBytes;
  const size_t at = address % kPageBytes;
  Page& page = (*pages_)[number % kPages];
  if (page.number != number || page.reading != reading_) {
    page.bytes = live_->Read(Address{number * kPageBytes}, page.data);
    page.number = number;
    page.reading = reading_;
  }
  if (at >= page.bytes) return 0;
  const size_t n = std::min(out.size(), page.bytes - at);
  std::memcpy(out.data(), page.data.data() + at, n);
  return n;
}

}  // namespace jprof
