#include "symbolize/symbolizer_message.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/frame_values_message.h"
#include "symbolize/message_fields.h"

namespace jprof {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

// How a name follows the one before it: offsets of one function are neighbours, and a C function's
// two names are one.
enum class NameForm : uint32_t { kAsBefore, kOne, kTwo };

bool IsPlain(absl::string_view path) {
  return path.find('\0') == absl::string_view::npos && path.find("..") == absl::string_view::npos;
}

}  // namespace

std::string EncodeWork(const ImageQuery& query) {
  MessageWriter w;
  w.Text(query.path).U32(query.want_source).U32(query.want_values);
  w.U32(static_cast<uint32_t>(query.offsets.size()));
  for (FileOffset offset : query.offsets) w.U64(offset.value);
  return std::move(w).bytes();
}

bool DecodeWork(const std::string& bytes, ImageQuery* query) {
  ByteCursor c = CursorOf(bytes);
  query->path = Text(c);
  query->want_source = c.U32() != 0;
  query->want_values = c.U32() != 0;
  query->offsets.resize(Count(c, sizeof(uint64_t)));
  for (FileOffset& offset : query->offsets) offset.value = c.U64();
  return c.ok();
}

std::string EncodeRequest(const DebugFileFinder::Request& request) {
  MessageWriter w;
  w.Text(request.build_id).U32(request.link.has_value());
  w.Text(request.link ? request.link->name : "").U32(request.link ? request.link->checksum : 0);
  w.Text(request.common).U32(request.download);
  return std::move(w).bytes();
}

bool DecodeRequest(const std::string& bytes, DebugFileFinder::Request* request) {
  ByteCursor c = CursorOf(bytes);
  request->build_id = Text(c);
  const bool has_link = c.U32() != 0;
  DebugLink link;
  link.name = Text(c);
  link.checksum = c.U32();
  request->common = Text(c);
  request->download = c.U32() != 0;
  if (has_link) request->link = link;
  return c.ok() && request->build_id.size() <= 2 * 64 &&
         request->build_id.find_first_not_of("0123456789abcdef") == std::string::npos &&
         IsPlain(link.name) && link.name.find('/') == std::string::npos &&
         IsPlain(request->common);
}

std::string EncodeResult(const ImageQuery& query) {
  size_t bytes = 0;
  for (const SymbolName& name : query.names) bytes += name.name.size() + name.system_name.size();
  MessageWriter w;
  w.Reserve(bytes + 32 * query.names.size());
  w.Text(query.build_id).U32(query.is_stripped).U32(query.exhausted);
  w.U32(static_cast<uint32_t>(query.status.code()));
  w.Text({query.status.message().data(), query.status.message().size()});

  w.U32(static_cast<uint32_t>(query.names.size()));
  const SymbolName none;
  const SymbolName* before = &none;
  for (const SymbolName& name : query.names) {
    const bool as_before = name.name == before->name && name.system_name == before->system_name;
    const NameForm form = as_before                        ? NameForm::kAsBefore
                          : name.name == name.system_name ? NameForm::kOne
                                                          : NameForm::kTwo;
    w.U64(name.address).U32(static_cast<uint32_t>(form));
    if (form != NameForm::kAsBefore) w.Text(name.system_name);
    if (form == NameForm::kTwo) w.Text(name.name);
    before = &name;
  }
  const SourceInfo& source = query.source;
  w.U32(static_cast<uint32_t>(source.functions.size()));
  for (const SourceFunction& f : source.functions) {
    w.Text(f.name).Text(f.linkage_name).U32(f.line);
  }
  w.U32(static_cast<uint32_t>(source.files.size()));
  for (const std::string& file : source.files) w.Text(file);
  w.U32(static_cast<uint32_t>(source.frames.size()));
  for (const SourceFrame& f : source.frames) {
    w.U32(f.function).U32(f.file).U32(f.line).U32(f.column);
  }
  w.U32(static_cast<uint32_t>(source.first.size()));
  for (uint32_t first : source.first) w.U32(first);
  WriteFrameValues(query.values, w);
  return std::move(w).bytes();
}

bool DecodeResult(const std::string& bytes, ImageQuery* query) {
  ByteCursor c = CursorOf(bytes);
  ImageQuery r;
  r.build_id = Text(c);
  r.is_stripped = c.U32() != 0;
  r.exhausted = c.U32() != 0;
  const uint32_t code = c.U32();
  const std::string message = Text(c);
  if (code > kMaxStatusCode || r.build_id.size() > 2 * 64 ||
      r.build_id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return false;
  }
  r.status = absl::Status(static_cast<absl::StatusCode>(code), message);
  bool in_range = true;
  auto index = [&](size_t size) {
    const uint32_t value = c.U32();
    if (value < size) return value;
    in_range = false;
    return uint32_t{0};
  };
  if (Count(c, 12) != query->offsets.size()) return false;
  r.names.resize(query->offsets.size());
  const SymbolName none;
  const SymbolName* before = &none;
  // A name that is referred to again and again is copied each time.
  uint64_t text_bytes = 0;
  for (SymbolName& name : r.names) {
    name.address = c.U64();
    const auto form = static_cast<NameForm>(index(3));
    if (form != NameForm::kAsBefore) name.system_name = Text(c);
    if (form == NameForm::kTwo) name.name = Text(c);
    if (form == NameForm::kOne) name.name = name.system_name;
    if (form == NameForm::kAsBefore) {
      text_bytes += before->name.size() + before->system_name.size();
      if (text_bytes > kMaxTextBytes) return false;
      name.name = before->name;
      name.system_name = before->system_name;
    }
    before = &name;
  }
  r.source.functions.resize(Count(c, 12));
  for (SourceFunction& f : r.source.functions) {
    f.name = Text(c);
    f.linkage_name = Text(c);
    f.line = c.U32();
  }
  r.source.files.resize(Count(c, 4));
  for (std::string& file : r.source.files) file = Text(c);
  r.source.frames.resize(Count(c, 16));
  for (SourceFrame& f : r.source.frames) {
    f.function = index(r.source.functions.size());
    f.file = index(r.source.files.size());
    f.line = c.U32();
    f.column = c.U32();
  }
  r.source.first.resize(Count(c, 4));
  for (uint32_t& first : r.source.first) first = index(r.source.frames.size() + 1);
  if (!ReadFrameValues(c, r.values) || !c.ok() || c.left() != 0 || !in_range ||
      (!r.values.at.empty() && r.values.at.size() != query->offsets.size()) ||
      !std::is_sorted(r.source.first.begin(), r.source.first.end()) ||
      (!r.source.first.empty() && r.source.first.size() != query->offsets.size() + 1)) {
    return false;
  }
  query->build_id = std::move(r.build_id);
  query->is_stripped = r.is_stripped;
  query->exhausted = r.exhausted;
  query->status = std::move(r.status);
  query->names = std::move(r.names);
  query->source = std::move(r.source);
  query->values = std::move(r.values);
  return true;
}

}  // namespace jprof
