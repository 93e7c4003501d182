// The identity of a mapped file, and the table that interns it.
#pragma once

#include <compare>
#include <cstdint>
#include <utility>

namespace jprof {

// Device and inode as the kernel reports them for a mapping (major:minor of st_dev, st_ino).
// All zero: no file.
struct FileIdentity {
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;

  bool valid() const { return inode != 0; }
  friend auto operator<=>(const FileIdentity&, const FileIdentity&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const FileIdentity& f) {
    return H::combine(std::move(h), f.device_major, f.device_minor, f.inode);
  }
};

}  // namespace jprof
