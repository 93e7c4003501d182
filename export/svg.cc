// The flame graph.
//
// One SVG 1.1 file that needs nothing else: a picture where scripts are off (mail, wikis, viewers),
// a tool where they are on. Two halves make it. This file does what must hold without a script:
// geometry, colours, labels, escaping, limits. web/flamegraph/ does what needs a reader: zoom,
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
// class: "k7 p2 i" is native, of package 2, inlined; and in data-self what it has itself, where
// that is not all that its drawn callees leave. Children are sorted by name and nothing is random:
// equal profiles give equal bytes.
//
// The verdict is part of the picture: the first comments of the profile stand below the title, and
// how many more there are.
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

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/code_kind.h"
#include "export/figures.h"
#include "export/flame_layout.h"
#include "export/label_text.h"
#include "export/picture_tree.h"
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
constexpr int kUnitsPerPixel = FlameLayout::kUnitsPerPixel;  // the two decimals of x and width
constexpr size_t kFlushBytes = 256 * 1024;

constexpr int kNoteLine = 14;       // of the verdict
constexpr size_t kMaxComments = 8;  // of the profile
constexpr size_t kMaxCommentBytes = 1024;
constexpr size_t kMaxPackages = 1000;

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

// The packages that the picture names, and a number in them for each label, or -1.
struct PackageNumbers {
  std::vector<std::string> names;
  std::vector<int> of_label;
};

PackageNumbers NumberPackages(const std::vector<std::string>& package_of_label) {
  PackageNumbers packages;
  const absl::btree_set<absl::string_view> sorted(package_of_label.begin(), package_of_label.end());
  absl::flat_hash_map<absl::string_view, int> numbers;
  for (absl::string_view name : sorted) {
    if (name.empty() || packages.names.size() == kMaxPackages) continue;
    numbers.emplace(name, static_cast<int>(packages.names.size()));
    packages.names.emplace_back(name);
  }
  for (const std::string& name : package_of_label) {
    const auto known = numbers.find(name);
    packages.of_label.push_back(known == numbers.end() ? -1 : known->second);
  }
  return packages;
}

