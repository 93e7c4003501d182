#include "import/folded_paths.h"

#include <sys/random.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "import/folded_text.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kWordBytes = sizeof(uint64_t);
constexpr size_t kBlockWords = 8;
constexpr size_t kBlockBytes = kBlockWords * kWordBytes;  // a bit of a word for each

uint64_t Word(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

uint64_t FirstBytes(uint64_t word, size_t count) {  // fewer than eight
  return word & ((uint64_t{1} << 8 * count) - 1);
}

uint64_t High(unsigned __int128 sum) { return static_cast<uint64_t>(sum >> 64); }

uint64_t BitsUpTo(size_t last) { return (uint64_t{2} << last) - 1; }

// For each byte of a block a bit, the lowest for the first: whether it is a semicolon.
uint64_t Semicolons(const char* block) {
  uint64_t found = 0;
#ifdef __SSE2__
  for (size_t at = kBlockBytes; at > 0;) {
    at -= sizeof(__m128i);
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + at));
    const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(';')));
    found = found << sizeof(__m128i) | static_cast<uint64_t>(equal);
  }
#else
  constexpr uint64_t kEach = 0x0101010101010101u, kLow = kEach * 0x7f;
  for (size_t at = kBlockBytes; at > 0;) {
    at -= kWordBytes;
    const uint64_t differs = Word(block + at) ^ kEach * ';';
    // The highest bit of each byte, then all of them side by side.
    const uint64_t equal = ~(((differs & kLow) + kLow) | differs | kLow);
    found = found << kWordBytes | (equal >> 7) * 0x0102040810204080u >> 56;
  }
#endif
  return found;
}

absl::Status Draw(void* to, size_t bytes) {
  for (char* at = static_cast<char*>(to); bytes > 0;) {
    const ssize_t n = ::getrandom(at, bytes, 0);
    if (n < 0 && errno != EINTR) return ErrnoStatus(errno, "getrandom");
    if (n < 0) continue;
    at += n;
    bytes -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

void FoldedPaths::Clear() {
  text_end_ = 0;
  stacks_.clear();
  frames_ = 0;
}

absl::Status FoldedPaths::Add(absl::string_view stack, size_t max_frames) {
  if (stack.size() > kMaxStackBytes) return absl::UnimplementedError("a long stack");
  JPROF_RETURN_IF_ERROR(MakeRoom(stack.size() + 1));
  std::memcpy(&text_[text_end_], stack.data(), stack.size());
  text_[text_end_ + stack.size()] = ';';
  const Stack added = {text_end_, stack.size(), KeepFrames(stack)};
  stacks_.push_back(added);
  text_end_ += stack.size() + 1;
  Find(added, max_frames);
  return absl::OkStatus();
}

absl::Status FoldedPaths::MakeRoom(size_t bytes) {
  if (text_.size() < text_end_ + bytes + kBlockBytes) {
    text_.resize(std::max(2 * text_.size(), text_end_ + bytes + kBlockBytes));
  }
  const size_t words = (bytes + kBlockBytes - 1) / kBlockBytes * kBlockWords;
  if (words <= sums_.size()) return absl::OkStatus();
  const size_t drawn = keys_.size();
  keys_.resize(1 + words);
  sums_.resize(words);
  return Draw(&keys_[drawn], (keys_.size() - drawn) * sizeof(Key));
}

// Takes over the frames that the stack has in common with the one before. Returns where its frames
// begin.
size_t FoldedPaths::KeepFrames(absl::string_view stack) {
  const size_t first = frames_;
  if (stacks_.empty()) return first;
  const Stack& before = stacks_.back();
  const size_t same = CommonBytes(stack, absl::string_view(&text_[before.begin], before.bytes));
  size_t end = before.first_frame;
  while (end < first && ends_[end] <= same) ++end;
  // One that ends where the difference begins: the new stack's may be longer.
  if (end > before.first_frame && ends_[end - 1] == same && same < stack.size() &&
      stack[same] != ';') {
    --end;
  }
  const size_t kept = end - before.first_frame;
  if (kept == 0) return first;
  MakeRoomForFrames(kept);
  std::copy_n(&ends_[before.first_frame], kept, &ends_[first]);
  std::copy_n(&numbers_[before.first_frame], kept, &numbers_[first]);
  frames_ += kept;
  return first;
}

void FoldedPaths::Find(const Stack& stack, size_t max_frames) {
  const char* const text = &text_[stack.begin];
  const Key *const length_key = keys_.data(), *const keys = length_key + 1;
  Sum* const sums = sums_.data();
  // Sums are right up to the last end that was kept.
  const bool any_known = frames_ > stack.first_frame;
  const size_t known = any_known ? ends_[frames_ - 1] : 0;
  size_t first = known / kWordBytes;
  Sum sum = first == 0 ? 0 : sums[first];
  for (const size_t last = stack.bytes / kWordBytes; first <= last; ++first) {
    sums[first] = sum;
    sum += keys[first].Times(Word(text + first * kWordBytes));
  }
  uint64_t skipped = any_known ? BitsUpTo(known % kBlockBytes) : 0;
  const size_t last = stack.bytes / kBlockBytes;
  for (size_t block = known / kBlockBytes; block <= last; ++block) {
    uint64_t found = Semicolons(text + block * kBlockBytes) & ~std::exchange(skipped, 0);
    if (block == last) found &= BitsUpTo(stack.bytes % kBlockBytes);
    MakeRoomForFrames(kBlockBytes);
    for (; found != 0; found &= found - 1, ++frames_) {
      const size_t end = block * kBlockBytes + static_cast<size_t>(std::countr_zero(found));
      const size_t at = end / kWordBytes;
      const uint64_t rest = FirstBytes(Word(text + at * kWordBytes), end % kWordBytes);
      ends_[frames_] = end;
      numbers_[frames_] = High(sums[at] + keys[at].Times(rest) + length_key->Times(end));
    }
    if (frames_ - stack.first_frame >= max_frames) {
      frames_ = stack.first_frame + max_frames;
      return;
    }
  }
}

void FoldedPaths::MakeRoomForFrames(size_t more) {
  if (frames_ + more <= ends_.size()) return;
  ends_.resize(2 * (frames_ + more));
  numbers_.resize(ends_.size());
}

uint64_t FoldedPaths::FrameNumber(size_t stack, size_t i) const {
  const absl::string_view text = frame(stack, i);
  Sum sum = keys_[0].Times(text.size());
  const char* at = text.data();
  size_t key = 1;
  for (size_t left = text.size(); left > 0; left -= std::min(left, kWordBytes)) {
    const uint64_t word = Word(at);
    sum += keys_[key++].Times(left < kWordBytes ? FirstBytes(word, left) : word);
    at += kWordBytes;
  }
  return High(sum);
}

}  // namespace jprof
