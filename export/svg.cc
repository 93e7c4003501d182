// The flame graph.
//
// One SVG 1.1 file that needs nothing else: a picture where scripts are off (mail, wikis, viewers),
// a tool where they are on. Two halves make it. This file does what must hold without a script:
// geometry, colours, labels, escaping, limits. web/flamegraph.js does what needs a reader: zoom,
// search, keys, the window's width.
//
// What others rely on. Fifteen years of scripts and bookmarks know the classic file, so its outside
// is kept: the ids title, subtitle, details, unzoom, search, ignorecase, matched and frames; each
// child of `frames` a <g> of <title>, <rect>, <text>; the title "name (1,234 samples, 5.67%)"; the
// classes hide, parent, show; the URL's s, x and y, where x and y are the very attribute strings of
// an unzoomed <rect>. The script therefore never changes the geometry attributes of the unzoomed
// picture, not even to fit it into a wider window: it scales the group instead.
//
// Geometry. The root is at the bottom, a row is 16 px, 1,180 px are all samples. x and width are
// written with two decimals: the difference of two rounded edges, so neighbours neither overlap nor
// gape, and a zoom into one pixel still has a hundred steps.
//
// Labels. A frame is labelled with its name but without the folders of a script: `render
// app.js:12`. What does not fit is cut so that the function stays: `v8::..Heap::CollectGarbage`.
// The title, which is what hovering shows and what search looks through, has all of it.
//
// What is left out. A frame narrower than 0.1 px is not seen and would make the file as large as
// the profile; rows beyond kMaxSvgDepth and frames beyond kMaxSvgBytes neither. For the latter the
// frames are taken by width, callers before callees, until the room is used up, so what is drawn is
// always whole from the root. A million stacks and names of 4 KiB stay below the limit, and the
// subtitle counts what is missing.
//
// Colour says what kind of code a frame is (code_kind.h), in hues that stay apart for most
// colour-blind eyes by their lightness as well; the shade within the hue is a hash of the name, so
// a function looks the same in two pictures, and an inlined one is paler. Native code that the
// garbage collector calls counts to it. For the script a frame has its kind and its package in its
// class: "k7 p2 i" is native, of package 2, inlined. Children are sorted by name and nothing is
// random: equal profiles give equal bytes.
//
// The verdict is part of the picture: all comments of the profile stand below the title.
//
// Hostile names. They pass ShownText (no control character, no direction mark, valid UTF-8, 4 KiB
// at most) and XmlText; Svg::Text takes nothing else. Markup comes from string literals only, the
// script and the style are constants in CDATA. No name is part of an id, a class, an attribute, or
// a selector.
#include "export/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/code_kind.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"
#include "web/assets.h"

namespace jprof {
namespace {

constexpr int kWidth = 1200;
constexpr int kPadding = 10;
constexpr int kFooter = 34;  // details, matched
constexpr int kRow = 16;
constexpr int kFontSize = 12;
constexpr double kCharWidth = 0.59;  // of the font size
constexpr int kUnitsPerPixel = 100;  // the two decimals of x and width
constexpr int64_t kUnits = int64_t{kWidth - 2 * kPadding} * kUnitsPerPixel;
constexpr int64_t kMinUnits = kUnitsPerPixel / 10;  // 0.1 px
constexpr size_t kFlushBytes = 256 * 1024;

constexpr int kNoteLine = 14;       // of the verdict
constexpr size_t kMaxComments = 8;  // of the profile
constexpr size_t kMaxCommentBytes = 1024;
constexpr size_t kMaxPackages = 1000;
constexpr size_t kMaxPackageBytes = 64;
constexpr uint8_t kInlinedBit = 0x80;  // in FrameLabel::category, beside the kind

CodeKind KindOf(const FrameLabel& label) {
  return static_cast<CodeKind>(label.category & ~kInlinedBit);
}

// 1234567 -> "1,234,567"
std::string Grouped(int64_t n) {
  std::string digits = absl::StrCat(n);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

int64_t Scale(int64_t part, int64_t whole, int64_t to) {
  if (whole <= 0) return 0;
  return static_cast<int64_t>((static_cast<__int128>(part) * to + whole / 2) / whole);
}

// "5.67%"
std::string Percent(int64_t part, int64_t whole) {
  int64_t hundredths = Scale(part, whole, 10000);
  return absl::StrFormat("%d.%02d%%", hundredths / 100, hundredths % 100);
}

// "5.7%"
std::string ShortPercent(int64_t part, int64_t whole) {
  int64_t tenths = Scale(part, whole, 1000);
  return absl::StrFormat("%d.%d%%", tenths / 10, tenths % 10);
}

// In hundredths of a percent.
std::string Signed(int64_t hundredths) {
  const int64_t size = std::abs(hundredths);
  return absl::StrFormat("%c%d.%02d%%", hundredths < 0 ? '-' : '+', size / 100, size % 100);
}

// "render /srv/app.js:12" -> "render app.js:12"; other names as they are. The same as labelOf in
// web/tree.js.
std::string LabelOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash == absl::string_view::npos) return std::string(name);
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits < slash + 2 || name[digits] != ':' || digits + 1 == name.size()) {
    return std::string(name);
  }
  // The path begins with a slash or a scheme ("file:", "node:") behind a blank.
  for (size_t blank = 0; (blank = name.find(' ', blank)) < slash; ++blank) {
    const size_t begin = blank + 1;
    size_t end = begin;
    while (name[end] >= 'a' && name[end] <= 'z') ++end;
    if (name[begin] == '/' || (end > begin && name[end] == ':')) {
      return absl::StrCat(name.substr(0, begin), name.substr(slash + 1));
    }
  }
  return std::string(name);
}

