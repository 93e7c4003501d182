#include "import/input.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kHeadBytes = 64 << 10;
constexpr size_t kChunkBytes = 256 << 10;

}  // namespace

absl::StatusOr<size_t> FileSource::Read(char* to, size_t size) {
  ssize_t n;
  while ((n = ::read(fd_.get(), to, size)) < 0 && errno == EINTR) {
  }
  if (n < 0) return ErrnoStatus(errno, "read");
  return static_cast<size_t>(n);
}

absl::StatusOr<size_t> MemorySource::Read(char* to, size_t size) {
  const size_t n = std::min(size, rest_.size());
  std::memcpy(to, rest_.data(), n);
  rest_.remove_prefix(n);
  return n;
}

// Members one behind the other, as gzip has it.
class Input::Gunzip : public ByteSource {
 public:
  // `head`: what was read of `source` already.
  Gunzip(std::unique_ptr<ByteSource> source, std::string head)
      : source_(std::move(source)), buffer_(std::move(head)) {
    stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_in = static_cast<uInt>(buffer_.size());
    ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK;
  }
  ~Gunzip() override {
    if (ready_) inflateEnd(&stream_);
  }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  absl::StatusOr<size_t> Read(char* to, size_t size) override {
    if (!ready_) return absl::ResourceExhaustedError("gzip: out of memory");
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(size, 1 << 30));
    const uInt room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0) {
        buffer_.resize(kChunkBytes);
        JPROF_ASSIGN_OR_RETURN(const size_t n, source_->Read(buffer_.data(), buffer_.size()));
        stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        stream_.avail_in = static_cast<uInt>(n);
        if (n == 0) {
          if (between_members_) return size_t{0};
          return absl::DataLossError("gzip: cut short");
        }
      }
      // Tapes are filled up with zeros.
      while (between_members_ && stream_.avail_in > 0 && *stream_.next_in == 0) {
        ++stream_.next_in;
        --stream_.avail_in;
      }
      if (stream_.avail_in == 0) continue;
      between_members_ = false;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        between_members_ = true;
        inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return absl::DataLossError("gzip: damaged");
      }
    }
    return static_cast<size_t>(room - stream_.avail_out);
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  z_stream stream_ = {};
  bool ready_ = false;
  bool between_members_ = false;
};

Input::Input(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

Input::~Input() = default;

absl::StatusOr<bool> Input::Fill() {
  if (ended_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kChunkBytes / 2) {
    buffer_.resize(std::max(buffer_.size() * 2, kChunkBytes));
  }
  JPROF_ASSIGN_OR_RETURN(const size_t n,
                         source_->Read(buffer_.data() + end_, buffer_.size() - end_));
  end_ += n;
  ended_ = n == 0;
  return !ended_;
}

absl::StatusOr<absl::string_view> Input::Head() {
  for (;;) {
    const absl::string_view head(buffer_.data() + begin_, end_ - begin_);
    if (head.size() >= 2 && !looked_) {
      looked_ = true;
      if (absl::StartsWith(head, "\x1f\x8b")) {
        source_ = std::make_unique<Gunzip>(std::move(source_), std::string(head));
        begin_ = end_ = 0;
        continue;
      }
    }
    if (head.size() >= kHeadBytes) return head.substr(0, kHeadBytes);
    JPROF_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return absl::string_view(buffer_.data() + begin_, end_ - begin_);
  }
}

absl::StatusOr<bool> Input::NextLine(absl::string_view& line) {
  if (!looked_) JPROF_RETURN_IF_ERROR(Head().status());
  size_t searched = begin_;
  for (;;) {
    const char* at = buffer_.data() + searched;
    const void* newline = end_ > searched ? std::memchr(at, '\n', end_ - searched) : nullptr;
    if (newline != nullptr) {
      const size_t end = static_cast<size_t>(static_cast<const char*>(newline) - buffer_.data());
      line = absl::string_view(buffer_.data() + begin_, end - begin_);
      begin_ = end + 1;
      break;
    }
    const size_t left = end_ - begin_;
    if (left > kMaxLineBytes) {
      return absl::DataLossError(
          absl::StrCat("a line is longer than ", kMaxLineBytes >> 20, " MiB"));
    }
    JPROF_ASSIGN_OR_RETURN(const bool more, Fill());
    if (more) {
      searched = begin_ + left;
      continue;
    }
    if (left == 0) return false;
    line = absl::string_view(buffer_.data() + begin_, end_ - begin_);
    begin_ = end_;
    break;
  }
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return true;
}

absl::StatusOr<std::string> Input::Rest(size_t max_bytes) {
  if (!looked_) JPROF_RETURN_IF_ERROR(Head().status());
  for (;;) {
    if (end_ - begin_ > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("larger than ", max_bytes >> 20, " MiB, inflated"));
    }
    JPROF_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) break;
  }
  std::string rest = std::move(buffer_);
  rest.resize(end_);
  rest.erase(0, begin_);
  begin_ = end_ = 0;
  return rest;
}

}  // namespace jprof
