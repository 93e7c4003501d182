#include "helpers/v8/v8_blob.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace jprof::v8 {
namespace {

constexpr uint32_t kAlignment = 32;  // at least
constexpr uint32_t kMaxGap = 64;     // between two builtins
constexpr size_t kMinBuiltins = 500;
constexpr size_t kMaxBuiltins = 10000;
constexpr uint32_t kMaxBuiltinBytes = 1 << 20;
constexpr std::byte kBreakpoint{0xcc};
constexpr uint64_t kMaxSearchBytes = uint64_t{512} << 20;
constexpr size_t kReadBytes = size_t{128} << 10;  // stays in the cache until it is looked at
// Of pieces of a table or of gaps between instructions. A file made for it looks like either at
// each of its words, nearly to the end.
constexpr int kMaxSmallReads = 1 << 18;

// The table's form, by version.
struct Form {
  uint32_t first_version;
  uint32_t header;  // bytes before the first entry
  uint32_t stride;
  bool joint;  // the instructions follow the table
};
constexpr Form kForms[] = {
    {704, 16, 8, true},    {806, 16, 8, false},   {900, 24, 16, false},
    {1002, 24, 28, false}, {1008, 24, 32, false}, {1108, 24, 12, false},
};

const Form* FindForm(uint32_t version) {
  const Form* result = nullptr;
  for (const Form& form : kForms) {
    if (form.first_version <= version) result = &form;
  }
  return result;
}

struct Entry {
  uint32_t offset;
  uint32_t length;
  uint32_t end() const { return offset + length; }
};

Entry ReadEntry(const std::byte* at) {
  Entry entry;
  std::memcpy(&entry, at, sizeof(entry));
  return entry;
}

bool IsFirst(Entry entry) {
  return entry.offset == 0 && entry.length != 0 && entry.length < kMaxBuiltinBytes;
}

bool Follows(Entry before, Entry entry) {
  return entry.offset % kAlignment == 0 && entry.length != 0 && entry.length < kMaxBuiltinBytes &&
         entry.offset > before.end() && entry.offset - before.end() <= kMaxGap;
}

class Search {
 public:
  Search(const ElfFile& image, const Form& form)
      : image_(image), form_(form), segments_(image.LoadedSegments()) {
    // The table lies among the largest of constants, which are apart from code in newer builds.
    std::stable_sort(segments_.begin(), segments_.end(), [](const auto& a, const auto& b) {
      return a.executable != b.executable ? b.executable : a.file_size > b.file_size;
    });
  }

  std::optional<EmbeddedBlob> Run(size_t handlers) {
    std::optional<ElfAddress> begin;
    for (const ElfFile::LoadedSegment& s : segments_) {
      if (s.writable || begin) continue;
      const size_t seen = form_.header + form_.stride + sizeof(Entry);
      Scan(s, sizeof(uint64_t), seen, !form_.joint, [&](ElfAddress at, const std::byte* bytes) {
        begin = AtTable(at, bytes);
        return begin.has_value();
      });
    }
    if (!begin || handlers == 0 || entries_.size() <= handlers) return std::nullopt;
    EmbeddedBlob blob{*begin,
                      Plus(*begin, entries_[entries_.size() - handlers].offset),
                      Plus(*begin, entries_.back().end()),
                      {}};
    for (const Entry& entry : entries_) blob.begins.push_back(Plus(*begin, entry.offset));
    return blob;
  }

 private:
  static ElfAddress Plus(ElfAddress a, uint64_t bytes) { return {a.value + bytes}; }

  // `at`, or where the section of code ends that it lies in. A file without sections has none.
  uint64_t BehindCode(const ElfFile::LoadedSegment& segment, uint64_t at) const {
    const std::optional<ElfFile::Range> code = image_.ExecutableRange(Plus(segment.begin, at));
    const ElfAddress end = Plus(segment.begin, segment.file_size);
    if (!code || (code->begin <= segment.begin && end <= code->end)) return at;
    return (code->end.value + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t) -
           segment.begin.value;
  }

