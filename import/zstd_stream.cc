#include "import/zstd_stream.h"

#include <zstd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr size_t kMaxRatio = 1000;
constexpr size_t kAnyRatioBytes = size_t{16} << 20;  // so much may come of few bytes

}  // namespace

void ZstdStream::Free::operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }

absl::Status ZstdStream::Append(absl::string_view piece, std::string& out) {
  if (damaged_) return absl::DataLossError("zstd: damaged");
  if (context_ == nullptr) context_.reset(ZSTD_createDCtx());
  if (context_ == nullptr) return absl::ResourceExhaustedError("zstd: out of memory");
  packed_bytes_ += piece.size();
  const size_t room = std::max(packed_bytes_ * kMaxRatio, kAnyRatioBytes);
  ZSTD_inBuffer in = {piece.data(), piece.size(), 0};
  ZSTD_outBuffer to = {};
  // Bytes may be left in it as long as what it gives fills all that it is given.
  while (in.pos < in.size || to.pos == to.size) {
    const size_t before = out.size();
    out.resize(before + ZSTD_DStreamOutSize());
    to = {&out[before], out.size() - before, 0};
    const size_t result = ZSTD_decompressStream(context_.get(), &to, &in);
    out.resize(before + (ZSTD_isError(result) != 0 ? 0 : to.pos));
    if (ZSTD_isError(result) != 0) {
      damaged_ = true;
      return absl::DataLossError(absl::StrCat("zstd: ", ZSTD_getErrorName(result)));
    }
    unpacked_bytes_ += to.pos;
    if (unpacked_bytes_ > max_bytes_ || unpacked_bytes_ > room) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", std::min(max_bytes_, room) >> 20, " MiB, unpacked"));
    }
  }
  return absl::OkStatus();
}

}  // namespace jprof
