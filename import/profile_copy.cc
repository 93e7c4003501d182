#include "import/profile_copy.h"

#include <span>
#include <string>

namespace jprof {

FunctionId ProfileCopy::Function(FunctionId id) {
  FunctionId& copy = functions_[id.value];
  if (!copy.valid()) {
    const struct Function& f = from_.functions[id.value];
    copy = to_.AddFunction(from_.String(f.name), from_.String(f.system_name), from_.String(f.file),
                           f.start_line, f.kind);
  }
  return copy;
}

ImageId ProfileCopy::Image(ImageId id) {
  if (!id.valid()) return id;
  const ProfileImage& image = from_.images[id.value];
  return to_.AddImage(from_.String(image.path), from_.String(image.build_id), image.memory_start,
                      image.memory_limit, image.file_offset);
}

LocationId ProfileCopy::Location(LocationId id) {
  LocationId& copy = locations_[id.value];
  if (copy.valid()) return copy;
  const struct Location& location = from_.locations[id.value];
  std::vector<Line> lines;
  for (Line line : from_.Lines(location)) {
    line.function = Function(line.function);
    lines.push_back(line);
  }
  const ImageId image = Image(location.image);
  // The image may have been mapped elsewhere in the other profile.
  uint64_t address = location.address;
  if (image.valid() && address != 0) {
    const ProfileImage& mine = from_.images[location.image.value];
    const ProfileImage& known = to_.profile().images[image.value];
    address += (known.memory_start - known.file_offset) - (mine.memory_start - mine.file_offset);
    if (address < known.memory_start || address >= known.memory_limit) address = 0;
  }
  return copy = to_.AddLocation(image, address, lines);
}

StackId ProfileCopy::Stack(StackId id) {
  walk_.clear();
  StackId copy;
  for (; id.valid(); id = from_.stacks[id.value].caller) {
    copy = stacks_[id.value];
    if (copy.valid()) break;
    walk_.push_back(id);
  }
  for (; !walk_.empty(); walk_.pop_back()) {
    copy = to_.AddStack(copy, Location(from_.stacks[walk_.back().value].location));
    stacks_[walk_.back().value] = copy;
  }
  return copy;
}

ThreadId ProfileCopy::Thread(ThreadId id) {
  ThreadId& copy = threads_[id.value];
  if (!copy.valid()) {
    const struct Thread& t = from_.threads[id.value];
    copy = to_.AddThread(t.pid, t.tid, process_.value_or(from_.String(t.process_name)),
                         from_.String(t.name), from_.String(t.cgroup), from_.String(t.labels));
  }
  return copy;
}

void ProfileCopy::Heading() {
  to_.SetTitle(from_.title);
  for (const std::string& comment : from_.comments) to_.AddComment(comment);
  to_.SetTimes(from_.start_time_ns, from_.duration_ns);
  to_.ShowLines(from_.show_lines);
}

}  // namespace jprof
