// Where a profile is written to. A file appears whole or not at all: it is written without a name,
// or under another one where the file system knows no files without names, and gets its name when
// all is on disk.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class OutputFile : public OutputSink {
 public:
  // Creates the file in the directory of `path`, so that an unwritable destination is known before
  // the recording. "" stands for standard output; it, other open descriptors (/dev/stdout,
  // /dev/fd/3), pipes and character devices are written in place.
  //
  // A new file has mode 0600 whatever the umask, as `perf record` has it: a profile tells paths,
  // names of functions and command lines, and where root takes it, of every user. A file that is
  // replaced hands its mode and its owner on. A link is followed, and the file behind it replaced.
  //
  // Refused: a directory, a socket, a block device; a link that neither we nor root made, since who
  // may plant one could choose what is overwritten; and in a directory that everybody may write to,
  // a file of somebody else, who would get to read the profile.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Open(const std::string& path);
  ~OutputFile() override;  // without Commit: removes what was written

  // A file that is replaced hands neither its mode nor its owner on.
  void KeepPrivate() { is_private_ = true; }

  bool is_terminal() const;
  // A file that appears when it is committed; all else is written in place.
  bool is_regular() const { return is_regular_; }

  absl::Status Append(absl::string_view bytes) override;
  // Bytes of zeros; where the file can have them, without room on disk.
  absl::Status AppendHole(uint64_t bytes);
  // The same file once more, to be committed before this one. Of a regular file; from any thread.
  absl::StatusOr<std::unique_ptr<OutputFile>> Another() const;
  // A file for what does not go into this one as it is: without a name, in the same folder, or in
  // that of temporary files where this one has none. It is gone with its owner; not to be
  // committed.
  absl::StatusOr<std::unique_ptr<OutputFile>> Scratch() const;
  // All that has been written to a scratch file, for reading.
  absl::StatusOr<UniqueFd> Reopen();
  // Writes what is buffered, syncs, gives the file its name. A file of that name is replaced.
  absl::Status Commit();

 private:
  OutputFile() = default;
  absl::Status OpenInPlace();
  absl::Status CreateBeside();
  absl::Status TakeOver(const struct stat& replaced);
  absl::Status Flush();
  absl::Status GiveName();

  std::string path_;       // for messages; "" for standard output
  std::string directory_;  // of a regular file
  std::string temporary_;  // a name to be removed; "" when there is none
  UniqueFd owned_;
  int fd_ = -1;
  std::string buffer_;
  bool is_regular_ = false;
  bool is_private_ = false;
};

}  // namespace jprof
