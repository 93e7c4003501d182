// Any bytes as a source map: each position has an original or none, and what it refers to is there.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "symbolize/source_map.h"
#include "symbolize/source_url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  SourceMapQuery query;
  for (uint32_t line : {1u, 2u, 3u, 100u, UINT32_MAX}) {
    for (uint32_t column : {1u, 2u, 7u, 1000u, UINT32_MAX})
      query.positions.push_back({line, column});
  }
  ReadSourceMapText({reinterpret_cast<const char*>(data), size}, query);
  if (query.originals.size() != query.positions.size()) std::abort();
  for (const OriginalPosition& o : query.originals) {
    if (o.source == OriginalPosition::kNone) {
      if (o.name != OriginalPosition::kNone) std::abort();
      continue;
    }
    if (o.source >= query.sources.size() || o.line == 0 || o.column == 0) std::abort();
    if (o.name != OriginalPosition::kNone && o.name >= query.names.size()) std::abort();
    // What is resolved stays as it is when it is resolved again.
    const std::string once = ResolveSource("/srv/dist/x.map", query.sources[o.source]);
    if (ResolveSource("/srv/dist/x.map", once) != once && once.find_first_of("%?#") == once.npos &&
        !once.empty()) {
      std::abort();
    }
  }
  return 0;
}
