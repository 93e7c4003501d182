// Call-frame tables on disk, in a directory of the user's own: one file for each table, named by
// the fingerprint of what the table was made from. So a file with a forged build ID cannot put its
// table in another's place.
//
// What is read is believed only if its own fingerprint is right; all are made with a key that only
// this directory has. The directory is bounded: beyond that the files unused for longest go.
// Several jprofs may use it at once: files appear whole, by rename. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"
#include "profiler/unwind/fingerprint.h"
#include "profiler/unwind/unwind_table.h"

namespace jprof {

class UnwindCache {
 public:
  static constexpr uint64_t kMaxBytes = uint64_t{256} << 20;

  // $XDG_CACHE_HOME/jprof/unwind or ~/.cache/jprof/unwind; "" when neither is known.
  static std::string DefaultDirectory();

  // Makes the directory if it is not there. FailedPrecondition: it is another user's, or others may
  // write to it. `max_bytes` of tables are kept.
  static absl::StatusOr<UnwindCache> Open(const std::string& directory,
                                          uint64_t max_bytes = kMaxBytes);

  const FingerprintKey& key() const { return key_; }

  // nullopt: not there, or damaged.
  std::optional<UnwindTable> Find(const Fingerprint& source) const;
  // If it cannot be written, it is not there the next time.
  void Put(const Fingerprint& source, const UnwindTable& table);

 private:
  UnwindCache(UniqueFd directory, FingerprintKey key, uint64_t max_bytes)
      : directory_(std::move(directory)), key_(key), max_bytes_(max_bytes) {}
  // Removes what is too much, and leaves some room.
  void Trim();

  UniqueFd directory_;
  FingerprintKey key_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;  // of all files, about
};

}  // namespace jprof
