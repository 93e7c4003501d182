#include "symbolize/debug_file.h"

#include <lzma.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/string_view.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr uint64_t kMaxLinkBytes = 4096;
constexpr uint64_t kMaxPackedBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxUnpackedBytes = uint64_t{128} << 20;
constexpr uint64_t kMaxDecoderBytes = uint64_t{96} << 20;  // xz -9 takes 65 MB

bool WriteAll(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

class XzDecoder {
 public:
  XzDecoder() { ok_ = ::lzma_stream_decoder(&stream_, kMaxDecoderBytes, 0) == LZMA_OK; }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;
  ~XzDecoder() { ::lzma_end(&stream_); }

  // Unpacks `packed` into `fd`. False: damaged, too large, or the budget is used up.
  bool Unpack(std::span<const uint8_t> packed, int fd, WorkBudget& budget) {
    if (!ok_) return false;
    stream_.next_in = packed.data();
    stream_.avail_in = packed.size();
    std::vector<uint8_t> piece(256 * 1024);
    for (uint64_t written = 0; written <= kMaxUnpackedBytes;) {
      stream_.next_out = piece.data();
      stream_.avail_out = piece.size();
      const lzma_ret result = ::lzma_code(&stream_, LZMA_FINISH);
      const size_t size = piece.size() - stream_.avail_out;
      // Unpacking a byte takes some ten times as long as reading one.
      if (!budget.Spend(1 + size / 8)) return false;
      if (!WriteAll(fd, std::span(piece).first(size))) return false;
      written += size;
      if (result == LZMA_STREAM_END) return true;
      if (result != LZMA_OK) return false;
    }
    return false;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ok_;
};

}  // namespace

std::optional<DebugLink> ReadDebugLink(const ElfFile& file) {
  const auto section = file.ReadSection(".gnu_debuglink", kMaxLinkBytes);
  if (!section) return std::nullopt;
  const std::vector<uint8_t>& bytes = section->bytes;
  const auto nul = std::find(bytes.begin(), bytes.end(), 0);
  DebugLink link;
  link.name.assign(bytes.begin(), nul);
  const size_t at = (link.name.size() + 4) & ~size_t{3};  // the NUL, then up to a multiple of 4
  if (nul == bytes.end() || at + sizeof(link.checksum) > bytes.size()) return std::nullopt;
  std::memcpy(&link.checksum, bytes.data() + at, sizeof(link.checksum));
  if (link.name.empty() || link.name == "." || link.name == ".." ||
      link.name.find('/') != std::string::npos) {
    return std::nullopt;
  }
  return link;
}

std::optional<uint32_t> DebugLinkChecksum(const ElfFile& file, WorkBudget& budget) {
  std::vector<uint8_t> piece(1 << 20);
  uLong checksum = ::crc32(0, nullptr, 0);
  for (uint64_t at = 0; at < file.file_size();) {
    const size_t size = std::min<uint64_t>(piece.size(), file.file_size() - at);
    if (!budget.Spend(size >> 5) || !file.ReadFile({at}, std::span(piece).first(size))) {
      return std::nullopt;
    }
    checksum = ::crc32(checksum, piece.data(), static_cast<uInt>(size));
    at += size;
  }
  return static_cast<uint32_t>(checksum);
}

absl::StatusOr<ElfFile> UnpackDebugData(const ElfFile& file, WorkBudget& budget) {
  const auto section = file.ReadSection(".gnu_debugdata", kMaxPackedBytes);
  if (!section) return absl::NotFoundError("no .gnu_debugdata");
  UniqueFd unpacked(::memfd_create("debugdata", MFD_CLOEXEC));
  if (!unpacked.valid()) return ErrnoStatus(errno, "memfd_create");
  if (!XzDecoder().Unpack(section->bytes, unpacked.get(), budget)) {
    return absl::DataLossError("its .gnu_debugdata is damaged or too large");
  }
  return ElfFile::Open(std::move(unpacked), ".gnu_debugdata");
}

}  // namespace jprof
