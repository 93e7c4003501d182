// speedscope's own format: sampled and evented profiles, a thread each.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "profiler/core/json_reader.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxDepth = 100'000;
// Of a row: one more than AddPath takes, so that it sees that the stack is cut.
constexpr size_t kKeptFrames = kMaxStackDepth + 1;

// Out of range it names no frame.
uint32_t Index(int64_t n) {
  return n < 0 || n >= UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(n);
}

struct Row {
  double start = 0;
  double weight = 0;
  uint32_t first_frame = 0;  // into `frames`, root first
  uint32_t frame_count = 0;
};

struct Event {
  bool opens = false;
  double at = 0;
  int64_t frame = -1;
};

struct RawProfile {
  std::string name;
  std::string unit;
  bool is_evented = false;
  double start = 0;
  std::vector<Row> rows;
  std::vector<uint32_t> frames;
  std::vector<Event> events;
};

class SpeedscopeReader {
 public:
  absl::StatusOr<Imported> Read(absl::string_view text) {
    JsonReader json(text);
    json.Object([&](absl::string_view key) {
      if (key == "shared") {
        json.Object(
            [&](absl::string_view inner) { inner == "frames" ? ReadFrames(json) : json.Skip(); });
      } else if (key == "profiles") {
        json.Array([&] { ReadOne(json); });
      } else if (key == "name") {
        title_ = json.String();
      } else if (key == "comments") {  // jprof's own
        json.Array([&] {
          comments_.push_back(json.String());
          Account(json, comments_.back().size() + sizeof(std::string));
        });
      } else {
        json.Skip();
      }
    });
    JPROF_RETURN_IF_ERROR(budget_.status());
    if (!json.ok()) return absl::DataLossError("damaged");
    JPROF_RETURN_IF_ERROR(too_much_);
    return Build();
  }

 private:
  struct RawFrame {
    std::string name;
    std::string file;
    int64_t line = 0;
  };

  void Account(JsonReader& json, size_t bytes) {
    if (!budget_.Take(bytes)) json.Stop();
  }

  void ReadFrames(JsonReader& json) {
    json.Array([&] {
      RawFrame& frame = frames_.emplace_back();
      Account(json, sizeof(RawFrame));
      json.Object([&](absl::string_view key) {
        if (key == "name") {
          frame.name = json.String();
          Account(json, frame.name.size());
        } else if (key == "file") {
          frame.file = json.String();
          Account(json, frame.file.size());
        } else if (key == "line") {
          frame.line = json.Integer();
        } else {
          json.Skip();
        }
      });
    });
  }

  // If a row that begins at `first` has more frames than `most`, those at its leaf stay.
  static void CutAtRoot(std::vector<uint32_t>& frames, size_t first, size_t most) {
    if (frames.size() - first <= most) return;
    frames.erase(frames.begin() + static_cast<ptrdiff_t>(first),
                 frames.end() - static_cast<ptrdiff_t>(kKeptFrames));
  }

  void ReadOne(JsonReader& json) {
    RawProfile& p = profiles_.emplace_back();
    Account(json, sizeof(RawProfile));
    std::vector<double> weights;
    json.Object([&](absl::string_view key) {
      if (key == "type") {
        p.is_evented = json.String() == "evented";
      } else if (key == "name") {
        p.name = json.String();
      } else if (key == "unit") {
        p.unit = json.String();
      } else if (key == "startValue") {
        p.start = json.Number();
      } else if (key == "weights") {
        json.Array([&] {
          weights.push_back(json.Number());
          Account(json, sizeof(double));
        });
      } else if (key == "samples") {
        json.Array([&] {
          Row row;
          row.first_frame = static_cast<uint32_t>(p.frames.size());
          json.Array([&] {
            p.frames.push_back(Index(json.Index()));
            CutAtRoot(p.frames, row.first_frame, 2 * kKeptFrames);
          });
          CutAtRoot(p.frames, row.first_frame, kKeptFrames);
          row.frame_count = static_cast<uint32_t>(p.frames.size()) - row.first_frame;
          p.rows.push_back(row);
          Account(json, sizeof(Row) + row.frame_count * sizeof(uint32_t));
        });
      } else if (key == "events") {
        json.Array([&] {
          Event& event = p.events.emplace_back();
          Account(json, sizeof(Event));
          json.Object([&](absl::string_view inner) {
            if (inner == "type") {
              event.opens = json.String() == "O";
            } else if (inner == "at") {
              event.at = json.Number();
            } else if (inner == "frame") {
              event.frame = json.Index();
            } else {
              json.Skip();
            }
          });
        });
      } else {
        json.Skip();
      }
    });
    double at = p.start;
    for (size_t i = 0; i < p.rows.size(); ++i) {
      p.rows[i].start = at;
      p.rows[i].weight = i < weights.size() ? weights[i] : 1;
      at += p.rows[i].weight;
    }
    if (p.is_evented && json.ok()) too_much_.Update(Unroll(p));
  }

  // What is open between two events is a stack.
  absl::Status Unroll(RawProfile& p) {
    std::vector<uint32_t> open;
    double at = p.start;
    p.rows.clear();
    p.frames.clear();
    for (const Event& event : p.events) {
      if (event.at > at && !open.empty()) {
        const size_t depth = std::min(open.size(), kKeptFrames);
        p.rows.push_back({at, event.at - at, static_cast<uint32_t>(p.frames.size()),
                          static_cast<uint32_t>(depth)});
        p.frames.insert(p.frames.end(), open.end() - static_cast<ptrdiff_t>(depth), open.end());
        if (!budget_.Take(sizeof(Row) + depth * sizeof(uint32_t))) return budget_.status();
      }
      at = std::max(at, event.at);
      if (event.opens) {
        if (open.size() == kMaxDepth) return absl::ResourceExhaustedError("too deep a stack");
        open.push_back(Index(event.frame));
      } else if (!open.empty()) {
        open.pop_back();
      }
    }
    p.events.clear();
    return absl::OkStatus();
  }

