// Any bytes as a mangled name.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "symbolize/demangle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view name(reinterpret_cast<const char*>(data), size);
  const std::string text = jprof::Demangle(name);
  if (text != name && text.size() > 64 * 1024) std::abort();
  return 0;
}