// Where a label may be cut. What says which function it is lies between the last of `begins` and
// `end`; the others are where its qualifiers begin. The same as partsOf in web/tree.js.
struct LabelParts {
  std::vector<size_t> begins = {0};
  size_t end = 0;
};
LabelParts PartsOf(absl::string_view label) {
  LabelParts parts;
  const size_t digits = label.find_last_not_of("0123456789");
  const size_t blank = label.rfind(' ');
  if (digits != absl::string_view::npos && digits + 1 < label.size() && label[digits] == ':' &&
      blank != absl::string_view::npos && blank > 0 && blank + 1 < digits) {
    parts.end = blank;
    return parts;
  }
  parts.end = label.size();
  int nested = 0;
  for (size_t i = 0; i < label.size() && nested >= 0; ++i) {
    if (label[i] == '<') {
      ++nested;
    } else if (label[i] == '>') {
      --nested;
    } else if (nested == 0 && absl::StartsWith(label.substr(i), "::") && i + 2 < label.size()) {
      parts.begins.push_back(i + 2);
      ++i;
    } else if (nested == 0 && label[i] == '(' && i > parts.begins.back()) {
      parts.end = i;
      return parts;
    }
  }
  if (nested != 0) parts.begins = {0};
  return parts;
}

// Widths of shown text. East Asian wide characters count as wide as the font is high.
class Ruler {
 public:
  explicit Ruler(double font_size) : font_size_(font_size) {}

  double narrow() const { return font_size_ * kCharWidth; }
  double Width(absl::string_view shown) const {
    double width = 0;
    for (size_t i = 0; i < shown.size();) width += Step(shown, i);
    return width;
  }
  // The longest beginning that is no wider than `room`.
  absl::string_view Prefix(absl::string_view shown, double room) const {
    size_t end = 0;
    double used = 0;
    for (size_t i = 0; i < shown.size(); end = i) {
      used += Step(shown, i);
      if (used > room) break;
    }
    return shown.substr(0, end);
  }
  // The longest end that is no wider than `room`.
  absl::string_view Suffix(absl::string_view shown, double room) const {
    double width = Width(shown);
    size_t i = 0;
    while (i < shown.size() && width > room) width -= Step(shown, i);
    return shown.substr(i);
  }

 private:
  // Of the character at `i`, which moves behind it.
  double Step(absl::string_view shown, size_t& i) const {
    Utf8Char c = DecodeUtf8(shown.substr(i));
    i += std::max<size_t>(c.length, 1);
    return c.code >= 0x1100 ? font_size_ : narrow();
  }

  double font_size_;
};

// The longest beginning that fits, with ".." where it is cut; "" below three characters.
std::string CutText(absl::string_view shown, double room, const Ruler& ruler) {
  if (ruler.Prefix(shown, room).size() == shown.size()) {
    return room < 3 * ruler.narrow() ? "" : std::string(shown);
  }
  absl::string_view cut = ruler.Prefix(shown, room - 2 * ruler.narrow());
  return cut.empty() ? "" : absl::StrCat(cut, "..");
}

