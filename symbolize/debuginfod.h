// Debug files from debuginfod servers, by build ID, through elfutils' libdebuginfod, which keeps
// what it fetched in its cache. The library is looked for when it is needed (dlopen), so jprof runs
// without it; it brings an HTTP and a TLS library that a profiler should not be linked with.
//
// What of a target gets to the servers is its build ID, as hex digits.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class Debuginfod {
 public:
  // nullptr: $DEBUGINFOD_URLS names no server. All fetches together take `patience` at most and a
  // second more, since that is how often the library lets itself be interrupted; the time is
  // counted from the first one.
  static std::unique_ptr<Debuginfod> FromEnvironment(absl::Duration patience = absl::Seconds(7));
  // Whether $DEBUGINFOD_URLS names a server.
  static bool IsConfigured();
  ~Debuginfod();

  // The debug file with that build ID (lower-case hex of 1 to 64 bytes). Waits its turn; from any
  // thread. NotFound: no server has it. Unavailable: the library is not there, the time is up, or no
  // server answered as one does.
  absl::StatusOr<UniqueFd> Fetch(absl::string_view build_id);

  // What went wrong in general, for the user; "" for nothing.
  std::string Trouble() const;

 private:
  struct State;
  explicit Debuginfod(absl::Duration patience);
  std::unique_ptr<State> state_;
};

}  // namespace jprof
