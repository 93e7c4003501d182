// An ImageQuery on its way to the process that reads the image, what that process asks for, and
// what comes back. Neither end believes the other.
#pragma once

#include <string>

#include "symbolize/debug_file.h"
#include "symbolize/symbolizer.h"

namespace jprof {

// What is asked, but for the file.
std::string EncodeWork(const ImageQuery& query);
bool DecodeWork(const std::string& bytes, ImageQuery* query);

std::string EncodeRequest(const DebugFileFinder::Request& request);
// False: nonsense. The rules of ReadDebugLink() and ReadSupplementaryLink() hold here again.
bool DecodeRequest(const std::string& bytes, DebugFileFinder::Request* request);

std::string EncodeResult(const ImageQuery& query);
// False, and `query` is unchanged: nonsense.
bool DecodeResult(const std::string& bytes, ImageQuery* query);

}  // namespace jprof
