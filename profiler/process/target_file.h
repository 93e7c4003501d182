// Opening files that a target names. The target is hostile: a path of its may lead through links
// out of its root, to a FIFO, a device or a file that has taken another's place. So a file is
// opened without reading it first, inside the target's root, its type checked, then reopened for
// reading. All of these may wait (network file systems): not for a path that must not wait.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/address_space.h"

namespace jprof {

// The file behind a mapping of a live process, read-only: the file that is mapped or none.
// Tried in turn: the mapping's path in the process's root, if device and inode are the mapping's;
// /proc/PID/map_files, which also has deleted and replaced files and those whose file system
// reports other devices by stat than in mappings (overlay, btrfs), but needs CAP_CHECKPOINT_RESTORE
// or root. NotFound: memory without a file ("[vdso]", "//anon"), the process is gone, or the file
// can no more be reached. PermissionDenied: it could be, with more privileges. FailedPrecondition:
// not a regular file.
absl::StatusOr<UniqueFd> OpenMappedFile(Pid pid, const Mapping& mapping);

// The same when the process is gone: by the path in the root of a live process `root_of`, such as
// the parent's or our own. Only a file that was not changed since it was mapped (at `mapped_ns`,
// CLOCK_MONOTONIC): the inode numbers of deleted files are given to new ones. NotFound: not there,
// or not provably the same.
absl::StatusOr<UniqueFd> OpenFileOfGoneProcess(Pid root_of, const Mapping& mapping,
                                               uint64_t mapped_ns);

// Whether a file, or its number, was given other content since then (CLOCK_MONOTONIC), as far as
// its time stamps tell. A change of its mode or its links counts too. Of a path-only descriptor it
// is what was known of the file last: nobody is asked.
bool WasChangedSince(const UniqueFd& fd, uint64_t monotonic_ns);

// A file's system that is served by another program or machine (FUSE, NFS and the like) may stop to
// answer, and who waits for it may wait for ever, also when it closes the file. Not so by a
// descriptor that says which file it is and cannot be read (O_PATH).
bool MayStopAnswering(const UniqueFd& file);
bool IsPathOnly(const UniqueFd& file);
absl::StatusOr<UniqueFd> ToPathOnly(const UniqueFd& file);
// The same file for reading. FailedPrecondition: it is no regular file.
absl::StatusOr<UniqueFd> OpenPathOnly(const UniqueFd& path_only, absl::string_view name);
// What a file's system says of it; of a path-only descriptor, what it said last.
struct FileFacts {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint32_t mode = 0;
  uint32_t links = 0;
  uint32_t owner = 0;
  int64_t changed_ns = 0;  // wall clock
};
absl::StatusOr<FileFacts> FactsOf(const UniqueFd& file, absl::string_view name);
// Waits until the file's system says that the file is there still.
absl::Status AwaitFileSystem(const UniqueFd& file, absl::string_view name);

// The image of the vDSO as a file of its own. The kernel maps the same one into every 64-bit
// process, so it is our own that is copied. NotFound: there is none.
absl::StatusOr<UniqueFd> OpenVdso();

enum class LinkPolicy { kFollowInRoot, kRefuse };

// A regular file by its absolute path below the directory `root` (O_PATH), read-only; what links in
// it mean is confined to that directory.
absl::StatusOr<UniqueFd> OpenInRoot(const UniqueFd& root, const std::string& path, LinkPolicy links,
                                    absl::string_view name);

// The root directory of a process, O_PATH.
absl::StatusOr<UniqueFd> OpenRootOf(Pid pid);

// A regular file by its absolute path in the root of a process (OpenProcess), read-only; what links
// in it mean is confined to that root. Ownership and identity are the caller's to check, on the
// descriptor. `name` is the file's in messages. FailedPrecondition: not a regular file, or a link.
absl::StatusOr<UniqueFd> OpenInProcessRoot(const UniqueFd& process, const std::string& path,
                                           LinkPolicy links, absl::string_view name);

// The same by its path from the working directory of a process, and confined to that: ".." leads
// nowhere.
absl::StatusOr<UniqueFd> OpenInWorkingDirectory(const UniqueFd& process, const std::string& path,
                                                LinkPolicy links, absl::string_view name);

// A regular file by its absolute path in the root of a process, read-only: one that the process's
// text names, so it must be one that the process may read, as far as the file's owner and mode
// tell. PermissionDenied: it may not, or jprof may not.
absl::StatusOr<UniqueFd> OpenNamedByProcess(Pid pid, const std::string& path);

}  // namespace jprof