// A label cut to its frame: the function whole if it fits, then as much of the rest as does. The
// same as fit in web/tree.js.
std::string FitText(absl::string_view label, double room) {
  const Ruler ruler(kFontSize);
  if (room < 3 * ruler.narrow()) return "";
  if (ruler.Prefix(label, room).size() == label.size()) return std::string(label);
  room -= 2 * ruler.narrow();
  const LabelParts parts = PartsOf(label);
  auto part = [&](size_t begin) { return label.substr(begin, parts.end - begin); };
  absl::string_view core = part(parts.begins.back());
  if (ruler.Prefix(core, room).size() < core.size()) {
    absl::string_view cut = ruler.Prefix(core, room);
    return cut.size() < 2 ? "" : absl::StrCat(cut, "..");
  }
  if (parts.begins.size() > 1) {
    // Without its arguments it fits.
    if (parts.end < label.size() && ruler.Width(part(0)) <= room) return absl::StrCat(part(0), "..");
    size_t i = 1;
    while (ruler.Width(part(parts.begins[i])) > room) ++i;
    const size_t begin = parts.begins[i];
    absl::string_view head =
        ruler.Prefix(label.substr(0, begin), room - ruler.Width(part(begin)));
    return absl::StrCat(head, "..", part(begin));
  }
  const size_t colon = label.rfind(':');
  if (colon == absl::string_view::npos || colon < parts.end) return absl::StrCat(core, "..");
  absl::string_view line = label.substr(colon);
  room -= ruler.Width(core) + ruler.Width(line);
  if (room < 0) return absl::StrCat(core, "..");
  return absl::StrCat(core, "..",
                      ruler.Suffix(label.substr(parts.end, colon - parts.end), room), line);
}

// Shown text in at most `max_lines` lines, broken at blanks where there are some.
std::vector<std::string> WrapText(absl::string_view shown, double room, size_t max_lines,
                                  const Ruler& ruler) {
  std::vector<std::string> lines;
  while (!shown.empty()) {
    absl::string_view line = ruler.Prefix(shown, room);
    if (line.size() == shown.size() || lines.size() + 1 == max_lines) {
      lines.push_back(CutText(shown, room, ruler));
      break;
    }
    const size_t blank = line.rfind(' ');
    if (blank != absl::string_view::npos && blank > line.size() / 2) line = line.substr(0, blank);
    lines.emplace_back(line);
    shown.remove_prefix(line.size());
    while (!shown.empty() && shown.front() == ' ') shown.remove_prefix(1);
  }
  return lines;
}

// The only way into the file: string literals, numbers, and text that is escaped.
class Svg {
 public:
  explicit Svg(OutputSink& sink) : sink_(sink) {}

  template <size_t N>
  Svg& Markup(const char (&literal)[N]) {
    buffer_.append(literal, N - 1);
    return *this;
  }
  Svg& Number(int64_t n) {
    absl::StrAppend(&buffer_, n);
    return *this;
  }
  // `units` in hundredths.
  Svg& Decimal(int64_t units) {
    absl::StrAppendFormat(&buffer_, "%d.%02d", units / kUnitsPerPixel, units % kUnitsPerPixel);
    return *this;
  }
  Svg& Colour(Rgb c) {
    absl::StrAppendFormat(&buffer_, "#%02x%02x%02x", c.r, c.g, c.b);
    return *this;
  }
  Svg& Text(const XmlText& text) {
    buffer_ += text.text();
    return *this;
  }
  // A file of web/: a constant of the program, without the sequence that ends CDATA.
  Svg& Asset(absl::string_view asset) {
    buffer_.append(asset.data(), asset.size());
    return *this;
  }

  absl::Status FlushIfLarge() { return buffer_.size() < kFlushBytes ? absl::OkStatus() : Flush(); }
  absl::Status Flush() {
    absl::Status status = sink_.Append(buffer_);
    buffer_.clear();
    return status;
  }

 private:
  OutputSink& sink_;
  std::string buffer_;
};

size_t EscapedBytes(absl::string_view shown) {
  size_t bytes = shown.size();
  for (char c : shown) {
    if (c == '&' || c == '\'') bytes += 4;
    if (c == '<' || c == '>') bytes += 3;
    if (c == '"') bytes += 5;
  }
  return bytes;
}

