// From what was seen of a process to one sentence that says why it is as it is. Pure: no process is
// touched here. The sentence never says more than the facts do: shares are of samples, states are
// of the moment, and who holds a lock or reads a pipe is named only where it was found.
#pragma once

#include <string>
#include <vector>

#include "profiler/why/facts.h"

namespace jprof {

struct Explanation {
  // For programs: "spinning", "busy", "regexp", "gc", "lock", "deadlock", "pipe-full", ...
  std::string cause;
  std::string sentence;               // without a full stop
  std::vector<std::string> evidence;  // lines
};

Explanation Explain(const Facts& facts);

// How it differs from an instance of the same program that is well: lines.
std::vector<std::string> Compare(const Facts& facts, const Facts& healthy);

}  // namespace jprof
