// The report.
//
// One HTML file that asks for nothing: no network, no other file. Its policy (CSP) says so to the
// browser, which then runs the one script and the one style whose hashes it names and nothing else,
// whatever a name in the profile may look like. The profile itself is a block of data that no
// browser interprets: numbers and names (report_data.h), deflated, in base64. The script reads it,
// draws on canvas and puts names into text nodes. Where scripts are off, the title and the verdict
// remain.
//
// A large profile takes a browser about a second to read. So the script comes before it, and before
// the script the head, not deflated: what the first picture shows. It is drawn while the rest is
// still being parsed.
//
// If the file would be too large, the limits of what is in it are halved until it is not.
#include "export/html.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "export/figures.h"
#include "export/picture_tree.h"
#include "export/report_data.h"
#include "export/text.h"
#include "profiler/core/status.h"
#include "web/assets.h"

namespace jprof {
namespace {

absl::StatusOr<std::string> Deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  const int result = compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                               reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), 6);
  if (result != Z_OK) return absl::ResourceExhaustedError("deflating the report failed");
  out.resize(size);
  return out;
}

// The only way into the file: string literals, constants of the program, and text that is escaped.
class Html {
 public:
  template <size_t N>
  Html& Markup(const char (&literal)[N]) {
    text_.append(literal, N - 1);
    return *this;
  }
  // An asset, or base64.
  Html& Constant(absl::string_view constant) {
    absl::StrAppend(&text_, constant);
    return *this;
  }
  Html& Hash(absl::string_view sha256) {
    absl::StrAppend(&text_, "'sha256-", absl::Base64Escape(sha256), "'");
    return *this;
  }
  Html& Text(const XmlText& text) {
    text_ += text.text();
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class HtmlExporter : public Exporter {
 public:
  explicit HtmlExporter(int64_t max_bytes) : max_bytes_(max_bytes) {}

  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    const PictureTree picture(profile, /*by_line=*/true);
    const ReportData report(profile, picture);
    Html html;
    Head(profile, html);
    html.Markup("<script type=\"application/octet-stream\" id=\"head\">")
        .Constant(absl::Base64Escape(report.Head()))
        .Markup("</script>\n<script>")
        .Constant(assets::report_js())
        .Markup("</script>\n<script type=\"application/octet-stream\" id=\"profile\">");
    const int64_t room = max_bytes_ - static_cast<int64_t>(html.text().size()) - 100;
    JPROF_ASSIGN_OR_RETURN(const std::string data, Fitting(profile, picture, report, room));
    html.Constant(data).Markup("</script>\n</body>\n</html>\n");
    return sink.Append(html.text());
  }

 private:
  // As much of the data as is at most `room` bytes of base64.
  static absl::StatusOr<std::string> Fitting(const Profile& profile, const PictureTree& picture,
                                             const ReportData& report, int64_t room) {
    ReportLimits limits;
    while (true) {
      JPROF_ASSIGN_OR_RETURN(const std::string data, Deflated(report.Whole(limits)));
      if (static_cast<int64_t>(data.size()) / 3 * 4 < room || limits.samples == 0) {
        return absl::Base64Escape(data);
      }
      limits = {std::min(limits.nodes, picture.nodes().size()) / 2,
                std::min(limits.samples, profile.samples.size()) / 2, limits.label_bytes / 2};
    }
  }

  static void Head(const Profile& profile, Html& html) {
    const absl::string_view title =
        profile.title.empty() ? absl::string_view("Profile") : absl::string_view(profile.title);
    html.Markup(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src ")
        .Hash(assets::report_js_sha256())
        .Markup("; style-src ")
        .Hash(assets::report_css_sha256())
        .Markup(
            "; base-uri 'none'; form-action 'none'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>")
        .Text(XmlText::Escape(title))
        .Markup("</title>\n<style>")
        .Constant(assets::report_css())
        .Markup("</style>\n</head>\n<body>\n<header>\n<h1>")
        .Text(XmlText::Escape(title))
        .Markup("</h1>\n<div id=\"verdict\">\n");
    for (size_t i = 0; i < std::min(profile.comments.size(), ReportData::kMaxComments); ++i) {
      html.Markup("<p>").Text(XmlText::Escape(profile.comments[i])).Markup("</p>\n");
    }
    if (profile.comments.size() > ReportData::kMaxComments) {
      const std::string more = MoreComments(profile.comments.size() - ReportData::kMaxComments);
      html.Markup("<p>").Text(XmlText::EscapeShown(more)).Markup("</p>\n");
    }
    html.Markup(
        "</div>\n</header>\n"
        "<noscript>The pictures need JavaScript; an SVG (-o out.svg) does not.</noscript>\n"
        "<div id=\"report\"></div>\n");
  }

  const int64_t max_bytes_;
};

}  // namespace

std::unique_ptr<Exporter> MakeHtmlExporter(int64_t max_bytes) {
  return std::make_unique<HtmlExporter>(max_bytes);
}
std::unique_ptr<Exporter> MakeHtmlExporter() { return MakeHtmlExporter(kMaxHtmlBytes); }

}  // namespace jprof