class FlameGraph {
 public:
  FlameGraph(const Profile& profile, const PictureTree& picture, const PackageNumbers& packages)
      : profile_(profile),
        picture_(picture),
        packages_(packages),
        layout_(picture, Room(packages)),
        kinds_(picture.NodeKinds()),
        executing_(picture.Sums(kinds_)),
        total_(picture.nodes()[0].total),
        unit_(SummedUnit(profile)) {
    for (const CallTree::Node& node : picture.nodes()) {
      most_changed_ = std::max(most_changed_, std::abs(picture.Change(node)));
    }
    for (size_t i = 0; i < std::min(profile.comments.size(), kMaxComments); ++i) {
      comments_.push_back(ShownText(profile.comments[i], kMaxCommentBytes));
    }
    if (profile.comments.size() > kMaxComments) {
      comments_.push_back(MoreComments(profile.comments.size() - kMaxComments));
    }
    for (const std::string& comment : comments_) {
      for (std::string& line : WrapText(comment, kWidth - 2 * kPadding, 3, Ruler(kNoteSize))) {
        notes_.push_back(std::move(line));
      }
    }
    left_out_ = layout_.LeftOut();
    drawn_below_.assign(picture.nodes().size(), 0);
    for (const FlameLayout::Frame& frame : layout_.frames()) {
      const CallTree::Node& node = picture.nodes()[frame.node];
      if (node.depth == 0) continue;
      int64_t& callers = drawn_below_[node.parent];
      callers = SaturatingAdd(callers, node.total);
    }
    const int lines = static_cast<int>(notes_.size()) + (left_out_.empty() ? 0 : 1);
    legend_y_ = 49 + std::max(1, lines) * kNoteLine;
    header_ = legend_y_ + 13;
    height_ = header_ + (layout_.deepest() + 1) * kRow + kFooter;
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

  // For the frames, in bytes, beside all else.
  static int64_t Room(const PackageNumbers& packages) {
    constexpr int64_t kSurroundings = 200'000;  // header and footer
    size_t around = assets::arriving_js().size() + assets::flamegraph_js().size() +
                    assets::flamegraph_css().size();
    for (const std::string& name : packages.names) around += EscapedBytes(name) + 1;
    return kMaxSvgBytes - kSurroundings - static_cast<int64_t>(around);
  }

  // From no change to the largest; few, so that the style can name each.
  static constexpr int kSteps = 12;
  static constexpr Rgb kUnchanged = {0xec, 0xec, 0xec}, kUnchangedInDark = {0x86, 0x8d, 0x96};
  static Rgb ColourOfStep(const Rgb& from, int step) {
    constexpr Rgb kMore = {0xe2, 0x4a, 0x33}, kLess = {0x3f, 0x86, 0xd9};
    const Rgb& to = step < 0 ? kLess : kMore;
    auto mix = [&](int a, int b) { return a + (b - a) * std::abs(step) / kSteps; };
    return {mix(from.r, to.r), mix(from.g, to.g), mix(from.b, to.b)};
  }
  Rgb ColourOfChange(int64_t change) const {
    const double most = static_cast<double>(std::max<int64_t>(most_changed_, 1));
    const double part = static_cast<double>(change) / most;
    return ColourOfStep(kUnchanged, static_cast<int>(std::lround(part * kSteps)));
  }
  // What has not changed is most of a comparison, and would glare.
  static void DarkChanges(Svg& svg) {
    svg.Markup("@media screen and (prefers-color-scheme: dark) {\n");
    for (int step = -kSteps + 1; step < kSteps; ++step) {
      svg.Markup("  [fill=\"").Colour(ColourOfStep(kUnchanged, step)).Markup("\"] { fill: ");
      svg.Colour(ColourOfStep(kUnchangedInDark, step)).Markup("; }\n");
    }
    svg.Markup("}\n");
  }

  std::string TitleOf(absl::string_view name, const CallTree::Node& node) const {
    return absl::StrCat(
        name, " (", Grouped(node.total), " ", unit_, ", ", Percent(node.total, total_),
        picture_.compares() ? absl::StrCat("; ", SignedPercent(picture_.Change(node))) : "", ")");
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
        .Asset(assets::flamegraph_css());
    if (picture_.compares()) DarkChanges(svg);
    svg.Markup("]]></style>\n<script type=\"text/ecmascript\"><![CDATA[\n")
        .Asset(assets::arriving_js())
        .Asset(assets::flamegraph_js())
        .Markup("]]></script>\n<metadata id=\"packages\">");
    for (const std::string& package : packages_.names) {
      svg.Text(XmlText::EscapeShown(package)).Markup("\n");
    }
    svg.Markup(
            "</metadata>\n"
            "<rect id=\"background\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  }

  // For those who do not see the picture: what it is, and the functions that were executing most.
  std::string Description() const {
    constexpr size_t kHottest = 5;
    const std::vector<FrameLabel>& labels = picture_.tree().labels();
    const std::vector<int64_t>& self = executing_.of_label;
    std::vector<uint32_t> hottest(self.size());
    std::iota(hottest.begin(), hottest.end(), 0);
    const size_t count = std::min(kHottest, hottest.size());
    std::partial_sort(hottest.begin(), hottest.begin() + static_cast<ptrdiff_t>(count),
                      hottest.end(), [&](uint32_t a, uint32_t b) {
                        return self[a] != self[b] ? self[a] > self[b] : labels[a] < labels[b];
                      });
    std::string text = absl::StrCat("Flame graph of ", Grouped(total_), " ", unit_, ".");
    for (size_t i = 0; i < count && self[hottest[i]] > 0; ++i) {
      absl::StrAppend(&text, i == 0 ? " Executing most: " : ", ",
                      ShownText(labels[hottest[i]].text, 256), " ",
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
    for (const FlameLayout::Frame& frame : layout_.frames()) {
      Frame(svg, frame);
      JPROF_RETURN_IF_ERROR(svg.FlushIfLarge());
    }
    svg.Markup("</g>\n");
    return absl::OkStatus();
  }

  void Frame(Svg& svg, const FlameLayout::Frame& frame) {
    const CallTree::Node& node = picture_.nodes()[frame.node];
    const bool is_root = node.depth == 0;
    absl::string_view name = is_root ? absl::string_view("all") : label(node).text;
    const int64_t width = frame.right - frame.left;
    const int64_t x = int64_t{kPadding} * kUnitsPerPixel + frame.left;
    int64_t y = height_ - kFooter - (int64_t{node.depth} + 1) * kRow;
    double width_px = static_cast<double>(width) / kUnitsPerPixel;
    std::string title = is_root ? absl::StrCat("all (", Grouped(total_), " ", unit_, ", 100%)")
                                : TitleOf(name, node);
    if (!is_root && !picture_.generated()[node.label].empty()) {
      absl::StrAppend(&title, "\n", picture_.generated()[node.label]);
    }
    const bool inlined = !is_root && PictureTree::IsInlined(label(node));
    const int package = is_root ? -1 : packages_.of_label[node.label];
    // A frame of some width has an edge ("w"), a hair would be all edge.
    if (width_px >= 3) {
      svg.Markup("<g class=\"w k");
    } else {
      svg.Markup("<g class=\"k");
    }
    svg.Number(static_cast<int64_t>(kinds_[frame.node]));
    if (package >= 0) svg.Markup(" p").Number(package);
    if (inlined) svg.Markup(" i");
    // The script takes it for what the drawn callees leave. Of a frame that is wide enough to be
    // drawn it is known, also where the tree was pruned.
    const int64_t left = node.total - drawn_below_[frame.node];
    if (left != node.self) svg.Markup("\" data-self=\"").Number(node.self);
    svg.Markup("\"><title>");
    svg.Text(XmlText::EscapeShown(title))
        .Markup("</title><rect x=\"")
        .Decimal(x)
        .Markup("\" y=\"")
        .Number(y)
        .Markup("\" width=\"")
        .Decimal(width)
        .Markup("\" height=\"")
        .Number(kRow - 1)
        .Markup("\" fill=\"")
        .Colour(picture_.compares() ? ColourOfChange(picture_.Change(node))
                                    : ColourOf(kinds_[frame.node], inlined, ShadeOf(name)))
        .Markup("\"/>");
    const std::string text = FitText(LabelOf(name), width_px - 6, Ruler(kFontSize));
    if (text.empty()) {
      svg.Markup("<text/></g>\n");
      return;
    }
    svg.Markup("<text x=\"")
        .Decimal(x + 3 * kUnitsPerPixel)
        .Markup("\" y=\"")
        .Number(y + 11)
        .Markup("\">")
        .Text(XmlText::EscapeShown(text))
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

  // Line by line; the tooltip has them unbroken, and the script breaks them anew.
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
    svg.Markup(
        "<g id=\"legend\" font-size=\"11\">"
        "<title>share of the samples in which this kind of code was executing</title>\n");
    // The script lays this out anew: it knows the window's width.
    int x = kPadding;
    auto room = [](absl::string_view text) {
      return static_cast<int>(
                 std::lround(static_cast<double>(text.size()) * Ruler(kNoteSize).narrow())) +
             12;
    };
    const absl::string_view heading =
        picture_.compares() ? "change of the share (width: mean of both):" : "executing:";
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
    for (size_t i = 0; i < kCodeKinds && !picture_.compares(); ++i) {
      // "no stack" goes last.
      const size_t kind = (i + 1) % kCodeKinds;
      const PictureTree::Executing::Kind& sums = executing_.of_kind[kind];
      if (!sums.present) continue;
      std::string text(kKindStyles[kind].legend);
      // Who awaits is not executing.
      if (static_cast<CodeKind>(kind) != CodeKind::kAwaiting) {
        absl::StrAppend(&text, " ", ShortPercent(sums.self, total_));
      }
      item(ColourOf(static_cast<CodeKind>(kind), false, 7), text);
    }
    int64_t inlined = 0;
    size_t most_inlined = 0;
    for (size_t i = 0; i < kCodeKinds; ++i) {
      inlined = SaturatingAdd(inlined, executing_.of_kind[i].inlined);
      if (executing_.of_kind[i].inlined > executing_.of_kind[most_inlined].inlined)
        most_inlined = i;
    }
    if (picture_.compares()) {
      item(ColourOfChange(most_changed_),
           absl::StrCat("more, up to ", SignedPercent(most_changed_)));
      item(ColourOfChange(-most_changed_),
           absl::StrCat("less, down to ", SignedPercent(-most_changed_)));
    } else if (inlined > 0) {
      item(ColourOf(static_cast<CodeKind>(most_inlined), true, 7),
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

  const FrameLabel& label(const CallTree::Node& node) const { return picture_.tree().label(node); }

  const Profile& profile_;
  const PictureTree& picture_;
  const PackageNumbers& packages_;
  const FlameLayout layout_;
  const std::vector<CodeKind> kinds_;  // by node
  const PictureTree::Executing executing_;
  const int64_t total_;
  const std::string unit_;  // of it: "samples"
  int64_t most_changed_ = 0;
  std::vector<int64_t> drawn_below_;  // by node: weight of the callees that are drawn
  std::vector<std::string> comments_;  // shown, and how many more there are
  std::vector<std::string> notes_;     // the same in lines
  std::string left_out_;
  int legend_y_ = 0;
  int header_ = 0;
  int64_t height_ = 0;
};

class SvgExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    return WriteSvg(profile, PictureTree(profile, /*by_line=*/false), sink);
  }
};

}  // namespace

absl::Status WriteSvg(const Profile& profile, const PictureTree& picture, OutputSink& sink) {
  const PackageNumbers packages = NumberPackages(picture.packages());
  return FlameGraph(profile, picture, packages).Write(sink);
}

std::unique_ptr<Exporter> MakeSvgExporter() { return std::make_unique<SvgExporter>(); }

}  // namespace jprof
