// What zstd packed and somebody else cut into pieces: `perf record -z` makes one stream of all that
// it packs, each piece flushed, so that it unpacks to whole bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

typedef struct ZSTD_DCtx_s ZSTD_DCtx;

namespace jprof {

class ZstdStream {
 public:
  // Of what all pieces unpack to.
  explicit ZstdStream(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Appends what the next piece stands for. DataLoss: damaged, and so is all that follows.
  // ResourceExhausted: more than `max_bytes`, or more than a thousand times what was packed, which
  // no recording is.
  absl::Status Append(absl::string_view piece, std::string& out);

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const;
  };

  const size_t max_bytes_;
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  size_t packed_bytes_ = 0;
  size_t unpacked_bytes_ = 0;
  bool damaged_ = false;
};

}  // namespace jprof