  // Nanoseconds of one unit; 0: it is no time.
  static double NanosOf(absl::string_view unit) {
    if (unit == "nanoseconds") return 1;
    if (unit == "microseconds") return 1e3;
    if (unit == "milliseconds") return 1e6;
    if (unit == "seconds") return 1e9;
    return 0;
  }

  static int64_t Rounded(double value) {
    return std::isfinite(value) && std::abs(value) < 9e18 ? std::llround(value) : 0;
  }

  absl::StatusOr<Imported> Build() {
    if (profiles_.empty()) return absl::DataLossError("no profile");
    const std::string unit = profiles_[0].unit;
    const double nanos = NanosOf(unit);
    Imported out;
    // A row of a sampled profile is a sample.
    bool is_evented = false;
    for (const RawProfile& p : profiles_) is_evented = is_evented || p.is_evented;
    std::vector<ValueType> types;
    if (nanos == 0) {
      types = {unit == "bytes" ? ValueType{"space", "bytes"} : ValueType{"samples", "count"}};
    } else {
      if (!is_evented) types = {{"samples", "count"}};
      types.push_back({"cpu", "nanoseconds"});
    }
    builder_.emplace(types, types.back(), 1);
    builder_->SetTitle(title_);
    for (const std::string& comment : comments_) builder_->AddComment(comment);
    locations_.resize(frames_.size());
    uint64_t other_units = 0, truncated = 0;
    int64_t end = 0;
    double begin = profiles_[0].start;
    for (const RawProfile& p : profiles_) {
      if (p.unit == unit) begin = std::min(begin, p.start);
    }
    for (const RawProfile& p : profiles_) {
      if (p.unit != unit) {
        ++other_units;
        continue;
      }
      const ThreadId thread = ThreadOf(p.name);
      double carried = 0;
      for (const Row& row : p.rows) {
        path_.clear();
        for (uint32_t i = row.frame_count; i-- > 0;) {
          const uint32_t frame = p.frames[row.first_frame + i];
          if (frame >= frames_.size()) return absl::DataLossError("a frame that is not there");
          path_.push_back(LocationOf(frame));
        }
        const StackId stack = AddPath(*builder_, path_, truncated);
        const int64_t start =
            nanos == 0 ? 0 : std::max<int64_t>(Rounded((row.start - begin) * nanos), 0);
        const double exact = nanos == 0 ? row.weight + carried : row.weight * nanos;
        const int64_t weight = Rounded(exact);
        // Halves of a sample add up.
        if (nanos == 0) carried = std::abs(exact) < 9e18 ? exact - static_cast<double>(weight) : 0;
        if (nanos != 0)
          end = std::max(end, start + std::clamp<int64_t>(weight, 0, INT64_MAX - start));
        // Time in which nothing ran.
        if (nanos != 0 && row.frame_count == 0) continue;
        const std::vector<int64_t> values =
            types.size() == 2 ? std::vector<int64_t>{1, weight} : std::vector<int64_t>{weight};
        AddSample(*builder_, start, thread, kUnknownCpu, stack, values);
      }
      JPROF_RETURN_IF_ERROR(CheckRoom(*builder_));
    }
    NoteTruncated("speedscope", truncated, out.notes);
    if (other_units > 0) {
      out.notes.push_back(
          absl::StrCat("speedscope: ", other_units, " profiles in other units than ", unit));
    }
    builder_->SetTimes(0, end);
    JPROF_ASSIGN_OR_RETURN(out.profile, std::move(*builder_).Build());
    return out;
  }

  // All of the name: what of it is a number is not known.
  ThreadId ThreadOf(absl::string_view name) { return builder_->AddThread(0, 0, name, name); }

  LocationId LocationOf(uint32_t index) {
    LocationId& location = locations_[index];
    if (location.valid()) return location;
    const RawFrame& frame = frames_[index];
    FrameKind kind = KindOfName(frame.name);
    ImageId image;
    std::string file = frame.file;
    if (absl::StartsWith(file, "[kernel")) {
      kind = FrameKind::kKernel;
    } else if (IsScriptFile(file)) {
      kind = FrameKind::kScript;
    }
    // Without a line it is the image of native code.
    if (kind != FrameKind::kScript && frame.line == 0 && !file.empty()) {
      image = builder_->AddImage(file, "", 0, 0, 0);
      file.clear();
    }
    const uint32_t line =
        frame.line > 0 && frame.line < UINT32_MAX ? static_cast<uint32_t>(frame.line) : 0;
    const Line lines[] = {{builder_->AddFunction(frame.name, frame.name, file, line, kind)}};
    return location = builder_->AddLocation(image, 0, lines);
  }

  std::string title_;
  std::vector<std::string> comments_;
  std::vector<RawFrame> frames_;
  std::vector<RawProfile> profiles_;
  std::vector<LocationId> locations_;
  std::vector<LocationId> path_;  // of one row, leaf first
  std::optional<ProfileBuilder> builder_;
  absl::Status too_much_;
  TableBudget budget_;
};

}  // namespace

bool LooksSpeedscope(absl::string_view head) {
  return !head.empty() && head.find_first_not_of(" \t\r\n") == head.find('{') &&
         absl::StrContains(head, "speedscope.app/file-format-schema");
}

absl::StatusOr<Imported> ReadSpeedscope(Input& input) {
  JPROF_ASSIGN_OR_RETURN(const std::string text, input.Rest());
  return SpeedscopeReader().Read(text);
}

}  // namespace jprof
