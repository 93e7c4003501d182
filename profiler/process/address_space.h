// The executable mappings of one process, as of the events applied so far.
//
// The kernel tells when an executable mapping appears (mmap, mprotect, exec), not when it goes
// away. So the rule is: what was mapped last is true. A newer mapping cuts those under it, whole or
// in part:
//
//   old   |-------|      |-------|    |-------|        |---|      |-------|
//   new     |---|      |-----|            |-----|    |-------|    |-------|
//   left  |-|   |-|          |---|    |---|                                     of the old one
//
// and the remainders keep translating addresses to the same file offsets. Runtimes change the
// protection of their code pages all the time, which the kernel reports as mappings again; a
// mapping that says what is known already changes nothing.
//
// A value: copies are cheap and independent. The tree is shared until one of the copies changes
// (a shared_ptr, because a forked child usually execs before it maps anything). Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "profiler/core/address.h"
#include "profiler/core/event.h"
#include "profiler/core/image.h"

namespace jprof {

// The path of unnamed memory without a file.
inline constexpr char kAnonymousPath[] = "//anon";

struct Mapping {
  AddressRange range;
  FileOffset offset;  // of range.begin; means nothing in anonymous memory
  FileIdentity file;  // all zero: no file
  std::string path;   // as the kernel prints it: in the target's root, "//anon", "[vdso]"

  // `address` lies in `range`. In the vdso: the offset in its image.
  FileOffset ToFileOffset(Address address) const {
    return {offset.value + (address.value - range.begin.value)};
  }
  friend bool operator==(const Mapping&, const Mapping&) = default;
};

class AddressSpace {
 public:
  // A target that maps and unmaps at ever new addresses must not make us grow: beyond either bound
  // the older half of the mappings is forgotten.
  static constexpr size_t kMaxMappings = 65536;
  static constexpr size_t kMaxPathBytes = size_t{16} << 20;

  // An empty range is ignored.
  void Add(Mapping mapping);
  void Clear();

  // nullptr: nothing executable is known there. Valid until the next change of this object.
  const Mapping* Find(Address address) const;

  // While it stays the same, an address that was found is still found, with the same file and path,
  // and (where it means something) the same offset. It grows when a mapping is cut, removed or
  // replaced by a different one; an addition to free space leaves it, so do not remember that an
  // address was *not* found.
  uint64_t generation() const { return generation_; }

  size_t size() const { return tree_ ? tree_->by_begin.size() : 0; }
  bool empty() const { return size() == 0; }
  // In address order.
  std::vector<Mapping> Mappings() const;

 private:
  struct Entry {
    Mapping mapping;
    uint64_t age = 0;  // distinct; larger is newer
  };
  struct Tree {
    absl::btree_map<uint64_t, Entry> by_begin;  // ranges do not overlap
    size_t path_bytes = 0;

    void Insert(Entry entry);
    using Iterator = absl::btree_map<uint64_t, Entry>::iterator;
    Iterator Erase(Iterator it);
  };

  Tree& MutableTree();
  void ForgetOlderHalf();

  std::shared_ptr<Tree> tree_;  // null: empty
  uint64_t generation_ = 0;
  uint64_t next_age_ = 1;
};

}  // namespace jprof
