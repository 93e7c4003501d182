#include "profiler/pipeline/frame_table.h"

namespace jprof {
namespace {

template <typename Map, typename Table, typename Key, typename Value>
uint32_t Intern(Map& ids, Table& table, const Key& key, Value&& value) {
  auto [it, added] = ids.try_emplace(key, static_cast<uint32_t>(table.size()));
  if (added) table.push_back(std::forward<Value>(value));
  return it->second;
}

}  // namespace

uint32_t FrameTable::InternName(PendingName name) { return Intern(name_ids_, names_, name, name); }

uint32_t FrameTable::InternLines(std::vector<PendingLine> lines) {
  return Intern(line_ids_, lines_, lines, lines);
}

uint32_t FrameTable::InternFrame(const PendingFrame& frame) {
  return Intern(frame_ids_, frames_, frame, frame);
}

uint32_t FrameTable::InternStack(uint32_t caller, uint32_t frame) {
  return Intern(stack_ids_, stacks_, std::pair(caller, frame), Node{caller, frame});
}

}  // namespace jprof
