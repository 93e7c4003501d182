#include "import/folded_stacks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/numeric/int128.h"
#include "absl/strings/match.h"
#include "import/folded_text.h"
#include "import/importer.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// Bytes of a file that somebody else owns.
class FileSlice : public ByteSource {
 public:
  FileSlice(int fd, uint64_t begin, uint64_t end) : fd_(fd), at_(begin), end_(end) {}
  absl::StatusOr<size_t> Read(char* to, size_t size) override {
    size = static_cast<size_t>(std::min<uint64_t>(size, end_ - at_));
    ssize_t n;
    while ((n = ::pread(fd_, to, size, static_cast<off_t>(at_))) < 0 && errno == EINTR) {
    }
    if (n < 0) return ErrnoStatus(errno, "read");
    at_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }

 private:
  const int fd_;
  uint64_t at_;
  const uint64_t end_;
};

// Texts are read eight bytes at a time, up to so many behind their end.
constexpr size_t kPadding = 8;

uint64_t Word(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

uint64_t FirstBytes(uint64_t word, size_t count) {  // fewer than eight
  return word & ((uint64_t{1} << 8 * count) - 1);
}

uint64_t Mix(uint64_t a, uint64_t b) {
  const absl::uint128 product = absl::uint128(a) * b;
  return absl::Uint128Low64(product) ^ absl::Uint128High64(product);
}

// The text from `begin` to the next semicolon, which there is, and a hash of it: found in one pass,
// since most frames of a file are looked up, and nearly all are known.
absl::string_view ScanFrame(const char* begin, uint64_t& hash) {
  constexpr uint64_t kEach = 0x0101010101010101u, kFactor = 0x9e3779b97f4a7c15u;
  for (const char* at = begin;; at += sizeof(uint64_t)) {
    const uint64_t word = Word(at), differs = word ^ kEach * ';';
    // The lowest bit that is set is in the first byte that is a semicolon.
    const uint64_t found = (differs - kEach) & ~differs & kEach << 7;
    if (found == 0) {
      hash = Mix(hash ^ word, kFactor);
      continue;
    }
    const size_t more = static_cast<size_t>(std::countr_zero(found)) / 8;
    hash = Mix(hash ^ FirstBytes(word, more), kFactor);
    return absl::string_view(begin, static_cast<size_t>(at - begin) + more);
  }
}

// Both with padding behind them.
bool SameBytes(const char* a, const char* b, size_t size) {
  for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
    if (Word(a) != Word(b)) return false;
    a += sizeof(uint64_t);
    b += sizeof(uint64_t);
  }
  return FirstBytes(Word(a) ^ Word(b), size) == 0;
}

// Where the first line begins that does not begin before `at`.
absl::StatusOr<uint64_t> LineFrom(int fd, uint64_t at, uint64_t size) {
  if (at == 0) return at;
  Input input(std::make_unique<FileSlice>(fd, at - 1, size));
  absl::string_view line;
  JPROF_RETURN_IF_ERROR(input.NextLine(line).status());
  return std::min(size, at + line.size());
}

}  // namespace

FoldedStacks::FoldedStacks(UniqueFd fd, uint64_t begin, uint64_t end)
    : fd_(std::move(fd)),
      begin_(begin),
      end_(end),
      builder_(FoldedTypes(/*is_comparison=*/false), FoldedTypes(false)[0], 1),
      texts_(kPadding, '\0'),
      seed_(absl::HashOf(0)) {}

absl::StatusOr<std::vector<FoldedStacks>> FoldedStacks::Open(const std::string& path,
                                                             size_t parts) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat st;
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return absl::UnimplementedError("not a file");
  }
  const uint64_t size = static_cast<uint64_t>(st.st_size);
  // An Input would inflate it; the parts are cut out of the file as it is.
  char magic[2] = {};
  if (::pread(fd.get(), magic, sizeof(magic), 0) == 2 && magic[0] == '\x1f' && magic[1] == '\x8b') {
    return absl::UnimplementedError("gzip");
  }
  Input input(std::make_unique<FileSlice>(fd.get(), 0, size));
  JPROF_ASSIGN_OR_RETURN(const absl::string_view head, input.Head());
  const ImportFormat* format = FindImportFormat(head);
  if (format == nullptr || format->recognises != LooksFolded || HasTwoWeights(head)) {
    return absl::UnimplementedError("not plain folded stacks");
  }
  std::vector<FoldedStacks> out;
  uint64_t begin = 0;
  for (size_t i = 0; i < parts; ++i) {
    JPROF_ASSIGN_OR_RETURN(const uint64_t end, LineFrom(fd.get(), size / parts * (i + 1), size));
    UniqueFd own(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!own.valid()) return ErrnoStatus(errno, "cannot read");
    out.push_back(FoldedStacks(std::move(own), begin, i + 1 < parts ? end : size));
    begin = end;
  }
  return out;
}

