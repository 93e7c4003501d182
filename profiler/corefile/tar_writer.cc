#include "profiler/corefile/tar_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kBlockBytes = 512;
constexpr size_t kBufferBytes = 256 << 10;
constexpr uint64_t kMaxUstarSize = 077777777777;
constexpr int kLevel = 3;  // cores are large: beyond it a third less for half the speed
constexpr int kGzip = 15 + 16, kMemoryLevel = 8;

struct Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
static_assert(sizeof(Header) == kBlockBytes);

std::string Padding(uint64_t size) {
  return std::string((kBlockBytes - size % kBlockBytes) % kBlockBytes, '\0');
}

// Octal digits that fill the field but for its end.
template <size_t kSize>
void PutNumber(char (&field)[kSize], uint64_t value) {
  for (size_t i = kSize - 1; i-- > 0; value /= 8) field[i] = static_cast<char>('0' + value % 8);
}

// `name` is cut and `size` left 0 where they do not fit.
std::string MakeHeader(const std::string& name, uint64_t size, const TarEntry& entry, char type) {
  Header header = {};
  name.copy(header.name, sizeof(header.name));
  PutNumber(header.mode, entry.mode);
  PutNumber(header.uid, 0);
  PutNumber(header.gid, 0);
  PutNumber(header.size, size <= kMaxUstarSize ? size : 0);
  PutNumber(header.mtime, static_cast<uint64_t>(std::max<int64_t>(entry.time, 0)));
  header.type = type;
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof(header); ++i) sum += bytes[i];
  PutNumber(header.checksum, sum);  // a space or a zero is its end
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header));
}

// "LENGTH key=value\n", where LENGTH counts itself.
void AddRecord(std::string& records, absl::string_view key, absl::string_view value) {
  const std::string rest = absl::StrCat(" ", key, "=", value, "\n");
  size_t length = rest.size() + 1;
  while (absl::StrCat(length).size() + rest.size() != length) ++length;
  absl::StrAppend(&records, length, rest);
}

TarEntry Describe(const std::string& name, uint32_t mode, int fd, uint64_t size) {
  TarEntry entry = {.name = name, .mode = mode, .time = ::time(nullptr), .size = size};
  const auto end = static_cast<off_t>(size);
  for (off_t at = 0; at < end;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
      entry.pieces = {{0, size}};  // its file system does not tell
      return entry;
    }
    if (data < 0 || data >= end) break;
    off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || hole > end) hole = end;
    entry.pieces.push_back({static_cast<uint64_t>(data), static_cast<uint64_t>(hole - data)});
    at = hole;
  }
  entry.sparse = size > 0 && !(entry.pieces.size() == 1 && entry.pieces[0].size == size);
  // Of a hole at the end tar knows by what comes behind it.
  if (entry.sparse) entry.pieces.push_back({size, 0});
  return entry;
}

}  // namespace

std::string TarHead(const TarEntry& entry) {
  std::string records, map, name = entry.name;
  uint64_t size = entry.size;
  if (entry.sparse) {
    size = 0;
    map = absl::StrCat(entry.pieces.size(), "\n");
    for (const TarEntry::Piece& piece : entry.pieces) {
      absl::StrAppend(&map, piece.offset, "\n", piece.size, "\n");
      size += piece.size;
    }
    map += Padding(map.size());
    size += map.size();
    AddRecord(records, "GNU.sparse.major", "1");
    AddRecord(records, "GNU.sparse.minor", "0");
    AddRecord(records, "GNU.sparse.name", entry.name);
    AddRecord(records, "GNU.sparse.realsize", absl::StrCat(entry.size));
    name = absl::StrCat("GNUSparseFile.0/", entry.name.substr(entry.name.rfind('/') + 1));
  } else if (name.size() > sizeof(Header::name)) {
    AddRecord(records, "path", name);
  }
  if (size > kMaxUstarSize) AddRecord(records, "size", absl::StrCat(size));
  std::string head;
  if (!records.empty()) {
    head = absl::StrCat(MakeHeader("PaxHeaders.0/entry", records.size(), entry, 'x'), records,
                        Padding(records.size()));
  }
  return absl::StrCat(head, MakeHeader(name, size, entry, '0'), map);
}

TarGzWriter::TarGzWriter(CoreSink& sink) : sink_(sink) {
  valid_ = ::deflateInit2(&stream_, kLevel, Z_DEFLATED, kGzip, kMemoryLevel,
                          Z_DEFAULT_STRATEGY) == Z_OK;
}

TarGzWriter::~TarGzWriter() {
  if (valid_) ::deflateEnd(&stream_);
}

absl::Status TarGzWriter::Pack(absl::string_view bytes, bool finish) {
  if (!valid_) return absl::ResourceExhaustedError("zlib: out of memory");
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream_.avail_in = static_cast<uInt>(bytes.size());
  std::string packed(kBufferBytes, '\0');
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream_.avail_out = static_cast<uInt>(packed.size());
    ::deflate(&stream_, finish ? Z_FINISH : Z_NO_FLUSH);
    JPROF_RETURN_IF_ERROR(
        sink_.Append(absl::string_view(packed).substr(0, packed.size() - stream_.avail_out)));
  } while (stream_.avail_out == 0);
  return absl::OkStatus();
}

absl::Status TarGzWriter::Add(const std::string& name, uint32_t mode, const UniqueFd& file,
                              const std::function<absl::Status(uint64_t)>& progress) {
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, name);
  const TarEntry entry = Describe(name, mode, file.get(), static_cast<uint64_t>(st.st_size));
  JPROF_RETURN_IF_ERROR(Pack(TarHead(entry)));
  std::string buffer(kBufferBytes, '\0');
  uint64_t all = 0;
  for (const TarEntry::Piece& piece : entry.pieces) {
    for (uint64_t done = 0; done < piece.size;) {
      const ssize_t n = ::pread(file.get(), buffer.data(),
                                std::min<uint64_t>(buffer.size(), piece.size - done),
                                static_cast<off_t>(piece.offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(errno, name);
      if (n == 0) return absl::DataLossError(absl::StrCat(name, ": it became shorter meanwhile"));
      JPROF_RETURN_IF_ERROR(Pack(absl::string_view(buffer).substr(0, static_cast<size_t>(n))));
      done += static_cast<uint64_t>(n);
      JPROF_RETURN_IF_ERROR(progress(static_cast<uint64_t>(n)));
    }
    all += piece.size;
  }
  return Pack(Padding(all));
}

absl::Status TarGzWriter::Finish() {
  // Its end: two blocks of zeros.
  return Pack(std::string(2 * kBlockBytes, '\0'), true);
}

}  // namespace jprof
