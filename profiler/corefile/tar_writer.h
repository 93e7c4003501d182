// An archive of files, .tar.gz, as GNU tar, bsdtar and Python read it: ustar, and pax records for
// what that has no room for: long names, sizes from 8 GiB on. Holes of a file stay holes (GNU's
// format 1.0).
#pragma once

#include <zlib.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"
#include "profiler/corefile/core_writer.h"

namespace jprof {

struct TarEntry {
  std::string name;    // relative
  uint32_t mode = 0;
  int64_t time = 0;    // Unix time
  uint64_t size = 0;   // of the file
  // What of it is not a hole, in order.
  struct Piece {
    uint64_t offset, size;
  };
  std::vector<Piece> pieces;
  bool sparse = false;  // there are holes
};
// All that precedes the pieces' bytes.
std::string TarHead(const TarEntry& entry);

class TarGzWriter {
 public:
  explicit TarGzWriter(CoreSink& sink);  // which outlives this
  ~TarGzWriter();
  TarGzWriter(const TarGzWriter&) = delete;
  TarGzWriter& operator=(const TarGzWriter&) = delete;

  // `progress` is called with the bytes read, now and then; an error that it returns ends the work.
  // DataLoss: the file became shorter meanwhile.
  absl::Status Add(const std::string& name, uint32_t mode, const UniqueFd& file,
                   const std::function<absl::Status(uint64_t bytes)>& progress);
  absl::Status Finish();

 private:
  absl::Status Pack(absl::string_view bytes, bool finish = false);

  CoreSink& sink_;
  z_stream stream_ = {};
  bool valid_ = false;
};

}  // namespace jprof
