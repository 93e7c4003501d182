#include "profiler/pipeline/frame_table.h"

namespace jprof {
namespace {

// Each is twice in memory, in a table and in the hash table of its numbers; both have spare room.
constexpr size_t kTimes = 4;

size_t BytesOf(const PendingName& n) {
  return kTimes * sizeof(n) + 2 * (n.name.size() + n.file.size() + n.image.size() + n.why.size());
}
size_t BytesOf(const std::vector<PendingLine>& lines) {
  return kTimes * sizeof(lines) + 2 * lines.size() * sizeof(lines[0]);
}
size_t BytesOf(const PendingDumped& dumped) { return kTimes * sizeof(dumped); }
size_t BytesOf(const PendingFrame& frame) { return kTimes * sizeof(frame); }
size_t BytesOf(const std::pair<uint32_t, uint32_t>& node) { return kTimes * sizeof(node); }

template <typename Map, typename Table, typename Key, typename Value>
uint32_t Intern(Map& ids, Table& table, const Key& key, Value&& value, size_t& bytes) {
  auto [it, added] = ids.try_emplace(key, static_cast<uint32_t>(table.size()));
  if (added) {
    bytes += BytesOf(key);
    table.push_back(std::forward<Value>(value));
  }
  return it->second;
}

template <typename Table, typename Value>
uint32_t MakeOnce(uint32_t& number, uint32_t none, Table& table, Value&& value) {
  if (number == none) {
    number = static_cast<uint32_t>(table.size());
    table.push_back(std::forward<Value>(value));
  }
  return number;
}

}  // namespace

uint32_t FrameTable::LeftOutName() {
  return MakeOnce(
      left_out_name_, kNone, names_,
      PendingName{.name = "[left out]",
                  .why = "more functions and stacks than jprof keeps; record for a shorter time"});
}

uint32_t FrameTable::LeftOutLines() {
  return MakeOnce(left_out_lines_, kNone, lines_,
                  std::vector<PendingLine>{{.name = LeftOutName()}});
}

uint32_t FrameTable::LeftOutFrame() {
  return MakeOnce(left_out_frame_, kNone, frames_,
                  PendingFrame{.kind = PendingFrame::Kind::kUnknown, .index = LeftOutName()});
}

uint32_t FrameTable::InternName(PendingName name) {
  if (full() && !name_ids_.contains(name)) return LeftOutName();
  return Intern(name_ids_, names_, name, name, bytes_);
}

uint32_t FrameTable::InternLines(std::vector<PendingLine> lines) {
  if (full() && !line_ids_.contains(lines)) return LeftOutLines();
  return Intern(line_ids_, lines_, lines, lines, bytes_);
}

uint32_t FrameTable::InternDumped(const PendingDumped& dumped) {
  if (full() && !dumped_ids_.contains(dumped)) return dumped.otherwise;
  const uint32_t index = Intern(dumped_ids_, dumped_, dumped, dumped, bytes_);
  return InternFrame({.kind = PendingFrame::Kind::kDumped, .index = index});
}

uint32_t FrameTable::InternFrame(const PendingFrame& frame) {
  if (full() && !frame_ids_.contains(frame)) return LeftOutFrame();
  return Intern(frame_ids_, frames_, frame, frame, bytes_);
}

uint32_t FrameTable::InternStack(uint32_t caller, uint32_t frame) {
  if (IsLeftOut(caller)) return caller;
  std::pair node(caller, frame);
  if (full() && !stack_ids_.contains(node)) node.second = LeftOutFrame();
  return Intern(stack_ids_, stacks_, node, Node{node.first, node.second}, bytes_);
}

}  // namespace jprof
