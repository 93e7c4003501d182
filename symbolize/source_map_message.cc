#include "symbolize/source_map_message.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "symbolize/message_fields.h"

namespace jprof {

std::string EncodeMap(const SourceMapQuery& query) {
  MessageWriter w;
  w.Text(query.path).U32(static_cast<uint32_t>(query.positions.size()));
  for (const GeneratedPosition& p : query.positions) w.U32(p.line).U32(p.column);
  return std::move(w).bytes();
}

bool DecodeMap(const std::string& bytes, SourceMapQuery* query) {
  ByteCursor c = CursorOf(bytes);
  query->path = Text(c);
  query->positions.resize(Count(c, 8));
  for (GeneratedPosition& p : query->positions) {
    p.line = c.U32();
    p.column = c.U32();
  }
  return c.ok();
}

std::string EncodeOriginals(const SourceMapQuery& query) {
  MessageWriter w;
  w.U32(static_cast<uint32_t>(query.status.code()));
  w.Text({query.status.message().data(), query.status.message().size()});
  for (const std::vector<std::string>* texts : {&query.sources, &query.names}) {
    w.U32(static_cast<uint32_t>(texts->size()));
    for (const std::string& text : *texts) w.Text(text);
  }
  for (const bool ignored : query.ignored) w.U32(ignored);
  w.U32(static_cast<uint32_t>(query.originals.size()));
  for (const OriginalPosition& o : query.originals) {
    w.U32(o.source).U32(o.line).U32(o.column).U32(o.name);
  }
  return std::move(w).bytes();
}

bool DecodeOriginals(const std::string& bytes, SourceMapQuery* query) {
  ByteCursor c = CursorOf(bytes);
  SourceMapQuery r;
  const uint32_t code = c.U32();
  const std::string message = Text(c);
  if (code > kMaxStatusCode) return false;
  r.status = absl::Status(static_cast<absl::StatusCode>(code), message);
  for (std::vector<std::string>* texts : {&r.sources, &r.names}) {
    texts->resize(Count(c, 4));
    for (std::string& text : *texts) text = Text(c);
  }
  for (size_t i = 0; i < r.sources.size(); ++i) r.ignored.push_back(c.U32() != 0);
  r.originals.resize(Count(c, 16));
  bool in_range = r.originals.size() == query->positions.size();
  auto index = [&](size_t size) {
    const uint32_t value = c.U32();
    in_range = in_range && (value < size || value == OriginalPosition::kNone);
    return value;
  };
  for (OriginalPosition& o : r.originals) {
    o.source = index(r.sources.size());
    o.line = c.U32();
    o.column = c.U32();
    o.name = index(r.names.size());
  }
  if (!c.ok() || c.left() != 0 || !in_range) return false;
  query->status = std::move(r.status);
  query->sources = std::move(r.sources);
  query->ignored = std::move(r.ignored);
  query->names = std::move(r.names);
  query->originals = std::move(r.originals);
  return true;
}

}  // namespace jprof
