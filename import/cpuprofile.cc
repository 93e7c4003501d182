// .cpuprofile, of node, Chrome and what imitates them. "(idle)" is time in which nothing ran and is
// left out; "(root)" is no frame.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "profiler/core/json_reader.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr int64_t kMaxUs = int64_t{1} << 52;  // a hundred years, and no overflow

struct Node {
  int64_t id = 0;
  int64_t parent = 0;
  bool has_parent = false;
  std::string name;
  std::string url;
  int64_t line = -1;
  int64_t hits = 0;
  std::vector<int64_t> children;
};

class CpuprofileReader {
 public:
  absl::StatusOr<Imported> Read(absl::string_view text) {
    JsonReader json(text);
    json.Object([&](absl::string_view key) {
      if (key == "nodes") {
        json.Array([&] { ReadNode(json); });
      } else if (key == "samples") {
        json.Array([&] { Append(json, samples_, json.Index()); });
      } else if (key == "timeDeltas") {
        json.Array([&] { Append(json, deltas_, json.Integer()); });
      } else if (key == "startTime") {
        start_us_ = std::clamp<int64_t>(json.Integer(), 0, kMaxUs);
      } else if (key == "endTime") {
        end_us_ = std::clamp<int64_t>(json.Integer(), 0, kMaxUs);
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
    JPROF_RETURN_IF_ERROR(Link());
    return Build();
  }

 private:
  void Account(JsonReader& json, size_t bytes) {
    if (!budget_.Take(bytes)) json.Stop();
  }

  void Append(JsonReader& json, std::vector<int64_t>& to, int64_t number) {
    to.push_back(number);
    Account(json, sizeof(int64_t));
  }

  void ReadNode(JsonReader& json) {
    Node& node = nodes_.emplace_back();
    Account(json, sizeof(Node));
    json.Object([&](absl::string_view key) {
      if (key == "id") {
        node.id = json.Index();
      } else if (key == "parent") {
        node.parent = json.Index();
        node.has_parent = true;
      } else if (key == "hitCount") {
        node.hits = json.Integer();
      } else if (key == "children") {
        json.Array([&] { Append(json, node.children, json.Index()); });
      } else if (key == "callFrame") {
        json.Object([&](absl::string_view inner) {
          if (inner == "functionName") {
            node.name = json.String();
            Account(json, node.name.size());
          } else if (inner == "url") {
            node.url = json.String();
            Account(json, node.url.size());
          } else if (inner == "lineNumber") {
            node.line = json.Integer();
          } else {
            json.Skip();
          }
        });
      } else {
        json.Skip();
      }
    });
  }

  absl::Status Link() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].id >= 0) index_.try_emplace(nodes_[i].id, i);
    }
    for (const Node& node : nodes_) {
      for (int64_t child : node.children) {
        auto it = index_.find(child);
        if (it == index_.end()) return absl::DataLossError("a child that is not there");
        nodes_[it->second].parent = node.id;
        nodes_[it->second].has_parent = true;
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Imported> Build() {
    std::vector<ValueType> types = {{"samples", "count"}};
    if (!samples_.empty()) types.push_back({"cpu", "nanoseconds"});
    const ValueType last = types.back();
    ProfileBuilder builder(std::move(types), last, 1);
    const ThreadId thread = builder.AddThread(0, 0, "", "");
    stacks_.resize(nodes_.size());
    depths_.resize(nodes_.size());
    done_.resize(nodes_.size());
    uint64_t idle = 0;
    if (samples_.empty()) {
      for (size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].hits <= 0 || nodes_[i].name == "(idle)") continue;
        JPROF_ASSIGN_OR_RETURN(const StackId stack, StackOf(builder, i));
        AddSample(builder, 0, thread, kUnknownCpu, stack, std::vector<int64_t>{nodes_[i].hits});
      }
    }
    int64_t at_us = 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
      auto it = index_.find(samples_[i]);
      if (it == index_.end()) return absl::DataLossError("a sample of a node that is not there");
      // A sample lasts until the next one, the last one until the end. Clocks go back at times.
      auto delta = [&](size_t n) {
        return n < deltas_.size() ? std::clamp<int64_t>(deltas_[n], 0, int64_t{1} << 40) : 0;
      };
      at_us = std::min(at_us + delta(i), kMaxUs);
      const int64_t rest_us = std::clamp<int64_t>(end_us_ - start_us_ - at_us, 0, int64_t{1} << 40);
      const int64_t weight_us = i + 1 < samples_.size() ? delta(i + 1) : rest_us;
      if (nodes_[it->second].name == "(idle)") {
        ++idle;
        continue;
      }
      JPROF_ASSIGN_OR_RETURN(const StackId stack, StackOf(builder, it->second));
      AddSample(builder, at_us * 1000, thread, kUnknownCpu, stack,
                std::vector<int64_t>{1, weight_us * 1000});
    }
    JPROF_RETURN_IF_ERROR(CheckRoom(builder));
    for (const std::string& comment : comments_) builder.AddComment(comment);
    Imported out;
    NoteTruncated("cpuprofile", truncated_, out.notes);
    if (idle > 0)
      out.notes.push_back(absl::StrCat("cpuprofile: ", idle, " samples of (idle) are left out"));
    const int64_t length_us = std::clamp<int64_t>(end_us_ - start_us_, at_us, kMaxUs);
    // Node counts from when the machine was started, Chrome too; jprof from 1970.
    const bool is_date = start_us_ > int64_t{1'000'000'000} * 1'000'000;
    builder.SetTimes(is_date ? start_us_ * 1000 : 0, length_us * 1000);
    JPROF_ASSIGN_OR_RETURN(out.profile, std::move(builder).Build());
    return out;
  }