class FlameGraph {
 public:
  // `package_of`: a number in `packages` for each of the tree's labels, or -1.
  FlameGraph(const Profile& profile, const CallTree& tree, std::vector<int> package_of,
             std::vector<std::string> packages)
      : profile_(profile),
        tree_(tree),
        package_of_(std::move(package_of)),
        packages_(std::move(packages)),
        total_(tree.nodes()[0].total),
        unit_(SummedUnit(profile)),
        base_total_(tree.nodes()[0].base) {
    FindKinds();
    FindWidths();
    for (size_t i = 0; i < tree.nodes().size(); ++i) {
      most_changed_ = std::max(most_changed_, std::abs(Change(tree.nodes()[i])));
    }
    Choose();
    for (size_t i = 0; i < std::min(profile.comments.size(), kMaxComments); ++i) {
      comments_.push_back(ShownText(profile.comments[i], kMaxCommentBytes));
      for (std::string& line :
           WrapText(comments_.back(), kWidth - 2 * kPadding, 3, Ruler(kNoteSize))) {
        notes_.push_back(std::move(line));
      }
    }
    if (profile.comments.size() > kMaxComments) {
      notes_.push_back(absl::StrCat(profile.comments.size() - kMaxComments, " more comments"));
    }
    left_out_ = LeftOut();
    const int lines = static_cast<int>(notes_.size()) + (left_out_.empty() ? 0 : 1);
    legend_y_ = 49 + std::max(1, lines) * kNoteLine;
    header_ = legend_y_ + 13;
    height_ = header_ + (deepest_ + 1) * kRow + kFooter;
  }

  absl::Status Write(OutputSink& sink) {
    Svg svg(sink);
    Head(svg);
    JPROF_RETURN_IF_ERROR(Frames(svg));
    Header(svg);
    Footer(svg);
    svg.Markup("</svg>\n");
    return svg.Flush();
  }

 private:
  static constexpr int kNoteSize = 11;

  // Of the share of the samples, against that in the other profile; in hundredths of a percent.
  int64_t Change(const CallTree::Node& node) const {
    if (base_total_ == 0) return 0;
    return Scale(node.total, total_, 10000) - Scale(node.base, base_total_, 10000);
  }

  Rgb ColourOfChange(int64_t change) const {
    constexpr Rgb kNone = {0xec, 0xec, 0xec}, kMore = {0xe2, 0x4a, 0x33}, kLess = {0x3f, 0x86, 0xd9};
    const Rgb& to = change < 0 ? kLess : kMore;
    auto mix = [&](int a, int b) {
      return a + static_cast<int>((b - a) * std::abs(change) / std::max<int64_t>(most_changed_, 1));
    };
    return {mix(kNone.r, to.r), mix(kNone.g, to.g), mix(kNone.b, to.b)};
  }

  std::string TitleOf(absl::string_view name, const CallTree::Node& node) const {
    return absl::StrCat(name, " (", Grouped(node.total), " ", unit_, ", ", Percent(node.total, total_),
                        base_total_ == 0 ? "" : absl::StrCat("; ", Signed(Change(node))), ")");
  }

  // The kind of each node: what native code does for the garbage collector is the collector's.
  void FindKinds() {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    kinds_.resize(nodes.size(), CodeKind::kBase);
    for (size_t i = 1; i < nodes.size(); ++i) {
      kinds_[i] = KindOf(tree_.label(nodes[i]));
      if (kinds_[i] == CodeKind::kNative && kinds_[nodes[i].parent] == CodeKind::kGc) {
        kinds_[i] = CodeKind::kGc;
      }
    }
  }

  // What the width of each node stands for: its samples; in a comparison, the mean of its shares.
  void FindWidths() {
    constexpr int64_t kWhole = int64_t{1} << 40;
    for (const CallTree::Node& node : tree_.nodes()) {
      widths_.push_back(base_total_ == 0 ? node.total
                                         : Scale(node.total, total_, kWhole) +
                                               Scale(node.base, base_total_, kWhole));
    }
  }

