// All that a profile says, as text.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "profiler/core/profile.h"

namespace jprof {

// All that a profile says, by name.
inline std::string Dump(const Profile& p) {
  std::string out = absl::StrCat(p.title, "\n", absl::StrJoin(p.comments, "\n"), "\n",
                                 p.start_time_ns, " ", p.duration_ns, " ", p.period, " ",
                                 p.period_type.type, "/", p.period_type.unit, p.show_lines, "\n");
  for (const ValueType& t : p.sample_types) absl::StrAppend(&out, t.type, "/", t.unit, "\n");
  for (size_t i = 0; i < p.samples.size(); ++i) {
    const ProfileSample& s = p.samples[i];
    const Thread& t = p.threads[s.thread.value];
    absl::StrAppend(&out, s.time_ns, " cpu ", s.cpu, " ", t.pid, "/", t.tid, " ",
                    p.String(t.process_name), ":", p.String(t.name), ":", p.String(t.cgroup), ":",
                    p.String(t.labels));
    for (size_t type = 0; type < p.sample_types.size(); ++type) {
      absl::StrAppend(&out, " ", p.Value(i, type));
    }
    for (StackId n = s.stack; n.valid(); n = p.stacks[n.value].caller) {
      const Location& l = p.locations[p.stacks[n.value].location.value];
      absl::StrAppend(&out, "\n ", absl::Hex(l.address));
      if (l.image.valid()) {
        const ProfileImage& image = p.images[l.image.value];
        absl::StrAppend(&out, " ", p.String(image.path), " ", p.String(image.build_id), " ",
                        image.memory_start, " ", image.memory_limit, " ", image.file_offset);
      }
      for (const Line& line : p.Lines(l)) {
        const Function& f = p.functions[line.function.value];
        absl::StrAppend(&out, " | ", p.String(f.name), " ", p.String(f.system_name), " ",
                        p.String(f.file), ":", f.start_line, " kind ", static_cast<int>(f.kind),
                        " at ", line.line, ":", line.column);
      }
    }
    absl::StrAppend(&out, "\n");
  }
  return out;
}

}  // namespace jprof
