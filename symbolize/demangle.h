// C++ and Rust names as their sources have them.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

// Enough for the names of any one file; hostile ones that unfold into each other use it up.
inline constexpr size_t kDemangleBudget = size_t{32} << 20;

// `name` demangled with template arguments and parameter types as the C++ runtime prints them;
// Rust's older names without the hash at their end, its newer ones (rust_demangle.h). Unchanged:
// not mangled, damaged, longer than 16 KiB, or more than 64 KiB when demangled. (The C++ runtime
// itself gives up beyond 1 KiB of name, which bounds its recursion.)
//
// `budget`, if given, is lowered by the bytes that were printed, also for a name that then turned
// out to be too long; once it is 0, names are returned unchanged.
std::string Demangle(absl::string_view name, size_t* budget = nullptr);

}  // namespace jprof
