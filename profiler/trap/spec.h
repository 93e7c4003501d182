// The condition of a trap as its user writes it, and as the kernel half has it:
//
//   close errno=EBADF comm=node              the system call, then terms that all must hold
//   openat,open path=/etc/*                  one of several; a text that ends in '*' is a beginning
//   write fd=1 buf=ERROR
//   any duration>100ms pid=4711
//
// What a trap is attached to besides system calls: signal=NAME, exit=nonzero, uprobe:BINARY:SYMBOL.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/capture/bpf_probe.h"

namespace jprof {

struct TrapSpec {
  Probe probe;
  bool at_end = false;  // of a process or thread, which executes nothing more
  std::vector<std::string> notes;  // what its user should know
};

// `on`: "" for the system calls that `text` begins with, else as above; then `text` has terms
// alone. InvalidArgument says what is wrong and what would be right; of `on` also as
// FindFunctions() does.
absl::StatusOr<TrapSpec> ParseTrap(absl::string_view text, absl::string_view on);

// The name of a system call, of a signal without SIG, of an error: its number, -1: there is none.
int SystemCallNumber(absl::string_view name);
int SignalNumber(absl::string_view name);
int ErrorNumber(absl::string_view name);

// Where functions of an ELF file begin in it: all of a name, as its symbol tables have it or
// demangled, then with its arguments or without; of all names that begin with it where it ends in
// '*', which is how a function is found with the copies that a compiler makes of it. What is split
// off as cold is not among them. NotFound: there is none of this name, or the file cannot be read;
// InvalidArgument: too many.
absl::StatusOr<std::vector<ProbePlace>> FindFunctions(const std::string& path,
                                                      absl::string_view symbol);

// FailedPrecondition: the file's functions do not bear that their returns are met: a Go program's.
absl::Status CheckReturns(const std::string& path);

// "openat(AT_FDCWD, 0x7ffc..., 0) = -2 ENOENT", "signal SEGV", "function called"; of a thread that
// stands in that call, stopped, with paths and with what its descriptors are.
std::string DescribeHit(const jp_probe_hit& hit);

}  // namespace jprof