  // Calls `visit` for each aligned address of the segment, with the `seen` bytes from there on,
  // until it returns true. `skip_code`: not for those in sections of code.
  template <typename Visit>
  void Scan(const ElfFile::LoadedSegment& segment, size_t alignment, size_t seen, bool skip_code,
            Visit visit) {
    // A multiple of any alignment, and not much less than what is read.
    const size_t step = std::max(kReadBytes, 4 * (seen - seen % kReadBytes));
    std::vector<std::byte> bytes(step + seen);
    const uint64_t skip = (alignment - segment.begin.value % alignment) % alignment;
    for (uint64_t at = skip; at < segment.file_size && read_ < kMaxSearchBytes; at += step) {
      if (skip_code) at = BehindCode(segment, at);
      if (at >= segment.file_size) return;
      const size_t size = std::min<uint64_t>(bytes.size(), segment.file_size - at);
      const ElfAddress from = Plus(segment.begin, at);
      if (!image_.ReadAt(from, std::span(bytes).first(size))) return;
      read_ += size;
      for (size_t i = 0; i < step && i + seen <= size; i += alignment) {
        if (visit(Plus(from, i), bytes.data() + i)) return;
      }
    }
  }

  // The first builtin, when the blob's table is at `at`.
  std::optional<ElfAddress> AtTable(ElfAddress at, const std::byte* bytes) {
    const Entry first = ReadEntry(bytes + form_.header);
    const Entry second = ReadEntry(bytes + form_.header + form_.stride);
    if (!IsFirst(first) || !Follows(first, second) || !ReadTable(at)) return std::nullopt;
    std::optional<ElfAddress> begin;
    if (form_.joint) {
      const uint64_t behind = at.value + form_.header + entries_.size() * form_.stride;
      for (uint64_t a = behind - behind % kAlignment; a <= behind + kMaxGap && !begin;
           a += kAlignment) {
        if (AreInstructions({a})) begin = ElfAddress{a};
      }
      return begin;
    }
    for (const ElfFile::LoadedSegment& s : segments_) {
      if (!s.executable || begin) continue;
      Scan(s, kAlignment, second.offset, false, [&](ElfAddress a, const std::byte* b) {
        if (IsGap(std::span(b, second.offset).subspan(first.end())) && AreInstructions(a))
          begin = a;
        return begin.has_value();
      });
    }
    return begin;
  }

  // Reads all entries of the table at `at`. False: too few for a V8.
  bool ReadTable(ElfAddress at) {
    entries_.clear();
    std::vector<std::byte> bytes(size_t{form_.stride} * 16);
    ElfAddress from = Plus(at, form_.header);
    while (entries_.size() < kMaxBuiltins && ReadSmall(from, bytes)) {
      for (size_t i = 0; i < bytes.size(); i += form_.stride) {
        const Entry entry = ReadEntry(bytes.data() + i);
        const size_t count = entries_.size();
        // The sizes of both blobs, which may follow, look like one more.
        const bool sizes =
            count >= kMinBuiltins && entry.length == form_.header + form_.stride * count;
        const bool fits = count == 0 ? IsFirst(entry) : Follows(entries_.back(), entry);
        if (sizes || !fits) return count >= kMinBuiltins;
        entries_.push_back(entry);
      }
      from = Plus(from, bytes.size());
    }
    return false;
  }

  bool ReadSmall(ElfAddress at, std::span<std::byte> out) {
    return ++small_reads_ <= kMaxSmallReads && image_.ReadAt(at, out);
  }

  static bool IsGap(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == kBreakpoint; });
  }

  bool AreInstructions(ElfAddress begin) {
    std::byte gap[kMaxGap];
    for (size_t i = 1; i < entries_.size(); ++i) {
      const uint32_t end = entries_[i - 1].end();
      const std::span<std::byte> bytes(gap, entries_[i].offset - end);
      if (!ReadSmall(Plus(begin, end), bytes) || !IsGap(bytes)) return false;
    }
    std::byte last;
    return ReadSmall(Plus(begin, entries_.back().end() - 1), {&last, 1});
  }

  const ElfFile& image_;
  const Form& form_;
  std::vector<ElfFile::LoadedSegment> segments_;
  std::vector<Entry> entries_;
  uint64_t read_ = 0;
  int small_reads_ = 0;
};

}  // namespace

std::optional<EmbeddedBlob> FindEmbeddedBlob(const ElfFile& image, uint32_t version,
                                             size_t handlers) {
  const Form* form = FindForm(version);
  if (form == nullptr) return std::nullopt;
  return Search(image, *form).Run(handlers);
}

}  // namespace jprof::v8