  absl::StatusOr<StackId> StackOf(ProfileBuilder& builder, size_t leaf) {
    std::vector<size_t> walk;
    StackId stack;
    uint32_t depth = 0;
    for (size_t i = leaf;;) {
      if (done_[i]) {
        stack = stacks_[i];
        depth = depths_[i];
        break;
      }
      walk.push_back(i);
      if (walk.size() > nodes_.size()) return absl::DataLossError("a node above itself");
      if (!nodes_[i].has_parent) break;
      auto it = index_.find(nodes_[i].parent);
      if (it == index_.end()) return absl::DataLossError("a parent that is not there");
      i = it->second;
    }
    for (; !walk.empty(); walk.pop_back()) {
      const size_t i = walk.back();
      if (nodes_[i].has_parent || nodes_[i].name != "(root)") {
        ++depth;
        stack = depth > kMaxStackDepth ? StackId{}
                                       : builder.AddStack(stack, LocationOf(builder, nodes_[i]));
      }
      depths_[i] = depth;
      done_[i] = true;
      stacks_[i] = stack;
    }
    if (depth <= kMaxStackDepth) return stack;
    if (stacks_[leaf].valid()) {
      ++truncated_;
      return stacks_[leaf];
    }
    // What is kept of it is no part of another one's.
    std::vector<LocationId> path;
    for (size_t i = leaf; path.size() <= kMaxStackDepth; i = index_[nodes_[i].parent]) {
      path.push_back(LocationOf(builder, nodes_[i]));
    }
    budget_.Take(path.size() * 4 * sizeof(StackNode));
    JPROF_RETURN_IF_ERROR(budget_.status());
    return stacks_[leaf] = AddPath(builder, path, truncated_);
  }

  static LocationId LocationOf(ProfileBuilder& builder, const Node& node) {
    const absl::string_view name = node.name.empty() ? "(anonymous)" : absl::string_view(node.name);
    const uint32_t line =
        node.line >= 0 && node.line < UINT32_MAX - 1 ? static_cast<uint32_t>(node.line) + 1 : 0;
    FrameKind kind = FrameKind::kScript;
    if (absl::StartsWith(node.url, "wasm:")) {
      kind = FrameKind::kWasm;
    } else if (node.url.empty()) {
      kind = name[0] == '(' ? FrameKind::kNative : FrameKind::kBuiltin;
    }
    const Line lines[] = {{builder.AddFunction(name, name, node.url, line, kind)}};
    return builder.AddLocation(ImageId{}, 0, lines);
  }

  std::vector<Node> nodes_;
  std::vector<int64_t> samples_;
  std::vector<int64_t> deltas_;
  std::vector<std::string> comments_;
  int64_t start_us_ = 0;
  int64_t end_us_ = 0;
  absl::flat_hash_map<int64_t, size_t> index_;
  std::vector<StackId> stacks_;  // by node
  std::vector<uint32_t> depths_;
  std::vector<bool> done_;
  uint64_t truncated_ = 0;
  TableBudget budget_;
};

}  // namespace

bool LooksCpuprofile(absl::string_view head) {
  return !head.empty() && head.find_first_not_of(" \t\r\n") == head.find('{') &&
         (absl::StrContains(head, "\"callFrame\"") || absl::StrContains(head, "\"timeDeltas\""));
}

absl::StatusOr<Imported> ReadCpuprofile(Input& input) {
  JPROF_ASSIGN_OR_RETURN(const std::string text, input.Rest());
  return CpuprofileReader().Read(text);
}

}  // namespace jprof
