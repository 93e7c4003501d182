// A strict check of the XML that the exporters write, for where a real parser is too slow or not at
// hand: fuzzing.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

// "" if `xml` is well formed, else what is wrong and where. Knows what our writers use: elements,
// double-quoted attributes, text, CDATA, the five named references and decimal ones.
std::string XmlError(absl::string_view xml);

}  // namespace jprof