  // Decides which frames are drawn, and counts the others by reason.
  void Choose() {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    drawn_.assign(nodes.size(), false);
    drawn_[0] = true;
    // All that is wide enough, in preorder.
    std::vector<uint32_t> chosen;
    for (uint32_t i = 1; i < nodes.size();) {
      bool thin = static_cast<__int128>(widths_[i]) * kUnits <
                  static_cast<__int128>(widths_[0]) * kMinUnits;
      if (thin || nodes[i].depth > kMaxSvgDepth) {
        (thin ? thin_ : deep_) += nodes[i].end - i;
        i = nodes[i].end;
        continue;
      }
      chosen.push_back(i++);
    }
    // Of these, the widest that fit; a caller is never narrower than its callees, nor deeper.
    std::stable_sort(chosen.begin(), chosen.end(), [&](uint32_t a, uint32_t b) {
      return widths_[a] != widths_[b] ? widths_[a] > widths_[b] : nodes[a].depth < nodes[b].depth;
    });
    constexpr int64_t kMarkupBytes = 240;       // of one frame, numbers included
    constexpr int64_t kSurroundings = 200'000;  // header and footer
    size_t around = assets::tree_js().size() + assets::flamegraph_js().size() +
                    assets::flamegraph_css().size();
    for (const std::string& package : packages_) around += EscapedBytes(package) + 1;
    int64_t room = kMaxSvgBytes - kSurroundings - static_cast<int64_t>(around);
    size_t taken = 0;
    for (; taken < chosen.size(); ++taken) {
      const CallTree::Node& node = nodes[chosen[taken]];
      int64_t name = static_cast<int64_t>(EscapedBytes(tree_.label(node).text));
      // The label is a part of the name and two dots; a character of 7 px has 6 bytes at most.
      int64_t label = std::min(name, Scale(widths_[chosen[taken]], widths_[0], kUnits) / kUnitsPerPixel + 2);
      room -= kMarkupBytes + name + label;
      if (room < 0) break;
      drawn_[chosen[taken]] = true;
      deepest_ = std::max(deepest_, static_cast<int>(node.depth));
    }
    crowded_ = chosen.size() - taken;
  }

  std::string LeftOut() const {
    std::vector<std::string> parts;
    if (thin_ > 0) parts.push_back(absl::StrCat(Grouped(thin_), " frames thinner than 0.1 px"));
    if (deep_ > 0) {
      parts.push_back(absl::StrCat(Grouped(deep_), " frames above level ", kMaxSvgDepth));
    }
    if (crowded_ > 0) {
      parts.push_back(absl::StrCat(Grouped(crowded_), " thin frames for the file's size"));
    }
    if (parts.empty()) return "";
    return absl::StrCat("not drawn: ", absl::StrJoin(parts, ", "));
  }

