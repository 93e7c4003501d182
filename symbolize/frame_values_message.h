// FrameValues in a message of symbolizer_process.h.
#pragma once

#include "symbolize/byte_cursor.h"
#include "symbolize/frame_values.h"
#include "symbolize/message_fields.h"

namespace jprof {

void WriteFrameValues(const FrameValues& values, MessageWriter& w);
// False: nonsense. What is read is well-formed: numbers of types are kNoType or those of types.
bool ReadFrameValues(ByteCursor& c, FrameValues& values);

}  // namespace jprof