void FoldedStacks::Rewind() {
  input_ = std::make_unique<Input>(std::make_unique<FileSlice>(fd_.get(), begin_, end_));
  stack_bytes_ = 0;
  ends_.clear();
  next_ = scanned_count_ = 0;
  skipped_ = 0;
}

absl::StatusOr<bool> FoldedStacks::Next() {
  JPROF_RETURN_IF_ERROR(budget_.status());
  if (ends_.size() > kMaxStackDepth) return absl::UnimplementedError("a deep stack");
  absl::string_view line;
  for (;;) {
    JPROF_ASSIGN_OR_RETURN(const bool more, input_->NextLine(line));
    if (!more) return false;
    if (line.empty() || line[0] == '#') continue;
    if (TakeFoldedWeight(line, weight_)) break;
    ++skipped_;
  }
  if (weight_ == 0) return absl::UnimplementedError("a weight of 0");
  const size_t same = CommonBytes(line, absl::string_view(stack_.data(), stack_bytes_));
  kept_ = ends_.size();
  while (kept_ > 0 && ends_[kept_ - 1] > same) --kept_;
  // One that ends where the difference begins: the new line's may be longer.
  if (kept_ > 0 && ends_[kept_ - 1] == same && same < line.size() && line[same] != ';') --kept_;
  ends_.resize(kept_);
  next_ = scanned_count_ = 0;
  stack_bytes_ = line.size();
  stack_.resize(std::max(stack_.size(), stack_bytes_ + kPadding));
  std::memcpy(stack_.data(), line.data(), line.size());
  stack_[stack_bytes_] = ';';
  return true;
}

// A few frames at once: what is known of them is then on its way to the processor's cache.
void FoldedStacks::ScanAhead() {
  next_ = scanned_count_ = 0;
  size_t begin = ends_.empty() ? 0 : ends_.back() + 1;
  for (size_t depth = ends_.size(); begin <= stack_bytes_ && depth <= kMaxStackDepth; ++depth) {
    if (scanned_count_ == scanned_.size()) break;
    uint64_t hash = seed_;
    const absl::string_view text = ScanFrame(&stack_[begin], hash);
    const bool inlined = depth > 1 && absl::EndsWith(text, kInlinedSuffix);
    const Level level = depth == 0 ? kProcess : inlined ? kInlined : kPhysical;
    const size_t end = begin + text.size();
    scanned_[scanned_count_++] = {end, level, hash + level};
    known_.Expect(hash + level);
    begin = end + 1;
  }
}

std::optional<uint32_t> FoldedStacks::TakeFrame() {
  if (next_ == scanned_count_) ScanAhead();
  if (next_ == scanned_count_) return std::nullopt;
  const auto [end, level, hash] = scanned_[next_++];
  if (next_ < scanned_count_) {
    const std::optional<uint32_t> likely = known_.Likely(scanned_[next_].hash);
    if (likely) __builtin_prefetch(&texts_[*likely]);
  }
  const size_t begin = ends_.empty() ? 0 : ends_.back() + 1;
  const absl::string_view text(&stack_[begin], end - begin);
  ends_.push_back(end);
  Text known;
  const auto is_text = [&, level = level](uint32_t place) {
    std::memcpy(&known, &texts_[place], sizeof(known));
    return known.size == text.size() && known.level == level &&
           SameBytes(&texts_[place + sizeof(known)], text.data(), text.size());
  };
  const bool added = known_.FindOrAdd(hash, texts_.size() - kPadding, is_text).second;
  return added ? Add(text, level) : known.number;
}

uint32_t FoldedStacks::Add(absl::string_view text, Level level) {
  const auto number = static_cast<uint32_t>(frames_.size());
  const Text known = {number, static_cast<uint32_t>(text.size()), level};
  texts_.resize(texts_.size() - kPadding);
  texts_.append(reinterpret_cast<const char*>(&known), sizeof(known));
  texts_.append(text.data(), text.size()).append(kPadding, '\0');
  budget_.Take(text.size() + 64);
  Frame frame;
  if (level == kProcess) {
    frame.process = builder_.Intern(UnescapedFolded(text));
  } else {
    frame.inlined = level == kInlined;
    if (frame.inlined) text.remove_suffix(kInlinedSuffix.size());
    frame.function = AddFoldedFunction(builder_, text);
  }
  frames_.push_back(frame);
  return number;
}

}  // namespace jprof
