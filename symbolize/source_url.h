// Where source maps and sources lie: URLs, or paths, relative to the file that names them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

// `reference` as the file `base` means it: a path for what is a file, else a URL. "." and ".." are
// resolved,
// "?" and "#" with what follows are left off. Both may be paths, file: URLs or others
// ("webpack://app/./src/a.ts"); a `base` that is neither a path from the root nor a URL says
// nothing.
std::string ResolveSource(absl::string_view base, absl::string_view reference);

// The path of a file: URL of this host, decoded, or of what is a path already; "": it is neither.
std::string PathOfUrl(absl::string_view url);

// "my%20app" -> "my app". What is no such code stays as it is.
std::string DecodePercent(absl::string_view text);

}  // namespace jprof
