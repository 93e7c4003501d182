// Rust's newer mangling scheme (v0, RFC 2603).
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

// "_RNvCs1234_7mycrate3foo" is mycrate::foo; hashes and the instantiating crate are left out,
// generic arguments and the types of impls are kept. False: no such name, damaged, deeper nested
// than names are, or longer than `limit` bytes when demangled; `out` is then of no use, but no
// longer than that. `steps` is lowered by the work, and the name refused when there is none left.
bool DemangleRustV0(absl::string_view name, size_t limit, size_t* steps, std::string* out);

}  // namespace jprof
