// A report for the browser: flame graph, heat map of the recording, flame chart in time order,
// functions with callers, callees and lines. One self-contained HTML file. html.cc opens with what
// is in it and why.
#pragma once

#include <cstdint>
#include <memory>

#include "export/exporter.h"

namespace jprof {

// A report is never larger than this, and what it leaves out to stay so is said in it.
inline constexpr int64_t kMaxHtmlBytes = 15'000'000;

// `max_bytes`: of the file, scripts included.
std::unique_ptr<Exporter> MakeHtmlExporter(int64_t max_bytes);
std::unique_ptr<Exporter> MakeHtmlExporter();  // kMaxHtmlBytes

}  // namespace jprof
