#include "symbolize/source_url.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

// "webpack://app" of "webpack://app/./src/a.ts", "node:" of "node:fs"; "" of a path.
absl::string_view Origin(absl::string_view url) {
  const size_t colon = url.find(':');
  if (colon == absl::string_view::npos || colon < 2) return "";
  for (char c : url.substr(0, colon)) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '-' && c != '.') {
      return "";
    }
  }
  if (url.substr(colon + 1, 2) != "//") return url.substr(0, colon + 1);
  return url.substr(0, url.find('/', colon + 3));
}

// Without "." and ".."; what would lead above the beginning of a path from the root stays there.
std::string Normalise(absl::string_view path) {
  const bool from_root = absl::StartsWith(path, "/");
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!from_root) {
      parts.push_back(part);
    }
  }
  return absl::StrCat(from_root ? "/" : "", absl::StrJoin(parts, "/"));
}

absl::string_view Directory(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? "" : path.substr(0, slash + 1);
}

}  // namespace

std::string DecodePercent(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte) && byte > 0) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string PathOfUrl(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "file://")) return Origin(url).empty() ? std::string(url) : "";
  absl::ConsumePrefix(&url, "localhost");
  if (!absl::StartsWith(url, "/")) return "";
  return DecodePercent(url.substr(0, url.find_first_of("?#")));
}

std::string ResolveSource(absl::string_view base, absl::string_view reference) {
  if (absl::StartsWith(reference, "file:")) {
    const std::string path = PathOfUrl(reference);
    if (!path.empty()) return Normalise(path);
  }
  if (const absl::string_view origin = Origin(reference); !origin.empty()) {
    const absl::string_view rest =
        reference.substr(origin.size(), reference.find_first_of("?#") - origin.size());
    const absl::string_view slash = absl::StartsWith(rest, "/") ? "/" : "";
    return absl::StrCat(origin, slash, Normalise(absl::StripPrefix(rest, "/")));
  }
  reference = reference.substr(0, reference.find_first_of("?#"));
  std::string in = PathOfUrl(base);
  const absl::string_view origin = in.empty() ? Origin(base) : "";
  if (in.empty()) in = std::string(base.substr(origin.size()));
  if (absl::StartsWith(reference, "/")) return absl::StrCat(origin, Normalise(reference));
  return absl::StrCat(origin, Normalise(absl::StrCat(Directory(in), reference)));
}

}  // namespace jprof
