#include "profiler/top/keys.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr char kEscape = '\x1b';
constexpr size_t kMaxSequence = 32;

struct Sequence {
  absl::string_view bytes;  // behind "ESC [" or "ESC O"
  Key::Kind kind;
};
constexpr Sequence kSequences[] = {
    {"A", Key::Kind::kUp},      {"B", Key::Kind::kDown},      {"C", Key::Kind::kRight},
    {"D", Key::Kind::kLeft},    {"H", Key::Kind::kHome},      {"F", Key::Kind::kEnd},
    {"1~", Key::Kind::kHome},   {"7~", Key::Kind::kHome},     {"4~", Key::Kind::kEnd},
    {"8~", Key::Kind::kEnd},    {"5~", Key::Kind::kPageUp},   {"6~", Key::Kind::kPageDown},
    {"M", Key::Kind::kEnter},
};

}  // namespace

bool KeyDecoder::TakeOne(std::vector<Key>& keys) {
  auto take = [&](size_t bytes, Key key) {
    pending_.erase(0, bytes);
    keys.push_back(std::move(key));
    return true;
  };
  const char first = pending_[0];
  if (first == '\r' || first == '\n') return take(1, {Key::Kind::kEnter, ""});
  if (first == '\x7f' || first == '\b') return take(1, {Key::Kind::kBackspace, ""});
  if (first == kEscape) {
    if (pending_.size() == 1) return false;
    if (pending_[1] != '[' && pending_[1] != 'O') return take(1, {Key::Kind::kEscape, ""});
    // Parameters, then one byte that ends the sequence.
    size_t end = 2;
    while (end < pending_.size() && pending_[end] >= 0x20 && pending_[end] < 0x40) ++end;
    if (end > kMaxSequence) return take(end, {});
    if (end == pending_.size()) return false;
    const absl::string_view body = absl::string_view(pending_).substr(2, end - 1);
    for (const Sequence& known : kSequences) {
      if (body == known.bytes) return take(end + 1, {known.kind, ""});
    }
    return take(end + 1, {});
  }
  if (static_cast<unsigned char>(first) < 0x20) return take(1, {});
  const Utf8Char c = DecodeUtf8(pending_);
  if (c.length != 0) return take(c.length, {Key::Kind::kText, pending_.substr(0, c.length)});
  // Cut off, so far; or no UTF-8.
  const bool may_go_on = (static_cast<unsigned char>(first) & 0xc0) == 0xc0 && pending_.size() < 4;
  if (may_go_on && std::all_of(pending_.begin() + 1, pending_.end(),
                               [](char b) { return (b & 0xc0) == 0x80; })) {
    return false;
  }
  return take(1, {});
}

void KeyDecoder::Feed(absl::string_view bytes, std::vector<Key>& keys) {
  pending_.append(bytes.data(), bytes.size());
  while (!pending_.empty() && TakeOne(keys)) {
  }
}

void KeyDecoder::Timeout(std::vector<Key>& keys) {
  if (absl::StartsWith(pending_, "\x1b")) keys.push_back({Key::Kind::kEscape, ""});
  pending_.clear();
}

}  // namespace jprof
