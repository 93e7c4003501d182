#include "tests/export/xml_check.h"

#include <cstddef>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "export/text.h"

namespace jprof {
namespace {

class Checker {
 public:
  explicit Checker(absl::string_view xml) : all_(xml), rest_(xml) {}

  std::string Check() {
    if (!Characters()) return Error("character that XML has not");
    if (absl::ConsumePrefix(&rest_, "<?xml ")) {
      size_t end = rest_.find("?>");
      if (end == absl::string_view::npos) return Error("declaration without end");
      rest_.remove_prefix(end + 2);
    }
    bool had_root = false;
    while (!rest_.empty()) {
      if (absl::ConsumePrefix(&rest_, "<![CDATA[")) {
        size_t end = rest_.find("]]>");
        if (end == absl::string_view::npos || open_.empty()) return Error("CDATA");
        rest_.remove_prefix(end + 3);
      } else if (absl::ConsumePrefix(&rest_, "</")) {
        absl::string_view name = Name();
        if (open_.empty() || open_.back() != name) return Error("end tag of another element");
        open_.pop_back();
        if (!absl::ConsumePrefix(&rest_, ">")) return Error("end tag");
      } else if (absl::ConsumePrefix(&rest_, "<")) {
        if (open_.empty() && had_root) return Error("second root");
        had_root = true;
        if (!StartTag()) return Error("start tag");
      } else if (rest_[0] == '&') {
        if (open_.empty() || !Reference()) return Error("reference");
      } else if (absl::StartsWith(rest_, "]]>")) {
        return Error("end of CDATA in text");
      } else {
        if (open_.empty() && !absl::ascii_isspace(rest_[0])) return Error("text outside");
        rest_.remove_prefix(1);
      }
    }
    if (!open_.empty() || !had_root) return Error("unclosed element");
    return "";
  }

 private:
  std::string Error(absl::string_view what) const {
    size_t at = all_.size() - rest_.size();
    return absl::StrCat(what, " at byte ", at, ": ", rest_.substr(0, 60));
  }

  bool Characters() {
    for (absl::string_view text = all_; !text.empty();) {
      Utf8Char c = DecodeUtf8(text);
      rest_ = text;
      if (c.length == 0 || c.code == 0xfffe || c.code == 0xffff) return false;
      if (c.code < 0x20 && c.code != '\n' && c.code != '\r' && c.code != '\t') return false;
      text.remove_prefix(c.length);
    }
    rest_ = all_;
    return true;
  }

  absl::string_view Name() {
    size_t n = 0;
    while (n < rest_.size() && (absl::ascii_isalnum(rest_[n]) || rest_[n] == '-')) ++n;
    absl::string_view name = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return name;
  }

  bool Reference() {
    rest_.remove_prefix(1);
    size_t end = rest_.find(';');
    if (end == absl::string_view::npos) return false;
    absl::string_view name = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (absl::ConsumePrefix(&name, "#")) {
      return !name.empty() && name.find_first_not_of("0123456789") == absl::string_view::npos;
    }
    return name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos";
  }

  bool StartTag() {
    absl::string_view element = Name();
    if (element.empty()) return false;
    std::set<std::string> attributes;
    while (absl::ConsumePrefix(&rest_, " ")) {
      absl::string_view attribute = Name();
      if (attribute.empty() || !attributes.emplace(attribute).second) return false;
      if (!absl::ConsumePrefix(&rest_, "=\"")) return false;
      while (!absl::ConsumePrefix(&rest_, "\"")) {
        if (rest_.empty() || rest_[0] == '<') return false;
        if (rest_[0] == '&') {
          if (!Reference()) return false;
        } else {
          rest_.remove_prefix(1);
        }
      }
    }
    if (absl::ConsumePrefix(&rest_, "/>")) return true;
    if (!absl::ConsumePrefix(&rest_, ">")) return false;
    open_.push_back(element);
    return true;
  }

  absl::string_view all_;
  absl::string_view rest_;
  std::vector<absl::string_view> open_;
};

}  // namespace

std::string XmlError(absl::string_view xml) { return Checker(xml).Check(); }

}  // namespace jprof
