// A SourceMapQuery on its way to the process that reads the map, and what comes back. Neither end
// believes the other.
#pragma once

#include <string>

#include "symbolize/source_map.h"

namespace jprof {

// All but the file.
std::string EncodeMap(const SourceMapQuery& query);
bool DecodeMap(const std::string& bytes, SourceMapQuery* query);

std::string EncodeOriginals(const SourceMapQuery& query);
// False, and `query` is unchanged: nonsense.
bool DecodeOriginals(const std::string& bytes, SourceMapQuery* query);

}  // namespace jprof
