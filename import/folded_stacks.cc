#include "import/folded_stacks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

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

constexpr size_t kMaxReadBytes = 64 << 10;  // at a time, and one stack

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
      known_(/*keys=*/1 << 10) {}

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
  skipped_ = 0;
}

absl::StatusOr<std::span<const StackSource::Stack>> FoldedStacks::Read() {
  JPROF_RETURN_IF_ERROR(budget_.status());
  paths_.Clear();
  stacks_.clear();
  while (stacks_.size() < kMaxRead && paths_.bytes() < kMaxReadBytes) {
    absl::string_view line;
    JPROF_ASSIGN_OR_RETURN(const bool more, input_->NextLine(line));
    if (!more) break;
    if (line.empty() || line[0] == '#') continue;
    int64_t weight = 0;
    if (!TakeFoldedWeight(line, weight)) {
      ++skipped_;
      continue;
    }
    if (weight == 0) return absl::UnimplementedError("a weight of 0");
    JPROF_RETURN_IF_ERROR(paths_.Add(line, kMaxStackDepth + 1));
    if (paths_.numbers(stacks_.size()).size() > kMaxStackDepth) {
      return absl::UnimplementedError("a deep stack");
    }
    stacks_.push_back({.paths = {}, .weight = weight});
  }
  for (size_t i = 0; i < stacks_.size(); ++i) stacks_[i].paths = paths_.numbers(i);
  return stacks_;
}

FoldedStacks::Level FoldedStacks::LevelOf(absl::string_view text, size_t depth) {
  if (depth == 0) return kProcess;
  return depth > 1 && absl::EndsWith(text, kInlinedSuffix) ? kInlined : kPhysical;
}

uint32_t FoldedStacks::FrameAt(size_t stack, size_t depth) {
  const absl::string_view text = paths_.frame(stack, depth);
  const Level level = LevelOf(text, depth);
  const uint64_t key = paths_.FrameNumber(stack, depth) + level;
  uint32_t count = known_.Find(key);
  if (count == 0) {
    AddFrame(text, level);
    count = static_cast<uint32_t>(frames_.size());
    known_.Add(key, count);
  }
  return count - 1;
}

void FoldedStacks::AddFrame(absl::string_view text, Level level) {
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
}

}  // namespace jprof