  void Head(Svg& svg) {
    svg.Markup(
           "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
           "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"")
        .Number(kWidth)
        .Markup("\" height=\"")
        .Number(height_)
        .Markup("\" viewBox=\"0 0 ")
        .Number(kWidth)
        .Markup(" ")
        .Number(height_)
        .Markup("\" onload=\"init(evt)\">\n<title>")
        .Text(XmlText::Escape(Title()))
        .Markup("</title>\n<desc>")
        .Text(XmlText::EscapeShown(Description()))
        .Markup("</desc>\n<style type=\"text/css\"><![CDATA[\n")
        .Asset(assets::flamegraph_css())
        .Markup("]]></style>\n<script type=\"text/ecmascript\"><![CDATA[\n")
        .Asset(assets::tree_js())
        .Asset(assets::flamegraph_js())
        .Markup("]]></script>\n<metadata id=\"packages\">");
    for (const std::string& package : packages_) {
      svg.Text(XmlText::EscapeShown(package)).Markup("\n");
    }
    svg.Markup(
            "</metadata>\n"
            "<rect id=\"background\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  }

  // For those who do not see the picture: what it is, and the functions that were executing most.
  std::string Description() const {
    constexpr size_t kHottest = 5;
    std::vector<int64_t> self(tree_.labels().size());
    for (size_t i = 1; i < tree_.nodes().size(); ++i) {
      int64_t& sum = self[tree_.nodes()[i].label];
      sum = SaturatingAdd(sum, tree_.nodes()[i].self);
    }
    std::vector<uint32_t> hottest(self.size());
    std::iota(hottest.begin(), hottest.end(), 0);
    const size_t count = std::min(kHottest, hottest.size());
    std::partial_sort(hottest.begin(), hottest.begin() + static_cast<ptrdiff_t>(count),
                      hottest.end(), [&](uint32_t a, uint32_t b) {
                        return self[a] != self[b] ? self[a] > self[b]
                                                  : tree_.labels()[a] < tree_.labels()[b];
                      });
    std::string text = absl::StrCat("Flame graph of ", Grouped(total_), " ", unit_, ".");
    for (size_t i = 0; i < count && self[hottest[i]] > 0; ++i) {
      absl::StrAppend(&text, i == 0 ? " Executing most: " : ", ",
                      ShownText(tree_.labels()[hottest[i]].text, 256), " ",
                      ShortPercent(self[hottest[i]], total_));
    }
    return text;
  }

  absl::string_view Title() const {
    return profile_.title.empty() ? absl::string_view("Flame graph") : profile_.title;
  }

  absl::Status Frames(Svg& svg) {
    svg.Markup("<g id=\"frames\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" font-size=\"")
        .Number(kFontSize)
        .Markup("\" fill=\"#111111\">\n");
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    // Where each open caller's next callee begins, by depth. Skipped frames take their room too.
    std::vector<int64_t> next_start = {0};
    Frame(svg, 0, 0);
    for (uint32_t i = 1; i < nodes.size();) {
      const CallTree::Node& node = nodes[i];
      next_start.resize(node.depth);
      int64_t start = next_start.back();
      next_start.back() = SaturatingAdd(start, widths_[i]);
      if (!drawn_[i]) {
        i = node.end;
        continue;
      }
      Frame(svg, i, start);
      next_start.push_back(start);
      JPROF_RETURN_IF_ERROR(svg.FlushIfLarge());
      ++i;
    }
    svg.Markup("</g>\n");
    return absl::OkStatus();
  }

  void Frame(Svg& svg, uint32_t index, int64_t start) {
    const CallTree::Node& node = tree_.nodes()[index];
    bool is_root = node.depth == 0;
    absl::string_view name = is_root ? absl::string_view("all") : tree_.label(node).text;
    int64_t left = Scale(start, widths_[0], kUnits);
    int64_t right = is_root ? kUnits : Scale(SaturatingAdd(start, widths_[index]), widths_[0], kUnits);
    int64_t x = int64_t{kPadding} * kUnitsPerPixel + left;
    int64_t y = height_ - kFooter - (int64_t{node.depth} + 1) * kRow;
    double width_px = static_cast<double>(right - left) / kUnitsPerPixel;
    std::string title = is_root ? absl::StrCat("all (", Grouped(total_), " ", unit_, ", 100%)")
                                : TitleOf(name, node);
    const bool inlined = !is_root && (tree_.label(node).category & kInlinedBit) != 0;
    const int package = is_root ? -1 : package_of_[node.label];
    // A frame of some width has an edge ("w"), a hair would be all edge.
    if (width_px >= 3) {
      svg.Markup("<g class=\"w k");
    } else {
      svg.Markup("<g class=\"k");
    }
    svg.Number(static_cast<int64_t>(kinds_[index]));
    if (package >= 0) svg.Markup(" p").Number(package);
    if (inlined) svg.Markup(" i");
    svg.Markup("\"><title>");
    svg.Text(XmlText::EscapeShown(title))
        .Markup("</title><rect x=\"")
        .Decimal(x)
        .Markup("\" y=\"")
        .Number(y)
        .Markup("\" width=\"")
        .Decimal(right - left)
        .Markup("\" height=\"")
        .Number(kRow - 1)
        .Markup("\" fill=\"")
        .Colour(base_total_ == 0 ? ColourOf(kinds_[index], inlined, ShadeOf(name))
                                 : ColourOfChange(Change(node)))
        .Markup("\"/><text x=\"")
        .Decimal(x + 3 * kUnitsPerPixel)
        .Markup("\" y=\"")
        .Number(y + 11)
        .Markup("\">")
        .Text(XmlText::EscapeShown(FitText(LabelOf(name), width_px - 6)))
        .Markup("</text></g>\n");
  }

  void Header(Svg& svg) {
    svg.Markup(
           "<g id=\"header\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" "
           "font-size=\"12\" fill=\"#24292f\">\n<rect class=\"bar\" width=\"100%\" height=\"")
        .Number(header_ - 6)
        .Markup(
            "\" fill=\"#ffffff\"/>\n"
            "<text id=\"title\" x=\"10\" y=\"25\" font-size=\"17\">")
        .Text(XmlText::EscapeShown(CutText(ShownText(Title()), 840, Ruler(17))))
        .Markup("</text>\n");
    Subtitle(svg);
    Legend(svg);
    svg.Markup(
        "<text id=\"unzoom\" class=\"button hide\" x=\"985\" y=\"25\" "
        "text-anchor=\"end\">Reset Zoom</text>\n"
        "<text id=\"ignorecase\" class=\"button hide\" x=\"1085\" y=\"25\" "
        "text-anchor=\"end\">Ignore Case</text>\n"
        "<text id=\"search\" class=\"button hide\" x=\"1190\" y=\"25\" "
        "text-anchor=\"end\">Search</text>\n</g>\n");
  }

  // Line by line; the tooltip has each comment in full, and the script breaks them anew.
  void Subtitle(Svg& svg) {
    svg.Markup("<text id=\"subtitle\" x=\"10\" y=\"44\" font-size=\"11\" fill=\"#57606a\">");
    if (!comments_.empty()) {
      svg.Markup("<title>");
      for (size_t i = 0; i < comments_.size(); ++i) {
        if (i > 0) svg.Markup("\n");
        svg.Text(XmlText::EscapeShown(comments_[i]));
      }
      svg.Markup("</title>");
    }
    for (size_t i = 0; i < notes_.size(); ++i) {
      if (i > 0) svg.Markup("<tspan x=\"10\" dy=\"").Number(kNoteLine).Markup("\">");
      svg.Text(XmlText::EscapeShown(notes_[i]));
      if (i > 0) svg.Markup("</tspan>");
    }
    svg.Markup("</text>\n");
    if (left_out_.empty()) return;
    svg.Markup("<text id=\"leftout\" x=\"10\" y=\"")
        .Number(44 + static_cast<int>(notes_.size()) * kNoteLine)
        .Markup("\" font-size=\"11\" fill=\"#9a3412\">")
        .Text(XmlText::EscapeShown(left_out_))
        .Markup("</text>\n");
  }

  // What kinds of code there are, and the share of samples that each was executing.
  void Legend(Svg& svg) {
    std::array<int64_t, kCodeKinds> self = {};
    std::array<bool, kCodeKinds> present = {};
    int64_t inlined = 0;
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    for (size_t i = 1; i < nodes.size(); ++i) {
      const size_t kind = static_cast<size_t>(kinds_[i]);
      self[kind] = SaturatingAdd(self[kind], nodes[i].self);
      present[kind] = present[kind] || kinds_[i] != CodeKind::kBase || nodes[i].self > 0;
      if ((tree_.label(nodes[i]).category & kInlinedBit) != 0) {
        inlined = SaturatingAdd(inlined, nodes[i].self);
      }
    }
    svg.Markup(
        "<g id=\"legend\" font-size=\"11\">"
        "<title>share of the samples in which this kind of code was executing</title>\n");
    // The script lays this out anew: it knows the window's width.
    int x = kPadding;
    auto room = [](absl::string_view text) {
      return static_cast<int>(std::lround(static_cast<double>(text.size()) * 11 * kCharWidth)) + 12;
    };
    const absl::string_view heading = base_total_ == 0 ? "executing:" : "change of the share (width: mean of both):";
    svg.Markup("<text x=\"").Number(x).Markup("\" y=\"").Number(legend_y_).Markup("\">");
    svg.Text(XmlText::EscapeShown(heading)).Markup("</text>\n");
    x += room(heading);
    auto item = [&](Rgb colour, absl::string_view text) {
      svg.Markup("<rect x=\"")
          .Number(x)
          .Markup("\" y=\"")
          .Number(legend_y_ - 9)
          .Markup("\" width=\"11\" height=\"11\" fill=\"")
          .Colour(colour)
          .Markup("\"/><text x=\"")
          .Number(x + 15)
          .Markup("\" y=\"")
          .Number(legend_y_)
          .Markup("\">")
          .Text(XmlText::EscapeShown(text))
          .Markup("</text>\n");
      x += 15 + room(text);
    };
    for (size_t i = 0; i < kCodeKinds && base_total_ == 0; ++i) {
      // "no stack" goes last.
      const size_t kind = (i + 1) % kCodeKinds;
      if (!present[kind]) continue;
      std::string text(kKindStyles[kind].legend);
      // Who awaits is not executing.
      if (static_cast<CodeKind>(kind) != CodeKind::kAwaiting) {
        absl::StrAppend(&text, " ", ShortPercent(self[kind], total_));
      }
      item(ColourOf(static_cast<CodeKind>(kind), false, 7), text);
    }
    if (base_total_ > 0) {
      item(ColourOfChange(most_changed_), absl::StrCat("more, up to ", Signed(most_changed_)));
      item(ColourOfChange(-most_changed_), absl::StrCat("less, down to ", Signed(-most_changed_)));
    } else if (inlined > 0) {
      item(ColourOf(CodeKind::kUserScript, true, 7),
           absl::StrCat("paler: inlined ", ShortPercent(inlined, total_)));
    }
    svg.Markup("</g>\n");
  }

  void Footer(Svg& svg) {
    svg.Markup(
           "<g id=\"footer\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" "
           "font-size=\"12\" fill=\"#24292f\">\n<rect class=\"bar\" y=\"")
        .Number(height_ - kFooter + 6)
        .Markup("\" width=\"100%\" height=\"")
        .Number(kFooter - 6)
        .Markup("\" fill=\"#ffffff\"/>\n<text id=\"details\" x=\"10\" y=\"")
        .Number(height_ - 10)
        .Markup("\"> </text>\n<text id=\"matched\" class=\"hide\" x=\"1190\" y=\"")
        .Number(height_ - 10)
        .Markup("\" text-anchor=\"end\"> </text>\n</g>\n");
  }

  const Profile& profile_;
  const CallTree& tree_;
  const std::vector<int> package_of_;
  const std::vector<std::string> packages_;
  const int64_t total_;
  const std::string unit_;    // of it: "samples"
  const int64_t base_total_;  // of the profile that this is compared with; 0: of none
  int64_t most_changed_ = 0;
  std::vector<CodeKind> kinds_;        // by node
  std::vector<int64_t> widths_;        // by node
  std::vector<std::string> comments_;  // shown
  std::vector<std::string> notes_;     // the same in lines
  std::string left_out_;
  int legend_y_ = 0;
  int header_ = 0;
  std::vector<bool> drawn_;
  int64_t thin_ = 0;
  int64_t deep_ = 0;
  int64_t crowded_ = 0;
  int deepest_ = 0;
  int64_t height_ = 0;
};

class SvgExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    const Packages packages(profile);
    absl::flat_hash_map<std::string, std::string> package_of_name;
    auto frame_label = [&](const Function& function, uint32_t line, bool inlined) {
      FrameLabel label{ShownName(profile, function, line),
                       static_cast<uint8_t>(KindOf(profile, function))};
      package_of_name.try_emplace(label.text,
                                  ShownText(packages.Of(function), kMaxPackageBytes));
      if (inlined) label.category |= kInlinedBit;
      return label;
    };
    auto process_label = [](absl::string_view name) {
      std::string shown = ShownText(name);
      return FrameLabel{shown.empty() ? "[unknown]" : std::move(shown),
                        static_cast<uint8_t>(CodeKind::kBase)};
    };
    CallTree::Options options{.sample_type = SummedType(profile),
                              .frame_label = frame_label, .process_label = process_label};
    options.base_type = BaseType(profile);
    CallTree tree = CallTree::Build(profile, options);
    std::vector<int> package_of;
    std::vector<std::string> names;
    absl::flat_hash_map<std::string, int> numbers;
    for (const FrameLabel& label : tree.labels()) {
      auto name = package_of_name.find(label.text);
      int number = -1;
      if (name != package_of_name.end() && !name->second.empty()) {
        auto known = numbers.find(name->second);
        if (known != numbers.end()) {
          number = known->second;
        } else if (names.size() < kMaxPackages) {
          number = static_cast<int>(names.size());
          numbers.emplace(name->second, number);
          names.push_back(name->second);
        }
      }
      package_of.push_back(number);
    }
    return FlameGraph(profile, tree, std::move(package_of), std::move(names)).Write(sink);
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeSvgExporter() { return std::make_unique<SvgExporter>(); }

}  // namespace jprof
